"""A finished run as a list of what to show where and when, for a viewer with timelines; pure, and without that viewer.

Two timelines: `frame` is the frame's number, `diffusion` counts the steps of the reverse process through all frames, so
that it can be played across a capture. What has neither is always there. Lengths are metres.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.scene.results import FrameResult, Hypotheses, Results
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT
from dispose_viz.hypergraph.candidate_graph import Hyperedges, heaviest, hyperedges_of
from dispose_viz.hypergraph.trajectory import entropy_bits, owners_of_tuples, tuple_name
from dispose_viz.image.canvas import project_people
from dispose_viz.image.view_panels import owners_of, slot_names
from dispose_viz.scene.stage import known_joints
from dispose_viz.style import DARK, color_of, label_of

METRE = 1000.0
BARS = 16
"""Tuples in the bar chart of a frame's masses."""

COMPETITOR = "strongest competitor"
# Strokes are opaque there: a wide ghost would hide the person.
PERSON_RADIUS, GHOST_RADIUS = 0.025, 0.01
DETECTION_RADIUS, REPROJECTION_RADIUS = 2.0, 1.0

Images = Sequence[UInt8[np.ndarray, "_ _ 3"] | None]
"""What the cameras of the results saw in one frame; None for a camera without an image."""


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


@dataclass(frozen=True)
class CurveStyle:
    """How a curve looks: its colour and name."""

    color: str
    name: str


Thing = Eye | Strokes | Signs | CurveStyle | UInt8[np.ndarray, "_ _ 3"] | Float[np.ndarray, " bars"] | float | str
"""What can be shown; an image (RGB), the heights of bars, the value of a curve, and Markdown need no more words."""


@dataclass(frozen=True, eq=False)
class StreamEntry:
    """One thing, where in the tree of things it belongs, and when it is there: then it replaces what was there before.

    `frame` and `step` are moments of the timelines `frame` and `diffusion`; None = not on it.
    """

    path: str
    thing: Thing
    frame: int | None = None
    step: int | None = None


def entries_of(results: Results, *, images_at: Callable[[int], Images] | None = None) -> Iterator[StreamEntry]:
    """Everything that can be shown of a run, frame after frame."""
    notes = "".join(f"\n- {note}" for note in results.notes)
    about = f"{len(results.cases)} frames, {results.skeleton.name}, by {results.method}"
    yield StreamEntry("notes", f"# {results.name}\n{about}\n{notes}")
    cameras = next((case.cameras for case in results.cases if case.cameras is not None), None)
    if cameras is not None:
        yield from eyes(cameras)
    for person in sorted({int(i) for case in results.cases for i in case.prediction.poses.id}):
        yield StreamEntry(f"diffusion/mass/P{person}", CurveStyle(color_of(person, DARK), f"P{person}"))
    yield StreamEntry(f"diffusion/mass/{slug(COMPETITOR)}", CurveStyle(DARK.muted, COMPETITOR))
    yield StreamEntry("diffusion/entropy", CurveStyle(DARK.muted, "indecision (bits)"))
    step = 0
    for case in results.cases:
        yield from moment(case, step, None if images_at is None else images_at(case.prediction.number))
        if case.hypotheses is not None:
            yield from decisions(case, case.hypotheses, step)
        step += 1 if case.hypotheses is None else len(case.hypotheses.time)


def eyes(cameras: Cameras) -> Iterator[StreamEntry]:
    """Every camera, always there."""
    for view, name in enumerate(cameras.names):
        width, height = (round(side) for side in cameras.size[view].tolist())
        centre = cameras.centres[view].numpy() / METRE
        eye = Eye(cameras.matrix[view].numpy(), (width, height), cameras.rotation[view].T.numpy(), centre)
        yield StreamEntry(camera_path(name), eye)


def moment(case: FrameResult, step: int, images: Images | None) -> Iterator[StreamEntry]:
    """People, truth, detections and images of one frame; nobody is an empty list, which clears who was there before."""
    when, poses = {"frame": case.prediction.number, "step": step}, case.prediction.poses
    words = [label_of(person) for person in poses.id.tolist()]
    colors = [color_of(person, DARK) for person in poses.id.tolist()]
    people, names = skeletons(poses.skeleton, _metres(poses), known_joints(poses), colors, words, PERSON_RADIUS)
    yield StreamEntry("world/people", people, **when)
    yield StreamEntry("world/names", names, **when)
    if case.labels is not None:
        true = case.labels.poses
        grey = [DARK.muted] * len(true.id)
        truth, _ = skeletons(true.skeleton, _metres(true), known_joints(true), grey, grey, GHOST_RADIUS)
        yield StreamEntry("world/truth", truth, **when)
    if case.frame is None:
        return
    found, cameras = case.frame.detections, case.frame.cameras
    shown = (found.visible & found.valid[..., None]).numpy()
    for view, name in enumerate(cameras.names):
        path, image = camera_path(name), None if images is None else images[view]
        if image is not None:
            yield StreamEntry(f"{path}/picture", image, **when)
        owners = owners_of(case.prediction, view, found.valid.shape[1])
        hues, numbers = [color_of(owner, DARK) for owner in owners], slot_names(found, view, owners)
        xy = found.xy_image[view].double().numpy()
        strokes, signs = skeletons(found.skeleton, xy, shown[view], hues, numbers, DETECTION_RADIUS)
        yield StreamEntry(f"{path}/detections", strokes, **when)
        yield StreamEntry(f"{path}/numbers", signs, **when)
        seen, there = (values.numpy() for values in project_people(cameras, view, poses))
        reprojected, _ = skeletons(poses.skeleton, seen, there, colors, words, REPROJECTION_RADIUS)
        yield StreamEntry(f"{path}/people", reprojected, **when)


def decisions(case: FrameResult, hypotheses: Hypotheses, first: int) -> Iterator[StreamEntry]:
    """The reverse diffusion of one frame: masses of people and of their competitor, indecision, bars, a table.

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
            yield StreamEntry(f"diffusion/mass/{slug(person)}", mass, step=first + number)
        yield StreamEntry("diffusion/entropy", float(entropy_bits(edge.mass[None])[0]), step=first + number)
        yield StreamEntry("diffusion/bars", edge.mass[shown], **when)
        title = f"frame {case.prediction.number}, diffusion time {float(hypotheses.time[number]):.2f}"
        yield StreamEntry("diffusion/tuples", f"## {title}\n{table(edge, owners, shown.tolist())}", **when)


def masses(edges: Hyperedges, owners: Sequence[int]) -> list[tuple[str, float]]:
    """Mass of every tuple that became a person, and of the heaviest that joins several detections and did not."""
    found = [(f"P{owner}", float(edges.mass[row])) for row, owner in enumerate(owners) if owner != ABSENT]
    several = (edges.members != ABSENT).sum(1) > 1
    rivals = edges.mass[several & (np.asarray(owners, dtype=int) == ABSENT)]
    return [*found, (COMPETITOR, float(rivals.max(initial=0.0)))]


def table(edges: Hyperedges, owners: Sequence[int], shown: Sequence[int]) -> str:
    """The tuples of the bars in Markdown: place, tuple, who, mass, cue and cost."""
    lines = ["| bar | tuple | who | mass | cue | χ² |", "|--:|:--|:--|--:|--:|--:|"]
    for place, row in enumerate(shown):
        names = f"{tuple_name(edges.members[row].tolist())} | {label_of(owners[row])}"
        lines.append(f"| {place} | {names} | {edges.mass[row]:.3f} | {edges.cue[row]:.2f} | {edges.cost[row]:.0f} |")
    return "\n".join([*lines, "", f"{len(shown)} of {len(edges)} tuples. A tuple is its detection in every view."])


def skeletons(
    skeleton: Skeleton,
    joints: Float[np.ndarray, "persons joints axes"],
    known: Bool[np.ndarray, "persons joints"],
    colors: Sequence[str],
    words: Sequence[str],
    radius: float,
) -> tuple[Strokes, Signs]:
    """The bones whose two ends are known, a stroke each, and words at everybody's highest known joint."""
    ends = [(row, bone) for row in range(len(joints)) for bone in skeleton.bone_indices if known[row, bone].all()]
    strokes = tuple(joints[row, bone] for row, bone in ends)
    rows = np.flatnonzero(known.any(1)).tolist()
    # In space the last axis leads upwards, in an image downwards.
    depth = joints[..., -1] if joints.shape[-1] == 2 else -joints[..., -1]
    places = joints[rows, np.where(known, depth, np.inf)[rows].argmin(1)]
    signs = Signs(places, tuple(colors[row] for row in rows), tuple(words[row] for row in rows))
    return Strokes(strokes, tuple(colors[row] for row, _ in ends), radius), signs


def _metres(poses: Poses) -> Float[np.ndarray, "persons joints 3"]:
    return poses.xyz_world.double().numpy() / METRE


def camera_path(name: str) -> str:
    """Where a camera and all that it sees belong."""
    return f"world/cameras/{slug(name)}"


def slug(name: str) -> str:
    """A name as one part of a path."""
    return "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in name)
