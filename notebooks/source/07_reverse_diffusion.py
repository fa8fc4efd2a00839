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
# # Reverse diffusion: from noise to who is who
#
# You will see, on one frame of a capture: how the mass moves from all candidate tuples to the few that are
# people, step by step and as a film; what happens from several random starts, and where they disagree; the paths in a
# true cut of the space they move in; and a threshold to decide with.
#
# Any capture works: set `capture` and `frame`. The default is synthetic detections of four people who cross one another
# in front of five cameras, in a moment that is not clear at all.

# %%
# %matplotlib inline
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from dispose.association.decode import group_confidence, set_packing
from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame
from dispose.models.dispose.sampling import SamplerConfig, better_together, pair_worth
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator

# %%
from dispose_viz.hypergraph import film, trajectory
from dispose_viz.movie import write_film
from dispose_viz.polytope.sections import distance_to_assignment
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import scrubber, still_images_of, threshold
from dispose_workbench.validation import require_at_least, require_one_of

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder as Pose2Sim has it
frame: int = 25  # the frame that is looked at
hypotheses: int = 8  # random starts
seed: int = 0  # of the random starts
movie: str = "noise_to_match.gif"  # the film; its name ends in .gif, .mp4 or .html
weights: Path = SHIPPED  # a file that a training wrote
out: Path = Path(".")  # where pictures, the film and metrics.json go

# %%
capture, out = Path(capture), Path(out)
opened = read_capture(capture)
require_one_of("frame", frame, opened.numbers, capture)
require_at_least("hypotheses", hypotheses, 1)
require_one_of("film that ends in", Path(movie).suffix.lower(), (".gif", ".mp4", ".html"), movie)
seen = read_frame(opened, frame).frame
associator = load_associator(Path(weights))
problem = associator.problem(seen)
assert problem is not None, f"frame {frame}: fewer than two cameras see anybody, so there is nothing to associate"
marginals = problem.graph.marginals
print(f"{len(seen.cameras)} views, detections {seen.detections.counts.tolist()}, {len(problem.members) - 1} tuples")

# %% [markdown]
# ## 1. One run
#
# It starts in the middle: every tuple has the same number, and the projection makes shares of them, the smaller the
# more detections a tuple claims. The network says what it believes the answer is; the state moves a little towards that
# and is projected, so that every detection is used exactly once; six times. Rows are tuples, `P1 = 0·213` is the person
# that takes detection 0 of the first view, none of the second, …

# %%
steps = list(associator.trajectory(problem, SamplerConfig(steps=6)))
middle = trajectory.trajectory_of(steps, problem.members, marginals)
answer = associator(seen)
people = list(range(len(answer)))
owners = trajectory.owners_of_tuples(middle.members, answer.members.numpy(), people)
figure = trajectory.draw_trajectory(new_figure(15.0, 7.0), middle, owners=owners)
save_figure(figure, out / "mass")

# %% [markdown]
# ## 2. The same as a picture to scrub through
#
# Columns are cameras, little figures their detections. A line is a tuple: as wide and strong as its mass. Grey tuples
# become nobody.

# %%
places = film.columns_of(seen.detections, seen.cameras.names)


def state(mass):
    figure = new_figure(10.0, 5.2)
    film.draw_match(figure.add_subplot(), places, mass, middle.members, owners)
    return figure


scrubber(still_images_of(map(state, middle.mass)), [f"diffusion time {t:.2f} (1 = noise)" for t in middle.time])

# %%
save_figure(state(middle.mass[len(middle.mass) // 2]), out / "half_way")

# %% [markdown]
# As a film for talks. Between two steps the mass is blended, which stays inside the rules: a mean of two states that
# use every detection once uses every detection once.

# %%
pictures = film.film_frames(new_figure(9.6, 5.4), places, middle, owners)
print("written:", write_film(out / movie, pictures).name)

# %% [markdown]
# ## 3. Several random starts
#
# Nothing but the start is random. Paths of one colour end in the same answer. The left picture asks how far a state is
# from the nearest answer, one in which every detection is in exactly one tuple (found by an integer programme, exact);
# the right one how well the rules are kept (the solver is asked for 10⁻⁷).

# %%
packed = SamplerConfig(hypotheses=hypotheses)
several = list(associator.trajectory(problem, packed, torch.Generator().manual_seed(seed)))
runs = trajectory.trajectories_of(several, problem.members, marginals)
answers = trajectory.answers_of(runs)
colors = trajectory.answer_colors(answers)
figure = new_figure(14.0, 4.2)
curves = (trajectory.draw_distances, trajectory.draw_entropies, trajectory.draw_feasibility)
for axes, draw in zip(figure.subplots(1, 3), curves, strict=True):
    draw(axes, runs, colors=colors)
save_figure(figure, out / "starts")

# %% [markdown]
# ## 4. Where they disagree
#
# One column per start, one row per group that some start chose. A disputed row is one that not all starts took: these
# are the detections about which the network is of two minds.

# %%
kinds = trajectory.ranked_answers(answers)
rows = int(((answers.sum(0) > 0) & ((runs[0].members >= 0).sum(1) > 1)).sum())
figure = new_figure(9.0, 0.5 * rows + 1.6)
trajectory.draw_votes(figure.add_subplot(), runs, owners=owners)
save_figure(figure, out / "votes")

# %% [markdown]
# ## 5. The paths inside the polytope
#
# All states together form a polytope of hundreds of dimensions. Here is a true cut: the plane through the middle and
# the two commonest answers. What is in the plane is exact; states off the plane are drawn at the nearest point in it,
# the paler the farther away, and the legend says how far at most. None can leave the dashed outline, the shadow of the
# whole polytope.

# %%
figure = new_figure(12.0, 6.4)
trajectory.draw_starts_in_plane(figure.add_subplot(), runs, middle, marginals)
save_figure(figure, out / "polytope")

# %% [markdown] tags=["exercise"]
# **Exercise 1.** How far apart are the two answers in the picture? Count the tuples in which they differ.

# %% tags=["solution"]
apart = np.linalg.norm(kinds[0] - kinds[-1])
# Every entry in which two assignments differ adds 1 to the squared distance, and both lie in the plane.
assert np.isclose(apart**2, np.abs(kinds[0] - kinds[-1]).sum())
print(f"{apart:.2f}")

# %% [markdown]
# ## 6. Deciding
#
# The mean over the starts is the posterior: how probable is it that two detections are one person? They are put
# together where that is above a threshold, as long as nobody is used twice. Pull it: low, and doubtful detections join
# a group; high, and only what is certain remains.

# %%
posterior = associator.posterior(problem, packed, torch.Generator().manual_seed(seed))


def decided(limit):
    chosen = set_packing(pair_worth(posterior.mean, problem.members, threshold=limit), problem.members)
    groups, sure = problem.members[chosen], group_confidence(posterior.marginal, problem.members, chosen)
    figure = new_figure(9.0, 0.6 * max(len(groups), 1) + 1.6)
    ids = trajectory.ids_like(groups.numpy(), answer.members.numpy())
    trajectory.draw_members(figure.add_subplot(), groups.numpy(), sure.numpy(), ids, seen.cameras.names)
    return figure


limits = [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
threshold(decided, limits, 0.1, description="threshold on the probability of a pair")

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Above which threshold does a detection first fall out of its group?

# %% tags=["exercise"]
used = int((answer.members >= 0).sum())  # detections that the usual threshold puts to use

# %% tags=["solution"]
for limit in limits:
    chosen = set_packing(pair_worth(posterior.mean, problem.members, threshold=limit), problem.members)
    left = int((problem.members[chosen] >= 0).sum())
    print(f"{limit:.2f}: {int(chosen.sum())} people, {left} detections" + (" <- fewer" if left < used else ""))

# %%
decide = set_packing(better_together(posterior.mean, problem.members), problem.members)
figures = {"answers": len(kinds), "starts": len(runs), "largest_violation": max(float(r.residual.max()) for r in runs)}
figures["agreeing"] = float((answers == kinds[0]).all(1).mean())
figures["distance_to_assignment_at_the_end"] = float(distance_to_assignment(middle.mass[-1:], middle.members)[0])
(out / "metrics.json").write_text(json.dumps({**figures, "people": int(decide.sum())}, indent=1))
print(f"{len(runs)} starts, {len(kinds)} answers; {figures['agreeing']:.0%} agree with the commonest")

# %% [markdown]
# ## Try next
#
# - `-p frame 20`: a clear moment. Do any starts disagree? The second answer is then the best that nobody chose.
# - `-p capture MY_FOLDER -p frame 100`: your own.
# - `-p movie talk.mp4`: for slides; `talk.html` has a slider and needs no network.
# - `SamplerConfig(stochasticity=1.0)`: fresh noise in every step. Do the starts spread more?
# - `08_hypergraph_decoder`: what happens to the groups afterwards.
