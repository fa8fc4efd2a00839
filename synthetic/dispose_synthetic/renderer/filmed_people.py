"""Drawn people in drawn rooms before one camera each, with what a detector says of their joints."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.formats.images.series import normalize_pixels
from dispose.models.context.crops import PersonCrops, crop_people
from dispose.models.context.network import from_hips
from dispose.models.lifting.sight import PeopleInView
from dispose.skeletons.catalog import COCO_17
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct, cat
from dispose_synthetic.one_view import OneViewConfig, sample_cameras, see_people
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.lenses import sample_sensors
from dispose_synthetic.renderer.person_crops import CropConfig, FilmedPeople, dressed, film_person
from dispose_synthetic.renderer.rooms import sample_clutter, sample_room
from dispose_synthetic.sightings import ALL_JOINTS, sample_bodies_in_motion


@dataclass(frozen=True)
class FilmConfig:
    """People in rooms, each before one camera.

    Attributes:
        crop: how they are cut out.
        views: which cameras, and what a detector says of the joints.
        noise: least and most deviation of the sensor's noise, of full scale.
        blur: least and most deviation of the point spread, pixels.
    """

    crop: CropConfig = CropConfig()
    views: OneViewConfig = OneViewConfig()
    noise: tuple[float, float] = (0.005, 0.03)
    blur: tuple[float, float] = (0.45, 1.2)


def film_people(source: Noise, motion: Motion | None, people: int, config: FilmConfig) -> FilmedPeople:
    """Dressed people at the origin, in postures of captured motion where there is some, each in a room of their own.

    Nothing stands between them and their camera: all furniture is farther from them than it.
    """
    bodies, _ = sample_bodies_in_motion(source, motion, people, config.views.procedural)
    bodies = bodies[:, [ALL_JOINTS.index(joint) for joint in COCO_17.joints]]
    cameras, floor = sample_cameras(source, people, config.views)
    away = torch.cat([floor, floor.new_zeros(people, 1)], 1)[:, None, :, None]
    cameras = replace(cameras, translation=cameras.translation + (cameras.rotation @ away)[..., 0])
    filmed, nothing = [], torch.zeros(0, 3)
    for person, xyz in enumerate(bodies):
        rig = cameras[person]
        centres = rig.centres
        clutter = sample_clutter(source, nothing, nothing, float(centres[0, :2].norm()), centres)
        draw = dressed(sample_room(source, centres, clutter))
        sensors = sample_sensors(source, 1, config.noise, config.blur)
        filmed.append(film_person(source, rig, xyz, draw, sensors, config.crop))
    return cat(filmed, "persons")


@dataclass(frozen=True, eq=False)
class ContextExamples(TensorStruct):
    """People as the network is told of them, and their joints: metres from the middle of the hips, virtual axes.

    `known` says which joints to learn from, `blind` whose picture says nothing.
    """

    crops: PersonCrops
    xyz: Float[Tensor, "persons joints 3"]
    known: Bool[Tensor, "persons joints"]
    blind: Bool[Tensor, " persons"]

    def mirror(self) -> "ContextExamples":
        """Everybody seen in a mirror."""
        swap, flip = Skeleton("", self.crops.people.joints, ()).mirror, self.xyz.new_tensor([-1.0, 1.0, 1.0])
        return ContextExamples(self.crops.mirror(swap), self.xyz[:, swap] * flip, self.known[:, swap], self.blind)


def tell(source: Noise, filmed: FilmedPeople, config: FilmConfig) -> ContextExamples:
    """Filmed people with what a detector says of their joints. Nobody is blind."""
    xyz, cameras = filmed.xyz_world.double(), filmed.cameras
    hips = xyz[:, COCO_17.indices(COCO_17.root_of)].mean(1)
    there = torch.ones(xyz.shape[:2], dtype=torch.bool)
    people, xy, known = see_people(source, cameras, xyz, hips, there, config.views)
    pixels = torch.stack([normalize_pixels(image) for image in filmed.pixels.numpy()])
    crops = crop_people(pixels, filmed.input_from_image, PeopleInView(cameras, xy, people))
    turned = (cameras.rotation[:, 0] @ from_hips(xyz, COCO_17).mT).mT / 1000
    return ContextExamples(crops, people.from_camera(turned).float(), known, torch.zeros(len(xyz), dtype=torch.bool))
