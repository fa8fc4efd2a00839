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
# # Polystochastic tensors: from a permutation to three views
#
# You will see: a match between two views as a matrix; the shape that all half-decided matches form together, drawn
# truly; what changes with a third view; and the dustbin for people whom a camera misses.
#
# This is the space in which the diffusion of this project moves. It never leaves it.

# %%
# %matplotlib inline
import json
from itertools import product
from pathlib import Path

import numpy as np
import torch

from dispose.association.polytope import (
    every_tuple,
    everybody_once,
    feasible_marginals,
    marginal_residual,
    newton_projection,
)

# %%
from dispose_viz.export import name_figure
from dispose_viz.polytope import birkhoff, sections, slices
from dispose_viz.polytope.birkhoff import permutation_matrix
from dispose_viz.polytope.sections import Flat, distance_to_assignment, flat_through
from dispose_viz.scene.plotly_scene import new_scene
from dispose_viz.style import PALETTE, new_figure, save_figure
from dispose_viz.widgets import scrubber, still_images_of
from dispose_workbench.validation import require_at_least

# %% tags=["parameters"]
seed: int = 3  # of the random numbers
steps: int = 9  # pictures of the way to the match
out: Path = Path(".")  # where pictures and metrics.json go

# %% [markdown]
# ## 1. A match is a permutation matrix
#
# View A has found three people, view B too. `#0` of A is `#1` of B, `#1` is `#0`, `#2` is `#2`: one entry of mass 1 per
# person. Every row and every column sums to one, since nobody is two people. In the language of permutations this is
# `(1 2)`: the first two have changed places (permutations count from 1).

# %%
out, ones = Path(out), np.ones(3)
require_at_least("steps", steps, 2)
match = permutation_matrix((1, 0, 2))
figure = new_figure(4.8, 4.5)
slices.draw_matrix(figure.add_subplot(), match, ones, ones)
save_figure(figure, out / "permutation")

# %% [markdown]
# ## 2. Not yet sure: doubly stochastic
#
# While it is not decided, the mass is spread. The rule stays: rows and columns sum to one. Here is a way from a random
# start to the match: seven tenths mean that it is probably so.

# %%
random = 1.5 * torch.randn(9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
target = 6 * (torch.from_numpy(match).ravel() - 0.5)
shares = np.linspace(0, 1, steps)
mixed = [newton_projection((1 - s) * random + s * target, everybody_once(3, 2)).mass for s in shares]
path = torch.stack(mixed).view(-1, 3, 3).numpy()

# %% [markdown]
# ## 3. The whole space in one picture
#
# Nine entries, five independent rules: four dimensions. They can be drawn without loss. Six corners, one for every
# permutation; the three even ones form a triangle, the three odd ones another, and the planes of the two meet at right
# angles in one point, the centre, where all entries are a third. A matrix is one dot in **each** triangle. What one
# triangle takes, the other loses: the dashed triangle is what is left.


# %%
def picture(step):
    figure = new_figure(15.0, 4.8)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.6))
    slices.draw_matrix(left.add_subplot(), path[step], ones, ones)
    birkhoff.draw_birkhoff(right, path, step=step)
    return figure


scrubber(still_images_of(map(picture, range(len(path)))), [f"{s:.0%} of the way to (1 2)" for s in shares])

# %%
save_figure(picture(len(path) // 3), out / "birkhoff")

# %% [markdown]
# The same space cut by the symmetric matrices, as a solid to turn. Four of its corners are permutations; the fifth is
# half of each rotation, because neither rotation alone is symmetric. The path is drawn at its nearest points in there.

# %%
solid = birkhoff.draw_symmetric_section(new_scene(), path, "the way to (1 2)")
name_figure(solid, "symmetric_section")

# %% [markdown] tags=["exercise"]
# **Exercise 1.** The matrix with a third everywhere is the mean of the three even permutations. Of which others is it
# the mean as well?

# %% tags=["solution"]
odd = [permutation_matrix(p) for p in ((1, 0, 2), (2, 1, 0), (0, 2, 1))]
assert np.allclose(sum(odd) / 3, 1 / 3)  # also of the three odd ones: the triangles meet in this point

# %% [markdown]
# ## 4. A third view: which sums?
#
# Now an entry says: `#a` of view A, `#b` of B and `#c` of C are one person. **Polystochastic** here means: every
# **slice** sums to one. A slice is everything that one detection takes part in, a whole panel of the picture for view
# C. Mathematics also knows tensors whose **lines** sum to one (two indices fixed, one running); that is another rule,
# and a match does not obey it. Slice sums are what "everybody is one person" says.

# %%
people = [(0, 1, 2), (1, 0, 0), (2, 2, 1)]
cube = np.zeros((3, 3, 3))
cube[tuple(zip(*people, strict=True))] = 1
save_figure(slices.draw_slices(new_figure(13.0, 4.2), cube, [ones] * 3, dustbins=False), out / "three_views")

# %%
print("sums over slices of view C:", cube.sum((0, 1)))
print("sums over lines along C:   ", cube.sum(2).ravel())

# %% [markdown]
# The same as a cube to turn: every voxel is a person, its colour the detection in view A.

# %%
name_figure(slices.draw_cube(new_scene(), cube), "cube")

# %% [markdown]
# ## 5. What is new with three views: corners that are no match
#
# With two views every corner is a match (Birkhoff's theorem), so pushing towards a corner always ends in an answer.
# With three views there are others. Two people, three views: give a half to the four combinations with an even sum.
# Every slice sums to one, and it is no mixture of anything.

# %%
triples, rule = every_tuple(2, 3), everybody_once(2, 3)
even = np.array([0.5 if sum(t) % 2 == 0 else 0.0 for t in triples.tolist()])
together = np.array([1.0 if len(set(t)) == 1 else 0.0 for t in triples.tolist()])
print("slices violated by:", float(marginal_residual(torch.from_numpy(even), rule)))
print("distance to the nearest match:", distance_to_assignment(even[None], triples.numpy())[0].round(3))

# %% [markdown]
# A true cut through this four-dimensional space: the full corner is a match, the hollow ones are not. Two of them are
# corners of the whole space all the same; the third is the mean of the other three matches. A state can get stuck in
# such a corner, fully "decided" and no match. That is why somebody has to decide at the end (`decode`), and why
# section 6 measures how far a state is from the nearest match, not from the nearest corner.

# %%
centre = np.full(8, 0.25)
plane = Flat(centre, flat_through(np.stack([centre, together, even])).axes)
marks = [("000 + 111", together, PALETTE[0]), ("even halves", even, PALETTE[1]), ("odd halves", 0.5 - even, PALETTE[2])]
marks += [("mean of the\nother three", (1 - together) / 3, "#7F7F7F")]
axes = new_figure(8.0, 6.0).add_subplot()
sections.draw_section(axes, plane)
sections.draw_landmarks(axes, plane, [sections.Landmark(*mark) for mark in marks])
save_figure(sections.draw_key(axes).figure, out / "halves")

# %% [markdown] tags=["exercise"]
# **Exercise 2.** Show that the even halves are no mixture of matches. How many matches of two people in three views are
# there, and which of them use only combinations with an even sum?

# %% tags=["solution"]
matches = [m for m in product([0.0, 1.0], repeat=8) if float(marginal_residual(torch.tensor(m), rule)) == 0]
assert len(matches) == 4
# A mixture puts mass wherever one of its matches does: all of them would have to live on even combinations.
assert not any(np.array(m)[even == 0].sum() == 0 for m in matches)

# %% [markdown]
# ## 6. People whom a camera misses
#
# Every view gets one more place, the **dustbin** (`–`), for combinations that skip it. A detection still carries
# exactly one; a dustbin carries the rest. (The whole is fixed to one more than there are detections, 10 here, so that a
# dustbin carries 7, most of it at `–`, `–`, `–`: nobody.) Here `#0` of A is `#1` of B and `#0` of C; `#1` of A was
# missed by nobody; `#2` of A was missed by B; `#2` of B is a false detection, alone.

# %%
members = torch.tensor([m for m in product([0, 1, 2, -1], repeat=3) if set(m) != {-1}])
found = {(0, 1, 0), (1, 0, 2), (2, -1, 1), (-1, 2, -1)}
rule = feasible_marginals(members, torch.ones(3, 3, dtype=torch.bool))
goal = torch.tensor([6.0 if tuple(m) in found else -6.0 for m in members.tolist()] + [0.0]).double()
noise = 1.5 * torch.randn(len(goal), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
everyone = np.concatenate([members.numpy(), [[-1, -1, -1]]])
way = [newton_projection((1 - s) * noise + s * goal, rule).mass.numpy() for s in shares]
tensors = [slices.dense_tensor(mass, everyone, (3, 3, 3)) for mass in way]
bins = [np.array([1, 1, 1, 7.0])] * 3


# %%
def panels(tensor):
    return slices.draw_slices(new_figure(15.0, 4.3), tensor, bins)


scrubber(still_images_of(map(panels, tensors)), [f"{s:.0%} of the way" for s in shares])

# %%
save_figure(panels(tensors[len(tensors) // 3]), out / "dustbins")
name_figure(slices.draw_cube(new_scene(), tensors[-1], dustbins=True), "cube_with_dustbins")

# %% [markdown]
# A real frame with five views of five detections has 6⁵ = 7776 entries; most are impossible, because the rays do not
# meet, and are never stored. The rules stay the same.

# %%
figures = {"largest_violation": max(float(marginal_residual(torch.from_numpy(mass), rule)) for mass in way)}
away = distance_to_assignment(np.stack(way)[:, :-1], members.numpy())
(out / "metrics.json").write_text(json.dumps({**figures, "distance_start": away[0], "distance_end": away[-1]}))
print(f"distance to the nearest match: {away[0]:.2f} at the start, {away[-1]:.3f} at the end")

# %% [markdown]
# ## Try next
#
# - `seed`: where does the path start? It can start anywhere inside.
# - `04_sinkhorn_projection`: how arbitrary numbers become such a tensor.
# - `05_toy_diffusion`: a network that learns to find the right corner, drawn in the two triangles' big brother.
# - `07_reverse_diffusion`: the same on real captures, with hundreds of entries.
