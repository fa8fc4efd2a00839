"""Synthetic images: dressed people in furnished rooms as every camera of a rig sees them.

for number, capture in enumerate(sample_captures(torch.Generator().manual_seed(0), 100)):
frame, labels = as_input(capture, number), as_labels(capture)
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.images.series import IMAGENET_DEVIATION, IMAGENET_MEAN
from dispose.scene.cameras import Cameras
from dispose.scene.convert import convert_poses
from dispose.scene.frame import Detections, Frame, Images, Labels, Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.tensors import TensorStruct
from dispose_synthetic.people import PeopleConfig, place_people, present_mask, sample_people
from dispose_synthetic.placement import (
    CLOSEST_MM,
    PUSHES,
    Furniture,
    from_cameras,
    push_apart,
    sample_floor,
    sample_furniture,
)
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.renderer.backdrop import Backdrop, draw_room, floor_shadow
from dispose_synthetic.renderer.bodies import PARTS, Builds, Outfits, bodies, paint, part_of, sample_outfits
from dispose_synthetic.renderer.lenses import Lenses, Sensors, expose, lenses_of, sample_sensors
from dispose_synthetic.renderer.rooms import Light, Room, sample_clutter, sample_room
from dispose_synthetic.renderer.solids import Strikes, strike
from dispose_synthetic.rigs import CEILING, CORNERS, HALF_CIRCLE, RING, RigArchetype, sample_rooms

HIDDEN_CONFIDENCE = 0.35
"""Label confidence of a joint inside the image that something hides: its place is exact, but a detector that
makes pseudo-labels would only have guessed it."""
OWN_ALLOWANCE_MM = 190.0
"""A joint lies inside its own limb: that limb's surface may be nearer to the camera by this much."""
OTHER_ALLOWANCE_MM = 25.0
"""The same for everything else."""
IMAGE_RIGS = (
    replace(RING, views=(3, 7), focal=(0.7, 1.0), radius=(2300, 3700), room=(600, 1500), distortion=0.6),
    replace(CORNERS, views=(3, 7), focal=(0.65, 0.95), radius=(2300, 3700), room=(600, 1500), distortion=0.6),
    replace(HALF_CIRCLE, views=(3, 7), focal=(0.7, 1.0), radius=(2300, 3700), room=(600, 1400), distortion=0.6),
    replace(CEILING, views=(3, 7), focal=(0.55, 0.8), radius=(1200, 3000), room=(600, 1300), distortion=0.6),
)
"""Rings, corners, half circles and ceilings, close enough that people are 50-140 pixels tall at 256 x 192."""


@dataclass(frozen=True)
class RenderConfig:
    """What images are drawn from.

    Attributes:
        size: width and height of every image, pixels.
        views: fewest and most cameras.
        persons: fewest and most people in the room.
        empty: share of the frames without anybody.
        frames_per_rig: frames filmed by one rig in one room before the next is built.
        rigs: kinds of rigs.
        people: what people do.
        spacing_mm: people's hips are at least about this far apart on the floor.
        furniture: share of the rooms with furniture among the people.
        noise: least and most deviation of the sensor's noise, of full scale.
        blur: least and most deviation of the point spread, pixels.
    """

    size: tuple[int, int] = (256, 192)
    views: tuple[int, int] = (3, 7)
    persons: tuple[int, int] = (1, 5)
    empty: float = 0.02
    frames_per_rig: int = 8
    rigs: tuple[RigArchetype, ...] = IMAGE_RIGS
    people: PeopleConfig = PeopleConfig()
    spacing_mm: float = 480.0
    furniture: float = 0.35
    noise: tuple[float, float] = (0.005, 0.03)
    blur: tuple[float, float] = (0.45, 0.9)

    def __post_init__(self) -> None:
        if min(self.size) < 16:
            raise InputError(f"picture size {self.size[0]} x {self.size[1]} is too small; 16 x 16 at least")
        for name, (low, high), least in (("views", self.views, 1), ("persons", self.persons, 0)):
            if not least <= low <= high:
                raise InputError(f"{name} of synthetic pictures are {low} to {high}; they must rise, from {least} on")
        for name, (low, high) in (("noise", self.noise), ("blur", self.blur)):
            if not 0 <= low <= high:
                raise InputError(f"{name} of synthetic pictures is {low} to {high}; it must rise, from 0 on")
        for name, share in (("empty", self.empty), ("furniture", self.furniture)):
            if not 0 <= share <= 1:
                raise InputError(f"{name} is {share}; it is a share from 0 to 1")
        if not self.spacing_mm > 0:
            raise InputError(f"spacing_mm is {self.spacing_mm}; it must be positive")
        if self.frames_per_rig < 1:
            raise InputError(f"frames_per_rig is {self.frames_per_rig}; at least 1")
        if not self.rigs:
            raise InputError("synthetic pictures need at least one kind of rig")


@dataclass(frozen=True, eq=False)
class RenderedFrame(TensorStruct):
    """The images (RGB) of one instant, the cameras they were drawn for, and the truth: skeletons of everybody in the
    room, which joints lie in front of a camera and inside its image, and which of these nothing hides.
    """

    cameras: Cameras
    images: UInt8[Tensor, "views height width 3"]
    poses: Poses
    inside: Bool[Tensor, "views persons joints"]
    visible: Bool[Tensor, "views persons joints"]


@dataclass(frozen=True, eq=False)
class Studio(TensorStruct):
    """A rig in its room: all that stays from frame to frame."""

    cameras: Cameras
    lenses: Lenses
    backdrop: Backdrop
    room: Room
    sensors: Sensors
    furniture: Furniture
    floor_mm: Float[Tensor, "1"]
    crowding: Float[Tensor, "1"]


@dataclass(frozen=True, eq=False)
class Cast(TensorStruct):
    """The people of one frame: joints (COCO-17, mm), thickness and clothes."""

    xyz_world: Float[Tensor, "persons 17 3"]
    builds: Builds
    outfits: Outfits


def scale_cameras(cameras: Cameras, size: tuple[int, int]) -> Cameras:
    """Cameras whose images have another size: the old image at the largest scale that fits, in the middle.

    Where the shapes differ the new image shows more to two sides than the old one, never less.
    """
    target = torch.tensor(size, dtype=torch.float64).expand(len(cameras), 2)
    scale = (target / cameras.size).amin(-1)
    matrix = cameras.matrix * scale[:, None, None]
    # Pixel centres are at integers, so the middle of an image is at (size - 1) / 2.
    matrix[:, :2, 2] = (target - 1) / 2 + scale[:, None] * (cameras.matrix[:, :2, 2] - (cameras.size - 1) / 2)
    matrix[:, 2, 2] = 1.0
    return replace(cameras, size=target.clone(), matrix=matrix)


def build_studio(source: Noise, config: RenderConfig) -> Studio:
    """A random rig in a random room."""
    low, high = config.views
    views = low + int((high - low + 1) * source.uniform(()))
    filmed = sample_rooms(source, 1, views, config.rigs)
    cameras = scale_cameras(filmed.cameras[0], config.size)
    lenses = lenses_of(cameras, config.size)
    furniture = _lift(sample_furniture(source, filmed.room, torch.tensor([config.furniture])))
    here = furniture.present[0]
    low, high = furniture.low[0, here], furniture.high[0, here]
    clutter = sample_clutter(source, low, high, float(filmed.room), cameras.centres)
    room = sample_room(source, cameras.centres, clutter)
    sensors = sample_sensors(source, views, config.noise, config.blur)
    return Studio(cameras, lenses, draw_room(room, lenses), room, sensors, furniture, filmed.room, filmed.crowding)


def _lift(furniture: Furniture) -> Furniture:
    """What hangs is lifted above people's heads: nobody stands in it."""
    lift = torch.zeros_like(furniture.low)
    lift[:, -1, 2] = 650.0
    return replace(furniture, low=furniture.low + lift, high=furniture.high + lift)


def sample_builds(source: Noise, stature: Float[Tensor, " persons"]) -> Builds:
    """How thick people of some statures (mm) are, in what they wear."""
    shape = stature.shape
    return Builds(
        (stature / 1720.0) ** 0.8,
        (1 + 0.1 * source.normal(shape)).clamp(0.8, 1.35),
        (1 + 0.08 * source.normal(shape)).clamp(0.82, 1.25),
        between(source, shape, 1.0, 1.35),
        between(source, shape, 0.12, 0.28) * (source.uniform(shape) < 0.25),
    )


def sample_casts(source: Noise, studio: Studio, frames: int, config: RenderConfig) -> list[Cast]:
    """People for several frames in one room; other people in every frame."""
    low, high = config.persons
    counts = low + ((high - low + 1) * source.uniform((frames,))).long().clamp(max=high - low)
    counts = torch.where(source.uniform((frames,)) < config.empty, 0, counts)
    most = max(int(counts.max()), 1)
    present = present_mask(counts, most)
    furniture = studio.furniture[torch.zeros(frames, dtype=torch.long)]
    centres = studio.cameras.centres.expand(frames, -1, -1)
    room, crowding = studio.floor_mm.expand(frames), studio.crowding.expand(frames)
    floor, facing = sample_floor(source, present, room, crowding, furniture, centres)
    # `push_apart` keeps its own distance: it works on a floor drawn to another scale.
    scale = config.spacing_mm / CLOSEST_MM
    for _ in range(PUSHES):
        floor = push_apart(from_cameras(floor, centres) / scale, present) * scale
    people = sample_people(source, frames, most, config.people)
    xyz = place_people(people.xyz_body, floor, facing)
    casts = []
    for frame, count in enumerate(counts.tolist()):
        stature = people.bodies.stature[frame, :count]
        builds = sample_builds(source, stature)
        casts.append(Cast(xyz[frame, :count].float(), builds, sample_outfits(source, count)))
    return casts


def draw_people(studio: Studio, cast: Cast) -> tuple[Float[Tensor, "pixels 3"], Strikes]:
    """Light that reaches every pixel, and where it shows people."""
    return light_people(studio.lenses, studio.backdrop, studio.room.light, cast)


def light_people(
    lenses: Lenses, backdrop: Backdrop, light: Light, cast: Cast
) -> tuple[Float[Tensor, "pixels 3"], Strikes]:
    """The same of people before a backdrop."""
    solids = bodies(cast.xyz_world, cast.builds)
    shade = torch.cat([floor_shadow(solids, light), torch.ones(1)])
    # Cell -1 is the last: pixels that show no floor keep their light.
    colour = backdrop.colour * shade[backdrop.cell][:, None]
    strikes = strike(solids, lenses, backdrop.distance)
    persons = len(cast.xyz_world)
    lit = paint(strikes, persons, cast.outfits) * light.shade(strikes.normal)
    colour[strikes.pixel] = lit
    return colour, strikes


_OWN_PARTS = {
    "neck": ("neck", "yoke", "chest"), "nose": ("nose",), "mid_hip": ("pelvis", "belly", "chest"),
    "shoulder": ("yoke", "upper_arm", "chest"), "elbow": ("upper_arm", "forearm"), "wrist": ("forearm", "hand"),
    "hip": ("pelvis", "thigh", "belly", "chest"), "knee": ("thigh", "shank"), "ankle": ("shank", "foot"),
}  # fmt: skip


def _belongs() -> Bool[Tensor, "joints parts"]:
    """Which parts of a body a joint lies in; limbs of its own side only."""
    out = torch.zeros(len(PANOPTIC_15), len(PARTS), dtype=torch.bool)
    for j, joint in enumerate(PANOPTIC_15.joints):
        side = joint[:2] if joint[:2] in ("l_", "r_") else ""
        for part in _OWN_PARTS[joint.removeprefix("l_").removeprefix("r_")]:
            name = part if part in PARTS else side + part
            out[j, PARTS.index(name)] = True
    return out


def look_at(
    studio: Studio, strikes: Strikes, xyz_world: Float[Tensor, "persons 15 3"]
) -> tuple[Bool[Tensor, "views persons joints"], Bool[Tensor, "views persons joints"]]:
    """Which joints lie inside the images, and which of these the z-buffer shows."""
    cameras, size = studio.cameras, studio.lenses.size
    persons = xyz_world.shape[0]
    xy, front = cameras.project(xyz_world.double())
    # The lens model may fold points from far outside back into the image: only rays within its border count.
    local = cameras.to_camera(xyz_world.double())
    radius = (local[..., :2] / local[..., 2:].clamp(min=1.0)).norm(dim=-1)
    inside = cameras.inside(xy) & front & (radius < 1.05 * studio.lenses.border[:, None, None])
    distance = local.norm(dim=-1)
    nearest = xy.round().long().clamp(min=0).minimum(torch.tensor(size) - 1)
    view = torch.arange(len(cameras))[:, None, None]
    pixel = (view * size[1] + nearest[..., 1]) * size[0] + nearest[..., 0]
    buffer = studio.backdrop.distance.index_copy(0, strikes.pixel, strikes.distance)
    shown = torch.full((studio.lenses.pixels,), -1).index_copy_(0, strikes.pixel, strikes.solid)[pixel]
    part, who = part_of(shown.clamp(min=0), persons)
    own = _belongs()[torch.arange(len(PANOPTIC_15)), part] & (shown >= 0) & (who == torch.arange(persons)[:, None])
    allowance = torch.where(own, OWN_ALLOWANCE_MM, OTHER_ALLOWANCE_MM)
    return inside, inside & (buffer[pixel] >= distance - allowance)


def film(source: Noise, studio: Studio, cast: Cast) -> RenderedFrame:
    """One frame of a rig."""
    colour, strikes = draw_people(studio, cast)
    width, height = studio.lenses.size
    images = expose(source, colour.reshape(-1, height, width, 3), studio.sensors)
    persons = len(cast.xyz_world)
    known = torch.ones(persons, len(COCO_17), dtype=torch.bool)
    coco = Poses(COCO_17, cast.xyz_world.double(), known.double(), known, torch.arange(persons))
    poses = convert_poses(coco, PANOPTIC_15)
    inside, visible = look_at(studio, strikes, poses.xyz_world)
    return RenderedFrame(studio.cameras, images, poses, inside, visible)


def sample_captures(
    generator: torch.Generator, frames: int, config: RenderConfig = RenderConfig()
) -> Iterator[RenderedFrame]:
    """Draw captures one by one; every rig has a seed of its own, so a longer draw begins with the shorter one.

    Args:
        generator: source of everything random.
        frames: number of captures.
        config: what is drawn.
    """
    done = 0
    while done < frames:
        seed = int(torch.randint(2**62, (), generator=generator))
        source = Noise(torch.Generator().manual_seed(seed))
        studio = build_studio(source, config)
        for cast in sample_casts(source, studio, config.frames_per_rig, config)[: frames - done]:
            yield film(source, studio, cast)
            done += 1


def as_input(capture: RenderedFrame, number: int = 0) -> Frame:
    """What a model may see of a capture: normalised images and cameras."""
    mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
    pixels = ((capture.images.float() / 255 - mean) / deviation).permute(0, 3, 1, 2).contiguous()
    views = len(capture.cameras)
    identity = torch.eye(2, 3, dtype=torch.float64).repeat(views, 1, 1)
    return Frame.of_images(number, capture.cameras, Images(pixels, identity, torch.ones(views, dtype=torch.bool)))


def as_labels(capture: RenderedFrame) -> Labels:
    """What training may learn from a capture: exact projections of exact skeletons."""
    xy, _ = capture.cameras.project(capture.poses.xyz_world)
    hidden = (capture.inside & ~capture.visible).double()
    confidence = capture.visible.double() + HIDDEN_CONFIDENCE * hidden
    unmatched = Detections.from_lists(PANOPTIC_15, [[]] * len(capture.cameras))
    return Labels.of_images(
        capture.poses, torch.where(capture.inside[..., None], xy, 0.0), confidence, capture.inside, unmatched
    )
