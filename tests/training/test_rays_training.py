"""Training of the rays: what a step is handed, strangers among members, mirrors, claims, and a run that is resumed."""

from dataclasses import replace

import pytest
import torch

from dispose.association.packing import gather_groups
from dispose.errors import InputError
from dispose.losses.estimates import distance_loss, student_t_loss
from dispose.models.rays.network import RayNetwork
from dispose.recipes.rays import RAYS_SMOKE
from dispose.scene.labels import association_of_identities
from dispose.skeletons.catalog import COCO_17
from dispose.training import rays
from dispose.training.rays import (
    DrawnPeople,
    RaysTask,
    are_right,
    build_scene_shard,
    labelled_rows,
    mirror,
    ray_examples,
    scale_covariances,
    scene_examples,
    train_rays,
    with_strangers,
)
from dispose.zoo.checkpoints import load_weights
from dispose_synthetic.randomness import Noise
from dispose_synthetic.rigs import CalibrationError
from dispose_synthetic.scenes import SceneConfig, sample_scenes
from dispose_synthetic.sightings import sample_sightings
from tests.synthetic.motions import small_motion

TINY = replace(
    RAYS_SMOKE,
    scenes=SceneConfig(views=(3, 3), chunk=4),
    optimisation=replace(RAYS_SMOKE.optimisation, steps=6, checkpoint_every=3),
    validation_people=256,
)


def draw(seed: int, rows: int = 8):
    return DrawnPeople(TINY, small_motion(10), []).batch(list(range(rows)), [seed] * rows)


def test_a_step_follows_from_its_seed():
    one, same, other = draw(3), draw(3), draw(4)
    assert torch.equal(one.xyz, same.xyz) and one.xyz.shape[0] == 8
    assert one.xyz.shape != other.xyz.shape or not torch.equal(one.xyz, other.xyz)


def test_groups_are_the_people_whom_the_labels_call_so():
    scenes = sample_scenes(torch.Generator().manual_seed(2), 4, TINY.scenes)
    for frame, labels in scenes:
        association = association_of_identities(labels.identity)
        rows = labelled_rows(association, labels)
        for members, row in zip(association.members.tolist(), rows.tolist(), strict=True):
            held = {int(labels.identity[view, slot]) for view, slot in enumerate(members) if slot >= 0}
            assert held == {int(labels.poses.id[row])}
        assert len(frame.cameras) == 3


def test_strangers_take_one_place_of_as_many_groups_as_they_should():
    scenes = sample_scenes(torch.Generator().manual_seed(2), 32, replace(TINY.scenes, persons=(4, 6)))
    associations = [association_of_identities(labels.identity) for _, labels in scenes]
    groups = gather_groups([frame for frame, _ in scenes], associations)
    kept = with_strangers(groups, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(kept, groups.member)
    changed = with_strangers(groups, 1.0, torch.Generator().manual_seed(0)) != groups.member
    assert int(changed.sum(1).max()) == 1 and float(changed.any(1).double().mean()) > 0.5


def test_scenes_hold_the_truth_beside_the_rays():
    found = scene_examples(
        replace(TINY, sightings=replace(TINY.sightings, stranger=0.0)), torch.Generator().manual_seed(5)
    )
    error = (found.rays.start - found.xyz).norm(dim=-1)[found.rays.robust]
    assert len(found.xyz) >= 4 and float(error.median()) < 0.1


def test_a_mirror_exchanges_the_sides():
    found = scene_examples(TINY, torch.Generator().manual_seed(5))
    seen = mirror(found)
    left, right = COCO_17.index("l_knee"), COCO_17.index("r_knee")
    assert torch.allclose(seen.xyz[:, left] * torch.tensor([1.0, -1.0, 1.0]), found.xyz[:, right])
    assert torch.allclose(seen.rays.direction[:, :, left, 1], -found.rays.direction[:, :, right, 1])
    assert torch.equal(seen.rays.seen[:, :, left], found.rays.seen[:, :, right])
    assert torch.allclose(seen.rays.centre * torch.tensor([1.0, -1.0, 1.0]), found.rays.centre)
    again = mirror(seen)
    assert torch.equal(again.xyz, found.xyz) and torch.equal(again.rays.centre, found.rays.centre)


def test_as_many_steps_show_rooms_as_the_share_says(tmp_path):
    build_scene_shard(TINY, 0, tmp_path / "scenes.safetensors")
    for share, wanted in ((1.0, True), (0.0, False)):
        source = DrawnPeople(replace(TINY, scene_share=share), small_motion(10), [tmp_path / "scenes.safetensors"])
        batches = [source.batch(list(range(4)), [seed] * 4) for seed in range(4)]
        # Rooms have COCO's joints and the three cameras of the recipe's scenes.
        of_rooms = [batch.rays.seen.shape[1:] == (3, 17) and len(batch.xyz) <= 4 for batch in batches]
        assert all(of_rooms) if wanted else not all(of_rooms)


def test_of_people_hardly_seen_nothing_is_learned():
    source = Noise(torch.Generator().manual_seed(1))
    config = replace(TINY.sightings, missing=0.0, views=(2, 2), view_weights=(1.0,))
    drawn = sample_sightings(source, small_motion(10), 6, COCO_17.joints, config)
    seen = drawn.sightings.seen.clone()
    seen[0] = False
    seen[0, 0, :2] = True
    examples = ray_examples(replace(drawn, sightings=replace(drawn.sightings, seen=seen)))
    assert not bool(examples.known[0].any()) and bool(examples.known[1:].any())


def test_people_are_judged_by_the_joints_that_are_said():
    batch = draw(3)
    found = RayNetwork(TINY.model)(batch.rays)[0][-1]
    tight = replace(found, xyz=batch.xyz.clone(), covariance=1e-4 * torch.eye(3).expand_as(found.covariance).clone())
    tight.xyz[0] += torch.tensor([0.16, 0.0, 0.0])
    tight.xyz[1, 0] += torch.tensor([9.0, 0.0, 0.0])
    tight.covariance[1, 0] = torch.eye(3)
    right, judged = are_right(tight, replace(batch, known=torch.ones_like(batch.known)))
    assert right.tolist() == [False] + [True] * 7 and bool(judged.all())


def test_every_loss_reaches_the_network():
    task, batch = RaysTask(RayNetwork(TINY.model)), draw(3)
    for term in task(batch):
        task.zero_grad()
        term.value.backward(retain_graph=True)
        assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in task.parameters()), term.name


def test_claims_make_intervals_hold_what_they_say(monkeypatch):
    torch.manual_seed(0)
    network = RayNetwork(TINY.model).eval()
    note = scale_covariances(network, TINY, None)
    first = float(network.claim)
    # A network that claims a third of its spread must be scaled up threefold.
    with torch.no_grad():
        network.spread.bias.sub_(torch.log(torch.tensor(3.0)))
    network.claim.fill_(1.0)
    again = scale_covariances(network, TINY, None)
    assert float(network.claim) == pytest.approx(3 * first, rel=0.2)
    # Where every calibration is three times as wrong the claim would be wider.
    monkeypatch.setattr(rays, "USUAL_CALIBRATION", CalibrationError(scale=(3.0, 3.0)))
    network.claim.fill_(1.0)
    scale_covariances(network, TINY, None)
    assert float(network.claim) > 1.05 * 3 * first
    assert "intervals of 50 and 90 % hold" in note and note.split("hold")[0][:20] == again.split("hold")[0][:20]


def test_claims_are_set_for_every_number_of_cameras(monkeypatch):
    """Half of the joints lie within the interval of 50 %; too few people leave a number of cameras as all are."""
    torch.manual_seed(0)
    network = RayNetwork(TINY.model).eval()
    monkeypatch.setattr(rays, "FEWEST_JOINTS", 40)
    recipe = replace(TINY, validation_people=512)
    scale_covariances(network, recipe, None)
    usual = replace(recipe.sightings, calibration=rays.USUAL_CALIBRATION)
    drawn = rays.drawn_errors(network, recipe, None, 2048, usual, rays.VALIDATION_SEED + 1)
    counts = torch.bincount(drawn.place, minlength=8)
    assert int((counts >= 40).sum()) >= 3 and len(set(network.by_views.tolist())) >= 3
    for place in (counts >= 40).nonzero()[:, 0].tolist():
        claimed = drawn.claimed(network)[drawn.place == place]
        assert float((claimed < rays.GAUSSIAN_INTERVALS[0]).double().mean()) == pytest.approx(0.5, abs=0.01)
    monkeypatch.setattr(rays, "FEWEST_JOINTS", 10**9)
    scale_covariances(network, recipe, None)
    assert network.by_views.tolist() == [1.0] * 8


def test_a_run_leaves_weights_and_goes_on_where_it_stopped(tmp_path):
    weights = train_rays(TINY, tmp_path / "run", None, workers=1)
    network = load_weights(weights, RayNetwork)
    assert network.config == TINY.model and float(network.claim) != 1.0
    (tmp_path / "run" / "rays.safetensors").unlink()
    again = load_weights(train_rays(TINY, tmp_path / "run", None, workers=1), RayNetwork)
    assert torch.equal(again.spread.weight, network.spread.weight) and torch.equal(again.claim, network.claim)


def test_captured_motion_is_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"needs --data FOLDER, which holds cmu_motion"):
        train_rays(replace(TINY, captured=True), tmp_path / "run", None)


def test_early_rounds_count_a_little():
    task, batch = RaysTask(RayNetwork(TINY.model).eval()), draw(3)
    terms = {term.name: float(term.value) for term in task(batch)}
    first, last = task.network(batch.rays)[0]
    for name, loss in (
        ("likelihood", lambda one: student_t_loss(one.xyz, one.covariance, batch.xyz, batch.known)),
        ("distance", lambda one: distance_loss(one.xyz, batch.xyz, batch.known, most=5.0)),
    ):
        assert terms[name] == pytest.approx(float(0.3 * loss(first) + loss(last)), rel=1e-4)
    odds = task.network(batch.rays)[1]
    right, judged = are_right(last, batch)
    doubt = torch.where(right, (-odds).exp().log1p(), odds.exp().log1p())[judged].mean()
    assert terms["doubt"] == pytest.approx(float(doubt), rel=1e-4)
