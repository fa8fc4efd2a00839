"""Real motion before real cameras, one image at a time: what networks are measured by that lift keypoints.

Keypoints are the exact projections of twelve joints, from shoulders to wrists and from hips to ankles, or what the
fitted detection model makes of these. The camera is known. No shipped weights have seen either set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.tables.human36m_motion import Clip, place_clip, read_clips
from dispose.datasets.tables.humaneva import read_humaneva
from dispose.models.lifting.view import ViewPeople, confidence_of, view_people
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17, H36M_17, HUMANEVA_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct, cat
from dispose_synthetic.detectors.parameters import FITTED, sample_detectors
from dispose_synthetic.detectors.points import fitted_points
from dispose_synthetic.human36m_rig import TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.one_view import meeting_point
from dispose_synthetic.randomness import Noise

LIMBS = tuple(joint for joint in COCO_17.joints if any(word in joint for word in (
    "shoulder", "elbow", "wrist", "hip", "knee", "ankle")))  # fmt: skip
"""The joints that all sets have, in COCO's order."""

HUMANEVA_EVERY, HUMAN36M_EVERY = 5, 25
"""One frame in so many of the tables: 12 Hz, and one in five seconds."""

EXACT_PX = 0.3
"""What is told of the uncertainty of exact keypoints."""


@dataclass(frozen=True, eq=False)
class LiftTrial(TensorStruct):
    """People in single views of real cameras, and their true joints in the camera's axes, mm from the middle of the
    hips; the joints are `LIMBS`.

    Attributes:
        cameras: of every person one view.
        xy: exact projections, pixels.
        depth: of the middle of the hips, mm.
        xyz_camera: the truth.
        who: number of the subject.
    """

    cameras: Cameras
    xy: Float[Tensor, "persons joints 2"]
    depth: Float[Tensor, " persons"]
    xyz_camera: Float[Tensor, "persons joints 3"]
    who: Int[Tensor, " persons"]

    def __len__(self) -> int:
        return len(self.xy)

    def see(self, joints: tuple[str, ...], *, seed: int | None = None) -> ViewPeople:
        """The people as a lifter of some joints is told of them.

        Args:
            joints: of the lifter; those that are not `LIMBS` are not seen.
            seed: of the fitted detection noise; None = exact keypoints.
        """
        xy, sigma = self.xy, torch.full(self.xy.shape[:2], EXACT_PX)
        if seed is not None:
            source = Noise(torch.Generator().manual_seed(seed))
            model = sample_detectors(source, len(self), FITTED, [1.0] * len(FITTED))
            px_per_mm = self.cameras.matrix[:, 0, 0, 0] / self.depth
            xy, sigma = fitted_points(source, xy, px_per_mm, self.cameras.size[:, 0, 0], LIMBS, model)
        rows = [joints.index(joint) for joint in LIMBS]
        shape = (len(self), len(joints))
        seen = torch.zeros(shape, dtype=torch.bool)
        seen[:, rows] = True
        places, told = torch.zeros(*shape, 2, dtype=torch.float64), torch.zeros(shape)
        places[:, rows], told[:, rows] = xy.double(), sigma.float()
        confidence = confidence_of(told, self.cameras.size[:, 0, :1].float())
        return view_people(joints, self.cameras, places, confidence, seen, told)


def trial_of(cameras: Cameras, xyz_world: Tensor, skeleton: Skeleton, who: int) -> LiftTrial:
    """Frames of one person before a rig: an entry for every frame and view, frame by frame."""
    frames, views = len(xyz_world), len(cameras)
    limbs = xyz_world[:, skeleton.indices(LIMBS)]
    hips = limbs[:, [LIMBS.index("l_hip"), LIMBS.index("r_hip")]].mean(1)
    xy, _ = cameras.project(limbs)
    xyz, root = cameras.to_camera(limbs), cameras.to_camera(hips)
    number = torch.arange(views).repeat(frames)
    single = cameras.select(views=[0])
    fields = {
        name: vars(cameras)[name][number][:, None]
        for name in ("size", "matrix", "distortion", "rotation", "translation")
    }
    several = Cameras(single.names, **fields)
    about = (xyz - root[:, :, None]).transpose(0, 1).flatten(0, 1)
    return LiftTrial(
        several,
        xy.transpose(0, 1).flatten(0, 1),
        root[..., 2].transpose(0, 1).flatten(),
        about,
        torch.full((frames * views,), who),
    )


def humaneva_views(data: Path, *, every: int = HUMANEVA_EVERY) -> LiftTrial:
    """HumanEva's validation clips, every view of one frame in `every`."""
    found = []
    for frame, labels in read_humaneva(data / "humaneva", every=every):
        if bool(labels.poses.valid.all()):
            found.append(trial_of(frame.cameras, labels.poses.xyz_world, HUMANEVA_15, int(labels.poses.id[0])))
    return join(found)


def human36m_views(
    data: Path, *, every: int = HUMAN36M_EVERY, subjects: tuple[str, ...] = TRAINING_SUBJECTS
) -> LiftTrial:
    """Human3.6M motion placed in its own cameras, every view of one frame in `every`."""
    placed = placed_clips(data, every=every, subjects=subjects)
    return join([trial_of(human36m_rig(clip.subject), xyz, H36M_17, int(clip.subject[1:])) for clip, xyz in placed])


def join(trials: Sequence[LiftTrial]) -> LiftTrial:
    """All people of several."""
    names = ("size", "matrix", "distortion", "rotation", "translation")
    cameras = {name: torch.cat([vars(one.cameras)[name] for one in trials]) for name in names}
    return replace(cat(trials, "persons"), cameras=replace(trials[0].cameras, **cameras))


def placed_clips(
    data: Path, *, every: int, subjects: tuple[str, ...]
) -> Iterator[tuple[Clip, Float[Tensor, "frames joints 3"]]]:
    """The recordings of some subjects in their room, mm."""
    for clip in read_clips(data / "h36m_motion"):
        if clip.subject in subjects:
            yield clip, place_clip(clip, meeting_point(human36m_rig(clip.subject)))[::every]


@dataclass(frozen=True)
class NamedTrial:
    """A set by name: the folder that it needs, and what reads it."""

    name: str
    title: str
    folder: str
    read: Callable[[Path], LiftTrial]


TRIALS = (
    NamedTrial("humaneva", "HumanEva, validation", "humaneva", humaneva_views),
    NamedTrial("human36m", "Human3.6M motion, placed", "h36m_motion", human36m_views),
)
