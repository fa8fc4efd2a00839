"""DiffPose of Gong et al. in small: is a pose better for a few reverse steps that start at it?

People before the real cameras of Human3.6M, their keypoints off by a little, some by a lot. It learns on the cameras of
five subjects and is scored on those of two others. The refiner starts at a lifter's pose, once of a lifter that learned
for long and once of one that did not; the control is a network of the same size that learned equally long to tell what
the lifter's pose lacks. It does not show that refining beats a lifter that learned longer: that gains more. Nor does
the released mode beat the control; a refiner that is asked for the clean state (`OURS`) is scored beside both.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.losses.objective import Term, total
from dispose.metrics.pose import mpjpe
from dispose.models.diffpose_gmm.model import OURS, RELEASE, DiffPoseGmm, DiffPoseGmmConfig, from_root, state_of
from dispose.models.diffpose_gmm.networks import GraphDenoiser, GraphDenoiserConfig
from dispose.models.lifting.view import ViewPeople
from dispose.nn.graph import GraphSizes
from dispose.skeletons.catalog import H36M_17
from dispose.tensors import TensorStruct, stack
from dispose.training.diffpose_gmm import RefinerTask, error_of
from dispose.training.lifting import LifterTask, LiftExamples, in_half_precision, with_mirror_images
from dispose.training.task import Task
from dispose_benchmarks.studies.promises import Promise, StudyLine
from dispose_synthetic.human36m_rig import TEST_SUBJECTS, TRAINING_SUBJECTS, human36m_rig
from dispose_synthetic.joint_maps import looked_at, sample_joints
from dispose_synthetic.randomness import Noise

SIGMA_PX, HIDDEN_PX, HIDDEN = 5.0, 28.0, 0.15
"""Deviations of keypoints that are seen and hidden, and the share of these."""

FLOOR_MM = 1200.0
STEPS = (2, 4, 8, 12, 16, 20, 24, 32, 40, 50)
"""Where refining may start, to see how near the chosen step comes to the best."""

NOISED = replace(RELEASE, noised=True, hypotheses=5)


@dataclass(frozen=True)
class GmmPlan:
    """How much is learned and scored: steps of the lifter until the first look and after it, of the refiners; people.

    A step sees everybody twice, once in a mirror.
    """

    early: int = 2000
    late: int = 2500
    refiner: int = 2500
    batch: int = 32
    rate: float = 2e-3
    people: int = 1024
    pool: int = 40_000
    sizes: GraphSizes = GraphSizes(chans=48, layers=2, heads=4, dropout=0.0, inner_dropout=0.0)


FULL = GmmPlan()
SMOKE = GmmPlan(early=4, late=4, refiner=4, batch=4, people=24, pool=64)

EARLY, LATE = "gmm: a lifter of 2,000 steps", "gmm: a lifter of 4,500 steps"
PROMISES = (
    Promise("gmm: 4,500 steps, refined from the chosen step / initial pose", LATE, "refined", 0.985, "initial pose"),
    Promise("gmm: 4,500 steps, chosen step / best step", LATE, "refined", 1.005, "refined from the best step"),
    Promise("gmm: 2,000 steps, refined / control of the same size", EARLY, "refined", 0.985, "control"),
    Promise("gmm: noised start, deviation of hypotheses, mm", LATE, "noised: deviation", 5.0, least=True),
    Promise("gmm: noised start, mean pose / initial pose", LATE, "noised: mean pose", 1.0, "initial pose"),
    Promise("gmm: noised start, mean pose / mean of errors", LATE, "noised: mean pose", 0.97, "noised: mean of errors"),
    Promise("gmm: noised start, best of 5 / initial pose", LATE, "noised: best of 5", 0.97, "initial pose"),
    Promise("gmm: two runs without noise, largest difference, mm", LATE, "two runs: difference", 0.0),
)
"""What is asked of the study."""


@dataclass(frozen=True, eq=False)
class Filmed(TensorStruct):
    """Exact keypoints, pixels of images a thousand wide, and joints in the camera's axes, metres from the hips."""

    xy: Float[Tensor, "persons joints 2"]
    xyz: Float[Tensor, "persons joints 3"]

    def see(self, source: Noise) -> LiftExamples:
        """As a detector sees them: places in units of half an image's width, as published."""
        hidden = source.uniform(self.xy.shape[:2]) < HIDDEN
        sigma = torch.where(hidden, HIDDEN_PX, SIGMA_PX)
        uv = (self.xy + sigma[..., None] * source.normal(self.xy.shape)) / 500 - 1
        everybody, one = torch.ones_like(hidden), torch.ones_like(sigma)
        axes = torch.eye(3).expand(len(uv), 3, 3)
        people = ViewPeople(H36M_17.joints, uv, sigma / 500, one, everybody, one[:, 0], torch.zeros(len(uv), 3), axes)
        return LiftExamples(people, self.xyz, everybody)


def film(source: Noise, subjects: tuple[str, ...], people: int) -> Filmed:
    """New people, each before a camera drawn from the rigs of some subjects."""
    joints = sample_joints(source, people).double()
    rigs = [human36m_rig(subject) for subject in subjects]
    single = [replace(rig.select(views=[view]), names=()) for rig in rigs for view in range(4)]
    number = (source.uniform((people,)) * len(single)).long()
    cameras, middle = stack(single)[number], torch.stack([looked_at(rig) for rig in rigs])[number // 4]
    joints[..., :2] += (middle + FLOOR_MM * (2 * source.uniform((people, 2)).double() - 1))[:, None]
    xy, xyz = cameras.project(joints)[0][:, 0], cameras.to_camera(joints)[:, 0] / 1000
    return Filmed(xy.float(), from_root(xyz.float(), H36M_17.name))


class ResidualTask(Task):
    """The control: the denoiser's network told to say what the initial pose lacks, in one step and without noise."""

    name = "control"

    def __init__(self, lifter: nn.Module, sizes: GraphSizes) -> None:
        super().__init__()
        self.lifter = lifter.requires_grad_(False)
        self.network = GraphDenoiser(GraphDenoiserConfig(H36M_17.name, sizes))

    def refine(self, people: ViewPeople) -> Float[Tensor, "persons joints 3"]:
        """The initial pose and what it lacks."""
        with torch.no_grad():
            initial = self.lifter(people)
        lacks = self.network(state_of(people, initial), people.size.new_zeros(len(people)))
        return from_root(initial + lacks[..., 2:].float(), H36M_17.name)

    def forward(self, batch: LiftExamples) -> tuple[Term, ...]:
        """Squared distances, as the refiner's loss is of squares."""
        batch = with_mirror_images(batch)
        with in_half_precision(batch.xyz):
            found = self.refine(batch.people)
        return (Term("control", (found - batch.xyz).square().sum((1, 2)).mean()),)


def learn(task: Task, plan: GmmPlan, pool: Filmed, steps: int, seed: int) -> None:
    """So many steps of Adam at a rate that rises and falls."""
    source = Noise(torch.Generator().manual_seed(seed))
    weights = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=plan.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.rate, steps + 1, pct_start=0.1)
    torch.manual_seed(seed)
    for _ in range(steps):
        rows = (source.uniform((plan.batch,)) * len(pool.xy)).long()
        loss = total(task(pool[rows].see(source)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
    task.eval()


def study_seed(seed: int, plan: GmmPlan) -> list[StudyLine]:
    """Everything that one seed says."""
    source = Noise(torch.Generator().manual_seed(1_000_003 * seed + 12))
    pool, held_out = film(source, TRAINING_SUBJECTS, plan.pool), film(source, TRAINING_SUBJECTS, plan.people)
    validation, test = held_out.see(source), film(source, TEST_SUBJECTS, plan.people).see(source)
    torch.manual_seed(seed)
    config = DiffPoseGmmConfig(H36M_17.name, None, plan.sizes, plan.sizes, evidence=False, mirrored=False, mode=RELEASE)
    network = DiffPoseGmm(config)
    # The released forward process does not ask where a refiner starts: both lifters share it.
    learn(RefinerTask(network), plan, pool, plan.refiner, seed + 100)
    network.lifter.requires_grad_(True)
    lines = []
    for case, steps in ((EARLY, plan.early), (LATE, plan.late)):
        learn(LifterTask(network.lifter), plan, pool, steps, seed + 200 + len(lines))
        network.error.copy_(error_of(network, validation))
        lines += score(network.eval(), case, test)
        if case == EARLY:
            lines += controls(network, plan, pool, test, seed)
            network.lifter.requires_grad_(True)
    return lines


def controls(network: DiffPoseGmm, plan: GmmPlan, pool: Filmed, test: LiftExamples, seed: int) -> list[StudyLine]:
    """What learns from the lifter's own poses: the control, and a refiner that is asked for the clean state."""
    control = ResidualTask(network.lifter, plan.sizes)
    learn(control, plan, pool, plan.refiner, seed + 300)
    torch.manual_seed(seed)
    ours = DiffPoseGmm(replace(network.config, mode=OURS))
    ours.lifter.load_state_dict(network.lifter.state_dict())
    ours.error.copy_(network.error)
    learn(RefinerTask(ours), plan, pool, plan.refiner, seed + 400)
    with torch.no_grad():
        alone = error_mm(control.refine(test.people), test)
        several = ours.eval().hypotheses(test.people, OURS.hypotheses, torch.Generator().manual_seed(5))
    each = 1000 * (several - test.xyz[:, None]).norm(dim=-1).mean(-1)
    # Both are trained behind the lifter of few steps alone.
    values = {
        "control": alone,
        "clean state: mean pose": error_mm(several.mean(1), test),
        "clean state: mean of errors": float(each.mean()),
        "clean state: best of 5": float(each.amin(1).mean()),
        "clean state: deviation": 1000 * float(several.std(1).mean()),
    }
    return [StudyLine(EARLY, method, value) for method, value in values.items()]


@torch.no_grad()
def score(network: DiffPoseGmm, case: str, test: LiftExamples) -> list[StudyLine]:
    """The initial pose, the refined one, the best that any start gives, and what noise at the start gives."""
    people, chosen = test.people, network.start
    refined = {step: in_mode(network, start=step).refine(people) for step in {*STEPS, chosen}}
    error = {step: error_mm(xyz, test) for step, xyz in refined.items()}
    twice = 1000 * float((network.refine(people) - refined[chosen]).abs().max())
    noised = in_mode(network, noised=True, hypotheses=NOISED.hypotheses, start=chosen // 2)
    several = noised.hypotheses(people, NOISED.hypotheses, torch.Generator().manual_seed(5))
    each = 1000 * (several - test.xyz[:, None]).norm(dim=-1).mean(-1)
    values = {
        "initial pose": error_mm(network.lifter(people), test),
        "refined": error[chosen],
        "refined from the best step": min(error.values()),
        "share of the chain at the chosen step": chosen / (len(network.table) - 1),
        "noised: mean pose": error_mm(several.mean(1), test),
        "noised: mean of errors": float(each.mean()),
        "noised: best of 5": float(each.amin(1).mean()),
        "noised: deviation": 1000 * float(several.std(1).mean()),
        "two runs: difference": twice,
    }
    return [StudyLine(case, method, value) for method, value in values.items()]


def in_mode(network: DiffPoseGmm, **changes: object) -> DiffPoseGmm:
    """The same weights with some values of the mode replaced."""
    mode = replace(network.config.mode, **changes)  # type: ignore[arg-type]
    other = DiffPoseGmm(replace(network.config, mode=mode))
    other.load_state_dict(network.state_dict())
    return other.eval()


def error_mm(xyz: Float[Tensor, "persons joints 3"], test: LiftExamples) -> float:
    """Mean distance of the joints."""
    return 1000 * float(mpjpe(xyz, test.xyz, test.known).mean())
