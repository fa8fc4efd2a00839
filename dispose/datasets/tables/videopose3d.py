"""Human3.6M (ionescu2014h36m) in VideoPose3D's files: real detections of four synchronised views, and the truth.

``data_3d_h36m.npz``: ``positions_3d[subject][action]``, (frames, 32, 3), metres. ``data_2d_h36m_*.npz``:
``positions_2d[subject][action][camera]``, (frames, joints, 2), pixels, and ``metadata``, whose symmetry tells which
joints they are: Human3.6M's seventeen or COCO's.

Gong's DiffPose (gong2023diffpose) keeps in the same tree what is uncertain: (frames, 17, parts, 5), of each part its
weight, the mean and the standard deviation of x and y. In the files in circulation one part has all the weight.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.human36m_choice import ACTIONS, CAMERAS, RAW_ROWS, SUBJECTS, FrameChoice, Rigs, action_number
from dispose.datasets.labelled_people import LabelledPeople, Names, join_people, one_view, people_of
from dispose.datasets.tables.reading import LabelledFrames, require
from dispose.errors import InputError
from dispose.formats.plain_pickle import load_plain_arrays
from dispose.geometry.human36m_lens import opencv_place
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose.skeletons.skeleton import Skeleton

RAW_JOINTS = 32

MM_PER_METRE = 1000.0
SCREEN_PX = 500.0
"""Pixels of one screen coordinate: half the width of Human3.6M's pictures."""


def read_videopose3d(
    poses: Path, keypoints: Path, rigs: Rigs, subjects: Sequence[str] = SUBJECTS
) -> Mapping[str, LabelledFrames]:
    """The recordings that both files hold, by ``SUBJECT/ACTION``, each frame with four views of one person.

    A camera may film on after the motion capture has ended: those keypoints are left out. Scores are 1, for the files
    have none; a keypoint that is no number is not seen. Keypoints are as Human3.6M's own lens shows them.

    Args:
        poses: ``data_3d_h36m.npz``.
        keypoints: ``data_2d_h36m_gt.npz``, ``data_2d_h36m_cpn_ft_h36m_dbb.npz`` or another of them.
        rigs: the cameras of a subject.
        subjects: whose recordings; others are left out.

    Raises:
        InputError: names file, subject, action and camera of what is not as it should be.
    """
    space = read_tree(poses, "positions_3d")
    stored = load_plain_arrays(require(keypoints))
    images = read_tree(keypoints, "positions_2d", stored)
    skeleton = skeleton_of(keypoints, stored.get("metadata"))
    found = {}
    for subject in subjects:
        mine = rigs(subject)
        for action, views in images.get(subject, {}).items():
            if action not in space.get(subject, {}):
                continue
            xyz = _places(f"{poses}: {subject}, {action}", space[subject][action])
            if not bool(xyz.isfinite().all()):
                lost = int((~xyz.isfinite()).nonzero()[0, 0])
                raise InputError(f"{poses}: {subject}, {action}: frame {lost} has a joint that is no number.")
            xy = _views(f"{keypoints}: {subject}, {action}", views, len(xyz), len(skeleton), 2)
            xy = opencv_place(xy, mine.matrix[:, None, None], mine.distortion[:, None, None])
            frame_of = partial(_frame, mine, skeleton, xyz, xy)
            found[f"{subject}/{action}"] = LabelledFrames(mine, tuple(range(len(xyz))), frame_of)
    if not found:
        raise InputError(f"{keypoints}: no action of any subject that {poses} has too.")
    return found


def read_videopose3d_views(poses: Path, keypoints: Path, rigs: Rigs, choice: FrameChoice) -> LabelledPeople:
    """The chosen frames of both files, every view of a frame a person of its own.

    The released code adds noise of a mixture's deviations, as they stand in the file, to screen coordinates: where none
    of a file reaches 1 they are such, else pixels as the means are.

    Args:
        poses: ``data_3d_h36m.npz``.
        keypoints: places (``data_2d_h36m_*.npz``) or Gong's mixtures, whose mean and mean deviation are then told too.
        rigs: the cameras of a subject.
        choice: of subjects and frames.

    Raises:
        InputError: names file, subject, action and camera of what is not as it should be.
    """
    space, stored = read_tree(poses, "positions_3d"), load_plain_arrays(require(keypoints))
    images, people = read_tree(keypoints, "positions_2d", stored), list[LabelledPeople]()
    trees = [views for actions in images.values() for views in actions.values()]
    parts, unit_px = next(map(_parts_of, trees), 0), _deviation_px(trees)
    skeleton = H36M_17 if parts and "metadata" not in stored else skeleton_of(keypoints, stored.get("metadata"))
    names = Names(skeleton, H36M_17, SUBJECTS, ACTIONS)
    for subject in choice.subjects:
        for recording, views in images.get(subject, {}).items():
            if recording not in space.get(subject, {}):
                continue
            rig, where = rigs(subject), f"{keypoints}: {subject}, {recording}"
            xyz = rig.to_camera(_places(f"{poses}: {subject}, {recording}", space[subject][recording]))
            told = _views(where, views, xyz.shape[1], len(skeleton), *((parts, 5) if parts else (2,)))
            action = action_number(where, recording)
            for view, camera in enumerate(CAMERAS):
                frames = choice.frames(subject, recording, camera, xyz.shape[1])
                if not frames:
                    continue
                here = told[view, frames]
                xy = opencv_place(here[..., 1:3] if parts else here, rig.matrix[view], rig.distortion[view])
                if parts:
                    # Parts without weight hold nothing.
                    here = torch.cat([here[..., :1], xy, here[..., 3:] * unit_px], -1)
                    xy = torch.where(here[..., :1] > 0, here, 0.0)
                who = torch.tensor([[SUBJECTS.index(subject), action, n, n] for n in frames])
                people.append(
                    people_of(names, one_view(rig, view, len(frames)), xy, xyz[view, frames], who.reshape(-1, 4))
                )
    return join_people(people, keypoints)


def _deviation_px(trees: Sequence[object]) -> float:
    """Pixels of the unit of a file's deviations."""
    each = [view for views in trees if _parts_of(views) for view in views]  # type: ignore[union-attr]
    largest = [np.nanmax(v[..., 3:], initial=0) for v in each if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    return SCREEN_PX if max(largest, default=1.0) < 1.0 else 1.0


def _parts_of(views: object) -> int:
    """How many parts the mixtures of a file have; 0 where it holds places."""
    first = views[0] if isinstance(views, list | tuple | np.ndarray) and len(views) else None
    return first.shape[2] if isinstance(first, np.ndarray) and first.ndim == 4 else 0


def read_tree(path: Path, name: str, stored: Mapping[str, object] | None = None) -> Mapping[str, Mapping[str, object]]:
    """The dictionary of subjects and actions."""
    stored = load_plain_arrays(require(path)) if stored is None else stored
    tree = stored.get(name)
    if not isinstance(tree, Mapping):
        raise InputError(f"{path}: no dictionary {name!r} in it (there is {', '.join(stored) or 'nothing'}).")
    for subject, actions in tree.items():
        if not isinstance(actions, Mapping):
            raise InputError(f"{path}: {name} of {subject}: a dictionary of actions is expected.")
    return tree


def skeleton_of(path: Path, metadata: object) -> Skeleton:
    """The skeleton whose left and right joints are those of the file."""
    symmetry = metadata.get("keypoints_symmetry") if isinstance(metadata, Mapping) else None
    try:
        found = [sorted(int(joint) for joint in side) for side in symmetry]  # type: ignore[union-attr]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: metadata has no 'keypoints_symmetry', two lists of joints.") from error
    for skeleton in (H36M_17, COCO_17):
        sides = [[row for row, joint in enumerate(skeleton.joints) if joint.startswith(side)] for side in ("l_", "r_")]
        if found == sides:
            return skeleton
    raise InputError(f"{path}: the 'keypoints_symmetry' {found} is neither Human3.6M's nor COCO's.")


def _places(where: str, value: object) -> Float[Tensor, "frames 17 3"]:
    """The truth of an action, mm."""
    if not isinstance(value, np.ndarray) or value.shape[1:] != (RAW_JOINTS, 3) or value.dtype.kind != "f":
        raise InputError(f"{where}: positions are {_shape(value)}, not [frames, {RAW_JOINTS}, 3].")
    return MM_PER_METRE * torch.from_numpy(value[:, list(RAW_ROWS)].astype(np.float64))


def _views(where: str, value: object, frames: int, *shape: int) -> Float[Tensor, "views frames ..."]:
    """What all cameras say of every frame, as long as the truth."""
    if not isinstance(value, list | tuple | np.ndarray) or len(value) != len(CAMERAS):
        count = len(value) if isinstance(value, list | tuple | np.ndarray) else 0
        raise InputError(f"{where}: {count} cameras, there must be {len(CAMERAS)}.")
    each, wanted = [], ", ".join(map(str, ("frames", *shape)))
    for camera, xy in zip(CAMERAS, value, strict=True):
        if not isinstance(xy, np.ndarray) or xy.shape[1:] != shape or xy.dtype.kind != "f":
            raise InputError(f"{where}, camera {camera}: keypoints are {_shape(xy)}, not [{wanted}].")
        if len(xy) < frames:
            raise InputError(f"{where}, camera {camera}: {len(xy)} frames, the motion capture has {frames}.")
        each.append(torch.from_numpy(xy[:frames].astype(np.float64)))
    return torch.stack(each)


def _shape(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, np.ndarray) else type(value).__name__


def _frame(
    cameras: Cameras,
    skeleton: Skeleton,
    xyz: Float[Tensor, "frames 17 3"],
    xy: Float[Tensor, "views frames joints 2"],
    number: int,
) -> tuple[Frame, Labels]:
    """One instant: everybody's slot is the first."""
    seen = torch.isfinite(xy[:, number]).all(-1)
    place = torch.where(seen[..., None], xy[:, number], 0.0)
    rows = torch.cat([place, seen[..., None].to(place.dtype)], dim=-1)
    detections = Detections.from_lists(skeleton, [[row] for row in rows])
    known = torch.ones(1, len(H36M_17), dtype=torch.bool)
    poses = Poses(H36M_17, xyz[number][None], known.double(), known, torch.zeros(1, dtype=torch.long))
    return Frame(number, cameras, detections), Labels.of_detections(torch.zeros(len(cameras), 1).long(), poses)
