"""The study of context in lifting one image: what do maps of a network that only knows 2-D joints add to these joints?

Drawn people in the cameras of Human3.6M, one build and three colours, each lit from above the camera; a small network
learns their heat maps and is frozen; then three lifters learn beside each other from the same pictures: of one the maps
are zero, one reads them at the joints, one looks around. It proves the mechanism, not the accuracy on photographs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.formats.images.series import normalize_pixels
from dispose.geometry.image_affine import map_from_input
from dispose.losses.heatmaps import peaked_error
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.context.crops import PersonCrops, crop_people
from dispose.models.context.lifter import LifterConfig
from dispose.models.context.network import TOLD, ContextConfig, ContextNetwork, Levels, PyramidConfig, from_hips
from dispose.models.lifting.sight import PeopleInView
from dispose.models.lifting.view import view_people
from dispose.nn.backbones import STRIDE, Backbone, BackboneConfig
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import cat
from dispose_benchmarks.studies.promises import Promise, StudyLine
from dispose_benchmarks.studies.view_trust import draw_rigs
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS
from dispose_synthetic.one_view import meeting_point
from dispose_synthetic.people import PeopleConfig, place_people, sample_people
from dispose_synthetic.randomness import Noise, between
from dispose_synthetic.renderer.lenses import Sensors
from dispose_synthetic.renderer.person_crops import CropConfig, FilmedPeople, film_person, mannequins

SIGMA_PX = 1.0
"""Noise of the keypoints, pixels of the whole image."""

SIGMA_MAP_PX = 1.5
FLOOR_MM = 1200.0
CROP = CropConfig()
PEOPLE = PeopleConfig(angle_noise_deg=25.0)
"""Articulated nearly at random within what joints allow: few postures are likelier than others."""

SENSORS = Sensors(torch.ones(1, 3), torch.zeros(1), torch.tensor([0.5]), torch.tensor([0.01]))
"""One for all cameras: how bright a limb is says how it is tilted."""

PYRAMID = PyramidConfig(resnet=BackboneConfig(depth=18, width=16, deconv_chans=32, joints=17, lateral=True))
SMALL = LifterConfig(coordinates=TOLD, chans=48, context=2, within=2, between=2, heads=8, drop_path=0.0)
OWN, WRONG, FROZEN = "own picture", "somebody else's picture", "the network of the maps"
COORDINATES, AT_JOINTS, CONTEXT = "coordinates only", "features at the joints", "deformable context"
LIFTERS = {COORDINATES: replace(SMALL, context=0), AT_JOINTS: replace(SMALL, context=0), CONTEXT: SMALL}


@dataclass(frozen=True)
class ContextPlan:
    """How much is drawn, learned and scored: people, optimiser steps, pictures of a step."""

    people: int = 2000
    test_people: int = 250
    heat_steps: int = 600
    heat_rate: float = 2e-3
    first_steps: int = 250
    lift_steps: int = 900
    lift_rate: float = 1e-3
    batch: int = 32


FULL = ContextPlan()
SMOKE = ContextPlan(people=12, test_people=6, heat_steps=6, first_steps=6, lift_steps=6, batch=8)
"""Seconds: to see that it runs, not for the figures."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """People filmed, with noisy keypoints, and their true joints in the axes of `ViewPeople`, metres from the hips.

    Each is there twice: as filmed, and in the second half of the rows in a mirror.
    """

    crops: PersonCrops
    xyz: Float[Tensor, "persons joints 3"]

    def __len__(self) -> int:
        return len(self.xyz)


def draw_pictures(generator: torch.Generator, subjects: Sequence[str], people: int) -> Pictures:
    """People anywhere in the room, each before one of the cameras of one of the subjects."""
    source, filmed = Noise(generator), list[FilmedPeople]()
    views = torch.randint(4, (people,), generator=generator).tolist()
    for rig, view in zip(draw_rigs(generator, subjects, people), views, strict=True):
        xyz = sample_people(source, 1, 1, PEOPLE).xyz_body[:, 0]
        floor = meeting_point(rig).float() + between(source, (1, 2), -FLOOR_MM, FLOOR_MM)
        xyz = place_people(xyz, floor, between(source, (1,), 0.0, 2 * torch.pi))[0]
        filmed.append(film_person(source, rig.select(views=[view]), xyz, mannequins, SENSORS, CROP))
    return with_keypoints(source, cat(filmed, "persons"))


def with_keypoints(source: Noise, filmed: FilmedPeople) -> Pictures:
    """Every joint is told, with noise; nobody knows where up is."""
    xyz, cameras = filmed.xyz_world.double(), filmed.cameras
    xy = cameras.project(xyz[:, None])[0][:, 0, 0]
    xy = xy + SIGMA_PX * source.normal(xy.shape)
    seen = torch.ones(xy.shape[:2], dtype=torch.bool)
    sigma = torch.full(xy.shape[:2], SIGMA_PX)
    people = view_people(COCO_17.joints, cameras, xy, torch.ones_like(sigma), seen, sigma, upright=False)
    truth = people.from_camera((cameras.rotation[:, 0] @ from_hips(xyz, COCO_17).mT).mT / 1000).float()
    pixels = torch.stack([normalize_pixels(image) for image in filmed.pixels.numpy()])
    crops = crop_people(pixels, filmed.input_from_image, PeopleInView(cameras, xy, people))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    both = cat([crops, crops.mirror(COCO_17.mirror)], "persons")
    return Pictures(both, torch.cat([truth, truth[:, COCO_17.mirror] * flip]))


class Learner:
    """A network's weights, stepped by AdamW at a rate that rises and falls."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float, steps: int) -> None:
        self.parameters = list(parameters)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, rate, steps + 1, pct_start=0.1)

    def learn(self, loss: Float[Tensor, ""]) -> None:
        """One step."""
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()


def train_pyramid(seed: int, plan: ContextPlan, pictures: Pictures) -> Backbone:
    """A network that finds the joints in the pictures, and knows nothing of space."""
    torch.manual_seed(seed)
    backbone = Backbone(PYRAMID.resnet or BackboneConfig())
    learner = Learner(backbone.parameters(), plan.heat_rate, plan.heat_steps)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 1)
    for _ in range(plan.heat_steps):
        crops = pictures.crops[torch.randint(len(pictures), (plan.batch,), generator=generator)]
        with torch.autocast("cpu", torch.bfloat16):
            heat = backbone.look(crops.pixels.contiguous(memory_format=torch.channels_last)).heatmaps
        learner.learn(peaked_error(heat, map_from_input(crops.xy_crop, STRIDE), crops.people.seen, SIGMA_MAP_PX))
    return backbone.eval()


def look_at_all(network: ContextNetwork, pictures: Pictures, batch: int) -> Levels:
    """The maps of all pictures, in half the precision: the frozen network looks once."""
    parts = [network.look(pictures.crops[rows].pixels) for rows in torch.arange(len(pictures)).split(batch)]
    return tuple(torch.cat([one.bfloat16() for one in levels]) for levels in zip(*parts, strict=True))


def maps_of(name: str, maps: Levels, rows: Tensor) -> Levels:
    """What a lifter sees of some pictures: nothing, where it is to get by with coordinates."""
    return tuple((0.0 if name == COORDINATES else 1.0) * level[rows].float() for level in maps)


def train_lifters(seed: int, plan: ContextPlan, pictures: Pictures, backbone: Backbone) -> dict[str, ContextNetwork]:
    """The lifters on the frozen network, from the same pictures in the same order.

    All begin as the one that knows coordinates alone does after `ContextPlan.first_steps`, and see nothing at first.
    """
    networks = {}
    for name, config in LIFTERS.items():
        torch.manual_seed(seed + 7)
        networks[name] = ContextNetwork(ContextConfig("coco_17", CROP.size, PYRAMID, config))
        networks[name].pyramid.load_state_dict(backbone.state_dict())
        networks[name].train()
    maps = look_at_all(networks[CONTEXT], pictures, plan.batch)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 2)
    learn_together({COORDINATES: networks[COORDINATES]}, plan, plan.first_steps, generator, pictures, maps)
    start = networks[COORDINATES].lifter.state_dict()
    for network in networks.values():
        own = network.lifter.state_dict()
        network.lifter.load_state_dict({name: start.get(name, value) for name, value in own.items()})
        silence(network)
    learn_together(networks, plan, plan.lift_steps, generator, pictures, maps)
    return {name: network.eval() for name, network in networks.items()}


def silence(network: ContextNetwork) -> None:
    """Let the maps say nothing, so that the lifter says what coordinates alone do until it learns to look."""
    network.lifter.close_eyes()
    for name, parameter in network.lifter.context.named_parameters():
        if ".value." in name or ".feed_forward.body.2." in name:
            nn.init.zeros_(parameter)


def learn_together(
    networks: Mapping[str, ContextNetwork],
    plan: ContextPlan,
    steps: int,
    generator: torch.Generator,
    pictures: Pictures,
    maps: Levels,
) -> None:
    """So many steps of all networks."""
    learners = {name: Learner(one.lifter.parameters(), plan.lift_rate, steps) for name, one in networks.items()}
    for _ in range(steps):
        rows = torch.randint(len(pictures), (plan.batch,), generator=generator)
        crops, truth = pictures.crops[rows], pictures.xyz[rows]
        for name, network in networks.items():
            found = network.answer(maps_of(name, maps, rows), crops)
            learners[name].learn((found - truth).norm(dim=-1).mean())


@torch.no_grad()
def score_lifters(networks: Mapping[str, ContextNetwork], plan: ContextPlan, pictures: Pictures) -> list[StudyLine]:
    """Errors about the hips with the right picture and with a wrong one; answers are means of a cut and its mirror."""
    maps, half, lines = look_at_all(networks[CONTEXT], pictures, plan.batch), len(pictures) // 2, list[StudyLine]()
    flip, rows = torch.tensor([-1.0, 1.0, 1.0]), torch.arange(half)
    truth, valid = 1000 * pictures.xyz[:half], torch.ones(pictures.xyz[:half].shape[:2], dtype=torch.bool)
    for case, seen in ((OWN, rows), (WRONG, rows.roll(half // 2))):
        for name, network in networks.items():
            plain, other = (
                torch.cat(
                    [
                        network.answer(maps_of(name, maps, seen[some] + first), pictures.crops[some + first])
                        for some in rows.split(plan.batch)
                    ]
                )
                for first in (0, half)
            )
            xyz = 1000 * from_hips((plain + other[:, COCO_17.mirror] * flip) / 2, COCO_17)
            lines.append(StudyLine(case, name, float(mpjpe(xyz, truth, valid).mean())))
            lines.append(StudyLine(case, f"{name}, PA", float(pa_mpjpe(xyz, truth, valid).mean())))
    return lines


def frozen(before: Backbone, networks: Mapping[str, ContextNetwork]) -> list[StudyLine]:
    """What training the lifters did to the network of the maps: its largest gradient, and its largest change."""
    gradients = [
        p.grad.abs().max() for one in networks.values() for p in one.pyramid.parameters() if p.grad is not None
    ]
    known = before.state_dict()
    changes = [
        (value - known[name]).abs().max().float()
        for one in networks.values()
        for name, value in one.pyramid.state_dict().items()
    ]
    gradient = float(torch.stack(gradients).max()) if gradients else 0.0
    return [StudyLine(FROZEN, "largest gradient", gradient), StudyLine(FROZEN, "largest change", float(max(changes)))]


def study_seed(seed: int, plan: ContextPlan) -> list[StudyLine]:
    """Everything that one seed says."""
    torch.set_num_threads(1)
    training = draw_pictures(torch.Generator().manual_seed(31 * seed + 3), TRAINING_SUBJECTS, plan.people)
    unseen = draw_pictures(torch.Generator().manual_seed(31 * seed + 5), TEST_SUBJECTS, plan.test_people)
    backbone = train_pyramid(seed, plan, training)
    networks = train_lifters(seed, plan, training, backbone)
    return [*score_lifters(networks, plan, unseen), *frozen(backbone, networks)]


PROMISES = (
    Promise("8.3: context / coordinates only", OWN, CONTEXT, 0.75, COORDINATES),
    Promise("8.3: context / features at the joints", OWN, CONTEXT, 1.0, AT_JOINTS),
    Promise("8.3: context with a wrong picture / with its own", WRONG, CONTEXT, 1.5, CONTEXT, OWN, least=True),
    Promise("8.3: largest gradient of the frozen network", FROZEN, "largest gradient", 0.0),
    Promise("8.3: largest change of the frozen network", FROZEN, "largest change", 0.0),
)
"""What is asked of the study."""
