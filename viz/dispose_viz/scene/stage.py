"""One instant in 3-D as a record that every 3-D renderer draws: plotly in the notebook, Open3D for pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dispose.errors import ShapeError
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Poses
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT

SIGN_MM = 180.0
EMPTY_STAGE = np.array([[-2000.0, -2000.0, 0.0], [2000.0, 2000.0, 2000.0]])
"""What a picture of nothing shows: two corners of a room, mm."""


@dataclass(frozen=True, eq=False)
class Ray:
    """A line of sight from a camera's centre to the point that it speaks of (mm), in a person's colour or nobody's."""

    start: Float[np.ndarray, " 3"]
    end: Float[np.ndarray, " 3"]
    person: int


@dataclass(frozen=True, eq=False)
class Stage:
    """What stands in the scene at one instant; what is not known is empty or None.

    Attributes:
        people: skeletons in person colours, joints faded by their confidence.
        cameras: frusta with names.
        images: what each camera saw (RGB), hung into its frustum; None for a camera without one.
        ghosts: other skeletons to compare with, drawn pale behind: the truth, or another method's answer.
        trails: the same people in earlier frames, oldest first: where everybody came from.
        rays: lines of sight.
    """

    people: Poses
    cameras: Cameras | None = None
    images: tuple[UInt8[np.ndarray, "_ _ 3"] | None, ...] = ()
    ghosts: Poses | None = None
    trails: tuple[Poses, ...] = ()
    rays: tuple[Ray, ...] = ()

    def __post_init__(self) -> None:
        views = 0 if self.cameras is None else len(self.cameras)
        if self.images and len(self.images) != views:
            raise ShapeError(f"a stage has {views} cameras but {len(self.images)} pictures; give one, or None, each.")


def known_joints(poses: Poses) -> Bool[np.ndarray, "persons joints"]:
    """Which joints can be drawn: those that are valid, except where a coordinate is no number."""
    return (poses.valid & torch.isfinite(poses.xyz_world).all(-1)).cpu().numpy()


def points_of(stage: Stage) -> Float[np.ndarray, "points 3"]:
    """Every place (mm) that a picture of the stage should show: joints, camera centres, ends of rays.

    Of an empty stage the corners of an empty room.
    """
    sets = [stage.people, *(() if stage.ghosts is None else (stage.ghosts,)), *stage.trails]
    places = [poses.xyz_world.double().cpu().numpy()[known_joints(poses)] for poses in sets]
    if stage.cameras is not None:
        places.append(stage.cameras.centres.double().cpu().numpy())
    places += [np.stack([ray.start, ray.end]) for ray in stage.rays]
    points = np.concatenate([np.zeros((0, 3)), *places])
    return points if len(points) else EMPTY_STAGE


def floor_of(stage: Stage) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """The corners (mm) of the floor below everything, in whole metres."""
    points = points_of(stage)[:, :2]
    return np.floor(points.min(0) / 1000.0) * 1000.0, np.ceil(points.max(0) / 1000.0) * 1000.0


def reach_of(stage: Stage) -> float:
    """How far (mm) from its camera an image hangs: a share of the scene's size."""
    points = points_of(stage)
    return float(np.clip(0.09 * np.linalg.norm(points.max(0) - points.min(0)), 250.0, 1500.0))


def rows_of(poses: Poses, person: int) -> list[int]:
    """The rows of an id: one, or several where nobody has a number."""
    return (poses.id == person).nonzero()[:, 0].tolist()


def ray_lines(stage: Stage) -> tuple[tuple[int, list[Float[np.ndarray, "2 3"]]], ...]:
    """The lines of sight (mm) of every person that has some."""
    lines: dict[int, list[Float[np.ndarray, "2 3"]]] = {}
    for ray in stage.rays:
        lines.setdefault(ray.person, []).append(np.stack([ray.start, ray.end]))
    return tuple(lines.items())


def people_of(stage: Stage) -> tuple[int, ...]:
    """The ids of the people who are there now, each once, in the order of their rows."""
    return tuple(dict.fromkeys(stage.people.id.tolist()))


def name_signs(stage: Stage) -> tuple[tuple[int, Float[np.ndarray, " 3"]], ...]:
    """For everybody with a known joint the id and a place (mm) a hand's breadth above the highest one."""
    known, signs = known_joints(stage.people), []
    for row, person in enumerate(stage.people.id.tolist()):
        joints = stage.people.xyz_world[row].double().cpu().numpy()[known[row]]
        if len(joints):
            signs.append((person, np.append(joints[:, :2].mean(0), joints[:, 2].max() + SIGN_MM)))
    return tuple(signs)


def path_of(stage: Stage, person: int) -> Float[np.ndarray, "steps 3"]:
    """Where a person's root was (mm), oldest first, the last row is now; NaN where the person was away.

    The root is the mean of those joints of `skeleton.root_of` that are known.
    """
    path = []
    for poses in (*stage.trails, stage.people):
        rows = rows_of(poses, person)[:1]
        joints = poses.skeleton.indices(poses.skeleton.root_of or poses.skeleton.joints)
        known, xyz = known_joints(poses)[rows][:, joints], poses.xyz_world.double().cpu().numpy()[rows][:, joints]
        path.append(xyz[known].mean(0) if known.any() else np.full(3, np.nan))
    return np.stack(path)


def root_rays(frame: Frame, prediction: Prediction) -> tuple[Ray, ...]:
    """From every camera through the root (mean of `skeleton.root_of`) of every detection that a person was made of.

    A ray ends where it passes closest to the person's root, so the gap that is left is the error of that view.
    """
    skeleton = frame.detections.skeleton
    return _rays(frame, prediction, skeleton.root_of or skeleton.joints)


def joint_rays(joint: str) -> Callable[[Frame, Prediction], tuple[Ray, ...]]:
    """As `root_rays`, through one joint; for `stage_of(..., rays=joint_rays("l_wrist"))`."""

    def rays(frame: Frame, prediction: Prediction) -> tuple[Ray, ...]:
        frame.detections.skeleton.index(joint)  # refused in one sentence where there is none
        return _rays(frame, prediction, (joint,))

    return rays


def stage_of(
    frame: Frame | None,
    prediction: Prediction,
    *,
    truth: Poses | None = None,
    trails: Sequence[Poses] = (),
    images: Sequence[UInt8[np.ndarray, "_ _ 3"] | None] = (),
    rays: Callable[[Frame, Prediction], tuple[Ray, ...]] | None = None,
) -> Stage:
    """The stage of one predicted frame.

    Args:
        frame: cameras and detections; None where nothing but the people is known, and then there are no rays.
        prediction: who was found.
        truth: people to compare with, as ghosts; an answer of another method serves as well.
        trails: poses of earlier frames, oldest first.
        images: what every camera saw, None for a camera without one.
        rays: which lines of sight to draw: none, `root_rays` or `joint_rays(NAME)`.

    Raises:
        ShapeError: the number of images or of members' views is not that of the cameras.
        InputError: `rays` asks for a joint that the skeleton does not have.
    """
    cameras = None if frame is None else frame.cameras
    lines = () if frame is None or rays is None else rays(frame, prediction)
    return Stage(prediction.poses, cameras, tuple(images), truth, tuple(trails), lines)


def stages_over_time(
    frames: Sequence[Frame], predictions: Sequence[Prediction], *, trail: int = 20
) -> tuple[Stage, ...]:
    """One stage per frame, each with the people of so many frames before it as trails: what a film shows."""
    return tuple(
        stage_of(frame, prediction, trails=[p.poses for p in predictions[max(0, step - trail) : step]])
        for step, (frame, prediction) in enumerate(zip(frames, predictions, strict=True))
    )


def _rays(frame: Frame, prediction: Prediction, joints: tuple[str, ...]) -> tuple[Ray, ...]:
    """One ray per detection used, through the mean of those of the joints that the view and the person both have."""
    members, poses, seen = prediction.association.members, prediction.poses, frame.detections
    slots = seen.valid.shape[1]
    if members.shape[1] != len(frame.cameras):
        raise ShapeError(
            f"frame {frame.number}: the prediction speaks of {members.shape[1]} views, "
            f"the frame has {len(frame.cameras)} cameras."
        )
    if members.numel() and int(members.max()) >= slots:
        raise ShapeError(
            f"frame {frame.number}: the prediction has a member {int(members.max())}, "
            f"the frame has {slots} slots in every view; are these members of another file?"
        )
    shared = [name for name in joints if name in poses.skeleton.joints]
    in_view, on_person = seen.skeleton.indices(tuple(shared)), poses.skeleton.indices(tuple(shared))
    known = torch.from_numpy(known_joints(poses))[:, on_person]
    rays = []
    for row, view in (members != ABSENT).nonzero().tolist():
        slot = int(members[row, view])
        both = seen.visible[view, slot, in_view] & known[row]
        if bool(both.any()):
            ray = ray_through(frame.cameras, view, seen.xy_image[view, slot, in_view][both].mean(0), int(poses.id[row]))
            direction, place = ray.end - ray.start, poses.xyz_world[row, on_person][both].mean(0).double().numpy()
            rays.append(replace(ray, end=ray.start + max((place - ray.start) @ direction, 0.0) * direction))
    return tuple(rays)


def ray_through(
    cameras: Cameras, view: int, xy_image: Float[Tensor, " 2"], person: int, *, reach_mm: float = 1.0
) -> Ray:
    """The line of sight through a pixel, as far as told, in the colour of a person."""
    camera = cameras.select(views=[view])
    start, direction = camera.centres[0], camera.directions(xy_image.double()[None])[0]
    return Ray(start.double().numpy(), (start + reach_mm * direction).double().numpy(), person)
