"""Training of many hypotheses: what its terms say, averages that survive a break, and claims that hold."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dispose.cli.main import main
from dispose.diffusion.parameterisations import ANSWERS, corrupt
from dispose.losses.objective import total
from dispose.models.diffpose_hypotheses.network import LEAST_SPREAD, HypothesesConfig, HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import see_keypoints
from dispose.recipes.diffpose_hypotheses import FULL, SHIPPED, SMOKE
from dispose.systems import system_of
from dispose.training import hypotheses_run
from dispose.training.config import Optimisation
from dispose.training.fit import fit
from dispose.training.hypotheses import HypothesesTask, noise_terms
from dispose.training.hypotheses_run import needed_claim, scale_spread, train_hypotheses
from dispose.training.lifting import DrawnViews
from dispose.zoo.checkpoints import load_weights
from dispose_synthetic.motion import AS_CAPTURED
from dispose_synthetic.one_view import OneViewConfig
from dispose_synthetic.randomness import Noise
from tests.synthetic.motions import small_motion

TINY = HypothesesConfig(samples=3, channels=6, layers=0, condition=16, width=16, blocks=1, joint_dropout=0.5)


def people(count: int = 12, seed: int = 0):
    drawn = DrawnViews(OneViewConfig(), None).draw(Noise(torch.Generator().manual_seed(seed)), count)
    return drawn[drawn.known.all(1)]


def terms_of(network: HypothesesNetwork, draws: int = 2) -> dict[str, float]:
    batch = people()
    evidence = see_keypoints(network.config, batch.people, 1, torch.Generator().manual_seed(1))
    found = noise_terms(network, evidence, batch.xyz, draws, torch.Generator().manual_seed(2))
    return {term.name: float(term.value.detach()) for term in found}


@pytest.mark.parametrize("answer", list(ANSWERS))
def test_a_denoiser_that_answers_rightly_has_no_error(answer: str, monkeypatch):
    network, batch, seen = HypothesesNetwork(replace(TINY, answer=answer)).eval(), people(), {}

    def right(latent, step, guessed, heard):
        clean = network.centred(batch.xyz)[:, None].expand_as(latent)
        share = torch.tensor(network.table.alpha_bar)[step.long()]
        noise = (latent - share.sqrt() * clean) / (1 - share).sqrt()
        seen["step"], seen["latent"] = step, latent
        torch.testing.assert_close(corrupt(clean, noise, share), latent)
        return ANSWERS[answer].target(clean, noise, share)

    monkeypatch.setattr(network, "denoise", right)
    assert terms_of(network)["noise"] < 1e-6
    assert seen["latent"].shape[:2] == (len(batch.xyz), 2) and int(seen["step"].max()) > 12 > int(seen["step"].min())


def test_the_guess_is_judged_by_distance_and_its_covariance_by_likelihood(monkeypatch):
    network = HypothesesNetwork(replace(TINY, guess=1, leans=2)).eval()
    guess, batch = network.guess, people()
    assert guess is not None
    assert guess.pose is not None
    for layer in (guess.pose, guess.spread, guess.lean):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    state = network.centred(batch.xyz)
    found = terms_of(network)
    assert found["distance"] == pytest.approx(float(state.unflatten(-1, (3, 17)).norm(dim=1).mean()), rel=1e-4)
    squares = float(state.square().mean())
    for log_spread in (0.0, 0.7):
        torch.nn.init.constant_(guess.spread.bias, log_spread)
        variance = math.exp(2 * log_spread) + LEAST_SPREAD**2
        expected = squares / (2 * variance) + math.log(variance) / 2
        assert terms_of(network)["surprise"] == pytest.approx(expected, rel=1e-4)


def test_the_denoiser_teaches_the_guess_nothing_of_where_it_is():
    network = HypothesesNetwork(replace(TINY, guess=1, leans=2))
    batch = people()
    evidence = see_keypoints(network.config, batch.people, 1, torch.Generator().manual_seed(1))
    terms = noise_terms(network, evidence, batch.xyz, 1, torch.Generator().manual_seed(2))
    next(term for term in terms if term.name == "noise").value.backward()
    taught = {name: parameter.grad is not None for name, parameter in network.named_parameters()}
    assert not any(taught[f"guess.{layer}.weight"] for layer in ("pose", "spread", "lean"))
    assert not taught["condition.flatten.weight"] and taught["denoiser.inward.weight"]


def test_joints_are_held_back_in_training_alone():
    network = HypothesesNetwork(replace(TINY, joint_dropout=0.999))
    shown = []
    network.condition.register_forward_hook(lambda module, inputs, output: shown.append(inputs[2]))
    terms_of(network.train())
    terms_of(network.eval())
    assert float(shown[0].mean()) < 0.05 and shown[1] is None


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_an_averaged_run_that_broke_off_ends_as_an_unbroken_one(tmp_path: Path):
    plan = Optimisation(
        steps=8, batch=6, rate=1e-2, warmup=0, clip=1.0, average=0.7, average_every=2, checkpoint_every=3
    )
    source, ends = DrawnViews(OneViewConfig(), None), []
    for name in ("whole", "broken", "plain"):
        torch.manual_seed(0)
        task = HypothesesTask(HypothesesNetwork(TINY), 1)
        if name == "broken":
            with pytest.raises(RuntimeError, match="power cut"):
                fit(_Stopping(task), source, tmp_path / name, plan, seed=4, workers=0)
        this = replace(plan, average=0.0) if name == "plain" else plan
        fit(task, source, tmp_path / name, this, seed=4, workers=0)
        ends.append(task.state_dict())
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key
    assert not torch.equal(ends[0]["network.denoiser.outward.weight"], ends[2]["network.denoiser.outward.weight"])


class _Stopping(HypothesesTask):
    """A task that is interrupted in its fifth step."""

    def __init__(self, task: HypothesesTask) -> None:
        super().__init__(task.network, task.draws)
        self.left = 5

    def forward(self, batch):
        self.left -= 1
        if not self.left:
            raise RuntimeError("power cut")
        return super().forward(batch)


def test_a_batch_of_unknown_people_says_nothing():
    batch = people()
    nobody = replace(batch, known=torch.zeros_like(batch.known))
    terms = HypothesesTask(HypothesesNetwork(TINY), 1)(nobody)
    assert terms == () and float(total(terms)) == 0


def test_the_claim_makes_intervals_hold_what_they_say():
    generator = torch.Generator().manual_seed(0)
    off = torch.randn(800, 400, 4, 3, generator=generator) * torch.tensor([1.0, 0.5, 2.0])
    truth = torch.randn(800, 4, 3, generator=generator) * torch.tensor([2.0, 0.5, 1.0])
    torch.testing.assert_close(needed_claim(off, truth), torch.tensor([2.0, 1.0, 0.5]), rtol=0.06, atol=0)


def test_half_and_nearly_all_count_alike_where_they_need_different_claims():
    """Of truths that lie evenly within ±1, intervals of a Gaussian of deviation 1 need 0.5 / 0.674 and 0.9 / 1.645."""
    generator = torch.Generator().manual_seed(0)
    off = torch.randn(1500, 400, 3, 3, generator=generator)
    truth = 2 * torch.rand(1500, 3, 3, generator=generator) - 1
    expected = ((0.5 / 0.6745) * (0.9 / 1.645)) ** 0.5
    torch.testing.assert_close(needed_claim(off, truth), torch.full((3,), expected), rtol=0.04, atol=0)


def test_the_spread_is_scaled_on_people_in_their_own_bodies_whatever_was_claimed_before(monkeypatch):
    drawn: list[OneViewConfig] = []

    class Watched(DrawnViews):
        def __init__(self, config, motion):
            drawn.append(config)
            super().__init__(config, motion)

    monkeypatch.setattr(hypotheses_run, "DrawnViews", Watched)
    monkeypatch.setattr(hypotheses_run, "VALIDATION", replace(hypotheses_run.VALIDATION, hypotheses=8))
    torch.manual_seed(0)
    network, motion = HypothesesNetwork(SMOKE.model).eval(), small_motion(20)
    scale_spread(network, SMOKE, motion)
    claim = network.claim.clone()
    network.claim.fill_(0.7)
    scale_spread(network, SMOKE, motion)
    assert torch.equal(network.claim, claim) and not torch.equal(claim, torch.ones_like(claim))
    assert drawn[0].procedural == 0.0 and drawn[0].variety is AS_CAPTURED
    scale_spread(network, SMOKE, None)
    assert drawn[-1] == SMOKE.views


def test_what_goes_on_alone_sees_other_people_than_what_went_before(tmp_path: Path, monkeypatch):
    fits: list[tuple[str, int, list[str]]] = []

    def note(task, people, folder, plan, *, seed, workers):
        learned = [name for name, value in task.named_parameters() if value.requires_grad]
        fits.append((folder.name, seed, learned))

    monkeypatch.setattr(hypotheses_run, "fit", note)
    monkeypatch.setattr(hypotheses_run, "train_lifter", lambda network, people, plan, folder, **how: None)
    monkeypatch.setattr(hypotheses_run, "scale_spread", lambda *_: "scaled")
    train_hypotheses(replace(SMOKE, seed=6), tmp_path, None, workers=0)
    (first, seed, before), (second, later, alone) = fits
    assert (first, second, seed, later) == ("hypotheses", "denoiser", 6, 7)
    assert not any(name.startswith("network.lifter.") for name in before)
    assert any(name.startswith("network.guess.") for name in before)
    assert alone and all(name.startswith("network.denoiser.") for name in alone)


def test_recipes_are_what_they_are_called():
    assert sum(p.numel() for p in HypothesesNetwork(SHIPPED.model).parameters()) < 5e6
    full = sum(p.numel() for p in HypothesesNetwork(FULL.model).parameters())
    assert round(full / 1e6, 2) == 11.67
    assert FULL.optimisation.batch == 32 and FULL.model.steps == 25 and FULL.model.answer == "noise"
    for recipe in (SHIPPED, FULL, SMOKE):
        assert system_of(recipe.name).name == "diffpose-hypotheses"
        assert recipe.optimisation.average == 0.995


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_the_miniature_leaves_weights_with_scaled_claims(tmp_path: Path, capsys):
    assert main(["train", SMOKE.name, "--out", str(tmp_path), "--workers", "1"]) == 0
    network = load_weights(tmp_path / "diffpose_hypotheses.safetensors", HypothesesNetwork)
    lifter = load_file(tmp_path / "lifter.safetensors")
    assert network.lifter is not None
    stored = network.lifter.state_dict()
    assert all(torch.equal(value.half().float(), stored[name]) for name, value in lifter.items())
    assert network.config == SMOKE.model and not torch.equal(network.claim, torch.ones(4, 3))
    assert "people drawn after training" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_the_denoiser_goes_on_alone(tmp_path: Path):
    ends = []
    for name, plan in (("with", SMOKE.denoiser), ("without", None)):
        train_hypotheses(replace(SMOKE, denoiser=plan), tmp_path / name, None, workers=0)
        ends.append(load_file(tmp_path / name / "unscaled.safetensors"))
    changed = {key for key, value in ends[0].items() if not torch.allclose(value, ends[1][key], rtol=0, atol=1e-5)}
    assert changed == {key for key in ends[0] if key.startswith("denoiser.")}


def test_captured_motion_has_to_be_there(tmp_path: Path, capsys):
    assert main(["train", SHIPPED.name, "--out", str(tmp_path)]) != 0
    assert "needs --data FOLDER, which holds cmu_motion" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("recipe", "setting", "says"),
    [
        ("diffpose-gmm_smoke", "model.mode.answer=sense", "'sense', which is none of noise, velocity, clean"),
        ("diffpose-gmm_smoke", "model.denoiser.heads=7", "16 channels do not split over 7 heads"),
        ("diffpose-hypotheses_smoke", "model.sight=false", "a lifter takes a guess, sight"),
    ],
)
def test_settings_that_make_no_network_are_one_sentence(recipe: str, setting: str, says: str, tmp_path: Path, capsys):
    assert main(["train", recipe, "--out", str(tmp_path), "--workers", "1", "--set", setting]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
