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
# You will see: ours and the classic associators on the same synthetic frames, which none of them has seen; how the
# scores depend on the number of cameras and of people; and the frame on which ours did worst.
#
# The figures on real data sets come from `dispose evaluate`, and lie in `data/results`.

# %%
# %matplotlib inline
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.datasets.synthetic.scenes import SceneConfig, sample_scenes
from dispose.evaluation.against_truth import count_scenes, f1_by_group, total

# %%
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, load_associator
from dispose_viz import image2d
from dispose_viz.scores import Score, draw_scores
from dispose_viz.style import new_figure, save_png

SHIPPED = Path(str(files("dispose.zoo"))) / "weights" / SHIPPED_ASSOCIATOR

# %% tags=["parameters"]
weights: Path = SHIPPED  # a file that a training wrote
count: int = 96  # synthetic frames
seed: int = 7  # of the frames
out: Path = Path(".")  # where pictures and metrics.json go

# %% [markdown]
# ## Frames that nobody has seen
#
# Rigs of 2 to 10 cameras, 1 to 12 people, detectors of every quality. A training draws its frames the same way, with
# other seeds.

# %%
weights, out = Path(weights), Path(out)
scenes = sample_scenes(torch.Generator().manual_seed(seed), count, SceneConfig(chunk=4))
views = [len(frame.cameras) for frame, _ in scenes]
people = [len(labels.poses.id) for _, labels in scenes]
print(f"{count} frames, {min(views)} to {max(views)} cameras, {min(people)} to {max(people)} people")

# %% [markdown]
# ## The same frames for everybody
#
# Pair F1: of every two detections in different views, were they rightly put together or kept apart? Exact: how many
# people have all their detections in one group, and nobody else's.

# %%
methods = {
    "ours": load_associator(weights),
    "integer programme": integer_programme,
    "greedy agglomerative": greedy_agglomerative,
    "incremental Hungarian": incremental_hungarian,
}
counts = {name: count_scenes(scenes, method) for name, method in methods.items()}
for name, rows in counts.items():
    print(f"{name:24} pair F1 {100 * total(rows).f1:5.1f} %   exact {100 * total(rows).exact_rate:5.1f} %")

# %%
figures = {name: {"pair_f1": total(rows).f1, "exact": total(rows).exact_rate} for name, rows in counts.items()}
(out / "metrics.json").write_text(json.dumps(figures, indent=1))

# %% [markdown]
# ## What makes it hard
#
# More cameras help, more people hurt. Groups with few frames are uncertain.

# %%
figure = new_figure(14.0, 4.6)
for place, (group, words) in enumerate([(views, "cameras"), (people, "people")], start=1):
    numbers = sorted(set(group))
    lines = [Score(name, np.array(f1_by_group(rows, group, numbers))) for name, rows in counts.items()]
    draw_scores(figure.add_subplot(1, 2, place), numbers, lines, xlabel=words, ylabel="pair F1 (%)")
save_png(figure, out / "scores.png")

# %% [markdown]
# ## The worst frame
#
# Detections of one person in one colour, by the truth; grey is nobody. Would you have known?

# %%
wrong = [row.predicted + row.actual - 2 * row.correct for row in counts["ours"]]
frame, labels = scenes[int(np.argmax(wrong))]
figure = new_figure(15.0, 3.3 * ((len(frame.cameras) + 2) // 3))
image2d.draw_labels(figure, frame, labels)
save_png(figure, out / "worst.png")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run evaluate -p weights runs/mine/associator.safetensors -p count 500`
# - `dispose evaluate shelf`: real cameras, real detectors, the published protocol.
# - Give `SceneConfig` a single rig (`rigs=(CEILING,)`) or detector and see who suffers most.
