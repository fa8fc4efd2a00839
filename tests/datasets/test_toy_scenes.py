"""The teaching toy's scenes: everybody once in every view, errors long along the line of sight and thin across it."""

import math

import pytest
import torch

from dispose.errors import InputError
from dispose_workbench.toy import ToyConfig, draw_toy_scene, draw_toy_scenes


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_view_sees_everybody_once_and_people_stay_in_the_room() -> None:
    config = ToyConfig(people=5, views=3)
    for scene in draw_toy_scenes(config, 5, generator()):
        assert bool((scene.identity.sort(dim=1).values == torch.arange(5)).all())
        assert float(scene.person_mm.abs().max()) <= config.room_mm / 2


def test_errors_have_the_spread_that_was_asked_for_in_both_directions() -> None:
    config = ToyConfig(people=4000, views=2, turn=math.radians(50))
    scene = draw_toy_scene(config, generator())
    error = scene.xy_mm - scene.person_mm[scene.identity]
    along = (error * scene.sight[:, None]).sum(-1)
    across = error[..., 0] * scene.sight[:, None, 1] - error[..., 1] * scene.sight[:, None, 0]
    for view in range(2):
        assert float(along[view].std()) == pytest.approx(config.along_mm, rel=0.05)
        assert float(across[view].std()) == pytest.approx(config.across_mm, rel=0.05)
    assert math.acos(float(scene.sight[0] @ scene.sight[1])) == pytest.approx(config.turn)


def test_the_generator_decides_everything() -> None:
    one, same, other = (draw_toy_scene(ToyConfig(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.xy_mm, same.xy_mm) and not torch.equal(one.xy_mm, other.xy_mm)


def test_impossible_scenes_are_one_sentence() -> None:
    with pytest.raises(InputError, match="4 and 1"):
        ToyConfig(views=1)
    with pytest.raises(InputError, match="positive lengths in mm"):
        ToyConfig(along_mm=0.0)
