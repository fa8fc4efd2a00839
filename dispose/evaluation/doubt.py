"""Does the diffusion earn its place: controls that take a part of it away, and whether its doubt is a probability.

On synthetic huddles, where detections are easily exchanged. A control differs from the shipped sampler in one thing;
where it scores as well, that thing is decoration. Samples are compared with perturbed marginals: independent noise on
one answer makes as many different answers, but none that is right as a whole more often.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from dispose.association.decode import bin_numbers, pair_posterior, pair_worth, set_packing
from dispose.association.polytope import CandidateGraph, true_tuples
from dispose.diffusion.parameterisations import corrupt
from dispose.diffusion.samplers import normal_start
from dispose.evaluation.reports import Figure, Row
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator, sees_enough
from dispose.models.dispose.sampling import (
    PAIR_THRESHOLD,
    Judge,
    NoiseConfig,
    Problem,
    SamplerConfig,
    posterior_of,
    project_converged,
    trajectory,
)
from dispose.scene.frame import Frame
from dispose.scene.results import Association
from dispose.tensors import ABSENT
from dispose_synthetic.rigs import CROWDED
from dispose_synthetic.scenes import SceneConfig, sample_scenes

HELD_OUT = 8_000_000_000
"""Added to seeds: training draws from others."""

VIEWS = (2, 3, 4)
SAMPLES = 16
LONG = 6
"""Steps of the controls and of every random sample."""

BINS = 15
LEAST = 0.01
"""Pairs less probable than this are not in question."""

TIMES = (1.0, 5 / 6, 2 / 3, 1 / 2, 1 / 3, 1 / 6)
CLAIMS = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, eq=False)
class Question:
    """One frame's candidates and, for scoring alone, who every detection is."""

    problem: Problem
    identity: Int[Tensor, "views slots"]

    @property
    def members(self) -> Int[Tensor, "tuples views"]:
        """The tuples without the one that is absent everywhere."""
        return self.problem.members[:-1]

    def score(self, mass: Float[Tensor, " all_tuples"], threshold: float) -> PairCounts:
        """The groups that a mass decides on, against the labels."""
        chosen = set_packing(pair_worth(mass[:-1], self.members, threshold=threshold), self.members)
        return count_pairs(Association(self.members[chosen], torch.ones(int(chosen.sum()))), self.identity)


Answer = Callable[[Question, torch.Generator], list[Tensor]]
"""Masses of all tuples: one, or several of which the labels pick the best."""


@dataclass(frozen=True)
class Control:
    """A way to answer: its name, its masses, above which probability pairs are joined, whether the mass is a belief."""

    name: str
    answer: Answer
    threshold: float = PAIR_THRESHOLD
    belief: bool = True


def draw_huddles(views: int, seed: int, frames: int) -> list[tuple[Frame, Int[Tensor, "views slots"]]]:
    """Six to ten people within an arm's length or two, up to two false detections per view."""
    config = SceneConfig(views=(views, views), persons=(6, 10), ghosts=2, rigs=CROWDED)
    generator = torch.Generator().manual_seed(HELD_OUT + seed)
    return [(frame, labels.identity) for frame, labels in sample_scenes(generator, frames, config)]


def controls(associator: Associator) -> list[Control]:
    """The shipped sampler, what is left without one of its parts, samples, and perturbed marginals."""
    network, noise = associator.denoiser, associator.config.noise

    def mean(
        sampler: SamplerConfig, judge: Callable[[], Judge] = lambda: network, undone: NoiseConfig = noise
    ) -> Answer:
        def answer(question: Question, generator: torch.Generator) -> list[Tensor]:
            steps = list(trajectory(judge(), question.problem, sampler, generator, noise=undone))
            return [posterior_of(question.problem, steps).mean]

        return answer

    several = SamplerConfig(steps=LONG, hypotheses=SAMPLES, stochasticity=1.0)

    def samples(question: Question, generator: torch.Generator) -> list[Tensor]:
        *_, last = trajectory(network, question.problem, several, generator, noise=noise)
        return list(last.clean.view(SAMPLES, -1))

    def first(question: Question, generator: torch.Generator) -> list[Tensor]:
        return samples(question, generator)[:1]

    def average(question: Question, generator: torch.Generator) -> list[Tensor]:
        return [torch.stack(samples(question, generator)).mean(0)]

    def perturbed(question: Question, generator: torch.Generator) -> list[Tensor]:
        (marginal,) = mean(SamplerConfig(steps=1))(question, generator)
        return [perturb(marginal, question.problem, generator) for _ in range(SAMPLES)]

    long = SamplerConfig(steps=LONG)
    return [
        Control("one pass", mean(SamplerConfig(steps=1))),
        Control("two steps, as shipped", mean(SamplerConfig(steps=2))),
        Control("six steps", mean(long)),
        Control("ten steps", mean(SamplerConfig(steps=10))),
        Control("six steps, state frozen", mean(long, partial(Frozen, network))),
        Control("six steps, latent negated", mean(long, undone=replace(noise, latent_scale=-noise.latent_scale))),
        Control("six steps, no projection", mean(replace(long, projection=lambda _: torch.sigmoid))),
        Control("one random sample", first, 0.5),
        Control(f"mean of {SAMPLES} samples", average),
        Control(f"best of {SAMPLES} samples, by the labels", samples, 0.5, belief=False),
        Control(f"best of {SAMPLES} perturbed marginals, by the labels", perturbed, 0.5, belief=False),
    ]


class Frozen:
    """A denoiser that goes on seeing the first state it was shown."""

    def __init__(self, network: Judge) -> None:
        self.network, self.first = network, None

    def __call__(self, graph: CandidateGraph, mass: Tensor, time: Tensor, noise_level: Tensor) -> Tensor:
        """The answer to the first state, at this time."""
        self.first = mass if self.first is None else self.first
        return self.network(graph, self.first, time, noise_level)


def perturb(mass: Float[Tensor, " tuples"], problem: Problem, generator: torch.Generator) -> Float[Tensor, " tuples"]:
    """Gumbel noise on the logarithm, put back onto the polytope: one of many answers near a marginal."""
    uniform = torch.rand(len(mass), generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    return project_converged(problem.graph)(mass.clamp(min=1e-12).log() - (-uniform.log()).log())


def pair_beliefs(question: Question, mass: Float[Tensor, " all_tuples"]) -> tuple[Tensor, Bool[Tensor, " pairs"]]:
    """Probability of being one person, and whether it is so, of the pairs in question with a labelled detection."""
    members, identity = question.members, question.identity
    number = bin_numbers(members)
    there = members != ABSENT
    person = torch.full((int(number.max()) + 1,), ABSENT)
    view = torch.full_like(person, ABSENT)
    columns = torch.arange(members.shape[1]).expand_as(members)
    person[number[there]] = identity[columns[there], members[there]]
    view[number[there]] = columns[there]
    together = pair_posterior(mass[:-1], members)
    one, other = torch.triu_indices(len(person), len(person), 1)
    asked = (view[one] != view[other]) & (together[one, other] >= LEAST)
    asked &= (person[one] != ABSENT) | (person[other] != ABSENT)
    one, other = one[asked], other[asked]
    return together[one, other].clamp(max=1.0), (person[one] == person[other]) & (person[one] != ABSENT)


def calibration_error(said: Float[Tensor, " pairs"], right: Bool[Tensor, " pairs"]) -> float:
    """Expected calibration error in percent: ``sum_b n_b / n |mean said - share right|`` over equal bins."""
    place = (said * BINS).long().clamp(max=BINS - 1)
    gap = said.new_zeros(BINS).index_add(0, place, said - right.double())
    return 100 * float(gap.abs().sum()) / max(len(said), 1)


def swap_kept(associator: Associator, question: Question, time: float, generator: torch.Generator) -> float | None:
    """Share of its mass that a swap keeps against the truth, after the denoiser saw it with the noise of a time.

    The state is made of the true assignment with two people exchanged in one view; None where no exchange of two
    complete people is among the candidates.
    """
    problem, members = question.problem, question.members
    truth = true_tuples(members, problem.cost[:-1], question.identity).double()
    swap = exchanged(members, truth)
    if swap is None:
        return None
    before, after = swap
    state = truth.clone()
    state[before], state[after] = 0.0, 1.0
    rest = problem.graph.marginals.target.sum() / members.shape[1] - state.sum()
    clean = associator.config.noise.clean_latent(torch.cat([state, rest[None]]))
    signal = torch.tensor(associator.config.noise.signal(time), dtype=torch.float64)
    project = project_converged(problem.graph)
    mass = project(corrupt(clean, normal_start(clean, generator), signal))
    now = torch.full((1,), time)
    with torch.no_grad():
        logits = associator.denoiser(problem.graph, mass.float(), now, (1 - signal).sqrt().float().expand(1))
    answer = project(logits.double())
    return float(answer[after].sum() / answer[[*before, *after]].sum().clamp(min=1e-12))


def exchanged(
    members: Int[Tensor, "tuples views"], truth: Float[Tensor, " tuples"]
) -> tuple[list[int], list[int]] | None:
    """Two true tuples, and the two that they become by exchanging one view, where those are candidates."""
    place = {tuple(row): index for index, row in enumerate(members.tolist())}
    people = [row for row in (truth > 0.5).nonzero()[:, 0].tolist() if int((members[row] != ABSENT).sum()) >= 2]
    for k, one in enumerate(people):
        for other in people[:k]:
            for view in range(members.shape[1]):
                a, b = members[one].tolist(), members[other].tolist()
                a[view], b[view] = b[view], a[view]
                if ABSENT not in (a[view], b[view]) and tuple(a) in place and tuple(b) in place:
                    return [one, other], [place[tuple(a)], place[tuple(b)]]
    return None


def evaluate_doubt(
    associator: Associator, *, frames: int = 32, seeds: Sequence[int] = (0, 1, 2), views: Sequence[int] = VIEWS
) -> Iterator[Row]:
    """Rows of controls by number of views, of the swap that a denoiser is shown, and of what samples claim."""
    for count in views:
        drawn = [scene for seed in seeds for scene in draw_huddles(count, seed, frames)]
        asked = [Question(associator.problems([frame]), identity) for frame, identity in drawn if sees_enough(frame)]
        title = f"huddles, {count} views"
        for control in tqdm(controls(associator), desc=title, unit="control"):
            yield control_row(control, asked, title)
        for time in TIMES:
            generator = torch.Generator().manual_seed(0)
            kept = [swap_kept(associator, question, time, generator) for question in asked]
            known = [share for share in kept if share is not None]
            figure = Figure("swap_kept", 100 * sum(known) / max(len(known), 1))
            yield Row(f"swap shown at time {time:.2f}", title, len(known), None, (figure,), 0.0)
        yield from claim_rows(controls(associator)[-2], asked, title)


def control_row(control: Control, asked: Sequence[Question], title: str) -> Row:
    """One control's figures."""
    generator, counts = torch.Generator().manual_seed(0), PairCounts()
    said, right = [], []
    for question in asked:
        masses = control.answer(question, generator)
        scores = [question.score(mass, control.threshold) for mass in masses]
        counts += max(scores, key=lambda score: score.correct - score.predicted / 2)
        for values, store in zip(pair_beliefs(question, masses[0]), (said, right), strict=True):
            store.append(values)
    error = calibration_error(torch.cat(said), torch.cat(right)) if control.belief else float("nan")
    figures = (
        Figure("pair_f1", 100 * counts.f1), Figure("exact", 100 * counts.exact_rate), Figure("pair_ece", error),
    )  # fmt: skip
    return Row(control.name, title, len(asked), None, figures, 0.0)


def claim_rows(samples: Control, asked: Sequence[Question], title: str) -> Iterator[Row]:
    """How often the commonest of the samples is the whole truth, by how common it is among them."""
    generator, claimed, right = torch.Generator().manual_seed(0), list[float](), list[bool]()
    for question in asked:
        masses = torch.stack(samples.answer(question, generator))[:, :-1] > 0.5
        alike = (masses[:, None] == masses).all(-1).sum(1)
        best = int(alike.argmax())
        truth = true_tuples(question.members, question.problem.cost[:-1], question.identity) > 0.5
        claimed.append(float(alike[best]) / len(masses))
        right.append(bool((masses[best] == truth).all()))
    for low, high in pairwise(CLAIMS):
        here = [k for k, share in enumerate(claimed) if low < share <= high]
        figures = (
            Figure("claimed", 100 * sum(claimed[k] for k in here) / len(here) if here else float("nan")),
            Figure("whole_truth", 100 * sum(right[k] for k in here) / len(here) if here else float("nan")),
        )
        yield Row(f"samples alike, {100 * low:g} to {100 * high:g} %", title, len(here), None, figures, 0.0)
