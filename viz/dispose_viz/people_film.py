"""``python -m dispose_viz.people_film RESULTS FILE.mp4``: people over what every camera saw, beside them in 3-D.

`dispose export --to mp4` calls it: the library itself draws nothing. One picture after the other is painted and
written, so that a film may be long. A ring is a detected keypoint, the line from it ends where the person's joint
falls; the number beside a name is the mean length of these lines, in pixels of the camera.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, product, repeat
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from tqdm import tqdm

from dispose.errors import DisposeError, InputError
from dispose.formats.calibration.read import read_calibration
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.evidence import EVIDENCE
from dispose.formats.person_table import PersonTable
from dispose.formats.saved_run import SavedRun, open_run
from dispose.formats.seen import open_seen
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Poses
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT
from dispose_viz.image.paint import (
    Canvas,
    blank,
    fit,
    paint_dot,
    paint_line,
    paint_skeleton,
    paint_words,
    placed,
)
from dispose_viz.image.series import images_of_capture
from dispose_viz.movie import write_film
from dispose_viz.scene.solids import Viewpoint, floor_lines, overview, turn_viewpoint
from dispose_viz.scene.stage import Stage, floor_of
from dispose_viz.scene.timeline import Images
from dispose_viz.style import DARK, color_of, label_of

AREA, LONE_AREA = 480 * 270, 800 * 450
"""Pixels of one camera's picture, where there are several, and where there is one."""

HEAD = 28
"""Height of the line that says which frame it is."""

SAMPLE = 40
"""So many frames, evenly chosen, say where in space the film looks."""

SWAY_DEG, SWAY_S = 25.0, 20.0
"""How far the eye goes to each side, and the seconds of one way to and fro: depth shows in what moves."""


@dataclass(frozen=True, eq=False)
class Film:
    """What a film shows: a run, its cameras, what they saw, the detections of every frame in order, and its rate."""

    run: SavedRun
    cameras: Cameras
    images: Callable[[int], Images]
    detections: Iterator[Detections | None]
    rate_hz: float


def film_pages(film: Film) -> Iterator[Canvas]:
    """The pictures of a film, one per frame of the run."""
    table, views = film.run.table, len(film.cameras)
    columns, tile = grid_of(film.cameras)
    rows = math.ceil(views / columns)
    side = max(rows * tile[1], 480)
    size = columns * tile[0] + side, HEAD + side
    look, floor = looking_at(table)
    for place, (number, found) in enumerate(zip(table.numbers.tolist(), film.detections, strict=False)):
        page, chosen, pictures = blank(*size, DARK), table.rows_at(number), film.images(number)
        for view in range(views):
            top, left = HEAD + view // columns * tile[1], view % columns * tile[0]
            one = view_tile(film, chosen, view, found, pictures[view], tile)
            page[top : top + tile[1], left : left + tile[0]] = one
        turned = turn_viewpoint(look, SWAY_DEG * math.sin(2 * math.pi * place / (film.rate_hz * SWAY_S)))
        page[HEAD:, -side:] = space_tile(film, chosen, turned, floor, side)
        words = f"frame {number}   {number / film.rate_hz:.2f} s   {len(chosen)} people"
        paint_words(page, f"{words}   rings: detected keypoints   px: mean residual", (8, 19), DARK.ink, DARK)
        yield page


def grid_of(cameras: Cameras) -> tuple[int, tuple[int, int]]:
    """How many pictures stand side by side, and their width and height: as the cameras' are."""
    aspect = float((cameras.size[:, 0] / cameras.size[:, 1]).median())
    columns = min(len(cameras), math.ceil(math.sqrt(1.6 * len(cameras) / aspect)))
    area = LONE_AREA if len(cameras) == 1 else AREA
    return columns, (round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect)))


def view_tile(
    film: Film,
    rows: Int[np.ndarray, " people"],
    view: int,
    found: Detections | None,
    picture: Canvas | None,
    size: tuple[int, int],
) -> Canvas:
    """One camera's picture, or an empty one, with the people in it."""
    camera, table = film.cameras.select(views=[view]), film.run.table
    width, height = (int(side) for side in camera.size[0].tolist())
    empty = blank(max(width // 8, 1), max(height // 8, 1), DARK)
    tile, into = fit(empty if picture is None else picture, *size, DARK)
    if picture is None:
        scale = into[0] / 8
        into = np.array([scale, (size[0] - width * scale + scale - 1) / 2, (size[1] - height * scale + scale - 1) / 2])
        paint_frame(tile, placed(np.array([[0, 0], [width - 1, height - 1]], float), into))
    used = [] if film.run.members is None else film.run.members[rows, view].tolist()
    paint_strangers(tile, found, view, used, into)
    for row, source in zip(rows.tolist(), used or repeat(ABSENT)):
        xyz = torch.from_numpy(np.array(table.joints[row, :, :3], dtype=np.float64))
        known = torch.isfinite(xyz).all(-1)
        xy, front = camera.project(torch.where(known[:, None], xyz, 0.0))
        seen = (known & front[0]).numpy()
        person = int(table.id[row])
        color = color_of(person, DARK)
        paint_skeleton(tile, placed(xy[0].numpy(), into), seen, table.skeleton, color)
        seen_as = SeenPerson(found, view, source, into, color)
        error = paint_residuals(tile, seen_as, xy[0].numpy(), seen, table.skeleton)
        high = placed(xy[0].numpy(), into)[seen]
        if len(high):
            text = label_of(person) if error is None else f"{label_of(person)} {error:.1f} px"
            x, y = high[high[:, 1].argmin()]
            if -20 < x < size[0] + 20 and -20 < y < size[1] + 20:
                paint_words(tile, text, (x - 12, y - 8), color, DARK)
    paint_words(tile, film.cameras.names[view], (6, size[1] - 8), DARK.ink, DARK)
    return tile


def paint_frame(canvas: Canvas, corners: Float[np.ndarray, "2 2"]) -> None:
    """The edge of an empty picture."""
    (a, b), (c, d) = corners
    ring = np.array([[a, b], [c, b], [c, d], [a, d]])
    for one, other in zip(ring, np.roll(ring, -1, 0), strict=True):
        paint_line(canvas, one, other, DARK.grid)


def paint_strangers(
    canvas: Canvas, found: Detections | None, view: int, used: Sequence[int], into: Float[np.ndarray, " 3"]
) -> None:
    """Detections that nobody was made of, in grey."""
    if found is None:
        return
    for slot in found.valid[view].nonzero()[:, 0].tolist():
        if int(found.index[view, slot]) not in used:
            seen = found.visible[view, slot].numpy()
            xy = placed(found.xy_image[view, slot].numpy(), into)
            paint_skeleton(canvas, xy, seen, found.skeleton, DARK.muted, width=1)


@dataclass(frozen=True, eq=False)
class SeenPerson:
    """A person's detection in a view, by its place in the source list, where the view's pixels are, and a colour."""

    found: Detections | None
    view: int
    source: int
    into: Float[np.ndarray, " 3"]
    color: str


def paint_residuals(
    canvas: Canvas,
    seen_as: SeenPerson,
    xy: Float[np.ndarray, "joints 2"],
    seen: Bool[np.ndarray, " joints"],
    skeleton: Skeleton,
) -> float | None:
    """Rings on the keypoints that a person was made of and lines to their joints; the lines' mean length, px."""
    found, view, into = seen_as.found, seen_as.view, seen_as.into
    if found is None or seen_as.source == ABSENT:
        return None
    slots = (found.valid[view] & (found.index[view] == seen_as.source)).nonzero()[:, 0].tolist()
    lengths = []
    for slot, (joint, name) in product(slots[:1], enumerate(skeleton.joints)):
        keypoint = found.skeleton.joints.index(name) if name in found.skeleton.joints else None
        if keypoint is None or not bool(found.visible[view, slot, keypoint]):
            continue
        at = found.xy_image[view, slot, keypoint].numpy()
        paint_dot(canvas, placed(at, into), seen_as.color, 4, filled=False)
        if seen[joint]:
            paint_line(canvas, placed(at, into), placed(xy[joint], into), DARK.ink)
            lengths.append(float(np.linalg.norm(at - xy[joint])))
    return float(np.mean(lengths)) if lengths else None


def looking_at(table: PersonTable) -> tuple[Viewpoint, list[Float[np.ndarray, "2 3"]]]:
    """From where everybody is in sight through the whole film, and the lines of the floor."""
    rows = np.linspace(0, len(table.frame) - 1, min(SAMPLE, len(table.frame))).astype(int)
    xyz = torch.from_numpy(np.array(table.joints[rows, :, :3], dtype=np.float64))
    known = torch.isfinite(xyz).all(-1)
    poses = Poses(table.skeleton, xyz.nan_to_num(), known.double(), known, torch.from_numpy(table.id[rows].astype(int)))
    stage = Stage(poses, None)
    return overview(stage, aspect=1.0), floor_lines(*floor_of(stage))


def space_tile(
    film: Film,
    rows: Int[np.ndarray, " people"],
    look: Viewpoint,
    floor: Sequence[Float[np.ndarray, "2 3"]],
    side: int,
) -> Canvas:
    """The people in space over the floor's grid of metres, with the cameras that are in sight."""
    tile, table = blank(side, side, DARK), film.run.table
    for line in floor:
        ends, front = look.project(line, side, side)
        if front.all():
            paint_line(tile, ends[0], ends[1], DARK.grid)
    places, front = look.project(film.cameras.centres.numpy(), side, side)
    for name, at, there in zip(film.cameras.names, places, front, strict=True):
        if there and (at > 0).all() and (at < side).all():
            paint_dot(tile, at, DARK.muted, 4)
            paint_words(tile, name, (at[0] + 7, at[1] + 4), DARK.muted, DARK, scale=0.38)
    for row in rows.tolist():
        xyz = np.array(table.joints[row, :, :3], dtype=np.float64)
        known = np.asarray(np.isfinite(xyz).all(-1))
        xy, front = look.project(np.where(known[:, None], xyz, 0.0), side, side)
        color, seen = color_of(int(table.id[row]), DARK), np.asarray(known & front)
        paint_skeleton(tile, xy, seen, table.skeleton, color)
        if seen.any():
            top = xy[seen][xy[seen][:, 1].argmin()]
            paint_words(tile, label_of(int(table.id[row])), (top[0] - 8, top[1] - 8), color, DARK)
    return tile


def no_images(cameras: Cameras) -> Callable[[int], Images]:
    """Of cameras without pictures."""
    return lambda number: (None,) * len(cameras)


def without_damage(images: Callable[[int], Images], cameras: Cameras) -> Callable[[int], Images]:
    """As some images; a frame that cannot be decoded is shown empty."""

    def at(number: int) -> Images:
        try:
            return images(number)
        except DamagedFrameError:
            return (None,) * len(cameras)

    return at


def write_people_film(
    results: Path, path: Path, rate_hz: float, calibration: Path | None, pictures: Path | None
) -> None:
    """Write the film of a folder of `dispose predict`. `InputError` where cameras are not known or do not fit."""
    with ExitStack() as stack:
        run = stack.enter_context(open_run(results))
        cameras, detections = None, repeat(None)
        if (results / EVIDENCE).is_file():
            seen = stack.enter_context(open_seen(results / EVIDENCE, run.digest))
            if list(seen.numbers) != run.table.numbers.tolist():
                raise InputError(f"{results / EVIDENCE}: holds other frames than the predictions beside it.")
            cameras, detections = seen.cameras, seen.detections()
        if calibration is not None:
            told = read_calibration(calibration)
            if cameras is not None and told.names != cameras.names:
                raise InputError(f"{calibration}: has other cameras ({', '.join(told.names)}) than {results}.")
            cameras = told
        if cameras is None:
            raise InputError(f"{results}: has no {EVIDENCE} that holds the cameras; name them with --calibration.")
        images = (
            no_images(cameras) if pictures is None else without_damage(images_of_capture(pictures, cameras), cameras)
        )
        film = Film(run, cameras, images, chain(detections, repeat(None)), rate_hz)
        pages = tqdm(film_pages(film), "mp4", len(run.table.numbers), unit="frame", disable=None)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_film(path, pages, rate_hz)


def main() -> int:
    """Write it; the exit status, 2 with one sentence where something cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m dispose_viz.people_film")
    parser.add_argument("results", type=Path)
    parser.add_argument("film", type=Path)
    parser.add_argument("--rate-hz", type=float, required=True)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--pictures", type=Path)
    given = parser.parse_args()
    try:
        write_people_film(given.results, given.film, given.rate_hz, given.calibration, given.pictures)
    except DisposeError as error:
        print(f"dispose: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
