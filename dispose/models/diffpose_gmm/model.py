"""Informed diffusion: a lifter says roughly where joints are, and a few reverse steps start there instead of in noise.

A state is ``(u, v, x, y, z)`` of every joint: its place in the image as `ViewPeople` has it, and metres from the root.
What the forward process ends in, whether the start is drawn or taken as it is, and what the denoiser is asked for are
values: `PAPER`, `RELEASE` and `OURS`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.diffusion.noise import Mixture, NoiseLaw, corrupt_about, draw_kernel, law_of_kernel
from dispose.diffusion.parameterisations import answer_named
from dispose.diffusion.samplers import Process, Step, ddim_step, final, normal_start, opposite_starts, reverse_process
from dispose.diffusion.schedules import StepTable, linear_betas, table_of_betas
from dispose.errors import InputError
from dispose.models.diffpose_gmm.networks import (
    STATE,
    GraphDenoiser,
    GraphDenoiserConfig,
    GraphLifter,
    GraphLifterConfig,
)
from dispose.models.lifting.residual import ResidualConfig, ResidualLifter
from dispose.models.lifting.told import EVIDENCE, evidence_of
from dispose.models.lifting.view import Lift, ViewPeople
from dispose.nn.graph import GraphSizes
from dispose.skeletons.catalog import by_name

INITIAL = 5
"""Numbers of a joint in the initial state."""

LEAST_SIGMA = 0.003
"""Keypoints are not taken to be more certain than this, in units of a person's extent: about a millimetre."""

UNSEEN_SIGMA = 1.0
"""And one that is not seen may be anywhere."""

PEOPLE_AT_ONCE = 2048


@dataclass(frozen=True)
class InformedMode:
    """How noise is put on poses and taken off them.

    Attributes:
        centred: the forward process ends at the initial pose, its noise is as wide as that errs, and states are told
            from there in these units; otherwise it ends about 0, a metre wide, and states are told as they are.
        noised: the reverse process starts at a draw; otherwise at the initial pose itself.
        hypotheses: how many starts there are where nobody asks for another number.
        steps: of the reverse process.
        start: the step that it starts at; None = the one whose noise is as wide as the initial pose is wrong.
        context: the denoiser is told the initial pose beside the state.
        exact_2d: it learns on exact keypoints, whatever detector it is for.
        betas: first and last rate of noise; it rises evenly.
        chain: number of steps.
        stochasticity: eta of the steps; 0 = nothing is drawn after the start.
        answer: what the denoiser is asked for: one of `dispose.diffusion.parameterisations.ANSWERS`.
    """

    centred: bool
    noised: bool
    hypotheses: int
    steps: int
    start: int | None
    context: bool
    exact_2d: bool
    betas: tuple[float, float] = (1e-4, 1e-3)
    chain: int = 51
    stochasticity: float = 0.0
    answer: str = "noise"


PAPER = InformedMode(
    centred=True, noised=True, hypotheses=5, steps=5, start=50, context=True, exact_2d=False, betas=(1e-4, 0.1)
)
"""As the paper tells it; its rates of noise are not known: with these the chain ends where it is said to end."""

RELEASE = InformedMode(centred=False, noised=False, hypotheses=1, steps=2, start=None, context=False, exact_2d=True)
"""As the released code does it: no noise at the start, and so one answer."""

OURS = replace(PAPER, answer="clean")
"""As the paper tells it, but for what is asked for: where the noise is all there is, who says the clean state says what
the initial pose lacks, and who says the noise says nothing of it.
"""


@dataclass(frozen=True)
class DiffPoseGmmConfig:
    """What the lifter and the refiner are made of.

    Attributes:
        skeleton: by name.
        residual: the lifter, where it is one of fully connected layers.
        graph: the lifter, where it is a graph network. One of the two is None.
        denoiser: sizes of the refiner.
        evidence: both are told how uncertain every keypoint is and whether it is seen; published networks are not.
        mirrored: the initial pose is the mean of what the lifter says of people and of their mirror images.
        mode: of the diffusion.
    """

    skeleton: str = "coco_17"
    residual: ResidualConfig | None = ResidualConfig()
    graph: GraphSizes | None = None
    denoiser: GraphSizes = GraphSizes()
    evidence: bool = True
    mirrored: bool = True
    mode: InformedMode = PAPER


PUBLISHED = DiffPoseGmmConfig(
    skeleton="h36m_17", residual=None, graph=GraphSizes(), evidence=False, mirrored=False, mode=RELEASE
)
"""1.03 million numbers in the denoiser, 0.65 in the lifter (0.84 with those that the release never uses)."""


class PoseLifter(nn.Module):
    """The initial pose: by either kind of network, in metres from the root."""

    def __init__(self, config: DiffPoseGmmConfig) -> None:
        super().__init__()
        self.config = config
        if (config.residual is None) == (config.graph is None):
            raise InputError(
                "the lifter of informed diffusion is either a residual or a graph network: give one of them"
            )
        if config.graph is not None:
            told = EVIDENCE if config.evidence else 0
            self.network = GraphLifter(GraphLifterConfig(config.skeleton, config.graph, told))
        elif config.residual is not None:
            self.network = ResidualLifter(replace(config.residual, joints=by_name(config.skeleton).joints))

    def forward(self, people: ViewPeople) -> Float[Tensor, "persons joints 3"]:
        """Of every person one pose."""
        if isinstance(self.network, GraphLifter):
            parts = [people.uv, evidence_of(people)] if self.config.evidence else [people.uv]
            return from_root(self.network(torch.cat(parts, -1)), self.config.skeleton)
        return from_root(self.network(people).float(), self.config.skeleton)


class DiffPoseGmm(nn.Module):
    """Lifter and refiner."""

    def __init__(self, config: DiffPoseGmmConfig) -> None:
        super().__init__()
        self.config = config
        joints, mode = len(by_name(config.skeleton)), config.mode
        self.lifter = PoseLifter(config)
        self.answer = answer_named(mode.answer)
        told = EVIDENCE * config.evidence + INITIAL * mode.context
        self.denoiser = GraphDenoiser(GraphDenoiserConfig(config.skeleton, config.denoiser, told))
        self.table: StepTable = table_of_betas(linear_betas(*mode.betas, mode.chain))
        # How wrong the initial pose is, root mean squares by joint and axis, metres: measured after its training.
        self.error: Tensor
        self.register_buffer("error", torch.full((joints, 3), 0.1))

    @property
    def start(self) -> int:
        """The step that the reverse process starts at."""
        given = self.config.mode.start
        return self.table.matched_step(float(self.error.square().mean().sqrt())) if given is None else given

    def initial(self, people: ViewPeople) -> Float[Tensor, "persons joints 3"]:
        """The pose that the diffusion starts from or is told of."""
        found = self.lifter(people)
        if not self.config.mirrored:
            return found
        swap = by_name(self.config.skeleton).mirror
        return (found + mirrored_pose(self.lifter(people.mirror(swap)), swap)) / 2

    def law(
        self,
        people: ViewPeople,
        initial: Float[Tensor, "persons joints 3"],
        spread: Float[Tensor, "persons joints 2"] | None = None,
    ) -> NoiseLaw:
        """The noise of people's states; `spread` says how uncertain keypoints are where it differs between the axes."""
        sigma = people.sigma[..., None].expand(*people.sigma.shape, 2) if spread is None else spread
        sigma = torch.where(people.seen[..., None], sigma.clamp(min=LEAST_SIGMA), UNSEEN_SIGMA)
        if self.config.mode.centred:
            wide = torch.cat([sigma, self.error.expand(initial.shape)], -1)
            return NoiseLaw(torch.cat([people.uv, initial], -1), wide)
        wide = torch.cat([sigma, torch.ones_like(initial)], -1)
        return NoiseLaw(torch.zeros_like(wide), wide)

    def denoise(
        self,
        latent: Float[Tensor, "persons joints 5"],
        step: Float[Tensor, " persons"],
        law: NoiseLaw,
        told: Float[Tensor, "persons joints told"],
    ) -> Float[Tensor, "persons joints 5"]:
        """The denoiser's answer to latents, both told from the law's centre."""
        unit = self.unit(law)
        return unit * self.denoiser(torch.cat([latent / unit, told], -1), step)

    def unit(self, law: NoiseLaw) -> Float[Tensor, "persons joints 5"]:
        """In which the denoiser is told states and answers."""
        return law.scale if self.config.mode.centred else torch.ones_like(law.scale)

    def told(
        self, people: ViewPeople, initial: Float[Tensor, "persons joints 3"]
    ) -> Float[Tensor, "persons joints told"]:
        """What the denoiser is told of every joint beside its state."""
        parts = [evidence_of(people)] if self.config.evidence else []
        parts += [people.uv, initial] if self.config.mode.context else []
        return torch.cat([people.uv[..., :0], *parts], -1)

    def reverse(
        self,
        people: ViewPeople,
        generator: torch.Generator | None = None,
        *,
        white: Float[Tensor, "persons joints 5"] | None = None,
        spread: Float[Tensor, "persons joints 2"] | None = None,
    ) -> tuple[NoiseLaw, Iterator[Step]]:
        """The law of the noise, and the reverse process step by step, its states told from the law's centre.

        Args:
            people: as their camera sees them.
            generator: of all that is drawn.
            white: what a start that is drawn is off by, before it is scaled; None = the generator decides.
            spread: see `law`.
        """
        mode, initial = self.config.mode, self.initial(people)
        law, told, state = self.law(people, initial, spread), self.told(people, initial), state_of(people, initial)
        if mode.noised:
            level = state.new_tensor(self.table.alpha_bar[self.start])
            white = normal_start(state, generator) if white is None else white
            state = corrupt_about(law, state, law.scale * white, level)

        def denoise(latent: Tensor, time: float) -> Tensor:
            step = latent.new_full((len(latent),), float(self.table.step_at(time)))
            return self.denoise(latent, step, law, told)

        process = Process(denoise, _as_it_is, self.answer.read(_as_it_is), self.table.at)
        times = self.table.times_between(self.start, min(mode.steps, self.start + 1))
        step = partial(ddim_step, stochasticity=mode.stochasticity)
        return law, reverse_process(process, state - law.centre, times, step=step, generator=generator)

    def pose_of(self, law: NoiseLaw, state: Float[Tensor, "persons joints 5"]) -> Float[Tensor, "persons joints 3"]:
        """The pose in a state of `reverse`, metres from the root."""
        return from_root((state + law.centre)[..., 2:], self.config.skeleton)

    def refine(
        self,
        people: ViewPeople,
        generator: torch.Generator | None = None,
        *,
        white: Float[Tensor, "persons joints 5"] | None = None,
        spread: Float[Tensor, "persons joints 2"] | None = None,
    ) -> Float[Tensor, "persons joints 3"]:
        """One pose of everybody, metres from the root; see `reverse`."""
        law, steps = self.reverse(people, generator, white=white, spread=spread)
        return self.pose_of(law, final(steps).clean)

    @torch.no_grad()
    def hypotheses(
        self,
        people: ViewPeople,
        count: int,
        generator: torch.Generator | None = None,
        *,
        mixture: Mixture | None = None,
    ) -> Float[Tensor, "persons hypotheses joints 3"]:
        """Several poses of everybody; of each joint's mixture, where there is one, each takes a kernel of its own.

        Where starts are drawn, they come in opposite pairs: the mean pose then needs fewer of them.

        Args:
            people: as their camera sees them.
            count: of hypotheses.
            generator: of all that is drawn.
            mixture: of every joint, in the unit of ``people.uv`` (``persons joints kernels 2``).

        Raises:
            InputError: none are asked for; or several, and nothing is drawn by which they could differ.
        """
        drawn = self.config.mode.noised or self.config.mode.stochasticity > 0 or mixture is not None
        if count < 1 or (count > 1 and not drawn):
            asked = "none are asked for" if count < 1 else f"without noise at the start {count} would be the same"
            raise InputError(f"hypotheses of informed diffusion: {asked}; one or more can be had where noise is drawn.")
        rows = torch.arange(len(people)).repeat_interleave(count)
        like = people.uv.new_zeros(len(people), count, people.uv.shape[1], STATE)
        white = opposite_starts(like, generator).flatten(0, 1) if self.config.mode.noised else None
        found = []
        for place, some in enumerate(rows.split(PEOPLE_AT_ONCE)):
            copies, spread = people[some], None
            off = None if white is None else white.split(PEOPLE_AT_ONCE)[place]
            if mixture is not None:
                here = mixture[some]
                kernel = law_of_kernel(here, draw_kernel(here, generator))
                spread = kernel.scale
                copies = replace(copies, uv=kernel.centre, sigma=kernel.scale.square().mean(-1).sqrt())
            found.append(self.refine(copies, generator, white=off, spread=spread))
        return torch.cat(found).unflatten(0, (len(people), count))


def lift_with(network: DiffPoseGmm, count: int | None = None) -> Lift:
    """So many hypotheses of everybody; as many as the network's mode says where no number is given."""

    def lift(people: ViewPeople, generator: torch.Generator) -> Tensor:
        return network.hypotheses(people, count or network.config.mode.hypotheses, generator)

    return lift


def state_of(people: ViewPeople, xyz: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons joints 5"]:
    """``(u, v, x, y, z)``."""
    return torch.cat([people.uv, xyz], -1)


def mirrored_pose(xyz: Float[Tensor, "persons joints 3"], swap: list[int]) -> Float[Tensor, "persons joints 3"]:
    """Poses seen in a mirror; `swap` says for every joint which one its mirror image is."""
    return xyz[:, swap] * xyz.new_tensor([-1.0, 1.0, 1.0])


def from_root(xyz: Float[Tensor, "persons joints 3"], skeleton: str) -> Float[Tensor, "persons joints 3"]:
    """Joints from the middle of those that are the skeleton's root."""
    known = by_name(skeleton)
    return xyz - xyz[:, known.indices(known.root_of)].mean(1, keepdim=True)


def _as_it_is(latent: Tensor) -> Tensor:
    return latent
