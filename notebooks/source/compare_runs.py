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
# # Compare runs
#
# You will see what several runs logged while they learned, drawn over each other, and what each of them reached: a
# table of the settings that differ, and the key figures.
#
# Any number of run folders will do, of trainings and of notebooks, finished or still running. Without any, two small
# trainings are made here: the same toy network, learning fast and slowly.

# %%
# %matplotlib inline
import json
from pathlib import Path

from IPython.display import HTML

from dispose_viz.charts import curves
from dispose_viz.charts.curves import draw_logs, read_logs
from dispose_viz.style import new_figure, save_figure
from dispose_workbench.results.run_folders import read_run_folders
from dispose_workbench.toy import ToyTraining, write_toy_run
from dispose_workbench.validation import require_at_least

# %% tags=["parameters"]
runs: list[Path] = []  # run folders, or folders that hold some; none: two are made here
smooth: int = 9  # steps that a curve is averaged over
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## Which runs
#
# A folder that is no whole run, because it was killed, say, is named with the reason and left out.

# %%
out = Path(out)
require_at_least("smooth", smooth, 1)
if not runs:
    for name, rate in (("fast", 3e-3), ("slow", 3e-4)):
        write_toy_run(out / "toys" / name, ToyTraining(steps=80, rate=rate))
found, complaints = read_run_folders([Path(run) for run in runs] or [out / "toys"])
for complaint in complaints:
    print(complaint)
print(f"{len(found)} runs: {', '.join(run.name for run in found)}")

# %% [markdown]
# ## What each of them reached
#
# Settings that are the same everywhere are left out, and so is what cannot be compared: a dash means that a run has no
# such figure.

# %%
for remark in curves.remarks(found):
    print(remark)
(out / "metrics.json").write_text(json.dumps({run.name: dict(run.metrics) for run in found}))
HTML(curves.table(found))

# %%
height = 1.6 + 0.45 * len(found)
save_figure(curves.draw_figures(new_figure(14.0, height), found, most=3), out / "figures")

# %% [markdown]
# ## What they logged
#
# One picture per quantity. The thick line is a running mean over `smooth` entries of the log, the pale one behind it
# is the log itself.

# %%
logs, complaints = read_logs(found)
for complaint in complaints:
    print(complaint)
if logs:
    figure = save_figure(
        draw_logs(new_figure(14.0, 5.0 + 0.08 * len(logs)), logs, most=3, smooth=smooth), out / "curves"
    )
else:
    figure = "None of these runs has a log."
figure

# %% [markdown]
# ## Try next
#
# - `dispose notebook sweep evaluate -p count 24,48 -p seed 1,2`, then
#   `dispose notebook run compare_runs -p runs runs/sweep_evaluate`.
# - `dispose notebook run compare_runs -p runs runs/mine,runs/other`: trainings, also while they run.
# - `smooth=1`: is the difference between the two rates larger than the noise of a single step?
