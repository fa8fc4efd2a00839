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
# # Train the associator
#
# You will see: a training run started as a process of its own, the curves it writes, growing while it learns, and
# the weights it leaves behind, tried on a frame they have never seen.
#
# Nothing is labelled by hand. The run draws synthetic people, films them with synthetic rigs, lets a synthetic
# detector make realistic mistakes, and learns who is who from that.

# %%
# %matplotlib inline
import json
import sys
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame
from dispose.models.dispose.sampling import SamplerConfig
from dispose.zoo import load_associator
from dispose_viz.charts.curves import draw_training, last_values, read_training
from dispose_viz.hypergraph.trajectory import draw_trajectory, trajectory_of
from dispose_viz.style import new_figure, save_figure
from dispose_viz.widgets import follow
from dispose_workbench.validation import require_one_of

# %% [markdown]
# ## What to train
#
# `smoke` takes about a minute and shows that everything works; `synthetic` makes weights like the shipped ones
# (45 minutes on two cores). A run folder that exists is continued, not overwritten.

# %% tags=["parameters"]
recipe: str = "smoke"  # smoke or synthetic
run: Path = Path("training")  # folder of the run; an unfinished one is continued
frame: int = 20  # frame of the sample capture to try the weights on
out: Path = Path(".")  # where pictures go

# %%
run, out = Path(run), Path(out)
opened = read_capture(sample_folder("crossing"))
require_one_of("frame", frame, opened.numbers, "the sample")

# %% [markdown]
# ## Training is a process, not a cell
#
# It writes checkpoints and logs to disk, so stopping this notebook loses nothing: running it again goes on. What it
# prints is in `training.log`; `tensorboard --logdir` shows the same curves.
#
# Two networks learn, one after the other. First how far away a person stands, judged from one 2-D pose alone; then
# which candidate tuples are people.

# %%
command = [sys.executable, "-m", "dispose.cli.main", "train", recipe, "--out", str(run)]
seconds = follow(command, out / "training.log", lambda: draw_training(new_figure(13.0, 4.2), read_training(run)))
print((out / "training.log").read_text().splitlines()[-1])

# %%
stages = read_training(run)
(out / "metrics.json").write_text(json.dumps({"seconds": seconds, **dict(last_values(stages))}))
save_figure(draw_training(new_figure(13.0, 4.2), stages), out / "curves")

# %% [markdown]
# ## Try the new weights
#
# The reverse diffusion on one frame of the sample capture. Weights of the `smoke` recipe stay undecided, weights of the
# `synthetic` recipe end with one bright row per person.

# %%
associator = load_associator(run / "associator.safetensors")
seen = read_frame(opened, frame).frame
problem = associator.problem(seen)
steps = list(associator.trajectory(problem, SamplerConfig(steps=6)))
trajectory = trajectory_of(steps, problem.members, problem.graph.marginals)
save_figure(draw_trajectory(new_figure(14.0, 7.0), trajectory), out / "diffusion")

# %% [markdown]
# ## Try next
#
# - `dispose notebook run train -p recipe synthetic -p run my_run`: the real thing; stop it and start it again.
# - `dispose notebook run evaluate -p weights my_run/associator.safetensors`: score what you have trained.
# - `dispose notebook run compare_runs -p runs my_run,my_other_run`: two trainings over each other, also while they run.
# - Change a number in `dispose/recipes/synthetic.py` (cameras, people, noise) and see which curve moves.
