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
# # Draw areas: where nobody counts
#
# You will see: every camera's image, on which clicks mark mirrors, posters, windows and doorways; and the file of these
# areas, with which `dispose prepare` leaves out whom it sees there.
#
# Run it as it is: the folder is the sample `studio`. Then set `capture` to a folder of your own.

# %%
# %matplotlib inline
from pathlib import Path

from dispose.datasets.samples import sample_folder
from dispose_viz.areas import AreaDrawer, draw_areas, pictures_of
from dispose_viz.style import save_figure

# %% tags=["parameters"]
capture: Path = sample_folder("studio")  # a capture folder with images/ or videos/
areas: Path = Path("areas.json")  # the file; areas that it has already are gone on with
frame: int = -1  # the frame that is shown; -1: the first of every camera
out: Path = Path(".")  # where pictures go

# %% [markdown]
# ## 1. Click the corners
#
# A click sets a corner; `close area` joins the last one to the first. `take back` removes the last corner, or else the
# last area. Several areas per camera are fine. `save` writes the file.

# %%
capture, areas, out = Path(capture), Path(areas), Path(out)
pictures = pictures_of(capture, None if frame < 0 else frame)
drawer = AreaDrawer(pictures, areas)
drawer.show()

# %% [markdown]
# ## 2. What is saved
#
# Run this cell again after `save`. A person goes nine tenths of whose joints lie in an area.

# %%
save_figure(draw_areas(pictures, areas), out / "areas")
print(f"dispose prepare {capture} --areas {areas}")

# %% [markdown]
# ## Try next
#
# - `dispose detect my_capture`, then `dispose prepare my_capture --areas areas.json --out labels.npz`; then
#   `labels.report.json` lists who was left out, by camera, frame and place ("in an area").
# - The file is plain JSON: corners x, y in pixels of the image as it was taken, by camera.
