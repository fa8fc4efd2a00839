"""What the weights of 2-D detections learn from, and that they do: groups, noise, batches, a run that is stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.errors import InputError
from dispose.models.triangulation.detections import DetectionWeights, DetectionWeightsConfig
from dispose.models.triangulation.statistics import UNNAMED
from dispose.recipes.algebraic_detections import RECIPES, SMOKE
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15
from dispose.tensors import ABSENT
from dispose.training.config import Optimisation
from dispose.training.detection_scenes import (
    SKELETONS,
    DetectionScenes,
    WeighedPeople,
    build_people_chunk,
    draw_people,
    groups_of,
    no_people,
    scene_of_points,
)
from dispose.training.detection_weights import (
    DetectionWeightsTask,
    WeighedSource,
    nameless,
    scale_covariances,
    train_detection_weights,
)
from dispose.training.shards import Shards
from dispose.zoo.checkpoints import load_weights, read_metadata
from dispose_synthetic.rigs import STUDIO
from dispose_synthetic.scenes import SceneConfig, sample_scenes

ROOM = SceneConfig(views=(4, 4), persons=(3, 3), rigs=(STUDIO,), chunk=8)
SMALL = replace(
    SMOKE,
    frames_per_chunk=6,
    drawn=DetectionScenes(scenes=replace(ROOM, chunk=3)),
    optimisation=Optimisation(steps=4, batch=4, rate=1e-3, warmup=0, checkpoint_every=2),
)


@pytest.fixture(scope="module")
def people() -> list[WeighedPeople]:
    """Those of two chunks, whose joints are COCO's and Panoptic's."""
    return [some for chunk in (0, 3) for some in draw_people(SMALL, chunk)]


def test_groups_are_those_of_the_labels_unless_they_are_spoiled(generator: torch.Generator):
    drawn = DetectionScenes(scenes=ROOM, lost=0.0, stranger=0.0)
    for frame, labels in sample_scenes(generator, 4, ROOM):
        members = groups_of(labels, drawn, generator)
        for row, person in enumerate(labels.poses.id):
            for view in range(4):
                slots = (labels.identity[view] == person).nonzero()[:, 0].tolist()
                assert members[row, view] == (slots[0] if slots else ABSENT)
        there = members != ABSENT
        assert (groups_of(labels, replace(drawn, lost=1.0), generator) == ABSENT).all()
        foreign = groups_of(labels, replace(drawn, stranger=1.0), generator)
        assert (foreign[~there] == ABSENT).all() and frame.detections.valid.gather(1, foreign.T.clamp(min=0)).any()
        # Whoever stands in for a member is somebody's detection of the same view.
        who = torch.take_along_dim(labels.identity, foreign.T.clamp(min=0), 1).T
        assert (who[there] != ABSENT).all() and (foreign[there] != members[there]).any()


def test_points_have_the_noise_that_is_drawn_and_no_telling_score(generator: torch.Generator):
    drawn = DetectionScenes(scenes=ROOM, sigma_px=(2.0, 2.0), wrong=0.0, missing=0.0)
    apart = []
    for frame, labels in sample_scenes(generator, 8, ROOM):
        seen, known = scene_of_points(frame, labels, drawn, generator)
        xy, _ = frame.cameras.project(known.poses.xyz_world)
        found = seen.detections
        assert (found.confidence[found.visible] == 1).all()
        wide = float(frame.cameras.size[:, 0].mean()) / 640
        apart.append(((found.xy_image - xy)[found.visible] / wide).flatten())
    assert float(torch.cat(apart).std()) == pytest.approx(2.0, rel=0.05)
    lost = replace(drawn, missing=1.0)
    shares = [float(scene_of_points(*scene, lost, generator)[0].detections.visible.double().mean())
              for scene in sample_scenes(generator, 12, ROOM)]  # fmt: skip
    assert 0.2 < sum(shares) / len(shares) < 0.8


def test_people_are_what_the_seed_says_and_are_seen_twice(people: list[WeighedPeople]):
    assert SKELETONS[0] == COCO_17 and SKELETONS[3] == PANOPTIC_15
    assert {some.statistics.seen.shape[2] for some in people} == {17, 15}
    again = draw_people(SMALL, 0)
    assert torch.equal(again[0].statistics.values, people[0].statistics.values)
    assert torch.equal(again[0].xyz_world, people[0].xyz_world)
    for some in people:
        assert (some.statistics.seen.any(2).sum(1) >= 2).all()
        assert not (some.known & ~some.statistics.known).any() and some.known.any()
        # The start is near the truth: people and their truths are in the same order.
        error = (some.statistics.start - some.xyz_world).norm(dim=-1)[some.known]
        assert float(error.median()) < 150


def test_shards_hold_the_people(people: list[WeighedPeople], tmp_path: Path):
    build_people_chunk(SMALL, 0, tmp_path / "a.safetensors")
    stored = Shards([tmp_path / "a.safetensors"], no_people()).read_all()
    for one, other in zip(stored, draw_people(SMALL, 0), strict=True):
        assert torch.equal(one.xyz_world, other.xyz_world) and torch.equal(one.known, other.known)
        for name, value in vars(other.statistics).items():
            assert torch.equal(vars(one.statistics)[name], value) and vars(one.statistics)[name].dtype == value.dtype


def test_a_step_sees_equal_shapes_and_some_nameless_joints(people: list[WeighedPeople]):
    source = WeighedSource(people)
    assert len(source.groups) == sum(len(some.xyz_world) for some in people) and len(set(source.groups)) == 2
    rows = [row for row, group in enumerate(source.groups) if group == source.groups[0]][:3]
    batch = source.batch(rows, [5, 6, 7])
    assert torch.equal(batch.xyz_world[1], people[0].xyz_world[1])
    many = replace(people[0], statistics=people[0].statistics)
    unnamed = [nameless(many, 1000 * seed + torch.arange(len(many.xyz_world))).statistics.name for seed in range(40)]
    share = torch.stack([(name == UNNAMED).double().mean() for name in unnamed]).mean()
    assert float(share) == pytest.approx(0.15, abs=0.03)


def test_the_loss_falls_and_counts_only_what_is_known(people: list[WeighedPeople]):
    torch.manual_seed(0)
    task = DetectionWeightsTask(DetectionWeights(DetectionWeightsConfig(chans=16, name_chans=4, rounds=2)))
    batch = people[0]
    spoiled = replace(batch, xyz_world=torch.where(batch.known[..., None], batch.xyz_world, 1e6))
    before = {term.name: float(term.value) for term in task(batch)}
    assert before == {term.name: float(term.value) for term in task(spoiled)}
    assert set(before) == {"joints", "likelihood"}
    optimizer = torch.optim.Adam(task.parameters(), 5e-3)
    for _ in range(25):
        optimizer.zero_grad()
        torch.stack([term.value * term.weight for term in task(batch)]).sum().backward()
        optimizer.step()
    after = {term.name: float(term.value) for term in task(batch)}
    assert after["likelihood"] < before["likelihood"] - 0.5
    assert after["joints"] < before["joints"]


def test_covariances_are_scaled_to_hold_what_they_claim(people: list[WeighedPeople]):
    torch.manual_seed(1)
    network = DetectionWeights(DetectionWeightsConfig(chans=16, name_chans=4, rounds=1)).eval()
    network.stretch.fill_(9.0)
    note = scale_covariances(network, people)
    offsets, deviations = [], []
    with torch.no_grad():
        for some in people:
            found = network(some.statistics)[-1]
            offsets.append((found.xyz_world - some.xyz_world).abs()[some.known])
            deviations.append(torch.diagonal(found.covariance, dim1=-2, dim2=-1).sqrt()[some.known])
    ratio = (torch.cat(offsets) / torch.cat(deviations)).flatten()
    needed = [float(ratio.quantile(share)) / edge for share, edge in ((0.5, 0.67449), (0.9, 1.64485))]
    assert needed[0] * needed[1] == pytest.approx(1.0, rel=0.02) and "held-out synthetic people" in note


def test_a_run_that_was_stopped_ends_as_an_unbroken_one(tmp_path: Path):
    whole = train_detection_weights(SMALL, tmp_path / "whole", workers=1)
    stopped = tmp_path / "stopped"
    train_detection_weights(SMALL, stopped, workers=1)
    # As if it had been killed after the training: what follows is done again.
    (stopped / whole.name).unlink()
    again = train_detection_weights(SMALL, stopped, workers=1)
    one, other = (load_weights(path, DetectionWeights).state_dict() for path in (whole, again))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_metadata(whole)[0] == "DetectionWeights" and float(one["stretch"]) != 1.0
    with pytest.raises(InputError, match="another recipe"):
        train_detection_weights(replace(SMALL, seed=1), stopped, workers=1)


def test_recipes_have_the_names_of_the_table():
    from dispose.systems import system_of

    assert all(system_of(name).name == "algebraic_detections" for name in RECIPES)
