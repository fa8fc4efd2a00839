"""The study of lifters on real motion: the references learn, and weights are told apart by their kind."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dispose.errors import InputError
from dispose.models.lifting.residual import ResidualConfig
from dispose.scene.lifted import place_before_camera
from dispose.skeletons.catalog import COCO_17
from dispose.training.lifting import DrawnViews
from dispose.zoo.checkpoints import SHIPPED_RAYS, shipped_weights
from dispose_benchmarks.studies.real_motion import (
    REFERENCE,
    TurnedPeople,
    answer_of,
    train_plain,
    trained_lifters,
    unaware,
)
from dispose_synthetic.randomness import Noise
from tests.synthetic.motions import small_motion


def test_the_reference_learns_and_its_answers_turn_with_a_mirror():
    drawn = DrawnViews(REFERENCE, small_motion(20))
    config = ResidualConfig(COCO_17.joints, width=32, blocks=1)
    held_out = drawn.draw(Noise(torch.Generator().manual_seed(99)), 200)
    errors = []
    for steps in (2, 60):
        network = train_plain(lambda source: drawn.draw(source, 64), config, 0, steps)
        off = (network(unaware(held_out.people)).detach() - held_out.xyz).norm(dim=-1)[held_out.known]
        errors.append(float(off.mean()))
    assert errors[1] < 0.8 * errors[0]
    lift, swap = answer_of(network), COCO_17.mirror
    generator = torch.Generator()
    there = lift(held_out.people, generator)
    mirrored = lift(held_out.people.mirror(swap), generator)[:, :, swap] * torch.tensor([-1.0, 1.0, 1.0])
    doubtful = replace(held_out.people, sigma=held_out.people.sigma + 0.5)
    assert torch.equal(lift(doubtful, generator), there)
    assert there.shape == (200, 1, 17, 3) and torch.allclose(there, mirrored, atol=1e-5)


def test_recorded_people_are_seen_where_their_keypoints_are(shared_data: Path):
    people = TurnedPeople.read(shared_data, ("S1", "S5"))
    assert len(people.cameras.size) == 8
    drawn = people.draw(Noise(torch.Generator().manual_seed(0)), 50)
    plane = (drawn.people.uv * drawn.people.size[:, None, None]).double()
    place = place_before_camera(drawn.xyz.double(), plane, drawn.known.double())
    there = drawn.xyz.double() + place[:, None]
    assert drawn.known.all()
    assert float((there[..., :2] / there[..., 2:] - plane).abs().max()) < 1e-4
    up = drawn.people.to_camera(drawn.people.up[:, None])[:, 0]
    assert float(up[:, 1].max()) < -0.5


def test_weights_of_another_kind_are_refused():
    with pytest.raises(InputError, match=r"rays\.safetensors: holds a RayNetwork, which lifts no keypoints"):
        trained_lifters([shipped_weights(SHIPPED_RAYS)])
