"""Learnable Triangulation on one person at a time: errors of a network, and of plain ways on its own heat maps.

Of Human3.6M as published: relative to the pelvis, and where people are.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from dispose.datasets.layouts.human36m import DRIFTED, open_human36m
from dispose.datasets.layouts.source import FrameKey, Layout
from dispose.datasets.one_person import MARGIN, Person, RecordedPeople, cut_out
from dispose.errors import InputError
from dispose.evaluation.reports import Figure, Row
from dispose.formats.human36m import read_stored_results
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.geometry.triangulation import triangulate_ransac
from dispose.models.triangulation.algebraic import solve_cholesky
from dispose.models.triangulation.crops import STRIDE, view_points
from dispose.models.triangulation.volumetric import Volumetric
from dispose.nn.heatmaps import soft_argmax
from dispose.scene.frame import ImageBatch
from dispose.skeletons.catalog import MPII_17
from dispose.zoo.checkpoints import PersonNetwork
from dispose_synthetic.renderer.captures import RenderConfig, sample_captures


def stored_answers(path: Path, layout: Layout) -> Mapping[FrameKey, Float[Tensor, "joints 3"]]:
    """The joints that the release stored for a layout's instants, mm, as `read_stored_results`.

    The layout is of all instants of its subjects, as the release's rows count them.
    """
    return dict(zip(layout.keys, read_stored_results(path, len(layout.keys)), strict=True))


def human36m_figures(layout: Layout, answers: Mapping[FrameKey, Float[Tensor, "joints 3"]]) -> tuple[Figure, ...]:
    """Mean distance of the seventeen joints from the truth, mm, of every instant of a layout.

    ``relative_mm`` after both pelvises are put into one place, ``absolute_mm`` as they are and without the recordings
    whose truth drifts (`DRIFTED`): means over the actions, of which either take counts alike by its instants.
    ``relative_frames_mm`` and ``absolute_frames_mm`` are means over the instants.

    Raises:
        InputError: an instant has no answer.
    """
    root = MPII_17.index("mid_hip")
    relative: dict[str, list[float]] = {}
    absolute: dict[str, list[float]] = {}
    for key in layout.keys:
        if key not in answers:
            raise InputError(f"no answer for frame {key.number} of {key.sequence}.")
        truth, said = layout.truth(key).poses.xyz_world[0], answers[key]
        subject, take = key.sequence.split("/")
        action = take.rpartition("-")[0]
        about = (said - said[root]) - (truth - truth[root])
        relative.setdefault(action, []).append(float(about.norm(dim=-1).mean()))
        if (subject, take) not in DRIFTED:
            absolute.setdefault(action, []).append(float((said - truth).norm(dim=-1).mean()))
    return (
        Figure("relative_mm", _over_actions(relative)),
        Figure("absolute_mm", _over_actions(absolute)),
        Figure("relative_frames_mm", _mean([error for errors in relative.values() for error in errors])),
        Figure("absolute_frames_mm", _mean([error for errors in absolute.values() for error in errors])),
    )


def _over_actions(errors: Mapping[str, Sequence[float]]) -> float:
    return _mean([_mean(some) for some in errors.values()])


def _mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return float(torch.tensor(values, dtype=torch.float64).mean())


UNSEEN_SEED = 20_261_130
"""Of the synthetic people that are scored: training draws from other seeds."""

HUMAN36M_TITLE, HUMAN36M_STEP = "Human3.6M, S9 and S11", 64

RANSAC_INPUT_PX = 30.0
"""As published, pixels of the network's input."""


@dataclass
class Errors:
    """Mean errors per person of one method, mm."""

    absolute: list[float] = field(default_factory=list)
    relative: list[float] = field(default_factory=list)

    def add(self, xyz: Float[Tensor, "joints 3"], person: Person, root: int) -> None:
        """One more person."""
        difference = (xyz - person.poses.xyz_world[0].to(xyz))[person.poses.valid[0]]
        at_root = xyz[root] - person.poses.xyz_world[0, root].to(xyz)
        self.absolute.append(float(difference.norm(dim=-1).mean()))
        self.relative.append(float((difference - at_root).norm(dim=-1).mean()))


def synthetic_people(count: int) -> Iterator[Person]:
    """Rendered people that no training saw, before three to five cameras."""
    config = RenderConfig(persons=(1, 1), empty=0.0, views=(3, 5), furniture=0.2)
    captures = sample_captures(torch.Generator().manual_seed(UNSEEN_SEED), count, config)
    for number, capture in enumerate(captures):
        yield Person(number, capture.cameras, list(capture.images.numpy()), capture.poses)


def score_people(network: PersonNetwork, people: Iterable[Person], title: str) -> tuple[Row, ...]:
    """The network beside plain triangulation of its heat maps; the cube of a volumetric one stands at the true root."""
    skeleton, found, seconds = network.skeleton, dict[str, Errors](), 0.0
    (root,) = skeleton.indices(skeleton.root_of)
    for person in people:
        answers, took = said_of(network, person)
        seconds += took
        for method, xyz in answers.items():
            found.setdefault(method, Errors()).add(xyz, person, root)
    if not found:
        raise InputError(f"{title}: there is nobody to score")
    count = len(next(iter(found.values())).absolute)
    return tuple(Row(method, title, count, None, _figures(errors), seconds / count) for method, errors in found.items())


def score_human36m_people(network: PersonNetwork, folder: Path) -> tuple[Row, ...]:
    """As `score_people` on Human3.6M's test subjects, one of `HUMAN36M_STEP` instants, counted as published."""
    layout = open_human36m(folder, every=HUMAN36M_STEP)
    people, found, seconds = RecordedPeople(layout), dict[str, dict[FrameKey, Tensor]](), 0.0
    for row, key in enumerate(tqdm(layout.keys, unit="instant")):
        answers, took = said_of(network, people.person(row))
        seconds += took
        for method, xyz in answers.items():
            found.setdefault(method, {})[key] = xyz.double()
    if not found:
        raise InputError(f"{HUMAN36M_TITLE}: there is nobody to score")
    each = seconds / len(layout.keys)
    return tuple(
        Row(method, HUMAN36M_TITLE, len(layout.keys), None, human36m_figures(layout, said), each)
        for method, said in found.items()
    )


def score_stored_people(path: Path, folder: Path) -> tuple[Row, ...]:
    """The joints that Learnable Triangulation's release stored for all instants of the test subjects."""
    layout = open_human36m(folder)
    figures = human36m_figures(layout, stored_answers(path, layout))
    return (Row(f"stored, {path.stem}", HUMAN36M_TITLE, len(layout.keys), None, figures, 0.0),)


@torch.no_grad()
def said_of(network: PersonNetwork, person: Person) -> tuple[dict[str, Float[Tensor, "joints 3"]], float]:
    """`answers_of` one person, and the seconds they took."""
    if person.poses.skeleton != network.skeleton:
        raise InputError(f"the labels are of {person.poses.skeleton.name}, the weights of {network.skeleton.name}")
    batch = ImageBatch.of([cut_out(person, network.config.input_size, margin=MARGIN)])
    rows = network.skeleton.indices(network.skeleton.root_of)
    start = time.perf_counter()
    answers = answers_of(network, batch, person.poses.xyz_world[:, rows[0]].float())
    return {method: xyz[0] for method, xyz in answers.items()}, time.perf_counter() - start


def answers_of(
    network: PersonNetwork, batch: ImageBatch, roots: Float[Tensor, "samples 3"]
) -> dict[str, Float[Tensor, "samples joints 3"]]:
    """What the network says, and for an algebraic one what plain ways make of the same heat maps."""
    if isinstance(network, Volumetric):
        return {"volumetric": network(batch, network.cubes_around(roots)).xyz_world}
    seen = network(batch)
    xy_map, _ = soft_argmax(seen.heatmaps, network.config.gain)
    affine, cameras = batch.images.input_from_image, batch.cameras
    xy_input = input_from_map(xy_map, STRIDE).double()
    votes = batch.images.present[..., None].double().expand(xy_input.shape[:-1])
    xy_image = apply(invert(affine.double())[:, :, None], xy_input)
    bound = RANSAC_INPUT_PX / affine[..., 0, 0].double()
    consent = triangulate_ransac(
        xy_image.transpose(1, 2), votes.transpose(1, 2), cameras.matrix[:, None], cameras.lens[:, None],
        cameras.rotation[:, None], cameras.translation[:, None], threshold_px=bound[:, None],
    ).xyz_world  # fmt: skip
    plain = solve_cholesky(view_points(xy_input, votes, cameras, affine))
    return {"algebraic": seen.xyz_world, "DLT": plain, "RANSAC": consent}


def _figures(errors: Errors) -> tuple[Figure, ...]:
    """Mean errors over people, root-relative and absolute."""
    mean = (sum(some) / len(some) for some in (errors.relative, errors.absolute))
    return tuple(Figure(name, value) for name, value in zip(("mpjpe_mm", "absolute_mm"), mean, strict=True))
