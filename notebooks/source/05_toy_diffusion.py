# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A diffusion of your own, in half a minute
#
# You will see a few people on a floor, seen by two observers who cannot tell distances well; a network that learns in
# front of your eyes who is who; and the way its answer takes from the middle of a polytope to one of its corners, with
# a slider to follow it.
#
# Nothing here is a toy but the size: the network, its training step, the projection and the sampler are those of the
# real model.

# %%
# %matplotlib inline
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import torch
from IPython.display import display

from dispose.models.dispose.denoiser import Denoiser
from dispose.models.dispose.sampling import SamplerConfig, trajectory
from dispose_viz.hypergraph.trajectory import trajectories_of
from dispose_viz.polytope import toy
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import scrubber, still_images_of

# %%
from dispose_workbench import toy as judge
from dispose_workbench.toy import (
    TOY_DENOISER,
    ToyConfig,
    ToyTraining,
    chance_divergence,
    draw_toy_scenes,
    toy_problem,
    train_toy,
    true_mass,
)
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
people: int = 4  # how many people there are: 3 or more, with three views 2 or more
views: int = 2  # how many observers: 2 or 3
along_mm: float = 900.0  # error of a sighting along the line of sight
steps: int = 200  # training steps
seed: int = 0  # of everything random
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. The puzzle
#
# Everybody is seen by every observer, and every observer numbers them in an order of its own: is A1 the same person as
# B1 or as B3? The direction of a sighting is good, its distance is poor: the thin ellipses are one standard deviation.

# %%
out = Path(out)
require_one_of("number of views", views, (2, 3), "this page")
# Two people before two observers are one number: no plane could be drawn.
require_at_least("people", people, 3 if views == 2 else 2)
require_at_least("steps", steps, 1)
config = ToyConfig(people=people, views=views, along_mm=along_mm)
generator = torch.Generator().manual_seed(seed)
unseen = draw_toy_scenes(config, 200, generator)
scene = judge.telling_scene(unseen, judge.by_error_model(config))
nearest = judge.best_assignment(judge.by_distance([scene])[0], scene).double().numpy()
save_figure(toy.draw_puzzle(new_figure(15, 5.4), scene, config, nearest), out / "puzzle")

# %% [markdown]
# On the right, what one gets by putting together what lies close together (for two observers: the Hungarian method on
# the distances, which is the best that distances can do). It does not know that errors are long and thin. Nobody will
# tell the network either: it sees where the sightings are, and learns from examples.
#
# ## 2. Train
#
# Every step draws fresh scenes, blurs the right answer with noise, and asks for it back. The red line is what guessing
# costs.

# %%
torch.manual_seed(seed)
network, training = Denoiser(TOY_DENOISER), ToyTraining(scenes=config, steps=steps)
losses, live, started = [], display(display_id=True), time.perf_counter()
for loss in train_toy(network, training, generator):
    losses.append(loss)
    if len(losses) % 25 == 0 or len(losses) == steps:
        curve = new_figure(8, 3.6)
        toy.draw_losses(curve.add_subplot(), losses, steps, chance_divergence(config))
        live.update(curve)
seconds = time.perf_counter() - started
save_figure(curve, out / "training")
print(f"{steps} steps in {seconds:.0f} s: from {losses[0]:.2f} to {sum(losses[-15:]) / len(losses[-15:]):.3f} nats")

# %% [markdown]
# ## 3. Is it any good?
#
# On 200 scenes it has never seen. The last line has been told how the views err; it is about the best that can be done,
# and most of what it gets wrong cannot be known.

# %%
learned = judge.by_diffusion(network.eval())
methods = {"distances": judge.by_distance, "diffusion": learned, "true errors known": judge.by_error_model(config)}
scores = {name: judge.score_toy(worth, unseen) for name, worth in methods.items()}
metrics = {name.replace(" ", "_"): asdict(score) for name, score in scores.items()}
(out / "metrics.json").write_text(json.dumps({"train_s": seconds, "loss": losses[-1], **metrics}, indent=2))
for name, score in scores.items():
    print(f"{name:>17}: {score.people:6.1%} of the people right, {score.scenes:6.1%} of the scenes without a mistake")

# %% [markdown]
# ## 4. Follow the answer
#
# A scene that distances get wrong. The sampler starts in noise, asks the network for the clean answer, goes a little
# towards it, and is put back into the polytope after every step. Of six random starts we follow the first that ends at
# the truth; section 5 shows that not all do.
#
# **Left**: who is put with whom. **Middle**: the same masses as a table; every row and every column sums to 1, so for
# two observers the table is a point of Birkhoff's polytope, whose corners are the permutations; the true one is framed.
# **Right**: a plane cut of that polytope, exact: through its middle, the truth, and what distances say.
#
# Move the slider.

# %%
scene = judge.telling_scene(unseen, learned)
problem, truth = toy_problem(scene), true_mass(scene).double().numpy()
nearest = judge.best_assignment(judge.by_distance([scene])[0], scene).double().numpy()
cut = toy.cut_between(problem, truth, nearest, "distances")
states = list(trajectory(network, problem, SamplerConfig(steps=12, hypotheses=6), generator))
path = toy.path_to_truth(trajectories_of(states, problem.members, problem.graph.marginals), cut)

# %%
figures = (toy.draw_state(new_figure(15, 5), scene, config, path, cut, s) for s in range(len(path.time)))
words = [f"diffusion time {t:.2f}, indecision {e:.2f} bits" for t, e in zip(path.time, path.entropy, strict=True)]
slider = scrubber(still_images_of(figures), words, description="step of the reverse diffusion")
(out / "start.png").write_bytes(slider.png)
slider

# %% [markdown]
# The same after two steps, as a still picture.

# %%
save_figure(toy.draw_state(new_figure(15, 5), scene, config, path, cut, 2), out / "state")

# %% [markdown]
# ## 5. Other starts, other answers
#
# A scene of which the network says "this way or that way", from twelve random starts. Some go to one answer and some to
# the other: together they are a probability, not a verdict. Dots are paler the farther a state is from the plane of the
# drawing; the dashed line is the shadow of the whole polytope on it.

# %%
scene = judge.undecided_scene(unseen, judge.by_diffusion(network, SamplerConfig(steps=1)))
problem, truth = toy_problem(scene), true_mass(scene).double().numpy()
states = list(trajectory(network, problem, SamplerConfig(steps=12, hypotheses=12), generator))
paths = trajectories_of(states, problem.members, problem.graph.marginals)
cut = toy.cut_between(problem, truth, toy.competitor_of(paths, truth), "competitor")
figure = toy.draw_answers(new_figure(14, 6), scene, config, cut, paths)
save_figure(figure, out / "starts")

# %% [markdown] tags=["exercise"]
# ## 6. Exercises
#
# **Two people.** Birkhoff's polytope of 2 × 2 tables has two corners. What is its shape, and how many numbers say where
# a state is? Run the network that you have trained on two people and print the tables.

# %% tags=["exercise"]
pair = draw_toy_scenes(replace(config, people=2, views=2), 1, torch.Generator().manual_seed(seed))[0]
states = [state.mass.view(2, 2) for state in trajectory(network, toy_problem(pair))]
print(states[0])

# %% tags=["solution"]
# A segment: the rows and columns sum to 1, so the first entry says it all.
for state in states:
    share = float(state[0, 0])
    expected = torch.tensor([[share, 1 - share], [1 - share, share]], dtype=state.dtype)
    assert torch.allclose(state, expected, atol=1e-5)
print(" → ".join(f"{float(state[0, 0]):.2f}" for state in states))

# %% [markdown] tags=["exercise"]
# **Without the polytope.** `SamplerConfig(projection=…)` takes a function of the problem that gives a function of the
# latent. Let every sighting of A choose for itself (a softmax over all that it is part of). What breaks?

# %% tags=["exercise"]
choices = people ** (views - 1)
for_himself = SamplerConfig(projection=lambda graph: lambda latent: latent.view(-1, choices).softmax(1).flatten())

# %% tags=["solution"]
# Rows still sum to 1, columns do not: some sightings of B are claimed twice, others by nobody.
loose = judge.by_diffusion(network, for_himself)(unseen).view(len(unseen), people, people, -1).sum(3)
claims = loose.sum(1)
torch.testing.assert_close(loose.sum(2), torch.ones_like(claims))
print(f"sightings of B that carry more than 1.5 people: {float((claims > 1.5).double().mean()):.1%}")
print(f"sightings of B that carry less than 0.5 people: {float((claims < 0.5).double().mean()):.1%}")

# %% [markdown] tags=["exercise"]
# **Other noise.** The network has learned one kind of error. Is it still better than distances where sightings are
# three times as good, or half as good again?

# %% tags=["exercise"]
other = draw_toy_scenes(replace(config, along_mm=along_mm / 3), 40, torch.Generator().manual_seed(seed + 1))

# %% tags=["solution"]
for factor in (1 / 3, 1.5):
    noise = replace(config, along_mm=along_mm * factor)
    other = draw_toy_scenes(noise, 40, torch.Generator().manual_seed(seed + 1))
    found = [judge.score_toy(worth, other).people for worth in (judge.by_distance, learned)]
    print(f"{noise.along_mm:5.0f} mm: distances {found[0]:.1%}, diffusion {found[1]:.1%}")

# %% [markdown]
# ## Try next
#
# - `views = 3` in the parameters: the table becomes a tensor, one table per sighting of A, and everything else stays.
#   Headless: `dispose notebook run 05_toy_diffusion -p views 3`.
# - `people = 3`: the polytope of notebook 03, whose corners can all be drawn.
# - `steps = 30`: which scenes does a network get wrong that has hardly learned?
# - Notebook 07 follows the same sampler on real captures.
