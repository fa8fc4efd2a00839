"""A finished run as a list of what to show where and when, for a viewer with timelines; pure, and without that viewer.

Two timelines: `frame` is the frame's number, `diffusion` counts the steps of the reverse process through all frames, so
that it can be played across a capture. What has neither is always there. Lengths are metres.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses
from dispose.scene.results import FrameResult, Hypotheses, Results
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.candidate_graph import Hyperedges, heaviest, hyperedges_of
from dispose_viz.hypergraph.trajectory import owners_of_tuples, tuple_name
from dispose_viz.image.view_panels import owners_of
from dispose_viz.scene.stage import known_joints
from dispose_viz.style import DARK, person_color

METRE = 1000.0
BARS = 16
"""Tuples in the bar chart of a frame's masses."""

COMPETITOR = "strongest competitor"
# Strokes are opaque there: a wide ghost would hide the person.
PERSON_RADIUS, GHOST_RADIUS = 0.025, 0.01
DETECTION_RADIUS, REPROJECTION_RADIUS = 2.0, 1.0

PicturesAt = Callable[[int], Sequence[UInt8[np.ndarray, "_ _ 3"] | None]]
"""What the cameras of the results saw in the frame of a number; None for a camera without a picture."""


@dataclass(frozen=True, eq=False)
class Eye:
    """A camera: where it stands and what it projects to (its lens is straight here)."""

    matrix: Float[np.ndarray, "3 3"]
    size: tuple[int, int]
    world_from_camera: Float[np.ndarray, "3 3"]
    centre: Float[np.ndarray, " 3"]


@dataclass(frozen=True, eq=False)
class Strokes:
    """Skeletons or whatever consists of strokes, in metres (3 columns) or pixels (2)."""

    strokes: tuple[Float[np.ndarray, "points axes"], ...]
    colors: tuple[str, ...]
    radius: float


@dataclass(frozen=True, eq=False)
class Signs:
    """Words at places, in metres (3 columns) or pixels (2)."""

    places: Float[np.ndarray, "signs axes"]
    colors: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ViewImage:
    """What a camera saw, RGB."""

    pixels: UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Value:
    """One number of a curve."""

    number: float


@dataclass(frozen=True)
class CurveStyle:
    """How a curve looks: its colour and name."""

    color: str
    name: str


@dataclass(frozen=True, eq=False)
class Bars:
    """A bar chart, all bars at one moment."""

    heights: Float[np.ndarray, " bars"]


@dataclass(frozen=True)
class Words:
    """A text in Markdown."""

    markdown: str


Thing = Eye | Strokes | Signs | ViewImage | Value | CurveStyle | Bars | Words


@dataclass(frozen=True, eq=False)
class StreamEntry:
    """One thing, where in the tree of things it belongs, and when it is there.

    Attributes:
        path: names with slashes between them.
        thing: what is shown; it replaces what was there before.
        frame: moment of the timeline `frame`, None = not on it.
        step: moment of the timeline `diffusion`, None = not on it.
    """

    path: str
    thing: Thing
    frame: int | None = None
    step: int | None = None


def entries_of(results: Results, *, pictures: PicturesAt | None = None) -> Iterator[StreamEntry]:
    """Everything that can be shown of a run, frame after frame."""
    cameras = next((case.cameras for case in results.cases if case.cameras is not None), None)
    yield StreamEntry("notes", Words(heading(results)))
    if cameras is not None:
        yield from eyes(cameras)
    for person in sorted({int(i) for case in results.cases for i in case.prediction.poses.id}):
        yield StreamEntry(f"diffusion/mass/P{person}", CurveStyle(person_color(person), f"P{person}"))
    yield StreamEntry(f"diffusion/mass/{slug(COMPETITOR)}", CurveStyle(DARK.muted, COMPETITOR))
    yield StreamEntry("diffusion/entropy", CurveStyle(DARK.muted, "indecision (bits)"))
    step = 0
    for case in results.cases:
        yield from moment(case, step, None if pictures is None else pictures(case.prediction.number))
        if case.hypotheses is not None:
            yield from decisions(case, case.hypotheses, step)
            step += len(case.hypotheses.time)
        else:
            step += 1


def heading(results: Results) -> str:
    """What the run is, and what is not known of it."""
    notes = "".join(f"\n- {note}" for note in results.notes)
    return f"# {results.name}\n{len(results.cases)} frames, {results.skeleton.name}, by {results.method}\n{notes}"


def eyes(cameras: Cameras) -> Iterator[StreamEntry]:
    """Every camera, always there."""
    for view, name in enumerate(cameras.names):
        width, height = (round(side) for side in cameras.size[view].tolist())
        centre = cameras.centres[view].numpy() / METRE
        eye = Eye(cameras.matrix[view].numpy(), (width, height), cameras.rotation[view].T.numpy(), centre)
        yield StreamEntry(camera_path(name), eye)


def moment(
    case: FrameResult, step: int, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"] | None] | None
) -> Iterator[StreamEntry]:  # fmt: skip
    """People, truth, detections and pictures of one frame."""
    when = {"frame": case.prediction.number, "step": step}
    yield StreamEntry("world/people", bones(case.prediction.poses, person_color, PERSON_RADIUS), **when)
    yield StreamEntry("world/names", names(case.prediction.poses), **when)
    if case.labels is not None:
        yield StreamEntry("world/truth", bones(case.labels.poses, lambda _: DARK.muted, GHOST_RADIUS), **when)
    if case.frame is None:
        return
    cameras = case.frame.cameras
    for view, name in enumerate(cameras.names):
        path = camera_path(name)
        picture = None if pictures is None else pictures[view]
        if picture is not None:
            yield StreamEntry(f"{path}/picture", ViewImage(picture), **when)
        detected, signs = detections(case, view)
        yield StreamEntry(f"{path}/detections", detected, **when)
        yield StreamEntry(f"{path}/numbers", signs, **when)
        yield StreamEntry(f"{path}/people", reprojections(case.prediction.poses, cameras, view), **when)


def decisions(case: FrameResult, hypotheses: Hypotheses, first: int) -> Iterator[StreamEntry]:
    """The reverse diffusion of one frame: masses of people and of their strongest competitor, indecision, bars, a table.

    Bars keep their places through the steps of a frame; the table says which is which. On the timeline of frames they
    stand as decided.
    """
    members = case.prediction.association.members.numpy()
    edges = [hyperedges_of(hypotheses, step=number) for number in range(len(hypotheses.time))]
    owners = owners_of_tuples(edges[-1].members, members, case.prediction.poses.id.tolist())
    shown = heaviest(edges[-1], owners, BARS)
    for number, edge in enumerate(edges):
        last = number == len(edges) - 1
        when = {"step": first + number, "frame": case.prediction.number if last else None}
        for person, mass in masses(edge, owners):
            yield StreamEntry(f"diffusion/mass/{slug(person)}", Value(mass), step=first + number)
        yield StreamEntry("diffusion/entropy", Value(entropy_bits(edge)), step=first + number)
        yield StreamEntry("diffusion/bars", Bars(edge.mass[shown]), **when)
        title = f"frame {case.prediction.number}, diffusion time {float(hypotheses.time[number]):.2f}"
        yield StreamEntry("diffusion/tuples", Words(f"## {title}\n{table(edge, owners, shown.tolist())}"), **when)


def masses(edges: Hyperedges, owners: Sequence[int]) -> list[tuple[str, float]]:
    """Mass of every tuple that became a person, and of the heaviest that joins several detections and did not."""
    found = [(f"P{owner}", float(edges.mass[row])) for row, owner in enumerate(owners) if owner != ABSENT]
    several = (edges.members != ABSENT).sum(1) > 1
    rivals = edges.mass[several & (np.asarray(owners, dtype=int) == ABSENT)]
    return [*found, (COMPETITOR, float(rivals.max(initial=0.0)))]


def entropy_bits(edges: Hyperedges) -> float:
    """How undecided the masses are: the entropy of their shares, bits."""
    share = edges.mass.clip(min=0) / max(float(edges.mass.clip(min=0).sum()), 1e-300)
    return float(-(share * np.log2(share.clip(min=1e-300))).sum())


def table(edges: Hyperedges, owners: Sequence[int], shown: Sequence[int]) -> str:
    """The tuples of the bars in Markdown: place, tuple, who, mass, cue and cost."""
    lines = ["| bar | tuple | who | mass | cue | χ² |", "|--:|:--|:--|--:|--:|--:|"]
    for place, row in enumerate(shown):
        who = "nobody" if owners[row] == ABSENT else f"P{owners[row]}"
        word = tuple_name(edges.members[row].tolist())
        lines.append(
            f"| {place} | {word} | {who} | {edges.mass[row]:.3f} | {edges.cue[row]:.2f} | {edges.cost[row]:.0f} |"
        )
    return "\n".join([*lines, "", f"{len(shown)} of {len(edges)} tuples. A tuple is its detection in every view."])


def bones(poses: Poses, color: Callable[[int], str], radius: float) -> Strokes:
    """All people as strokes in metres; nobody is an empty list, which clears who was there before."""
    known, xyz = known_joints(poses), poses.xyz_world.double().numpy() / METRE
    strokes, colors = [], []
    for row, person in enumerate(poses.id.tolist()):
        for a, b in poses.skeleton.bone_indices:
            if known[row, a] and known[row, b]:
                strokes.append(xyz[row, [a, b]])
                colors.append(color(person))
    return Strokes(tuple(strokes), tuple(colors), radius)


def names(poses: Poses) -> Signs:
    """Everybody's id at their highest joint."""
    known, xyz = known_joints(poses), poses.xyz_world.double().numpy() / METRE
    rows = np.flatnonzero(known.any(1))
    tops = [xyz[row][known[row]][xyz[row][known[row]][:, 2].argmax()] for row in rows]
    ids = [int(poses.id[row]) for row in rows]
    places = np.stack(tops) if tops else np.zeros((0, 3))
    return Signs(places, tuple(person_color(i) for i in ids), tuple(f"P{i}" for i in ids))


def detections(case: FrameResult, view: int) -> tuple[Strokes, Signs]:
    """The 2-D skeletons of a view in the colours of the people who claim them, and who that is."""
    frame = case.frame
    assert frame is not None
    found = frame.detections
    strokes, colors, places, words, hues = [], [], [], [], []
    for slot, owner in enumerate(owners_of(case.prediction, view, found.valid.shape[1])):
        seen = found.visible[view, slot].numpy()
        if not bool(found.valid[view, slot]) or not seen.any():
            continue
        hue = DARK.muted if owner == ABSENT else person_color(owner)
        xy = found.xy_image[view, slot].double().numpy()
        lines = [xy[[a, b]] for a, b in found.skeleton.bone_indices if seen[a] and seen[b]]
        strokes += lines
        colors += [hue] * len(lines)
        places.append(xy[seen][xy[seen][:, 1].argmin()])
        words.append(f"#{int(found.index[view, slot])}" if owner == ABSENT else f"P{owner}")
        hues.append(hue)
    where = np.stack(places) if places else np.zeros((0, 2))
    return Strokes(tuple(strokes), tuple(colors), DETECTION_RADIUS), Signs(where, tuple(hues), tuple(words))


def reprojections(poses: Poses, cameras: Cameras, view: int) -> Strokes:
    """The people in space as a view sees them, lens included, pixels."""
    xy, front = cameras.select([view]).project(poses.xyz_world.double())
    known = known_joints(poses) & front[0].numpy()
    strokes, colors = [], []
    for row, person in enumerate(poses.id.tolist()):
        lines = [xy[0, row, [a, b]].numpy() for a, b in poses.skeleton.bone_indices if known[row, a] and known[row, b]]
        strokes += lines
        colors += [person_color(person)] * len(lines)
    return Strokes(tuple(strokes), tuple(colors), REPROJECTION_RADIUS)


def camera_path(name: str) -> str:
    """Where a camera and all that it sees belong."""
    return f"world/cameras/{slug(name)}"


def slug(name: str) -> str:
    """A name as one part of a path."""
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name)
