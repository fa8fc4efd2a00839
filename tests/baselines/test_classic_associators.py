"""What every classic associator must do: find well-separated people, keep groups disjoint, refuse what is far apart."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from dispose.association.pairwise import pair_distances
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import candidate_tuples, integer_programme
from dispose.baselines.random_grouping import random_grouping
from dispose.baselines.svt import capped_rows, svt
from dispose.datasets.tables.panoptic import Simulation, simulate_frame
from dispose.metrics.association import count_pairs
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT

CLASSIC = (integer_programme, svt, greedy_agglomerative, incremental_hungarian)
Associate = Callable[..., Association]


def ring(views: int, *, radius_mm: float = 4000.0) -> Cameras:
    """Cameras on a circle at 2 m height that look at the middle."""
    rotations, translations = [], []
    for k in range(views):
        angle = 2 * math.pi * (k + 0.3) / views
        centre = torch.tensor([radius_mm * math.cos(angle), radius_mm * math.sin(angle), 2000.0], dtype=torch.float64)
        forward = torch.nn.functional.normalize(torch.tensor([0.0, 0.0, 1000.0], dtype=torch.float64) - centre, dim=0)
        right = torch.nn.functional.normalize(
            torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)), dim=0
        )
        rotation = torch.stack([right, torch.linalg.cross(forward, right), forward])
        rotations.append(rotation)
        translations.append(-rotation @ centre)
    matrix = torch.tensor([[900.0, 0, 640], [0, 900, 480], [0, 0, 1]], dtype=torch.float64)
    return Cameras(
        tuple(f"c{k}" for k in range(views)),
        torch.tensor([[1280.0, 960.0]], dtype=torch.float64).repeat(views, 1),
        matrix.repeat(views, 1, 1),
        torch.zeros(views, 8, dtype=torch.float64),
        torch.stack(rotations),
        torch.stack(translations),
    )


def crowd(persons: int, generator: torch.Generator) -> Poses:
    """People as clouds of joints, at least a metre apart."""
    side = math.ceil(math.sqrt(persons))
    place = torch.tensor([[k // side, k % side, 0.0] for k in range(persons)], dtype=torch.float64) * 1100 - 550
    joints = torch.rand(persons, 17, 3, generator=generator, dtype=torch.float64) * torch.tensor([400.0, 400.0, 1800.0])
    valid = torch.ones(persons, 17, dtype=torch.bool)
    place[:, 2] = 0.0
    return Poses(COCO_17, place[:, None] + joints, valid.double(), valid, torch.arange(persons))


def scene(
    views: int, persons: int, *, noise_px: float = 0.0, missing: float = 0.0, seed: int = 0
) -> tuple[Frame, Labels]:
    generator = torch.Generator().manual_seed(seed)
    return simulate_frame(0, ring(views), crowd(persons, generator), Simulation(noise_px, missing, seed))


def rows(association: Association) -> set[tuple[int, ...]]:
    return {tuple(row) for row in association.members.tolist()}


def assert_disjoint(frame: Frame, association: Association) -> None:
    for view in range(len(frame.cameras)):
        slots = association.members[:, view]
        slots = slots[slots != ABSENT]
        assert len(set(slots.tolist())) == len(slots)
        assert frame.detections.valid[view, slots].all()
    assert ((association.members != ABSENT).sum(1) >= 2).all()
    assert ((association.confidence >= 0) & (association.confidence <= 1)).all()


@pytest.mark.parametrize("associate", CLASSIC, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("views", "persons"), [(2, 1), (3, 4), (5, 3), (7, 5)])
def test_well_seen_people_are_found_exactly(associate: Associate, views: int, persons: int) -> None:
    frame, labels = scene(views, persons, noise_px=3.0, missing=0.1)
    association = associate(frame, gate_mm=100.0)
    assert_disjoint(frame, association)
    assert count_pairs(association, labels.identity).f1 == 1.0


@pytest.mark.parametrize("associate", CLASSIC, ids=lambda f: f.__name__)
def test_hard_scenes_still_give_disjoint_groups(associate: Associate) -> None:
    frame, _ = scene(4, 6, noise_px=40.0, missing=0.6, seed=3)
    assert_disjoint(frame, associate(frame, gate_mm=150.0))


@pytest.mark.parametrize("associate", CLASSIC, ids=lambda f: f.__name__)
def test_nobody_somebody_in_one_view_and_strangers(associate: Associate) -> None:
    nobody = Frame(0, ring(3), Detections.from_lists(COCO_17, [[], [], []]))
    assert len(associate(nobody, gate_mm=100.0)) == 0
    frame, _ = scene(3, 2)
    keypoints = torch.cat([frame.detections.xy_image[0, 0], torch.ones(17, 1, dtype=torch.float64)], 1)
    alone = Frame(0, frame.cameras, Detections.from_lists(COCO_17, [[keypoints], [], []]))
    assert len(associate(alone, gate_mm=100.0)) == 0
    # two views that share no joint say nothing about each other
    upper, lower = keypoints.clone(), keypoints.clone()
    upper[8:, 2], lower[:8, 2] = 0.0, 0.0
    strangers = Frame(0, frame.cameras, Detections.from_lists(COCO_17, [[upper], [lower], []]))
    assert len(associate(strangers, gate_mm=1e6)) == 0


@pytest.mark.parametrize("associate", (integer_programme, svt, greedy_agglomerative), ids=lambda f: f.__name__)
def test_order_of_cameras_and_detections_does_not_matter(associate: Associate) -> None:
    frame, _ = scene(5, 4, noise_px=8.0, missing=0.3, seed=5)
    order = [3, 0, 4, 1, 2]
    turned = associate(frame.select(views=order), gate_mm=120.0)
    back = torch.empty_like(turned.members)
    back[:, order] = turned.members
    assert {tuple(row) for row in back.tolist()} == rows(associate(frame, gate_mm=120.0))


def test_the_integer_programme_is_the_best_of_all_partitions() -> None:
    frame, _ = scene(3, 2, noise_px=60.0, missing=0.3, seed=2)
    distances = pair_distances(frame)
    mm = distances.mm.numpy()
    gain = np.where(np.isfinite(mm), 1 - np.where(np.isfinite(mm), mm, 0.0) / 200.0, 0.0)

    def worth(number: list[int]) -> float:
        same = np.equal.outer(number, number)
        clash = same & np.equal.outer(distances.view.numpy(), distances.view.numpy()) & ~np.eye(len(number), dtype=bool)
        return -math.inf if clash.any() else float(np.triu(gain * same, k=1).sum())

    def partitions(count: int) -> list[list[int]]:
        if count == 0:
            return [[]]
        return [[*p, k] for p in partitions(count - 1) for k in range(max(p, default=-1) + 2)]

    association = integer_programme(frame, gate_mm=200.0)
    number = list(range(100, 100 + len(distances)))
    for g, members in enumerate(association.members.tolist()):
        for k in range(len(number)):
            if members[int(distances.view[k])] == int(distances.slot[k]):
                number[k] = g
    assert worth(number) == pytest.approx(max(worth(p) for p in partitions(len(distances))))


def test_tuples_are_bounded_by_their_budget() -> None:
    frame, labels = scene(9, 5, noise_px=3.0)
    distances = pair_distances(frame)
    _, gain = candidate_tuples(distances, gate_mm=150.0, budget=10)
    assert len(gain) <= 10 * len(distances)
    assert len(gain) < len(candidate_tuples(distances, gate_mm=150.0, budget=100)[1])
    assert count_pairs(integer_programme(frame, gate_mm=150.0, budget=10), labels.identity).f1 == 1.0


def test_capped_rows_is_the_nearest_point_of_the_simplex(generator: torch.Generator) -> None:
    block = torch.randn(50, 4, generator=generator, dtype=torch.float64).numpy()
    nearest = capped_rows(block)
    assert (nearest >= 0).all() and (nearest.sum(1) <= 1 + 1e-12).all()
    others = np.maximum(torch.rand(2000, 4, generator=generator, dtype=torch.float64).numpy(), 0)
    others = others / np.maximum(others.sum(1, keepdims=True), 1)
    for row, mine in zip(block, nearest, strict=True):
        assert np.linalg.norm(row - mine) <= np.linalg.norm(row - others, axis=1).min() + 1e-12


def test_random_grouping_is_reproducible_and_bad() -> None:
    frame, labels = scene(5, 4)
    draw = partial(random_grouping, frame)
    first, again = draw(torch.Generator().manual_seed(1)), draw(torch.Generator().manual_seed(1))
    assert torch.equal(first.members, again.members)
    assert_disjoint(frame, first)
    scores = [count_pairs(draw(torch.Generator().manual_seed(seed)), labels.identity).f1 for seed in range(200)]
    assert sum(scores) / len(scores) == pytest.approx(0.25, abs=0.03)
