"""Heat maps of one person in several views, drawn without images: what a detector would say, and where it lies.

A joint is seen well, or badly: faintly, broadly and in a wrong place (sometimes the right one shows through), or
sharply on the joint of the other side of the body. Only the maps tell which, and heights and widths of both overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.geometry.image_affine import apply, crop, map_from_input
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose.skeletons.skeleton import conversion_between, convert_joints
from dispose.tensors import TensorStruct, stack
from dispose_synthetic.people import PeopleConfig, place_people, sample_people
from dispose_synthetic.randomness import Noise, between

STRIDE = 4
"""Pixels of the network's input per pixel of a map."""

HEAD_REACH = 0.8
"""The top of the head, which the procedural people lack: so far beyond the ears, in lengths from the neck to them."""


@dataclass(frozen=True)
class JointMapConfig:
    """What maps are drawn from.

    Attributes:
        size: width and height of every map.
        margin: side of the cut around a person, in extents of its joints in the image.
        floor_mm: people stand within this distance of the place that the cameras look at, along x and y.
        noise_px: deviation of a well seen joint, along x and y, pixels of the original image.
        height: of a well seen joint, least and most.
        faint: height of a badly seen one.
        sharp: width of a well seen one, pixels of the map, least and most.
        broad: width of a badly seen one.
        shift_px: how far a faint peak lies from the joint, least and most, pixels of the original image.
        swapped: share of the badly seen joints that are sharp, on the other side of the body.
        shining: share of the faint ones where the right place shows through.
        clutter: height of the noise of a map.
    """

    size: tuple[int, int] = (48, 48)
    margin: float = 1.25
    floor_mm: float = 1200.0
    noise_px: float = 2.0
    height: tuple[float, float] = (0.45, 1.0)
    faint: tuple[float, float] = (0.15, 0.6)
    sharp: tuple[float, float] = (1.2, 2.2)
    broad: tuple[float, float] = (1.8, 5.0)
    shift_px: tuple[float, float] = (25.0, 120.0)
    swapped: float = 0.3
    shining: float = 0.4
    clutter: float = 0.02


@dataclass(frozen=True, eq=False)
class JointMaps(TensorStruct):
    """One person per sample, as every view's maps say.

    Attributes:
        cameras: of every sample.
        input_from_image: where the maps' input (`STRIDE` times their size) lies in the original images.
        xyz_world: the joints (Human3.6M's 17), mm.
        maps: non-negative heat.
        wrong: which joints are badly seen in which view.
    """

    cameras: Cameras
    input_from_image: Float[Tensor, "samples views 2 3"]
    xyz_world: Float[Tensor, "samples joints 3"]
    maps: Float[Tensor, "samples views joints height width"]
    wrong: Bool[Tensor, "samples views joints"]


def sample_joints(source: Noise, samples: int) -> Float[Tensor, "samples 17 3"]:
    """People of all sizes at the origin, facing anywhere, with Human3.6M's joints, mm."""
    xyz = sample_people(source, samples, 1, PeopleConfig()).xyz_body[:, 0]
    xyz = place_people(xyz, torch.zeros(samples, 2), between(source, (samples,), 0.0, 2 * torch.pi))
    known = torch.ones(xyz.shape[:2], dtype=torch.bool)
    joints, _, _ = convert_joints(xyz, known.to(xyz.dtype), known, conversion_between(COCO_17, H36M_17))
    neck, ears = joints[:, H36M_17.index("neck")], xyz[:, COCO_17.indices(("l_ear", "r_ear"))].mean(1)
    joints[:, H36M_17.index("head_top")] = ears + HEAD_REACH * (ears - neck)
    return joints


def looked_at(cameras: Cameras) -> Float[Tensor, "*batch 2"]:
    """Where the floor is nearest to the optical axes of the cameras, mm."""
    axis = cameras.rotation[..., 2, :]
    across = torch.eye(3, dtype=axis.dtype) - axis[..., :, None] * axis[..., None, :]
    normal, target = across.sum(-3), (across @ cameras.centres[..., None])[..., 0].sum(-2)
    return torch.linalg.solve(normal, target)[..., :2]


def draw_joint_maps(
    generator: torch.Generator,
    rigs: Sequence[Cameras],
    wrong_views: Int[Tensor, " samples"],
    config: JointMapConfig = JointMapConfig(),
) -> JointMaps:
    """Maps of new people.

    Args:
        generator: source of everything random.
        rigs: one of a sample, all with equally many cameras.
        wrong_views: in how many views of a sample every joint is badly seen; which they are is drawn joint by joint.
        config: what the maps are like.
    """
    source, samples = Noise(generator), len(rigs)
    cameras = stack([replace(rig, names=()) for rig in rigs])
    middle = looked_at(cameras)
    joints = sample_joints(source, samples).double()
    floor = middle + config.floor_mm * (2 * source.uniform((samples, 2)).double() - 1)
    joints[..., :2] += floor[:, None]
    xy, _ = cameras.project(joints)
    low, high = xy.amin(2), xy.amax(2)
    side = config.margin * (high - low).amax(-1, keepdim=True).expand_as(low)
    affine = crop((low + high) / 2, side, (STRIDE * config.size[0], STRIDE * config.size[1]))
    order = source.uniform(xy.shape[:3]).argsort(1).argsort(1)
    wrong = order < wrong_views[:, None, None]
    maps = _draw(source, xy, affine, wrong, config)
    return JointMaps(cameras, affine, joints, maps, wrong)


def _draw(
    source: Noise,
    xy_image: Float[Tensor, "samples views joints 2"],
    affine: Float[Tensor, "samples views 2 3"],
    wrong: Bool[Tensor, "samples views joints"],
    config: JointMapConfig,
) -> Float[Tensor, "samples views joints height width"]:
    """The maps of all joints."""
    shape = xy_image.shape[:3]
    midline = torch.tensor(H36M_17.mirror) == torch.arange(len(H36M_17))
    swapped = wrong & (source.uniform(shape) < config.swapped) & ~midline
    faint = wrong & ~swapped
    seen = xy_image + config.noise_px * source.normal(xy_image.shape)
    turn, far = between(source, shape, 0.0, 2 * torch.pi), between(source, shape, *config.shift_px)
    away = seen + torch.stack([far * turn.cos(), far * turn.sin()], -1)
    place = torch.where(swapped[..., None], seen[:, :, H36M_17.mirror], torch.where(faint[..., None], away, seen))
    height = torch.where(faint, between(source, shape, *config.faint), between(source, shape, *config.height))
    sharp = between(source, shape, *config.sharp)
    width = torch.where(faint, between(source, shape, *config.broad), sharp)
    shines = faint & (source.uniform(shape) < config.shining)
    through = torch.where(shines, height * between(source, shape, 0.3, 0.8), 0.0)
    both = apply(affine[:, :, None, None], torch.stack([place, seen], 3))
    both = map_from_input(both, STRIDE).float()
    peaks = _peaks(both[..., 0, :], height, width, config.size)
    peaks = torch.maximum(peaks, _peaks(both[..., 1, :], through, sharp, config.size))
    return (peaks + config.clutter * source.uniform(peaks.shape)).clamp(max=1.0)


def _peaks(
    xy_map: Float[Tensor, "*maps 2"],
    height: Float[Tensor, "*maps"],
    sigma: Float[Tensor, "*maps"],
    size: tuple[int, int],
) -> Float[Tensor, "*maps height width"]:
    """Gaussians of some height and width."""
    x, y = (torch.arange(n, dtype=xy_map.dtype) for n in size)
    across = torch.exp(-0.5 * ((x - xy_map[..., :1]) / sigma[..., None]).square())
    down = torch.exp(-0.5 * ((y - xy_map[..., 1:]) / sigma[..., None]).square())
    return height[..., None, None] * down[..., :, None] * across[..., None, :]
