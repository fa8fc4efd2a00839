"""Single people in pictures of known cameras, with their measured joints: what lifters learn from and are scored on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.skeletons.skeleton import Skeleton, conversion_between, convert_joints
from dispose.tensors import TensorStruct, cat

CAMERA_FIELDS = ("size", "matrix", "distortion", "rotation", "translation")


@dataclass(frozen=True)
class Names:
    """What numbers in a data set stand for: the joints of keypoints and of the truth, the subjects and the actions."""

    keypoints: Skeleton
    skeleton: Skeleton
    subjects: tuple[str, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LabelledPeople(TensorStruct):
    """A person per row, as one camera saw them; rows are taken by ``people[rows]``.

    Attributes:
        names: of joints, subjects and actions.
        cameras: of every person one view.
        xy_image: keypoints in pixels, as OpenCV's lens shows them; 0 where not seen.
        sigma_px: their standard deviation in either direction; 0 where the file does not say.
        seen: which keypoints there are.
        xyz_camera: measured joints, mm, in the camera's axes from its centre; 0 where not known.
        known: which joints there are.
        subject: who is seen.
        action: what they do.
        number: of the frame in its recording, from 0.
        row: of the file's table, where it has one.
        mixture: weight, mean x and y, deviation of x and y of the parts of a keypoint, pixels; None where a file knows
            one place only.
        left_out: rows without a keypoint, or without a root, that is a number.
    """

    names: Names
    cameras: Cameras
    xy_image: Float[Tensor, "persons keypoints 2"]
    sigma_px: Float[Tensor, "persons keypoints"]
    seen: Bool[Tensor, "persons keypoints"]
    xyz_camera: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]
    subject: Int[Tensor, " persons"]
    action: Int[Tensor, " persons"]
    number: Int[Tensor, " persons"]
    row: Int[Tensor, " persons"]
    mixture: Float[Tensor, "persons keypoints parts 5"] | None = None
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.number)

    @property
    def action_names(self) -> tuple[str, ...]:
        """What everybody does, for means over actions."""
        return tuple(self.names.actions[row] for row in self.action.tolist())

    def about_root(self) -> Float[Tensor, "persons joints 3"]:
        """Joints relative to the skeleton's root, mm; 0 where a joint is not known."""
        root = self.xyz_camera[:, self.names.skeleton.indices(self.names.skeleton.root_of)].mean(1, keepdim=True)
        return torch.where(self.known[..., None], self.xyz_camera - root, 0.0)

    def converted(self, skeleton: Skeleton) -> "LabelledPeople":
        """Keypoints and truth as joints of another skeleton, by their names; parts of mixtures are left behind.

        Of people whose root is then unknown, no joint is known.
        """
        told = torch.cat([self.xy_image, self.sigma_px[..., None]], -1)
        of_keypoints = conversion_between(self.names.keypoints, skeleton)
        told, _, seen = convert_joints(told, self.seen.to(told), self.seen, of_keypoints)
        of_truth = conversion_between(self.names.skeleton, skeleton)
        xyz, _, known = convert_joints(self.xyz_camera, self.known.to(told), self.known, of_truth)
        known = known & known[:, skeleton.indices(skeleton.root_of)].all(1, keepdim=True)
        return replace(
            self, names=replace(self.names, keypoints=skeleton, skeleton=skeleton), xy_image=told[..., :2],
            sigma_px=told[..., 2], seen=seen, xyz_camera=xyz, known=known, mixture=None,
        )  # fmt: skip


def people_of(
    names: Names,
    cameras: Cameras,
    told: Float[Tensor, "persons keypoints 2"] | Float[Tensor, "persons keypoints parts 5"],
    xyz_camera: Float[Tensor, "persons joints 3"],
    who: Int[Tensor, "persons 4"],
) -> LabelledPeople:
    """People as a file has them, places or mixtures; what is no number is not seen, or not known.

    People without a keypoint or a root are left out and counted.

    Args:
        names: of joints, subjects and actions.
        cameras: of every person one view.
        told: keypoints in pixels.
        xyz_camera: joints, mm.
        who: numbers of subject, action, frame and row.
    """
    seen = torch.isfinite(told).flatten(2).all(-1)
    known = torch.isfinite(xyz_camera).all(-1)
    told = torch.where(seen[(..., *(None,) * (told.ndim - 2))], told, 0.0)
    mean, variance, mixture = told, torch.zeros_like(told), None
    if told.ndim == 4:
        mixture, weight = told, told[..., :1] / told[..., :1].sum(-2, keepdim=True).clamp(min=1e-12)
        mean = (weight * told[..., 1:3]).sum(-2)
        variance = (weight * (told[..., 3:] ** 2 + (told[..., 1:3] - mean[..., None, :]) ** 2)).sum(-2)
    there = seen.any(1) & known[:, names.skeleton.indices(names.skeleton.root_of)].all(1)
    xyz = torch.where(known[..., None], xyz_camera, 0.0)
    sigma = variance.mean(-1).sqrt()
    subject, action, number, row = who.unbind(1)
    found = LabelledPeople(names, cameras, mean, sigma, seen, xyz, known, subject, action, number, row, mixture)
    return replace(found[there], left_out=int((~there).sum()))


def one_view(rig: Cameras, view: int, people: int) -> Cameras:
    """One camera of a rig, for so many people."""
    single = rig.select(views=[view])
    each = {name: vars(single)[name].expand(people, *vars(single)[name].shape) for name in CAMERA_FIELDS}
    return Cameras(single.names, **each)


def join_people(parts: Sequence[LabelledPeople], where: object) -> LabelledPeople:
    """Everybody of several records with the same names; `InputError` says where there is nobody."""
    if sum(map(len, parts)) == 0:
        raise InputError(f"{where}: nobody in it, of the subjects and frames that are asked for.")
    rigs = {name: torch.cat([vars(one.cameras)[name] for one in parts]) for name in CAMERA_FIELDS}
    left_out = sum(one.left_out for one in parts)
    return replace(cat(parts, "persons"), cameras=replace(parts[0].cameras, **rigs), left_out=left_out)


def screen_of_pixels(
    xy_image: Float[Tensor, "*batch 2"], size: Float[Tensor, "*#batch 2"]
) -> Float[Tensor, "*batch 2"]:
    """VideoPose3D's screen coordinates: x from -1 to 1 over the width, y about the middle in the same unit."""
    return (2 * xy_image - size) / size[..., :1]


def pixels_of_screen(
    xy_screen: Float[Tensor, "*batch 2"], size: Float[Tensor, "*#batch 2"]
) -> Float[Tensor, "*batch 2"]:
    """Inverse of `screen_of_pixels`."""
    return (xy_screen * size[..., :1] + size) / 2
