"""Lifters on real motion, behind `dispose evaluate real_motion`: what ships, further trainings of it, and a reference.

The reference is a small residual network that learns for two minutes from procedural people and captured motion on
varied bodies, exact keypoints: what anybody gets who tries. The same network trained on Human3.6M itself says what
these data allow; it is measured on a subject that it never saw, and does not ship.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from dispose.datasets.cmu_motion import Motion, read_motion
from dispose.datasets.tables.human36m_motion import read_clips
from dispose.errors import InputError
from dispose.evaluation.lifters import Lifter, Measured, measure, score_answers
from dispose.evaluation.real_motion import EXACT_PX, LIMBS, human36m_views
from dispose.evaluation.reports import Report, Row, text_table, write_report
from dispose.evaluation.triangulators import medians
from dispose.geometry.rigid import rodrigues
from dispose.models.diffpose_hypotheses.network import HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import FULL as EVERY_STEP
from dispose.models.diffpose_hypotheses.sampling import lifter
from dispose.models.lifting.residual import ResidualConfig, ResidualLifter
from dispose.models.lifting.view import Lift, ViewPeople, view_people
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose.skeletons.skeleton import Skeleton
from dispose.systems import system_of
from dispose.training.lifting import DrawnViews, LiftExamples
from dispose.zoo.checkpoints import load_weights, read_metadata
from dispose.zoo.lifters import HYPOTHESES, LIFTERS, KeypointsAlone, lifter_weights, load_lifter
from dispose_synthetic.human36m_rig import TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.one_view import RECORDING_MM, OneViewConfig, meeting_point
from dispose_synthetic.people import PeopleConfig
from dispose_synthetic.randomness import Noise

BATCH, RATE = 256, 1.5e-3
FEWER = 8
"""Hypotheses whose mean is a lifter's single answer: two opposite pairs of an image and two of its mirror image."""

REFERENCE_STEPS, RECORDED_STEPS = 2000, 6000
HELD_OUT = "S8"

REFERENCE = OneViewConfig(
    procedural=0.5, postures=PeopleConfig(), variety=None, hips=(1.0, 1.0), shoulders=(1.0, 1.0), recording=0.0,
    upside=0.0, exact=1.0, faceless=1.0, whole=1.0, told=0.0,
)  # fmt: skip
"""What the reference learns from."""


REFERENCE_PART, RECORDED_PART = "reference", "human36m"


@dataclass(frozen=True)
class RealMotionStudy:
    """The study and where its figures go.

    Attributes:
        data: the folder of the converted tables.
        seeds: of the references and of the network for Human3.6M.
        runs: weights of lifters that were trained from other seeds, besides those that ship.
        parts: names of lifters, `REFERENCE_PART`, `RECORDED_PART`; none = all.
        steps: of the references and of the network for Human3.6M; fewer only show that it runs.
    """

    data: Path
    seeds: tuple[int, ...]
    runs: tuple[Path, ...] = ()
    parts: tuple[str, ...] = ()
    steps: tuple[int, int] = (REFERENCE_STEPS, RECORDED_STEPS)

    def run(self, path: Path, report: Callable[[Sequence[Row]], Report]) -> int:
        """Measure, print, write: after every part what is known so far."""
        if not (self.data / "cmu_motion").is_dir():
            raise InputError(f"{self.data}: has no folder cmu_motion; data/README.md says how to obtain it.")
        lifters = trained_lifters(self.runs)
        known = (*lifters, REFERENCE_PART, RECORDED_PART)
        for part in self.parts:
            if part not in known:
                raise InputError(f"--protocols {part}: there is none of that name; known: {', '.join(known)}")
        motion, found = read_motion(self.data / "cmu_motion"), Measured((), ())
        for part in self.parts or known:
            if part == RECORDED_PART:
                measured = Measured((self.recorded(),), ())
            else:
                some = self.references(motion) if part == REFERENCE_PART else lifters[part]()
                measured = measure(some, self.data, motion)
            found = Measured(found.answers + measured.answers, found.spreads + measured.spreads)
            print(text_table(measured.answers))
            write_report(path, report(found.answers))
            if measured.spreads:
                print(text_table(measured.spreads))
                write_report(path.with_name(f"{path.stem}_spread.json"), report(found.spreads))
        return 0

    def references(self, motion: Motion) -> tuple[Lifter, ...]:
        """Trained here, one for every seed."""
        drawn = DrawnViews(REFERENCE, motion)
        networks = [
            train_plain(lambda source: drawn.draw(source, BATCH), ResidualConfig(COCO_17.joints), seed, self.steps[0])
            for seed in self.seeds
        ]
        return tuple(Lifter("reference: residual network", COCO_17.joints, answer_of(one)) for one in networks)

    def recorded(self) -> Row:
        """Trained on Human3.6M's subjects but one, and measured on that one."""
        others = tuple(subject for subject in TRAINING_SUBJECTS if subject != HELD_OUT)
        people = TurnedPeople.read(self.data, others)
        trial = human36m_views(self.data, subjects=(HELD_OUT,))
        config, figures = ResidualConfig(LIMBS, width=512, blocks=2), []
        for seed in self.seeds:
            network = train_plain(lambda source: people.draw(source, BATCH), config, seed, self.steps[1])
            figures.append(score_answers(Lifter("recorded", LIMBS, answer_of(network)), trial, noise=None))
        title = f"Human3.6M motion, placed, exact, {HELD_OUT} held out"
        return Row("residual network trained on Human3.6M, unshipped", title, len(trial), None, medians(figures), 0.0)


def trained_lifters(runs: Sequence[Path]) -> dict[str, Callable[[], tuple[Lifter, ...]]]:
    """By the name of every lifter of keypoints that ships what loads its own weights and those of its kind in `runs`.

    Raises:
        InputError: weights that are no such lifter's.
    """
    kinds = {path: read_metadata(path)[0] for path in runs}
    names = {one.name: system_of(one.name).parts().network.__name__ for one in LIFTERS if not one.looks}
    for path, kind in kinds.items():
        if kind not in names.values():
            raise InputError(f"{path}: holds a {kind}, which lifts no keypoints; known: {', '.join(names)}.")

    def load(name: str) -> tuple[Lifter, ...]:
        further = (path for path, kind in kinds.items() if kind == names[name])
        return tuple(lifter_of(name, path) for path in (lifter_weights(name), *further))

    return {name: partial(load, name) for name in names}


def lifter_of(name: str, weights: Path) -> Lifter:
    """A lifter of keypoints as it is measured: its mean pose by a few hypotheses, many, and many by every step."""
    few, many = load_lifter(name, weights, FEWER), load_lifter(name, weights, HYPOTHESES)
    assert isinstance(few.lift, KeypointsAlone) and isinstance(many.lift, KeypointsAlone), "it looks at the image"
    every = None
    if read_metadata(weights)[0] == HypothesesNetwork.__name__:
        every = lifter(load_weights(weights, HypothesesNetwork), replace(EVERY_STEP, hypotheses=HYPOTHESES))
    return Lifter(name, few.skeleton.joints, few.lift.lift, many.lift.lift, every)


def train_plain(draw: Callable[[Noise], LiftExamples], config: ResidualConfig, seed: int, steps: int) -> ResidualLifter:
    """A residual network after so many steps of mean distance; every other batch is seen in a mirror."""
    torch.manual_seed(seed)
    network, source = ResidualLifter(config), Noise(torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
    cycle = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))
    )
    for step in tqdm(range(steps), desc=f"seed {seed}"):
        batch = draw(source)
        batch = batch.mirror() if step % 2 else batch
        error = (network(unaware(batch.people)) - batch.xyz).norm(dim=-1)
        loss = torch.where(batch.known, error, 0.0).sum() / batch.known.sum().clamp(min=1)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        cycle.step()
    return network.eval()


def unaware(people: ViewPeople) -> ViewPeople:
    """People of whose keypoints nobody says how uncertain they are: it learns from exact ones alone."""
    return replace(people, sigma=torch.zeros_like(people.sigma), confidence=people.seen.to(people.confidence))


def answer_of(network: ResidualLifter) -> Lift:
    """The mean of what it says of people and of their mirror images."""
    swap = Skeleton("", network.config.joints, ()).mirror

    def lift(people: ViewPeople, generator: torch.Generator) -> torch.Tensor:
        people = unaware(people)
        mirrored = network(people.mirror(swap))[:, swap] * torch.tensor([-1.0, 1.0, 1.0])
        return ((network(people) + mirrored) / 2)[:, None]

    return lift


@dataclass(frozen=True, eq=False)
class TurnedPeople:
    """Human3.6M's poses, to be turned and placed anew before its cameras.

    Attributes:
        xyz: `LIMBS` of every pose, mm, the middle of the hips above the origin.
        cameras: all of all subjects, as people (``cameras 1 …``).
        middle: the place on the floor that each looks at, mm.
    """

    xyz: torch.Tensor
    cameras: Cameras
    middle: torch.Tensor

    @staticmethod
    def read(data: Path, subjects: tuple[str, ...]) -> "TurnedPeople":
        """The poses of some subjects and their cameras."""
        clips = [clip.xyz for clip in read_clips(data / "h36m_motion") if clip.subject in subjects]
        xyz = torch.cat(clips)[:, H36M_17.indices(LIMBS)]
        hips = xyz[:, [LIMBS.index("l_hip"), LIMBS.index("r_hip")], :2].mean(1)
        xyz[..., :2] -= hips[:, None]
        rigs = [human36m_rig(subject) for subject in subjects]
        names = ("size", "matrix", "distortion", "rotation", "translation")
        cameras = Cameras(("camera",), *(torch.cat([vars(rig)[name] for rig in rigs])[:, None] for name in names))
        middle = torch.stack([meeting_point(rig) for rig in rigs]).repeat_interleave(len(rigs[0]), 0)
        return TurnedPeople(xyz, cameras, middle)

    def draw(self, source: Noise, people: int) -> LiftExamples:
        """So many, turned about the vertical axis and anywhere on the floor; keypoints are exact."""
        row = (source.uniform((people,)) * len(self.xyz)).long()
        which = (source.uniform((people,)) * len(self.middle)).long()
        turn = torch.zeros(people, 3, dtype=self.xyz.dtype)
        turn[:, 2] = 2 * torch.pi * source.uniform((people,))
        xyz = self.xyz[row] @ rodrigues(turn).mT
        xyz[..., :2] += (self.middle[which] + RECORDING_MM * (2 * source.uniform((people, 2)) - 1))[:, None]
        names = ("size", "matrix", "distortion", "rotation", "translation")
        cameras = Cameras(("camera",), *(vars(self.cameras)[name][which] for name in names))
        xy, front = cameras.project(xyz)
        one = torch.ones(people, len(LIMBS), dtype=xyz.dtype)
        views = view_people(LIMBS, cameras, xy[:, 0], one, front[:, 0], EXACT_PX * one)
        hips = xyz[:, [LIMBS.index("l_hip"), LIMBS.index("r_hip")]].mean(1, keepdim=True)
        turned = (xyz - hips) @ cameras.rotation[:, 0].mT / 1000
        return LiftExamples(views, views.from_camera(turned).float(), front[:, 0])
