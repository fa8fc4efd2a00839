"""`dispose view`: a finished run in a viewer with timelines (the optional package rerun)."""

import importlib.util
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.cli.captures import ResultsArgument
from dispose.cli.drawing import draw
from dispose.errors import InputError, MissingBackendError
from dispose.formats.folders import require_file
from dispose.inference.capture import find_calibration
from dispose.options import PathOption
from dispose.scene.results import Results
from dispose_workbench.results.open import read_results

VIEWER = "dispose_viz.scene.rerun_view"
RECORDING = ".rrd"

# What the viewer's module needs besides the library: the package and the extra of the installation that brings it.
NEEDED = (("rerun", "rerun", "rerun-sdk, about 700 MB"), ("matplotlib", "viz", "matplotlib"))


@dataclass(frozen=True)
class ResultsOptions:
    """Finished results, and what lies beside them."""

    results: ResultsArgument
    """Folder or file of finished results."""
    capture: PathOption = None
    """The capture they were made of, for results that hold no cameras and detections."""
    calibration: PathOption = None
    """Its calibration alone, likewise."""
    truth: PathOption = None
    """Labels in any of the forms of RESULTS, with the same frame numbers: then it is known what is wrong."""

    def beside(self) -> list[tuple[str, Path]]:
        """The files that were named besides the results."""
        named = (("capture", self.capture), ("calibration", self.calibration), ("truth", self.truth))
        return [(name, path) for name, path in named if path is not None]

    def read(self) -> Results:
        """The results with what lies beside them."""
        return read_results(self.results, **dict(self.beside()))


@dataclass(frozen=True)
class ViewCommand(ResultsOptions):
    """Play a finished run in the Rerun viewer: all views, the people in 3-D, and the reverse diffusion, over time.

    RESULTS is what `dispose predict` or `dispose evaluate --save` wrote, or people of another program: a
    predictions.jsonl, Panoptic's body3DScene_*.json, TRC files. The viewer has two timelines: `frame`, and `diffusion`,
    which counts the steps of the reverse process through all frames.

    The viewer is the optional package rerun (pip install 'dispose[rerun]'). It tells its makers that it was used,
    not what it showed; `rerun analytics disable` stops that.
    """

    save: PathOption = None
    """Write a recording FILE.rrd instead of opening the viewer (no display is needed)."""
    pictures: PathOption = None
    """A capture folder with images/ or videos/, to show what the cameras saw; its calibration, where none is known."""

    def run(self) -> int:
        """Check everything that can be checked here, then leave it to the viewer's process; its exit status."""
        if self.save is not None and self.save.suffix != RECORDING:
            raise InputError(f"--save is {self.save}; a recording ends in {RECORDING}.")
        asked, results = self, self.read()
        if self.pictures is not None and self.calibration is None and results.cases[0].cameras is None:
            asked = replace(self, capture=None, calibration=find_calibration(self.pictures))
            results = asked.read()
        for package, extra, size in NEEDED:
            if importlib.util.find_spec(package) is None:
                raise MissingBackendError(
                    f"`dispose view` needs the package {package}, which is not installed: "
                    f"pip install 'dispose[{extra}]' ({size})"
                )
        # Linux says whether there is a display; the others always have one.
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if self.save is None and sys.platform.startswith("linux") and not display:
            raise InputError(
                "there is no display to open the viewer on; --save FILE.rrd writes a recording, "
                "which `rerun FILE.rrd` opens on a machine that has one."
            )
        if self.save is not None:
            require_file(self.save)
        for note in results.notes:
            print(note)
        # The library itself never imports what draws.
        options = [("save", self.save), *asked.beside(), ("pictures", self.pictures)]
        words = [word for name, path in options if path is not None for word in (f"--{name}", str(path))]
        return draw(VIEWER, self.results, *words)
