"""`dispose view`: a finished run in a viewer with timelines (the optional package rerun)."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from dispose.errors import InputError, MissingBackendError
from dispose.inference.capture import find_calibration
from dispose.options import PathOption, require_file
from dispose_workbench.results.open import read_results

VIEWER = "dispose_viz.scene.rerun_view"
RECORDING = ".rrd"

# What the viewer's module needs besides the library: the package and the extra of the installation that brings it.
NEEDED = (("rerun", "rerun", "rerun-sdk, about 700 MB"), ("matplotlib", "viz", "matplotlib"))


@dataclass(frozen=True)
class ViewCommand:
    """Play a finished run in the Rerun viewer: all views, the people in 3-D, and the reverse diffusion, over time.

    RESULTS is what `dispose predict` or `dispose evaluate --save` wrote, or people of another program: a
    predictions.jsonl, Panoptic's body3DScene_*.json, TRC files. The viewer has two timelines: `frame`, and `diffusion`,
    which counts the steps of the reverse process through all frames.

    The viewer is the optional package rerun (pip install 'dispose[rerun]'). It tells its makers that it was used,
    not what it showed; `rerun analytics disable` stops that.
    """

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]
    """Folder or file of finished results."""
    save: PathOption = None
    """Write a recording FILE.rrd instead of opening the viewer (no display is needed)."""
    capture: PathOption = None
    """The capture that people of another program were found in, for cameras and detections."""
    calibration: PathOption = None
    """A calibration alone, likewise (default: that of --pictures, where the results hold no cameras)."""
    truth: PathOption = None
    """True people to show as ghosts: anything that RESULTS could be, with the same frame numbers."""
    pictures: PathOption = None
    """A capture folder with images/ or videos/, to show what the cameras saw."""

    def run(self) -> int:
        """Check everything that can be checked here, then leave it to the viewer's process; its exit status."""
        if self.save is not None and self.save.suffix != RECORDING:
            raise InputError(f"--save is {self.save}; a recording ends in {RECORDING}.")
        calibration = self.calibration
        results = read_results(self.results, capture=self.capture, calibration=calibration, truth=self.truth)
        if self.pictures is not None and calibration is None and results.cases[0].cameras is None:
            calibration = find_calibration(self.pictures)
            results = read_results(self.results, calibration=calibration, truth=self.truth)
        for package, extra, size in NEEDED:
            if importlib.util.find_spec(package) is None:
                raise MissingBackendError(
                    f"`dispose view` needs the package {package}, which is not installed: "
                    f"pip install 'dispose[{extra}]' ({size})"
                )
        if self.save is None and not has_display():
            raise InputError(
                "there is no display to open the viewer on; --save FILE.rrd writes a recording, "
                "which `rerun FILE.rrd` opens on a machine that has one."
            )
        if self.save is not None:
            require_file(self.save)
        for note in results.notes:
            print(note)
        return subprocess.run(self.command(calibration)).returncode

    def command(self, calibration: Path | None) -> list[str]:
        """The viewer's process; the library itself never imports what draws."""
        options = {"save": self.save, "capture": self.capture, "calibration": calibration, "truth": self.truth}
        options["pictures"] = self.pictures
        words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        return [sys.executable, "-m", VIEWER, str(self.results), *words]


def has_display() -> bool:
    """Whether a window can be opened; Linux says so, the others always have one."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
