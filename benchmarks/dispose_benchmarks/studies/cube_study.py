"""Part c of the study of learned triangulation: a small volumetric network on two to four views, some of which lie.

It learns on the cameras of five subjects of Human3.6M and is scored on those of two others, and on a ring of eight
cameras that it never met.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.losses.triangulation import absolute_errors, surprise_of_voxels
from dispose.models.triangulation.cube import Cubes
from dispose.models.triangulation.v2v import LITE
from dispose.models.triangulation.volumetric import CubeConfig, CubeReader, Located
from dispose.skeletons.catalog import H36M_17
from dispose_benchmarks.studies.promises import StudyLine
from dispose_benchmarks.studies.view_trust import (
    StudyPlan,
    draw_rigs,
    mean_error,
    triangulate_by_consent,
    triangulate_maps,
)
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS
from dispose_synthetic.joint_maps import JointMaps, draw_joint_maps
from dispose_synthetic.rigs import STUDIO, sample_rigs

CUBE = CubeConfig(side_mm=2100.0, cells=24, aggregation="softmax", network=LITE, shortcut=True)
"""Voxels of 91 mm."""

ROOT_NOISE_MM = 60.0
"""Deviation of the cubes' centres from the pelvis, per axis."""

CASES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (8, 2))
"""Views and, of these, wrong ones; eight are the ring."""

BATCH = 16


def train_cube(seed: int, plan: StudyPlan) -> CubeReader:
    """The network of the cube, by the absolute error and the probability of the right voxel."""
    torch.manual_seed(seed)
    reader = CubeReader(len(H36M_17), len(H36M_17), CUBE)
    optimizer = torch.optim.Adam(reader.parameters(), lr=plan.cube_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.cube_rate, plan.cube_steps + 1, pct_start=0.1)
    generator = torch.Generator().manual_seed(1_000_003 * seed + 2)
    for _ in range(plan.cube_steps):
        drawn, cubes = training_scene(generator, plan.cube_batch)
        with torch.autocast("cpu", torch.bfloat16):
            found = read(reader, drawn, cubes)
        truth, known = drawn.xyz_world.float(), torch.ones(drawn.xyz_world.shape[:2], dtype=torch.bool)
        surprise = surprise_of_voxels(found.log_probability, cubes.nearest(truth), known)
        loss = absolute_errors(found.xyz_world, truth, known) + 0.01 * surprise
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 5.0)
        optimizer.step()
        schedule.step()
    return reader.eval()


def training_scene(generator: torch.Generator, people: int) -> tuple[JointMaps, Cubes]:
    """People before two, three or four views, of which up to half are wrong about a joint; cubes turned at random."""
    views = 2 + int(torch.randint(3, (), generator=generator))
    chosen = torch.randperm(4, generator=generator)[:views].tolist()
    rigs = [rig.select(views=chosen) for rig in draw_rigs(generator, TRAINING_SUBJECTS, people)]
    drawn = draw_joint_maps(generator, rigs, torch.randint(views // 2 + 1, (people,), generator=generator))
    yaw = 2 * torch.pi * torch.rand(people, generator=generator)
    return drawn, replace(cubes_around(drawn, generator), yaw=yaw)


def cubes_around(drawn: JointMaps, generator: torch.Generator) -> Cubes:
    """Cubes near the pelvis of every person."""
    noise = ROOT_NOISE_MM * torch.randn(len(drawn.xyz_world), 3, generator=generator)
    centre = drawn.xyz_world[:, H36M_17.index("mid_hip")].float() + noise
    return Cubes(CUBE.cells, CUBE.side_mm, centre, torch.zeros(len(centre)))


def read(reader: CubeReader, drawn: JointMaps, cubes: Cubes) -> Located:
    """What the network says of all views."""
    shares = torch.ones(drawn.maps.shape[:3])
    return reader(drawn.maps, None, shares, cubes, drawn.cameras, drawn.input_from_image)


def unseen_scene(generator: torch.Generator, views: int, wrong: int, people: int) -> JointMaps:
    """People before some views of the test subjects' rigs, or, where more are asked for, a ring that is new."""
    if views > 4:
        ring = replace(STUDIO, views=(views, views), span_deg=(360.0, 360.0))
        rigs = sample_rigs(generator, 1, views, (ring,)) * people
    else:
        chosen = torch.randperm(4, generator=generator)[:views].tolist()
        rigs = [rig.select(views=chosen) for rig in draw_rigs(generator, TEST_SUBJECTS, people)]
    return draw_joint_maps(generator, rigs, torch.full((people,), wrong))


@torch.no_grad()
def score_cube(reader: CubeReader, seed: int, plan: StudyPlan) -> list[StudyLine]:
    """Every case, beside the plain ways; one view alone relative to the root, as it cannot tell how far it is."""
    lines, root = [], H36M_17.index("mid_hip")
    for views, wrong in CASES:
        generator = torch.Generator().manual_seed(9_000_011 * (seed + 1) + 10 * views + wrong)
        errors: dict[str, list[float]] = {}
        for _ in range(max(plan.people // (2 * BATCH), 1)):
            drawn = unseen_scene(generator, views, wrong, min(BATCH, plan.people))
            found, truth = read(reader, drawn, cubes_around(drawn, generator)).xyz_world, drawn.xyz_world
            if views == 1:
                found, truth = found - found[:, [root]], truth - truth[:, [root]]
            answers = {"volumetric": found} | (plain_answers(drawn) if views > 1 else {})
            for method, xyz in answers.items():
                errors.setdefault(method, []).append(mean_error(xyz, truth))
        case = f"{views} view{'s' if views > 1 else ''}, {wrong} wrong" + (", a new ring" if views > 4 else "")
        lines += [StudyLine(case, method, sum(some) / len(some)) for method, some in errors.items()]
    return [*lines, StudyLine("4 views in another order", "largest change, mm", order_effect(reader, seed))]


def plain_answers(drawn: JointMaps) -> dict[str, Float[Tensor, "samples joints 3"]]:
    """DLT, and RANSAC where there are views to consent."""
    found = {"DLT": triangulate_maps(drawn, torch.ones(drawn.maps.shape[:3]))}
    if drawn.maps.shape[1] > 2:
        found |= {"RANSAC": triangulate_by_consent(drawn, None, exact=False)}
        found |= {"robust": triangulate_by_consent(drawn, None, exact=True)}
    return found


def order_effect(reader: CubeReader, seed: int) -> float:
    """The largest distance, mm, by which a joint moves when the views come in another order."""
    generator = torch.Generator().manual_seed(seed + 5)
    drawn = unseen_scene(generator, 4, 1, 4)
    cubes = cubes_around(drawn, generator)
    moved = read(reader, drawn, cubes).xyz_world - read(reader, drawn.select(views=[2, 0, 3, 1]), cubes).xyz_world
    return float(moved.norm(dim=-1).max())
