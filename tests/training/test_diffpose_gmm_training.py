"""Training of informed diffusion: first the lifter, then the refiner on its frozen answers; stopped runs go on."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from dispose.cli.main import main
from dispose.diffusion.parameterisations import corrupt
from dispose.errors import InputError
from dispose.models.diffpose_gmm.model import RELEASE, DiffPoseGmm
from dispose.recipes.diffpose_gmm import SHIPPED, SMOKE
from dispose.skeletons.catalog import COCO_17
from dispose.training import diffpose_gmm_runs
from dispose.training.diffpose_gmm import RefinerTask, error_of
from dispose.training.diffpose_gmm_runs import VALIDATION_SEED, train_diffpose_gmm
from dispose.training.lifting import DrawnViews, LifterTask, LiftExamples, with_mirror_images
from dispose.zoo.checkpoints import load_weights, read_metadata
from dispose.zoo.lifters import load_lifter
from dispose_synthetic.one_view import OneViewConfig
from dispose_synthetic.randomness import Noise

TINY = replace(
    SMOKE,
    lifter=replace(SMOKE.lifter, steps=4, checkpoint_every=2),
    refiner=replace(SMOKE.refiner, steps=4, checkpoint_every=2),
    validation_people=64,
)


def people(count: int, seed: int = 0, config: OneViewConfig = SMOKE.views) -> LiftExamples:
    return DrawnViews(config, None).draw(Noise(torch.Generator().manual_seed(seed)), count)


def test_a_stopped_run_ends_as_an_unbroken_one(tmp_path, monkeypatch):
    whole = load_weights(train_diffpose_gmm(TINY, tmp_path / "whole", None, workers=0), DiffPoseGmm)
    monkeypatch.setattr(diffpose_gmm_runs, "describe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        train_diffpose_gmm(TINY, tmp_path / "broken", None, workers=0)
    monkeypatch.undo()
    found = load_weights(train_diffpose_gmm(TINY, tmp_path / "broken", None, workers=0), DiffPoseGmm)
    assert all(torch.equal(value, found.state_dict()[name]) for name, value in whole.state_dict().items())
    with pytest.raises(InputError, match="another recipe"):
        train_diffpose_gmm(replace(TINY, seed=1), tmp_path / "broken", None, workers=0)

    lifter, stored = load_file(tmp_path / "whole" / "lifter.safetensors"), whole.lifter.network.state_dict()
    assert all(torch.equal(value.half().float(), stored[name]) for name, value in lifter.items())
    torch.manual_seed(TINY.seed)
    untrained = DiffPoseGmm(TINY.model)
    assert not torch.equal(untrained.denoiser.body.leave.weight.half().float(), whole.denoiser.body.leave.weight)
    held_out = people(TINY.validation_people, VALIDATION_SEED)
    torch.testing.assert_close(whole.error, error_of(whole, held_out), rtol=1e-2, atol=1e-3)


def test_the_released_mode_learns_on_exact_keypoints(tmp_path, monkeypatch):
    drawn = []

    class Watched(DrawnViews):
        def __init__(self, config, motion):
            drawn.append(config.exact)
            super().__init__(config, motion)

    monkeypatch.setattr(diffpose_gmm_runs, "DrawnViews", Watched)
    recipe = replace(TINY, model=replace(TINY.model, mode=RELEASE))
    weights = train_diffpose_gmm(recipe, tmp_path, None, workers=0)
    assert drawn == [TINY.views.exact, 1.0]
    assert "mean of 1 refined" in read_metadata(weights)[3]


def test_the_lifter_of_another_run_is_taken_if_it_fits(tmp_path):
    recipe = replace(TINY, refiner=replace(TINY.refiner, steps=2))
    found = load_weights(train_diffpose_gmm(recipe, tmp_path / "first", None, workers=0), DiffPoseGmm)
    lifter = load_file(tmp_path / "first" / "lifter.safetensors")
    for name, change in (("second", 1.0), ("third", 2.0)):
        (tmp_path / name).mkdir()
        save_file({key: change * value for key, value in lifter.items()}, tmp_path / name / "lifter.safetensors")
        other = load_weights(train_diffpose_gmm(recipe, tmp_path / name, None, workers=0), DiffPoseGmm)
        assert torch.equal(other.denoiser.body.leave.weight, found.denoiser.body.leave.weight) == (change == 1.0)
        assert torch.equal(other.error, found.error) == (change == 1.0)
    (tmp_path / "fourth").mkdir()
    save_file({key: value[:1] for key, value in lifter.items()}, tmp_path / "fourth" / "lifter.safetensors")
    with pytest.raises(InputError, match="a lifter of other sizes"):
        train_diffpose_gmm(recipe, tmp_path / "fourth", None, workers=0)


def test_the_command_trains_and_what_it_trained_lifts(tmp_path, capsys):
    settings = ["lifter.steps=2", "refiner.steps=2", "validation_people=32"]
    assert main(["train", "diffpose-gmm_smoke", "--out", str(tmp_path), "--workers", "1", "--set", *settings]) == 0
    lifter = load_lifter("diffpose-gmm", tmp_path / "diffpose_gmm.safetensors", 3)
    assert lifter.skeleton.name == "coco_17"
    with pytest.raises(InputError, match="--data FOLDER"):
        train_diffpose_gmm(SHIPPED, tmp_path / "other", None)


def test_everybody_is_seen_in_a_mirror_too():
    batch = people(3)
    both = with_mirror_images(batch)
    assert both.xyz.shape[0] == 6
    torch.testing.assert_close(both.xyz[:3], batch.xyz)
    left, right = COCO_17.index("l_wrist"), COCO_17.index("r_wrist")
    torch.testing.assert_close(both.xyz[3:, left], batch.xyz[:, right] * torch.tensor([-1.0, 1.0, 1.0]))
    torch.testing.assert_close(both[3:].mirror().people.uv, batch.people.uv)


def test_unknown_joints_are_not_learned():
    torch.manual_seed(0)
    task = LifterTask(DiffPoseGmm(SMOKE.model).lifter)
    batch = people(8)
    known = torch.ones_like(batch.known)
    known[:, 3] = False
    wild = batch.xyz.clone()
    wild[:, 3] += 10
    value = [task(replace(batch, xyz=xyz, known=known))[0].value.item() for xyz in (batch.xyz, wild)]
    assert value[0] == value[1] > 0


def test_what_the_refiner_sees_is_the_corrupted_truth(monkeypatch):
    """Of the released law: the true pose and the keypoints as they are told, times the signal, plus scaled noise."""
    torch.manual_seed(0)
    network = DiffPoseGmm(replace(SMOKE.model, mode=RELEASE))
    task, batch, seen = RefinerTask(network), people(8, 3), []
    noise = torch.randn(16, 17, 5)

    def hear(latent, step, law, told):
        seen.append((latent, step))
        return torch.zeros_like(latent)

    monkeypatch.setattr(network, "denoise", hear)
    monkeypatch.setattr("dispose.training.diffpose_gmm.draw_noise", lambda law, like: law.scale * noise)
    task(batch)
    latent, step = seen[0]
    both = with_mirror_images(batch)
    law = network.law(both.people, both.xyz)
    level = torch.tensor(network.table.alpha_bar)[step.long(), None, None]
    clean = torch.cat([both.people.uv, both.xyz], -1)
    expected = corrupt(clean, law.scale * noise, level)
    torch.testing.assert_close(latent[both.known], expected[both.known])
    assert (step[:7] + step[9:] == 50).all()
