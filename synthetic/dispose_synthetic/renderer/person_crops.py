"""Pictures of one person each, cut out of what a camera sees: only the cut is drawn."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.geometry.image_affine import crop
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.renderer.backdrop import draw_room
from dispose_synthetic.renderer.bodies import PARTS, Builds, bodies, part_of, sample_outfits
from dispose_synthetic.renderer.captures import Cast, light_people, sample_builds
from dispose_synthetic.renderer.lenses import Lenses, Sensors, expose, lenses_of
from dispose_synthetic.renderer.rooms import Room
from dispose_synthetic.renderer.solids import strike


@dataclass(frozen=True)
class CropConfig:
    """How people are cut out.

    Attributes:
        size: width and height of a picture, pixels.
        margin: least and most width and height of the cut, in those of the joints.
        shift: largest distance of its middle from theirs, as a share of its width and height.
    """

    size: tuple[int, int] = (96, 128)
    margin: tuple[float, float] = (1.15, 1.45)
    shift: float = 0.05


Draw = Callable[[Noise, Lenses, Tensor], Tensor]
"""The light (packed pixels x RGB) that people of COCO's joints in the world send into all pixels."""


@dataclass(frozen=True, eq=False)
class FilmedPeople(TensorStruct):
    """Pictures of one person each, with the truth.

    Attributes:
        pixels: RGB.
        input_from_image: where the pictures lie in the images of their cameras.
        size, matrix, distortion, rotation, translation: of every person's camera, as in `Cameras`.
        xyz_world: COCO's joints, mm.
    """

    pixels: UInt8[Tensor, "persons height width 3"]
    input_from_image: Float[Tensor, "persons 2 3"]
    size: Float[Tensor, "persons 2"]
    matrix: Float[Tensor, "persons 3 3"]
    distortion: Float[Tensor, "persons 8"]
    rotation: Float[Tensor, "persons 3 3"]
    translation: Float[Tensor, "persons 3"]
    xyz_world: Float[Tensor, "persons 17 3"]

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def cameras(self) -> Cameras:
        """Of every person one view (``persons 1 …``)."""
        parts = (self.size, self.matrix, self.distortion, self.rotation, self.translation)
        return Cameras((), *(part[:, None] for part in parts))


def film_person(
    source: Noise, cameras: Cameras, xyz_world: Float[Tensor, "17 3"], draw: Draw, sensors: Sensors, config: CropConfig
) -> FilmedPeople:
    """One person as every camera of a rig sees them: a row per view."""
    xy, _ = cameras.project(xyz_world.double())
    low, high = xy.amin(1), xy.amax(1)
    views, (width, height) = len(cameras), config.size
    size = (high - low) * between(source, (views, 1), *config.margin)
    centre = (low + high) / 2 + config.shift * size * (2 * source.uniform((views, 2)) - 1)
    affine = crop(centre, size, config.size)
    lenses = lenses_of(cut_cameras(cameras, affine, config.size), config.size)
    light = draw(source, lenses, xyz_world[None].float())
    pixels = expose(source, light.reshape(-1, height, width, 3), sensors)
    camera = (cameras.size, cameras.matrix, cameras.distortion, cameras.rotation, cameras.translation)
    return FilmedPeople(pixels, affine, *camera, xyz_world.float().expand(views, -1, -1))


def cut_cameras(cameras: Cameras, input_from_image: Float[Tensor, "views 2 3"], size: tuple[int, int]) -> Cameras:
    """Cameras whose whole image is the cut; the lens stays."""
    matrix = input_from_image @ cameras.matrix
    last = cameras.matrix[:, 2:]
    whole = torch.tensor(size, dtype=torch.float64).expand(len(cameras), 2)
    return replace(cameras, size=whole, matrix=torch.cat([matrix, last], 1))


def dressed(room: Room) -> Draw:
    """People in random clothes in a room."""

    def draw(source: Noise, lenses: Lenses, xyz: Float[Tensor, "persons 17 3"]) -> Float[Tensor, "pixels 3"]:
        heights = (xyz[..., 2].amax(1) - xyz[..., 2].amin(1)).clamp(min=900.0)
        cast = Cast(xyz, sample_builds(source, heights), sample_outfits(source, len(xyz)))
        colour, _ = light_people(lenses, draw_room(room, lenses), room.light, cast)
        return colour

    return draw


_LEFT, _RIGHT, _MIDDLE = (0.85, 0.25, 0.2), (0.2, 0.35, 0.9), (0.75, 0.72, 0.65)
MANNEQUIN = torch.tensor([{"l_": _LEFT, "r_": _RIGHT}.get(part[:2], _MIDDLE) for part in PARTS])
"""The colour of every part: left, right and what lies between."""

LAMP = torch.tensor([0.0, -0.8, -0.6])
"""Where the lamp of every camera is, in its axes: above it. How bright a limb is tells how it is tilted."""


def mannequins(source: Noise, lenses: Lenses, xyz: Float[Tensor, "persons 17 3"]) -> Float[Tensor, "pixels 3"]:
    """People of one build and three colours before an even background, lit by a lamp at the camera."""
    persons, ones = len(xyz), torch.ones(len(xyz))
    solids = bodies(xyz, Builds(ones, ones, ones, ones, torch.zeros(persons)))
    pixels = lenses.pixels // len(lenses.cameras)
    light = between(source, (len(lenses.cameras), 1, 1), 0.1, 0.6).expand(-1, pixels, 3).flatten(0, 1).clone()
    found = strike(solids, lenses, torch.full((lenses.pixels,), torch.inf))
    part, _ = part_of(found.solid, persons)
    towards = (lenses.cameras.rotation.mT.float() @ LAMP)[found.pixel // pixels]
    facing = (found.normal * towards).sum(-1, keepdim=True)
    light[found.pixel] = MANNEQUIN[part] * (0.25 + 0.85 * facing.clamp(min=0.0))
    return light
