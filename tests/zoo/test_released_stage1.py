"""Stage I of an imported checkpoint computes what the released code computes, array by array."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dispose.diffusion.schedules import cosine_alpha_bar
from dispose.released.candidates import RootPoints, released_candidates
from dispose.released.denoiser import RootGraph
from dispose.released.model import (
    Found,
    RootPeaks,
    find_people,
    heat_of,
    project,
    read_roots,
    root_graph,
    triangulate,
)
from dispose.tensors import ABSENT

TOLERANCE = 1e-4
SAMPLES = (0, 1)


def deviation(found: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest value."""
    assert found.shape == expected.shape
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


def seen_in(reference, sample: int) -> RootPeaks:
    """The detections of a fixture sample."""
    score = reference["score"][sample, ..., 0, 0].double()
    xy = reference["image"][sample, :, :, 0, :2].double()
    points = RootPoints(reference.cameras(sample), xy, score, score > 0)
    return RootPeaks(points, reference["heat_map"][sample, :, :, 0, :2].double())


@pytest.fixture(scope="module")
def graphs(reference, imported) -> list[RootGraph]:
    out = []
    for sample in SAMPLES:
        seen = seen_in(reference, sample)
        with torch.no_grad():
            detections = read_roots(imported.proj_attn, reference.features(sample), seen)
        out.append(root_graph(detections, released_candidates(seen.points), seen.points.valid))
    return out


@pytest.fixture(scope="module")
def people(reference, imported, graphs) -> list[Found]:
    out = []
    for sample in SAMPLES:
        seen = seen_in(reference, sample)
        root = imported.skeleton.index(imported.skeleton.root)
        heatmaps = reference.features(sample).heatmaps[:, root]
        affine = reference.input_from_image(sample)
        candidates = released_candidates(seen.points)
        out.append(
            find_people(imported.denoiser, graphs[sample], candidates, seen, imported.config.alpha, heatmaps, affine)
        )
    return out


def test_node_features(reference, graphs):
    found = torch.cat([graph.detections for graph in graphs])
    assert deviation(found, reference["node_features"][:, 0]) < TOLERANCE


def test_candidates_their_cues_and_who_is_in_them(reference, people, graphs):
    members = torch.cat([one.candidates.members for one in people])
    expected = reference["edge_tuples"]
    slots = reference["score"].shape[2]
    assert torch.equal(torch.where(members == ABSENT, slots, members), expected[:, 1:])
    assert deviation(torch.cat([one.candidates.cue for one in people]), reference["z_cue"]) < TOLERANCE
    first, second = graphs
    detections, tuples = len(first.detections), len(first.cue)
    incidence = torch.cat(
        [torch.stack([first.detection_of, first.tuple_of]),
         torch.stack([second.detection_of + detections, second.tuple_of + tuples])], 1,
    )  # fmt: skip
    assert torch.equal(incidence, reference["incidence"])


@pytest.mark.parametrize("sweeps", [2, 4, 200])
def test_truncated_projections(reference, people, sweeps):
    tuples = reference["edge_tuples"]
    mass = torch.cat(
        [
            project(people[s].candidates.members, reference["score"][s, ..., 0, 0] > 0, 0.6607, sweeps)(
                reference["sinkhorn_logits"][tuples[:, 0] == s]
            )
            for s in SAMPLES
        ]
    )
    assert deviation(mass, reference[f"sinkhorn_{sweeps}"]) < TOLERANCE


@pytest.mark.parametrize("step", [999, 500, 100])
def test_denoiser(reference, imported, graphs, step):
    first, second = graphs
    detections, tuples = len(first.detections), len(first.cue)
    both = RootGraph(
        torch.cat([first.detections, second.detections]),
        torch.cat([first.cue, second.cue]),
        torch.cat([first.tuple_of, second.tuple_of + tuples]),
        torch.cat([first.detection_of, second.detection_of + detections]),
        reference["edge_tuples"][:, 0],
        torch.arange(2).repeat_interleave(torch.tensor([detections, len(second.detections)])),
        2,
    )
    alpha_bar = cosine_alpha_bar(torch.tensor(step / 999, dtype=torch.float64))
    level = (1 - alpha_bar).sqrt().float().expand(2).contiguous()
    with torch.no_grad():
        logits = imported.denoiser(both, reference["sinkhorn_4"], torch.full((2,), float(step)), level)
    assert deviation(logits, reference[f"denoiser_t{step}"]) < TOLERANCE


def test_sampled_mass_and_score(reference, people):
    mass = torch.cat([one.mass for one in people])
    cue = torch.cat([one.candidates.cue for one in people])
    assert deviation(mass, reference["sampled_mass"]) < TOLERANCE
    assert deviation(mass * cue, reference["edge_score"]) < TOLERANCE


def nudged(points: RootPoints, seed: int) -> RootPoints:
    """The same image points, each coordinate off by a last bit of single precision or not."""
    sign = torch.randint(-1, 2, points.xy_image.shape, generator=torch.Generator().manual_seed(seed))
    return replace(points, xy_image=points.xy_image * (1 + sign * torch.finfo(torch.float32).eps))


def test_roots_are_the_released_ones_as_far_as_single_precision_tells(reference, people):
    """The released system is so ill scaled that a last bit moves its solution; processors round differently."""
    for sample in SAMPLES:
        points, members, found = seen_in(reference, sample).points, people[sample].members, people[sample].xyz_world
        expected = reference["roots_xyz_score"][sample, : len(found), :3].double()
        moved = float(max((triangulate(nudged(points, seed), members) - found).abs().max() for seed in range(16)))
        assert moved < 1.0, "mm; a system that rounding moves further decides nothing"
        assert float((found - expected).abs().max()) <= 2 * moved + TOLERANCE * float(expected.abs().max())


def test_confidence_at_the_released_roots(reference, imported, people):
    for sample in SAMPLES:
        found = people[sample]
        count = len(found.confidence)
        expected = reference["roots_xyz_score"][sample, :count].double()
        root = imported.skeleton.index(imported.skeleton.root)
        heat = heat_of(
            expected[:, :3],
            reference.features(sample).heatmaps[:, root],
            reference.cameras(sample),
            reference.input_from_image(sample),
        )
        score = found.mass * found.candidates.cue
        rows = (found.candidates.members[:, None] == found.members).all(-1).int().argmax(0)
        assert deviation((score[rows] * heat).sqrt(), expected[:, 3]) < TOLERANCE
