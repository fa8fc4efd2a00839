"""A finished run in the Rerun viewer, or in a recording it opens: ``python -m dispose_viz.scene.rerun_view RESULTS``.

The only module that imports the optional package `rerun`; what is shown is decided in `dispose_viz.scene.timeline`.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from matplotlib.colors import to_rgb

from dispose.errors import DisposeError
from dispose.formats.files import replacing_path
from dispose.scene.cameras import Cameras
from dispose.scene.results import Results
from dispose_viz.image.series import images_of_capture
from dispose_viz.scene.timeline import (
    CurveStyle,
    Eye,
    Signs,
    Strokes,
    Thing,
    camera_path,
    entries_of,
)
from dispose_workbench.results.open import read_results

APPLICATION = "dispose"
QUALITY = 85
"""Of the JPEG images in a recording."""

FRUSTUM_M = 0.5
SIGN_RADIUS = rr.Radius.ui_points(3.0)

PLAY_FPS = 7.0
"""Moments per second while a timeline plays: a frame of seven steps takes a second."""


def archetypes(thing: Thing) -> list[rr.AsComponents]:
    """A thing in Rerun's words; what has no strokes or signs any more clears those that were there."""
    match thing:
        case Eye():
            place = rr.Transform3D(translation=thing.centre, mat3x3=thing.world_from_camera)
            lens = rr.Pinhole(image_from_camera=thing.matrix, resolution=list(thing.size),
                              camera_xyz=rr.ViewCoordinates.RDF, image_plane_distance=FRUSTUM_M)  # fmt: skip
            return [place, lens]
        case Strokes(strokes=()) | Signs(words=()):
            return [rr.Clear(recursive=False)]
        case Strokes():
            lines, colors = list(thing.strokes), rgb(thing.colors)
            if lines[0].shape[1] == 3:
                return [rr.LineStrips3D(lines, colors=colors, radii=thing.radius)]
            return [rr.LineStrips2D(lines, colors=colors, radii=rr.Radius.ui_points(thing.radius))]
        case Signs():
            points, radius = (rr.Points3D, 0.03) if thing.places.shape[1] == 3 else (rr.Points2D, SIGN_RADIUS)
            return [points(thing.places, colors=rgb(thing.colors), labels=list(thing.words), radii=radius,
                           show_labels=True)]  # fmt: skip
        case CurveStyle():
            return [rr.SeriesLines(colors=rgb([thing.color]), names=thing.name, widths=2.0)]
        case np.ndarray():
            return [rr.Image(thing).compress(jpeg_quality=QUALITY) if thing.ndim == 3 else rr.BarChart(thing)]
        case str():
            return [rr.TextDocument(thing, media_type="text/markdown")]
    return [rr.Scalars(thing)]


def rgb(colors: Iterable[str]) -> list[list[int]]:
    """Colours such as ``#0072B2`` as numbers from 0 to 255."""
    return [[round(255 * part) for part in to_rgb(color)] for color in colors]


def layout(cameras: Cameras | None, *, diffusion: bool) -> rrb.Blueprint:
    """Space on the left, views below it, the diffusion on the right where there is one."""
    space: list[rrb.View | rrb.Container] = [rrb.Spatial3DView(origin="world", name="space")]
    if cameras is not None:
        views = [rrb.Spatial2DView(origin=camera_path(name), name=name) for name in cameras.names]
        space.append(rrb.Grid(*views))
    left = rrb.Vertical(*space)
    if not diffusion:
        return rrb.Blueprint(left, rrb.TimePanel(timeline="frame", fps=PLAY_FPS), collapse_panels=True)
    right = rrb.Vertical(
        rrb.TimeSeriesView(origin="diffusion/mass", name="mass of every person's tuple"),
        rrb.TimeSeriesView(origin="diffusion/entropy", name="indecision (bits)"),
        rrb.BarChartView(origin="diffusion/bars", name="mass of the heaviest tuples"),
        rrb.TextDocumentView(origin="diffusion/tuples", name="tuples"),
    )
    both = rrb.Horizontal(left, right, column_shares=[2, 1])
    return rrb.Blueprint(both, rrb.TimePanel(timeline="diffusion", fps=PLAY_FPS), collapse_panels=True)


def stream(results: Results, recording: rr.RecordingStream, capture: Path | None) -> int:
    """Layout and content of a run into a recording, with the images of a capture; how many entries it were."""
    cameras = next((case.cameras for case in results.cases if case.cameras is not None), None)
    seen = None if capture is None or cameras is None else images_of_capture(capture, cameras)
    diffusion = any(case.hypotheses is not None for case in results.cases)
    recording.send_blueprint(layout(cameras, diffusion=diffusion))
    recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
    count = 0
    for entry in entries_of(results, images_at=seen):
        count += 1
        recording.reset_time()
        if entry.frame is not None:
            recording.set_time("frame", sequence=entry.frame)
        if entry.step is not None:
            recording.set_time("diffusion", sequence=entry.step)
        for archetype in archetypes(entry.thing):
            recording.log(entry.path, archetype, static=entry.frame is None and entry.step is None)
    return count


def save(results: Results, path: Path, capture: Path | None = None) -> None:
    """Write a recording under a temporary name, then give it its own."""
    with replacing_path(path) as temporary:
        recording = new_recording()
        recording.save(str(temporary))
        stream(results, recording, capture)
        recording.flush()
        recording.disconnect()


def new_recording() -> rr.RecordingStream:
    """A recording with our two timelines and none of the clock's."""
    recording = rr.RecordingStream(APPLICATION)
    recording.set_log_time_enabled(False)
    recording.set_log_tick_enabled(False)
    return recording


def main(arguments: list[str] | None = None) -> int:
    """Show or save; the exit status, 2 with one sentence where something cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m dispose_viz.scene.rerun_view")
    parser.add_argument("results", type=Path)
    for option in ("--capture", "--calibration", "--truth", "--pictures", "--save"):
        parser.add_argument(option, type=Path)
    given = parser.parse_args(arguments)
    try:
        results = read_results(given.results, capture=given.capture, calibration=given.calibration, truth=given.truth)
        if given.save is not None:
            save(results, given.save, given.pictures)
            size = given.save.stat().st_size / 1e6
            print(f"wrote {given.save} ({size:.1f} MB); `rerun {given.save}` opens it where the viewer is installed.")
            return 0
        recording = new_recording()
        recording.spawn()
        count = stream(results, recording, given.pictures)
        recording.flush()
        print(f"{count} things of {len(results.cases)} frames are in the viewer.")
    except DisposeError as error:
        print(f"dispose: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
