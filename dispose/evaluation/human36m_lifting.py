"""Lifters on the original files of Human3.6M and MPI-INF-3DHP, by the counts that the papers print."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.human36m_choice import FrameChoice
from dispose.datasets.human36m_views import (
    DETECTIONS,
    EXACT,
    HEAT_MAPS,
    LABELS,
    MIXTURES,
    ViewFiles,
    read_human36m_views,
)
from dispose.datasets.labelled_people import LabelledPeople
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.datasets.tables.mpi_inf_3dhp import read_3dhp
from dispose.evaluation.reports import Figure, Row
from dispose.formats.images.series import read_image
from dispose.metrics.lifting import (
    AUC_MM,
    NOT_IN_CPS,
    NOT_IN_PCK,
    about_root,
    action_average,
    aligned,
    calibration,
    correct_poses_score,
    energy_score,
    frame_average,
    pck,
    scaled_mpjpe,
    spread_error_correlation,
    symmetry_error,
    velocity_error,
    without_joints,
    worst_joint,
)
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.lifting.sight import PeopleLifter, see_labelled
from dispose_synthetic.human36m_rig import human36m_rig

BLOCK = 64


@dataclass(frozen=True)
class LiftedProtocol:
    """How a system is scored: the forms of the data set that it was published on, and its own figures."""

    name: str
    files: tuple[ViewFiles, ...]
    published: str

    def published_beside(self, row: Row) -> tuple[str, ...]:
        """The tables of published figures that stand beside a row of `score_recordings`: none but of Human3.6M."""
        return (self.published,) if row.detections.startswith(HUMAN36M) else ()


HUMAN36M, MPI_INF_3DHP = "Human3.6M", "MPI-INF-3DHP"

LIFTED_PROTOCOLS = (
    LiftedProtocol("diffpose-hypotheses", (HEAT_MAPS, MIXTURES, LABELS, DETECTIONS, EXACT), "human36m_hypotheses"),
    LiftedProtocol("diffpose-gmm", (MIXTURES, DETECTIONS, LABELS, EXACT, HEAT_MAPS), "human36m_gmm"),
    LiftedProtocol("context", (LABELS, DETECTIONS, MIXTURES, EXACT, HEAT_MAPS), "human36m_context"),
)


def score_recordings(
    protocol: LiftedProtocol, lifter: PeopleLifter, folder: Path, choice: FrameChoice, *, looks: bool = False
) -> Row:
    """A lifter on the frames of a choice, or as many of MPI-INF-3DHP: one line that says which file they are from.

    Args:
        protocol: of the lifter's system.
        lifter: what is scored.
        folder: of the data set's files; pictures lie in ``images``, as the pickled labels name them.
        choice: of frames.
        looks: whether the lifter needs the pictures; those of MPI-INF-3DHP, which are videos, are not read.

    Raises:
        InputError: no file of either data set is in the folder, or one is not as it should be.
    """
    if looks:
        path = folder / LABELS.pattern
        pictured = read_context_pickle(path, choice)
        people, pictures = pictured.people, [folder / "images" / name for name in pictured.pictures]
        told = f"{HUMAN36M} {choice.name}, {path.name}"
    else:
        pictures, other = [], read_3dhp(folder, every=choice.every)
        if other is None:
            people, path = read_human36m_views(folder, human36m_rig, choice, protocol.files)
            told = f"{HUMAN36M} {choice.name}, {path.name}"
        else:
            people, told = other[0], f"{MPI_INF_3DHP}, {other[1]}"
    start = time.perf_counter()
    wanted = people.converted(lifter.skeleton)
    said = lift_labelled(lifter, wanted, pictures)
    seconds = (time.perf_counter() - start) / len(people)
    lost = f", {people.left_out} left out" if people.left_out else ""
    return Row(protocol.name, told + lost, len(people), None, printed_figures(said, wanted), seconds)


@torch.no_grad()
def lift_labelled(
    lifter: PeopleLifter, people: LabelledPeople, pictures: Sequence[Path] = (), *, seed: int = 0
) -> Float[Tensor, "persons hypotheses joints 3"]:
    """What a lifter says of people whose joints are its own, mm in their camera's axes from the root."""
    generator, found = torch.Generator().manual_seed(seed), list[Tensor]()
    roots = lifter.skeleton.indices(lifter.skeleton.root_of)
    for row in range(0, len(people), 1 if pictures else BLOCK):
        some = people[row : row + (1 if pictures else BLOCK)]
        picture = read_image(pictures[row]) if pictures else None
        sight = see_labelled(some)
        metres = lifter.lift(sight, picture, generator)
        found.append(about_root(1000 * sight.people.to_camera(metres.float()), roots))
    return torch.cat(found)


def printed_figures(said: Float[Tensor, "persons hypotheses joints 3"], people: LabelledPeople) -> tuple[Figure, ...]:
    """What papers print of these answers, over the joints that both the lifter and the data set know.

    Errors of the mean pose are means over the actions, and over frames where the name says so; best of several, PCK,
    AUC and CPS are of the best hypothesis by that figure, over frames; the error of the velocity is where frames follow
    each other; then how honest the spread is.
    """
    joints, known, truth = people.names.skeleton.joints, people.known, people.about_root().to(said.dtype)
    mean, everyone = said.mean(1), known[:, None].expand(said.shape[:3])
    other = truth[:, None].expand_as(said)
    relative, similar = mpjpe(mean, truth, known), pa_mpjpe(mean, truth, known)
    of_pck, of_cps = (without_joints(everyone, joints, names) for names in (NOT_IN_PCK, NOT_IN_CPS))
    worst = worst_joint(aligned(said, other, of_cps), other, of_cps).amin(1)
    over_actions = partial(action_average, actions=people.action_names)
    figures = [
        ("joints", known.any(0).sum()), ("relative_mm", over_actions(relative)), ("pa_mm", over_actions(similar)),
        ("relative_frames_mm", frame_average(relative)), ("pa_frames_mm", frame_average(similar)),
        ("scaled_mm", over_actions(scaled_mpjpe(mean, truth, known))),
        ("best_mm", frame_average(mpjpe(said, other, everyone).amin(1))),
        ("pa_best_mm", frame_average(pa_mpjpe(said, other, everyone).amin(1))),
        ("pck_150", 100 * frame_average(pck(said, other, of_pck).amax(1))),
        ("auc", 100 * frame_average(pck(said, other, of_pck, AUC_MM).amax(1))),
        ("cps", correct_poses_score(worst[known.any(1)])),
        ("symmetry_mm", frame_average(symmetry_error(said, everyone, joints).mean(1))),
    ]  # fmt: skip
    apart = (people.number[1:] != people.number[:-1] + 1) | (people.action[1:] != people.action[:-1])
    velocity = velocity_error(mean, truth, known, torch.cat([apart.new_zeros(1), apart]).cumsum(0))
    figures += [("velocity_mm", velocity)] if bool(velocity.isfinite()) else []
    if said.shape[1] > 1:
        fit = calibration(said, truth, known)
        figures += [
            ("energy_mm", energy_score(said, truth)[known].mean()), ("ece", fit.error),
            ("rank", spread_error_correlation(said, truth, known)[known.any(0)].mean()),
        ]  # fmt: skip
        for name, shares in zip(("in_50", "in_90"), fit.axes, strict=True):
            figures.append((name, 100 * shares[known.any(0)].mean()))
    return tuple(Figure(name, float(value)) for name, value in figures)


def lifted_protocol(name: str) -> LiftedProtocol | None:
    """The protocol of a system; None where the name is none of a lifter."""
    return next((one for one in LIFTED_PROTOCOLS if one.name == name), None)
