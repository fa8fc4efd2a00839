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
# # Sinkhorn projection: from any numbers to a fair share
#
# You will see: a table of arbitrary positive numbers whose rows and columns come to sum to one, step by step; the same
# on a whole association problem with five views; how many sweeps that takes; and what the two sweeps of the released
# code leave undone.
#
# The network of this project speaks in arbitrary numbers, one per candidate tuple. The projection turns them into mass
# that gives every detection exactly one share: after every step of the reverse diffusion.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from dispose.association.polytope import everybody_once, marginal_residual, newton_projection, sweep_projection
from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame
from dispose.models.dispose.sampling import SamplerConfig, project_converged

# %%
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator
from dispose_kernels.sinkhorn import sweep_steps
from dispose_viz.polytope import slices
from dispose_viz.style import PALETTE, new_figure, save_figure
from dispose_viz.widgets import scrubber, still_images_of
from dispose_workbench.validation import require_one_of

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder as Pose2Sim has it
frame: int = 25  # the frame whose tuples are projected
seed: int = 0  # of the random numbers
weights: Path = SHIPPED  # a file that a training wrote
out: Path = Path(".")  # where pictures and metrics.json go

# %% [markdown]
# ## 1. A table with wrong sums
#
# Three people, two views, a number for every pair: the larger, the more they look like one person. As shares these
# numbers are useless: some rows hold too much, some too little. Sums that are wrong are red and crossed.

# %%
out = Path(out)
ones, problem = np.ones(3), everybody_once(3, 2)
table = torch.tensor([[3.0, 1.0, 0.5], [2.0, 2.5, 0.3], [0.4, 0.3, 0.2]], dtype=torch.float64)
figure = new_figure(5.2, 4.8)
slices.draw_matrix(figure.add_subplot(), table.numpy(), ones, ones)
save_figure(figure, out / "table")

# %% [markdown]
# ## 2. Scale, and scale again
#
# Divide every row by its sum: rows are right, columns are not. Divide every column by its sum: columns are right, rows
# are off again, but less. One **sweep** is one turn for every view. Pull the slider and watch the red numbers.


# %%
def picture(matrix):
    figure = new_figure(5.2, 4.8)
    figure.set_layout_engine("none")  # the table stays in its place, however long its sums are
    axes = figure.add_axes((0.16, 0.1, 0.66, 0.8))
    slices.draw_matrix(axes, matrix, ones, ones)
    return figure


states = [mass.view(3, 3).numpy() for mass in sweep_steps(table.log().ravel(), problem, 4)]
turns = ["as given", *(f"sweep {k // 2 + 1}: {'columns' if k % 2 else 'rows'} scaled" for k in range(len(states) - 1))]
scrubber(still_images_of(map(picture, states)), turns)

# %% [markdown]
# ## 3. Where it ends
#
# The sweeps go on for ever, ever closer to one table: of all tables with the right sums it is the one nearest to the
# given numbers (in the sense of Kullback and Leibler). A better algorithm, Newton's, goes there directly and stops when
# no sum is off by more than it was asked for.

# %%
limit = newton_projection(table.log().ravel(), problem, tolerance=1e-10)
print(np.round(limit.mass.view(3, 3).numpy(), 3))
print(f"Newton: {limit.iterations} steps, largest violation {float(limit.residual.max()):.0e}")
for count in (1, 2, 4, 8, 16):
    mass = sweep_projection(table.log().ravel(), problem, count)
    left = float(marginal_residual(mass, problem).max())
    print(f"{count:2d} sweeps: largest violation {left:.1e}, error {float((mass - limit.mass).abs().max()):.1e}")

# %% [markdown] tags=["exercise"]
# **Exercise 1.** A camera is enthusiastic: all numbers in the first row are a hundred times larger. How does the limit
# change?

# %% tags=["exercise"]
louder = table.clone()
louder[0] *= 100

# %% tags=["solution"]
# Not at all: the first step divides the row by its sum, whatever that is. Factors per detection do not matter.
again = newton_projection(louder.log().ravel(), problem, tolerance=1e-10)
assert torch.allclose(again.mass, limit.mass, atol=1e-8)

# %% [markdown]
# ## 4. A whole problem
#
# One frame of a capture: every candidate tuple names one detection, or none, per view. Its mass counts for all of them,
# so five views pull at the same numbers. A view's dustbin takes the tuples that skip it. Here the numbers are random,
# as at the start of the diffusion.

# %%
associator = load_associator(Path(weights))
opened = read_capture(Path(capture))
require_one_of("frame", frame, opened.numbers, capture)
hard = associator.problem(read_frame(opened, frame).frame)
assert hard is not None, f"frame {frame}: fewer than two cameras see anybody, so there is nothing to project"
marginals = hard.graph.marginals
print(f"{len(hard.members)} tuples, {len(marginals.target)} sums to be met in {len(opened.cameras)} views")

# %% [markdown]
# Rows are detections, columns are steps; the frame shows whose turn it is. A view that has just had its turn is white,
# the others turn red (too much) and blue (too little) again, a little paler every sweep.

# %%
noise = torch.randn(len(hard.members), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
runs = [slices.sweep_errors(noise, marginals, 30)]
figure = new_figure(12.5, 5.2)
slices.draw_violations(figure.add_subplot(), runs[0], opened.cameras.names)
save_figure(figure, out / "violations")

# %% [markdown]
# ## 5. Sweeps against the converged solver
#
# The same for numbers that a real run of the reverse diffusion projects: the state it starts from (all equal), and what
# the network answers first and last. Where the network is sure, sweeps are quick. Where its numbers contradict one
# another, because two detections ask for the same partner, every turn gives it to the other and nothing moves.


# %%
def recording(graph):
    project = project_converged(graph)

    def keep(latent):
        projected.append(latent)
        return project(latent)

    return keep


projected: list[torch.Tensor] = []
steps = list(associator.trajectory(hard, SamplerConfig(projection=recording)))
print(f"{len(steps)} steps of the diffusion project {len(projected)} times: every state, and every answer to it")

# %%
runs += [slices.sweep_errors(projected[k], marginals, 30) for k in (0, 1, -1)]
labels, colors = ["random", "all equal", "first answer", "last answer"], PALETTE[:4]
figure = new_figure(13.0, 4.8)
left, right = figure.subplots(1, 2)
slices.draw_convergence(left, runs, labels, colors=colors)
slices.draw_errors(right, runs, labels, colors=colors)
save_figure(figure, out / "convergence")

# %% [markdown] tags=["exercise"]
# **Exercise 2.** How many sweeps do the random numbers need until no detection is off by more than a millionth?

# %% tags=["exercise"]
residual = runs[0].residual[:: runs[0].views]  # after 0, 1, 2 … whole sweeps

# %% tags=["solution"]
needed = next((count for count, left in enumerate(residual) if left < 1e-6), None)
assert needed is None or runs[0].after(needed) < 1e-6 <= runs[0].after(needed - 1)
kept = float((residual[10] / residual[5]) ** 0.2)
print(f"{needed or 'more than 30'} sweeps: each leaves {kept:.0%} of what the one before left")

# %% [markdown]
# ## 6. What two sweeps leave
#
# The released code takes two sweeps and goes on. Here are the numbers of our network, every projection of the diffusion
# in ten frames, done that way: how far is the worst detection from its one share? Our own projection is asked for one
# part in ten million.

# %%
violated, steps = [], []
for number in opened.numbers[:: max(len(opened.numbers) // 10, 1)]:
    projected.clear()
    each = associator.problem(read_frame(opened, number).frame)
    steps += [] if each is None else list(associator.trajectory(each, SamplerConfig(projection=recording)))
    swept = [] if each is None else [sweep_projection(u, each.graph.marginals, 2) for u in projected]
    violated += [float(marginal_residual(mass, each.graph.marginals).max()) for mass in swept]
figures = {f"two_sweeps_leave_{name}": float(np.quantile(violated, q)) for name, q in (("median", 0.5), ("worst", 1))}
(out / "metrics.json").write_text(json.dumps({**figures, "projections": len(violated)}))
print(f"{len(violated)} projections: two sweeps leave {figures['two_sweeps_leave_median']:.1%} of a detection in half")
print(
    f"of them, up to {figures['two_sweeps_leave_worst']:.0%}; more than 1 % in {np.mean(np.array(violated) > 0.01):.0%}"
)

# %% [markdown] tags=["exercise"]
# **Exercise 3.** Let the views take their turns in the opposite order. Do two sweeps give the same mass? Does the
# converged projection?

# %% tags=["solution"]
turned = replace(marginals, bins=marginals.bins.flip(1))
two = [sweep_projection(noise, m, 2) for m in (marginals, turned)]
all_ = [newton_projection(noise, m, tolerance=1e-10).mass for m in (marginals, turned)]
print(f"two sweeps differ by up to {float((two[0] - two[1]).abs().max()):.2f} of a detection")
assert torch.allclose(all_[0], all_[1], atol=1e-7)

# %% [markdown]
# ## Try next
#
# - `-p frame 20`: a frame in which nobody is disputed. How fast are sweeps on the network's first answer there?
# - Section 2 with a table whose rows are multiples of one another: it ends after one sweep. Why?
# - `07_reverse_diffusion`: what happens between two projections.
# - `docs/decisions/0010-projection-solver.md`: how the converged solver works.
