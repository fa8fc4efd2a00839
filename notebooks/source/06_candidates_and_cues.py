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
# # Candidates and cues: what geometry knows by itself
#
# You will see how thousands of possible tuples become some two hundred candidates, what the geometric cue of a tuple
# measures, how well it tells right tuples from wrong ones (ours and the released one), what a threshold on it would
# cost, and the candidates of one frame as a hypergraph.
#
# A tuple takes one detection, or none, from every view, and claims that they are one person. The capture is synthetic,
# so it is known which tuples are right.

# %%
# %matplotlib inline
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference.capture import read_capture, read_frame
from dispose.zoo.checkpoints import load_associator
from dispose_benchmarks.studies.candidates import judge, pair_table, separation, stages
from dispose_viz.export import name_figure

# %%
from dispose_viz.hypergraph import candidate_graph, candidates
from dispose_viz.hypergraph.trajectory import owners_of_tuples
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import threshold
from dispose_workbench.validation import require_at_least, require_one_of

# %% tags=["parameters"]
frame: int = 25  # the frame that is looked at closely, 0 to 49
every: int = 5  # statistics take every so many frames
least_cue: float = 0.3  # where the slider starts, 0 to 0.95 in steps of 0.05
out: Path = Path(".")  # where pictures go

# %%
out = Path(out)
folder = sample_folder("crossing")
capture = read_capture(folder)
require_one_of("frame", frame, capture.numbers, folder)
require_at_least("every", every, 1)
truth = read_predictions(folder / "truth" / "predictions.jsonl").frames
associator = load_associator()
limits = associator.config.candidates
seen = read_frame(capture, frame).frame
names = capture.cameras.names
true = next(t for t in truth if t.number == frame)

# %% [markdown]
# ## 1. Two detections at a time
#
# Every detection says where its joints are in space: well across the ray, badly along it. Two detections of one person
# agree. The misfit is the chi-square of that agreement, per joint; grey pairs disagree so much that no tuple may hold
# both. A dot marks a pair that is one person in truth: dots should lie on light cells, and do, but not only they.

# %%
misfit, identity = pair_table(seen, true, associator)
figure = new_figure(9.5, 8.0)
candidates.draw_pair_table(figure.add_subplot(), misfit, identity, seen.detections, names, limit=limits.pair_limit)
save_figure(figure, out / "pairs")

# %% [markdown]
# ## 2. From all tuples to candidates
#
# Tuples are built view by view; a partial tuple that no longer fits is dropped with all that would have come of it, so
# the thousands are never enumerated. At the end every detection names its best tuples, and the others go.

# %%
left = stages(seen, associator)
figure = new_figure(9.0, 3.4)
candidates.draw_stages(figure.add_subplot(), left)
save_figure(figure, out / "stages")

# %% [markdown]
# ## 3. What the cue measures
#
# The chi-square of a whole tuple, divided by its degrees of freedom: how many numbers were left to disagree. Around 1
# the detectors' noise explains everything; it means the same on every rig and for every number of members. The cue is
# 1 below 1 and falls off above. Here are all tuples that could be formed, in some frames.

# %%
frames = [read_frame(capture, number).frame for number in capture.numbers[::every]]
judged = judge(frames, truth, associator)
figure = new_figure(9.0, 4.2)
candidates.draw_right_and_wrong(
    figure.add_subplot(), np.log10(judged.misfit.clip(min=0.1)), judged.pure,
    words="log10 of chi-square per degree of freedom (0 = noise explains it)", bins=np.linspace(-1, 1.4, 49),
)  # fmt: skip
save_figure(figure, out / "misfit")

# %% [markdown]
# ## 4. The released cue and ours
#
# The released cue looks at one point per person, the middle of the hips, in pixels: it depends on the size of the
# images, is blind where the hips are hidden, and its sharpness falls with the number of cameras. So it is generous to
# wrong tuples of many members. Ours asks all joints, and counts in units of their noise.

# %%
figure = new_figure(13.0, 4.4)
bins = np.linspace(0, 1, 41)
for place, (words, score) in enumerate((("our cue", judged.cue), ("released cue", judged.released)), start=1):
    candidates.draw_right_and_wrong(figure.add_subplot(1, 2, place), score, judged.pure, words=words, bins=bins)
save_figure(figure, out / "cues")

# %%
apart = {"ours": separation(judged.cue, judged.pure), "released": separation(judged.released, judged.pure)}
blind = float(np.isnan(judged.released).mean())
(out / "metrics.json").write_text(json.dumps({**asdict(left), **{f"separation_{k}": v for k, v in apart.items()}}))
print(f"a right tuple scores higher than a wrong one: ours {apart['ours']:.2%}, released {apart['released']:.2%}")
print(f"tuples of which the released cue says nothing (hips hidden): {blind:.0%}")

# %% [markdown]
# ## 5. Why not simply cut?
#
# Pull the slider. A high cut leaves few candidates, but loses people: their whole tuple is gone and no network can
# bring it back. A low cut leaves thousands. No cut leaves only right tuples: the rest is what diffusion decides.

# %%
values = [round(0.05 * k, 2) for k in range(20)]
threshold(
    lambda least: candidates.draw_cut(new_figure(13.0, 4.4), judged, judged.cue, least, words="our cue"),
    values, least_cue, description="least cue",
)  # fmt: skip

# %%
figure = candidates.draw_cut(new_figure(13.0, 4.4), judged, judged.cue, least_cue, words="our cue")
save_figure(figure, out / "cut")

# %% [markdown]
# ## 6. The candidates as a hypergraph
#
# Columns are views, circles are detections, a path is a tuple: the edge of a hypergraph that joins up to one detection
# of every view. Colours are the people whom the diffusion found, a wide line has much mass; thin grey paths are tuples
# that lost, dotted where they leave a view out, and a ring is a detection left alone. Hover over a path.

# %%
weighed = associator.associate([seen])[0]
edges = candidate_graph.hyperedges_of(weighed.hypotheses)
chosen = weighed.association.members.numpy()
owners = owners_of_tuples(edges.members, chosen, range(len(chosen)))
paths = candidate_graph.draw_paths(go.Figure(), edges, seen.detections, names, owners=owners)
name_figure(paths, "hypergraph")

# %% [markdown]
# The same edges as a matrix: a row is a tuple, a column a detection. Every detection has mass 1 to give away.

# %%
figure = new_figure(13.0, 9.0)
candidate_graph.draw_incidence(figure, edges, seen.detections, names, owners=owners)
save_figure(figure, out / "incidence")

# %% [markdown] tags=["exercise"]
# ## Exercises
#
# **1.** How many tuples of two or more detections could be formed in this frame? Count without looking at section 2:
# every view offers its detections and "not seen".

# %% tags=["solution"]
counts = seen.detections.counts
possible = int((counts + 1).prod()) - 1 - int(counts.sum())  # without nobody, without the singles
assert possible == left.possible
print(f"{possible} tuples from {counts.tolist()} detections")

# %% [markdown] tags=["exercise"]
# **2.** Which of the cuts 0, 0.05, … 0.95 on our cue is the highest that loses nobody, and how many wrong tuples does
# it keep?

# %% tags=["exercise"]
kept = judged.cue >= 0.5
print(f"{(judged.whole & ~kept).sum()} lost, {(kept & ~judged.pure).sum()} wrong tuples kept")

# %% tags=["solution"]
safe = max(value for value in values if not (judged.whole & (judged.cue < value)).any())
wrong = int(((judged.cue >= safe) & ~judged.pure).sum())
assert wrong > 0  # geometry alone does not decide
print(f"{safe}: nobody lost, {wrong} wrong tuples kept")

# %% [markdown] tags=["exercise"]
# **3.** Is it easier for the cue to judge tuples of two, or of five detections?

# %% tags=["solution"]
by_size = {m: separation(judged.cue[judged.size == m], judged.pure[judged.size == m]) for m in range(2, 6)}
print({m: f"{share:.2%}" for m, share in by_size.items()})
assert by_size[5] > by_size[2]  # more rays have more chances to disagree

# %% [markdown]
# ## Try next
#
# - Another `frame`: which pairs of section 1 are light without being one person, and where do they stand?
# - `07_reverse_diffusion`: how the mass gets to where it is in section 6.
# - `03_polystochastic_tensors`: why every detection has exactly mass 1 to give.
# - `CandidateConfig(budget=4)` in `dispose/models/dispose/associator.py`: how few candidates are enough?
