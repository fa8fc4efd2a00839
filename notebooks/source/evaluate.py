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
# # Score an associator
#
# You will see: ours and the classic associators on the same frames, which none of them has seen; how the scores depend
# on the number of cameras and of people; and the frame on which ours did worst, also in 3-D.
#
# The frames are synthetic, or those of a data set: `-p protocol shelf -p data FOLDER`. The published figures come from
# `dispose evaluate`, and lie in `data/results`.

# %%
# %matplotlib inline
import json
from importlib.resources import files
from itertools import islice
from pathlib import Path

import numpy as np
import torch

# %%
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.evaluation.against_truth import count_results, f1_by_group, total
from dispose.evaluation.protocols import protocols_of
from dispose.evaluation.score import without_joints
from dispose.inference.readings import Reading, Source
from dispose.inference.run import results_of
from dispose.scene.results import associate_each, reconstruct_each
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator

# %%
from dispose_synthetic.scenes import SceneConfig, sample_scenes
from dispose_viz.charts.curves import Score, draw_scores
from dispose_viz.export import name_figure
from dispose_viz.image import view_panels
from dispose_viz.scene import plotly_scene
from dispose_viz.scene.stage import stage_of
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.validation import require_at_least

# %%
SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
weights: Path = SHIPPED  # a file that a training wrote
protocol: str = "synthetic"  # or a data set: shelf, mvor_rtpose, mvor_openpose, panoptic_mini
data: Path = Path("data")  # folder of the data sets' tables (data/README.md), for those
count: int = 96  # frames: synthetic ones to draw, or the first ones of a data set
seed: int = 7  # of synthetic frames
out: Path = Path(".")  # where pictures and metrics.json go

# %% [markdown]
# ## Frames that nobody has seen
#
# Synthetic ones have 2 to 10 cameras, 1 to 12 people and detectors of every quality. A training draws its frames the
# same way, with other seeds.

# %%
weights, out = Path(weights), Path(out)
require_at_least("count", count, 1)
if protocol == "synthetic":
    scenes = sample_scenes(torch.Generator().manual_seed(seed), count, SceneConfig(chunk=4))
else:
    scenes = list(islice(protocols_of(protocol)[0].read(Path(data)), count))
views = [len(frame.cameras) for frame, _ in scenes]
people = [len(labels.poses.id) for _, labels in scenes]
print(f"{len(scenes)} frames, {min(views)} to {max(views)} cameras, {min(people)} to {max(people)} people")

# %% [markdown]
# ## The same frames for everybody
#
# Pair F1: of every two detections in different views, were they rightly put together or kept apart? Exact: how many
# people have all their detections in one group, and nobody else's.

# %%
methods = {
    "ours": load_associator(weights).associate,
    "integer programme": associate_each(integer_programme),
    "greedy agglomerative": associate_each(greedy_agglomerative),
    "incremental Hungarian": associate_each(incremental_hungarian),
}
source = Source(range(len(scenes)), lambda place: Reading(*scenes[place]))
groups = reconstruct_each(without_joints)
counts = {name: count_results(results_of(source, method, groups)) for name, method in methods.items()}
figures = {name: {"pair_f1": total(rows).f1, "exact": total(rows).exact_rate} for name, rows in counts.items()}
(out / "metrics.json").write_text(json.dumps(figures, indent=1))
for name, rows in counts.items():
    print(f"{name:24} pair F1 {100 * total(rows).f1:5.1f} %   exact {100 * total(rows).exact_rate:5.1f} %")

# %% [markdown]
# ## What makes it hard
#
# Two cameras are hardest: nobody contradicts a wrong pair. The rest of the ups and downs is mostly chance, since a
# point stands for only so many frames as are printed above the picture: raise `count` before you believe a difference.

# %%
figure = new_figure(14.0, 4.6)
for place, (group, words) in enumerate([(views, "cameras"), (people, "labelled people")], start=1):
    numbers = sorted(set(group))
    lines = [Score(name, np.array(f1_by_group(rows, group, numbers))) for name, rows in counts.items()]
    draw_scores(figure.add_subplot(1, 2, place), numbers, lines, xlabel=words, ylabel="pair F1 (%)")
    print(f"frames by number of {words}: " + ", ".join(f"{n}: {group.count(n)}" for n in numbers))
save_figure(figure, out / "scores")

# %% [markdown]
# ## The worst frame
#
# Detections of one person in one colour, by the truth; grey is nobody, or somebody whom nobody has labelled. Would you
# have known?

# %%
wrong = [row.predicted + row.actual - 2 * row.correct for row in counts["ours"]]
frame, labels = scenes[int(np.argmax(wrong))]
figure = new_figure(15.0, 3.3 * ((len(frame.cameras) + 2) // 3))
view_panels.draw_labels(figure, frame, labels)
save_figure(figure, out / "worst")

# %% [markdown]
# What ours makes of it, in colour, and the truth in grey. Turn it with the mouse.

# %%
ours = load_associator(weights)
stage = stage_of(frame, ours.reconstruct_frame(frame, ours(frame)), truth=labels.poses)
name_figure(plotly_scene.draw_stage(plotly_scene.new_scene(), stage), "worst_in_3d")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run evaluate -p weights runs/mine/associator.safetensors -p count 500`
# - `dispose notebook run evaluate -p protocol shelf -p data FOLDER -p count 200`: real cameras, real detectors.
# - `dispose evaluate shelf --save`: the published protocol, and every answer kept for `dispose inspect`.
# - Give `SceneConfig` a single rig (`rigs=(CEILING,)`) or detector and see who suffers most.
