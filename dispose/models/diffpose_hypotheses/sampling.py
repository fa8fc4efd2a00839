"""From keypoints or heat maps to many poses that a person may have: the reverse process (holmquist2023diffpose)."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.parameterisations import bounded
from dispose.diffusion.samplers import (
    Process,
    ReverseStep,
    ancestral_step,
    ddim_step,
    final,
    mean_step,
    opposite_starts,
    reverse_process,
)
from dispose.errors import InputError
from dispose.models.diffpose_hypotheses.network import HypothesesConfig, HypothesesNetwork, along_rays
from dispose.models.lifting.told import told
from dispose.models.lifting.view import Lift, ViewPeople
from dispose.nn.beliefs import Samples, sample_heatmaps, sample_keypoints
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct

PEOPLE_AT_ONCE = 32


def _as_it_is(state: Tensor) -> Tensor:
    return state


@dataclass(frozen=True)
class Chain:
    """How poses are drawn.

    Attributes:
        hypotheses: poses per person.
        steps: denoiser calls; 0 = one for every step of the noise.
        step: from one time to the next.
    """

    hypotheses: int = 200
    steps: int = 0
    step: ReverseStep = ancestral_step

    def __post_init__(self) -> None:
        if self.hypotheses < 1:
            raise InputError(f"{self.hypotheses} hypotheses are asked for; at least one is needed.")


FULL, QUICK, MEAN = Chain(), Chain(steps=8, step=ddim_step), Chain(1, step=mean_step)
"""Every step with its noise; few steps without; and one pose (``z0``) by the mean of every step."""


@dataclass(frozen=True, eq=False)
class Sighted(TensorStruct):
    """What is known of every hypothesis of people: samples of keypoints, the rest of a view, and what guesses are
    put together from (`along_rays`), if from anything. `sigma`: what is told of the keypoints' uncertainty in the mean.
    """

    samples: Samples
    sight: Float[Tensor, "persons hypotheses sight"]
    sigma: Float[Tensor, " persons"]
    states: Float[Tensor, "persons 1 state parts"] | None = None


def only(people: ViewPeople, joints: tuple[str, ...]) -> ViewPeople:
    """The same people with keypoints of these names in this order; those that were not told are unseen.

    Raises:
        InputError: none of them was told.
    """
    rows = [people.joints.index(joint) if joint in people.joints else ABSENT for joint in joints]
    if max(rows) == ABSENT:
        told, known = ", ".join(people.joints), ", ".join(joints)
        raise InputError(f"none of the keypoints ({told}) is one that the network knows ({known}).")
    found = people.select(joints=[max(row, 0) for row in rows])
    there = (torch.tensor(rows, device=people.seen.device) != ABSENT) & found.seen
    parts = {name: torch.where(there, vars(found)[name], 0.0) for name in ("sigma", "confidence")}
    return replace(found, joints=joints, uv=torch.where(there[..., None], found.uv, 0.0), seen=there, **parts)


def see_keypoints(config: HypothesesConfig, people: ViewPeople, hypotheses: int, generator: torch.Generator) -> Sighted:
    """Places drawn around keypoints, anew for every hypothesis; the keypoints are the network's (`only`)."""
    uv, sigma, confidence, seen = (
        _again(value, hypotheses) for value in (people.uv, people.sigma, people.confidence, people.seen)
    )
    samples = sample_keypoints(uv, sigma, confidence, seen, config.samples, generator, peak=config.peak)
    sight = told(people) if config.sight else people.size.new_zeros(len(people), 0)
    states = along_rays(people)[:, None] if config.rays else None
    return Sighted(samples, _again(sight, hypotheses), told_sigma(people), states)


def told_sigma(people: ViewPeople) -> Float[Tensor, " persons"]:
    """How uncertain keypoints are said to be, in the mean over those that are seen, in units of a person's extent."""
    return people.sigma.sum(1) / people.seen.sum(1).clamp(min=1)


def _again(value: Tensor, hypotheses: int) -> Tensor:
    return value[:, None].expand(-1, hypotheses, *value.shape[1:])


def see_heatmaps(
    config: HypothesesConfig,
    heatmaps: Float[Tensor, "persons joints height width"],
    hypotheses: int,
    generator: torch.Generator,
) -> Sighted:
    """Places drawn from heat maps, anew for every hypothesis; of the view nothing else is known.

    Raises:
        InputError: see `sample_heatmaps`; there are not as many maps as keypoints; the network hears more than samples.
    """
    if heatmaps.shape[1] != len(config.seen):
        raise InputError(f"{heatmaps.shape[1]} heat maps, but the network reads {len(config.seen)} keypoints.")
    if config.sight:
        raise InputError("heat maps are for networks that hear samples alone; this one is told keypoints.")
    samples = sample_heatmaps(heatmaps, config.samples, generator, hypotheses=hypotheses, peak=config.peak)
    return Sighted(samples, heatmaps.new_zeros(len(heatmaps), hypotheses, 0), heatmaps.new_zeros(len(heatmaps)))


def draw_poses(
    network: HypothesesNetwork, evidence: Sighted, chain: Chain, generator: torch.Generator
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """A pose for everything that is known of every person, metres in the axes of the view from the middle of the hips.

    Args:
        network: with its weights.
        evidence: of as many hypotheses as poses are wanted.
        chain: how the noise is undone.
        generator: of the noise.
    """
    config, table = network.config, network.table
    guessed = network.guessed(evidence.samples, evidence.sight, evidence.states)
    heard = network.denoiser.hear(guessed.features)

    def denoise(latent: Tensor, time: float) -> Tensor:
        step = latent.new_full((*latent.shape[:-1], 1), table.step_at(time))
        return network.denoise(latent, step, guessed, heard)

    answer = bounded(network.answer.read(_as_it_is), config.most)
    start = opposite_starts(torch.zeros_like(guessed.pose), generator)
    times = table.times_between(len(table) - 1, chain.steps or len(table))
    process = Process(denoise, _as_it_is, answer, table.at)
    last = final(reverse_process(process, start, times, step=chain.step, generator=generator))
    off = guessed.state(last.clean) - guessed.pose
    claim = network.claimed(evidence.sigma).repeat_interleave(len(config.joints), -1)
    return network.poses(guessed.pose + claim[:, None] * off)


def lifter(network: HypothesesNetwork, chain: Chain = QUICK) -> Lift:
    """The network as what lifts people, a few at a time; every second hypothesis is of their image in a mirror."""
    config = network.config
    seen, joints = (Skeleton("", names, ()).mirror for names in (config.seen, config.joints))

    def draw(people: ViewPeople, hypotheses: int, generator: torch.Generator) -> Tensor:
        return draw_poses(network, see_keypoints(config, people, hypotheses, generator), chain, generator)

    def draw_both(people: ViewPeople, generator: torch.Generator) -> Tensor:
        own = draw(people, (chain.hypotheses + 1) // 2, generator)
        if chain.hypotheses == 1:
            return own
        other = draw(people.mirror(seen), chain.hypotheses // 2, generator)[..., joints, :]
        other = other * other.new_tensor([-1.0, 1.0, 1.0])
        # In turns: the first few hypotheses are as good as any few.
        turns = torch.cat([torch.arange(own.shape[1]) * 2, torch.arange(other.shape[1]) * 2 + 1])
        return torch.cat([own, other], 1)[:, turns.argsort()]

    @torch.no_grad()
    def lift(people: ViewPeople, generator: torch.Generator) -> Float[Tensor, "persons hypotheses joints 3"]:
        network.eval()
        mine = only(people, config.seen)
        some = (mine[slice(first, first + PEOPLE_AT_ONCE)] for first in range(0, len(mine), PEOPLE_AT_ONCE))
        return torch.cat([draw_both(one, generator) for one in some])

    return lift
