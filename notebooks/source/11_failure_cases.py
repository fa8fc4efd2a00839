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
# # Failure cases: which frames went wrong, and why
#
# You will see: all frames of a finished run, ranked by what went wrong; an inspector in which a click opens a frame
# with its views, its people in 3-D, the tuples of detections that competed and how the diffusion chose among them; and
# the worst frames as one page each, with a sentence why.
#
# Any saved results open, also other people's: a folder of `dispose predict`, Panoptic's JSON, TRC files. No model is
# needed. Without `results` the notebook makes a run of its own: eight people, four cameras, a poor detector.

# %% tags=["page"]
# %matplotlib inline
import json
from pathlib import Path

import torch

from dispose.baselines.integer_programme import integer_programme

# %% tags=["page"]
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run as run_frames
from dispose.zoo.checkpoints import load_associator
from dispose_synthetic.sequences import crowded_room
from dispose_viz.inspector.interactive import Inspector
from dispose_viz.inspector.page import page_of
from dispose_viz.inspector.ranking import draw_ranking, ranking_of, ranking_table
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.results.open import read_results
from dispose_workbench.validation import require_at_least

NOWHERE = Path()

# %% tags=["parameters"]
results: Path = Path()  # a finished run: folder or file; the current folder means: make one here
capture: Path = Path()  # its capture, for results that hold no detections; the current folder means: none
calibration: Path = Path()  # or its cameras alone, likewise
truth: Path = Path()  # labels, for results that hold none, likewise
rank_by: str = "trouble"  # trouble, wrong_pairs, missed, extra, joint_error_mm, entropy_bits, …
worst: int = 3  # how many frames get a page of their own
out: Path = Path(".")  # where pictures and marks go

# %% [markdown]
# ## 1. A finished run
#
# A run keeps what it concluded (`predictions.jsonl`) and what it weighed (`evidence.npz`): detections, candidate tuples
# with cost, cue and mass, and what the integer programme would have said. Here it also keeps the truth.

# %% tags=["page"]
results, out = Path(results), Path(out)
require_at_least("worst", worst, 1)
beside = {name: Path(p) for name, p in (("capture", capture), ("calibration", calibration), ("truth", truth))}
if results == NOWHERE:
    ours = load_associator()
    scenes = Source.of(crowded_room(torch.Generator().manual_seed(1), 12))
    results = out / "run"
    with results_folder(results, RunFiles("crowded room", "ours", tables=False)) as sink:
        run_frames(scenes, ours.associate, ours.reconstruct, sink, reference=integer_programme)
run = read_results(results, **{name: p for name, p in beside.items() if p != NOWHERE})

# %%
print(f"{run.name} by {run.method}: {len(run.cases)} frames", *run.notes, sep="\n")

# %% [markdown]
# ## 2. What went wrong, frame by frame
#
# Every row is a measure, every column a frame; dark is bad, and each row has its own scale. Measures that these results
# cannot have are left out: without a truth nobody knows who is wrong, but doubt and disagreement still tell.

# %%
ranking = ranking_of(run, rank_by)
figures = {"frames": len(run.cases), **dict(ranking.means)}
(out / "metrics.json").write_text(json.dumps(figures, indent=1))
print(ranking_table(ranking, 10))
figure = new_figure(15.0, 4.2)
draw_ranking(figure.add_subplot(), ranking, marked=worst)
save_figure(figure, out / "ranking")

# %% [markdown]
# ## 3. The inspector
#
# Choose what to rank by, click a frame, turn the people, choose whose detections were contested, pull the slider back
# from the decision (right) to the noise (left). Boxes in the table have the colour of the person that a detection truly
# shows: a tuple of one colour is one person. Marks and notes are written next to this notebook.

# %% tags=["page"]
Inspector(run, out, rank_by=rank_by)

# %% [markdown]
# ## 4. The worst frames
#
# One page each: `P3` was found with id 3, `T3` is person 3 of the truth. `P3 ≠ T1` in a dashed frame is a detection
# that P3 was given although it shows T1.

# %%
for rank, place in enumerate(ranking.order[:worst], 1):
    page = page_of(run, place, headline=ranking.headline(place), reason=ranking.reasons[place])
    display(save_figure(page, out / f"worst-{rank}"))

# %% [markdown]
# ## Try next
#
# - `dispose inspect data/samples/…`: the same inspector as a page, without code, of any finished run.
# - `dispose notebook run 11_failure_cases -p results out/mine -p rank_by disagreement`: your own run.
# - Rank by posterior entropy: are the frames of which the network was least sure those that went wrong?
# - In section 3 choose a frame that is right and pull the slider back: when was it decided?
