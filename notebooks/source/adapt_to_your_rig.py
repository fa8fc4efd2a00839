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
# # Adapt to your rig: weights that have seen your room
#
# You will see: labels made of nothing but a capture's detections, the association fine-tuned on them, and whether parts
# of the recording that it never learned from say that it is better. Only then are new weights taken.
#
# Run it as it is: the folder is the sample `crossing`, on which nothing is to be gained. Then set `capture` to a folder
# of your own, and `steps` to 600.

# %%
# %matplotlib inline
import json
from dataclasses import replace
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Source
from dispose.metrics.association import PairCounts
from dispose.preparation.labels import LabelSettings, read_frames
from dispose.training import adaptation
from dispose.training.stretches import AdaptRecipe

# %%
from dispose.zoo.checkpoints import load_associator
from dispose_viz.charts.adaptation import draw_before_after
from dispose_viz.charts.curves import draw_training, read_training
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.validation import require_at_least

# %% tags=["parameters"]
capture: Path = sample_folder("crossing")  # a capture folder with detections
run: Path = Path("adapted")  # folder of the run; an unfinished one is continued
steps: int = 20  # of the optimiser; 600 for a room of your own
frames: int = 48  # that labels are made of, spread over the recording; 600 for a room of your own
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Labels out of nothing
#
# Detections are filtered, put together by an integer programme over windows of time, and put right by geometry: rays
# that contradict, exchanged sides, bones that nobody has. No truth is read anywhere. The report says what was done.

# %%
require_at_least("steps", steps, 1)
capture, run, out = Path(capture), Path(run), Path(out)
source, base = source_of(read_capture(capture)), AdaptRecipe()
plan = replace(base.denoiser.optimisation, steps=steps, select_every=max(steps // 4, 1))
recipe = replace(base, frames=frames, rehearsal=24, denoiser=replace(base.denoiser, optimisation=plan))
weights, verdict = adaptation.adapt_associator(recipe, capture.name, source, run)
print((run / adaptation.REPORT).read_text())

# %% [markdown]
# ## 2. Learning, and being judged
#
# Frames are looked at with all cameras and with some of them, where it is harder to say who is who; what all cameras
# agree on teaches what two of them should have said. Synthetic rooms are learned from as well, so that they are not
# forgotten. Every third stretch of time is kept apart and decides.

# %%
save_figure(draw_training(new_figure(9.0, 4.2), read_training(run)), out / "curves")
print(verdict.sentence(recipe))

# %% [markdown]
# ## 3. Before and after
#
# On the stretches that were kept apart, by the number of cameras.

# %%
parts = adaptation.stretches_of(source.numbers, recipe)
read = read_frames(capture.name, Source([number for part in parts for number in part], source.read), 1)
labelled = adaptation.label_stretches(capture.name, read, parts, out / "again", LabelSettings())
apart = adaptation.with_subsets([one for one in labelled if adaptation.is_apart(one, recipe)], 6, seed=0)


# %%
def by_cameras(weights: Path | None) -> dict[int, float]:
    associator, found = load_associator(weights), {}
    for views in sorted({len(one.frame.cameras) for one in apart}):
        counts = adaptation.scores(associator, [one for one in apart if len(one.frame.cameras) == views])
        found[views] = 100 * sum(counts.values(), PairCounts()).f1
    return found


before, after = by_cameras(None), by_cameras(weights)
(out / "metrics.json").write_text(json.dumps({"before": verdict.before, "after": verdict.after}))
save_figure(draw_before_after(new_figure(7.0, 4.2).add_subplot(), before, after).figure, out / "before_after")

# %% [markdown]
# ## Try next
#
# - `dispose train --adapt my_capture --out runs/mine`: the same from the command line.
# - `dispose predict my_capture --weights runs/mine/associator.safetensors`: use what was taken.
# - `dispose prepare my_capture --out labels.npz`: the labels alone, for training on images.
