"""The laptop-sized model on synthetic images of rigs it has never seen, beside classic methods on its heat maps.

The model looks at the images once; the classic methods start from the peaks of its heat maps. They have their gates
chosen on images of other rigs than those they are scored on, by the figures they are scored with.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from dispose.association.imputation import impute_joints
from dispose.association.roots import map_pixel_of
from dispose.baselines.heatmap_peaks import MAP_GATES, PeakGates, people_from_peaks
from dispose.errors import ShapeError
from dispose.evaluation.classic import CLASSIC, Classic
from dispose.evaluation.measures import association_figures, clean_roots, clean_skeletons, root_identities
from dispose.evaluation.reports import Figure, Row, figures_of
from dispose.evaluation.score import Answers, Method, answers, drawn, row_of, without_joints
from dispose.geometry.image_affine import apply, input_from_map, invert
from dispose.inference.readings import Source
from dispose.models.dispose.model import DisPose, TwoStages
from dispose.nn.backbones import STRIDE
from dispose.nn.heatmaps import Peaks, subpixel_peaks
from dispose.scene.frame import Frame, Labels
from dispose.scene.peaks import JointPeaks, root_frame
from dispose.scene.results import (
    Association,
    AssociationResult,
    FrameResult,
    Prediction,
    associate_each,
    reconstruct_each,
)
from dispose.skeletons.catalog import rest_pose
from dispose.skeletons.skeleton import Skeleton
from dispose_synthetic.renderer.captures import RenderConfig, as_input, sample_captures

HELD_OUT_SEED = 20_261_120
"""Of the images that are scored: training draws from other seeds."""
GATE_SEED = 20_261_121
"""Of the images on which gates are chosen."""
GATES_MM = (40.0, 70.0, 110.0, 160.0, 240.0)
JOINT_GATES = ((1.0, 0.2), (1.5, 0.3), (2.0, 0.5), (3.0, 1.0), (4.0, 1.5))
"""Gate of the joints' peaks and error of triangulated joints, heat-map pixels."""
CLASSICS = tuple(one for one in CLASSIC if one.key in ("integer_programme", "greedy"))
"""The classic associators that are scored: the exact one and the quick one."""
JOINT_THRESHOLD = 0.15
"""Least height of a peak that the classic methods look at (the roots': the model's own threshold)."""
MEASURES = (clean_skeletons, clean_roots, association_figures)
SHOWN = ("map", "ap_50", "ap_100", "recall_500", "mpjpe_mm", "joints", "root_mm", "pair_f1")
DETECTIONS = "synthetic pictures"
OURS = "DisPOSE"
BASELINE = "integer programme + DLT"
WITHOUT = "DisPOSE without Stage II"
BATCH = 4

Finish = Callable[[Prediction, Frame, JointPeaks], Prediction]


@dataclass(frozen=True)
class ToyTables:
    """Figures over all frames, the same by number of cameras, and of the gates that were tried."""

    rows: tuple[Row, ...]
    by_views: tuple[Row, ...]
    tried: tuple[Row, ...]


@dataclass(frozen=True, eq=False)
class Looked:
    """What a model said of some frames, and the peaks of its heat maps by frame; the images are not needed any more.

    The labels know whose every root peak is; the root's peaks are the model's own, in the same slots.
    """

    answers: Answers
    peaks: dict[int, JointPeaks] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The frames as those see them who start from the root peaks."""
        rows = [(one.frame, one.labels) for one in self.answers.results]
        return Source.of((frame, labels) for frame, labels in rows if frame is not None and labels is not None)


def toy_scenes(frames: int, config: RenderConfig, seed: int) -> Iterator[tuple[Frame, Labels]]:
    """Held-out captures, drawn one by one: rooms, rigs and people of seeds that no training run uses."""
    captures = sample_captures(torch.Generator().manual_seed(seed), frames, config)
    for number, capture in enumerate(captures):
        nobody = torch.zeros(len(capture.cameras), 0, dtype=torch.long)
        yield as_input(capture, number), Labels.of_detections(nobody, capture.poses)


def look(model: DisPose, scenes: Iterable[tuple[Frame, Labels]], count: int) -> Looked:
    """Let a model look at images once, and keep its answers and the peaks of its heat maps."""
    stages, peaks = TwoStages(model), dict[int, JointPeaks]()

    def associate(frames: Sequence[Frame]) -> list[AssociationResult]:
        found = stages.associate(frames)
        peaks.update({frame.number: one for frame, one in zip(frames, peaks_of(stages, frames), strict=True)})
        return found

    method = Method(OURS, associate, stages.reconstruct)
    said = answers(drawn(iter(scenes), count), method, batch=BATCH)
    results = tuple(with_root_identities(one, peaks[one.prediction.number]) for one in said.results)
    return Looked(replace(said, results=results), peaks)


def peaks_of(stages: TwoStages, frames: Sequence[Frame]) -> list[JointPeaks]:
    """The peaks of all joints in the frames that were looked at last."""
    model, seen = stages.model, stages.seen
    assert seen is not None, "every synthetic capture has two images at least"
    config, views = model.config, seen.batch.images.present.shape[1]
    heatmaps = seen.features.heatmaps.float()
    found = subpixel_peaks(heatmaps, config.peaks, min(JOINT_THRESHOLD, config.peak_threshold))
    least = torch.full((heatmaps.shape[1],), JOINT_THRESHOLD, device=found.score.device)
    least[model.skeleton.index(model.skeleton.root_of[0])] = config.peak_threshold
    found = replace(found, valid=found.valid & (found.score > least[:, None]))
    return [
        in_pixels(found[sample * views : sample * views + len(frame.cameras)], frame, model.skeleton)
        for sample, frame in enumerate(frames)
    ]


def in_pixels(peaks: Peaks, frame: Frame, skeleton: Skeleton) -> JointPeaks:
    """Peaks of heat maps in pixels of the original images; views without an image have none.

    Raises `ShapeError` where maps and views differ in number.
    """
    images = frame.require_images()
    if peaks.valid.shape[0] != len(frame.cameras):
        raise ShapeError(f"frame {frame.number}: {len(frame.cameras)} views, {peaks.valid.shape[0]} heat maps")
    image_from_input = invert(images.input_from_image.double())[:, None, None]
    xy = apply(image_from_input, input_from_map(peaks.xy_map.double().cpu(), STRIDE))
    valid = peaks.valid.cpu() & images.present[:, None, None]
    spacing = map_pixel_of(images.input_from_image, STRIDE)
    return JointPeaks(skeleton, torch.where(valid[..., None], xy, 0.0), peaks.score.double().cpu(), valid, spacing)


def with_root_identities(result: FrameResult, peaks: JointPeaks) -> FrameResult:
    """The result with the root peaks as detections, and whose every one of them is."""
    assert result.frame is not None and result.labels is not None
    seen = replace(result, frame=root_frame(result.prediction.number, result.frame.cameras, peaks))
    identity = root_identities(seen, result.labels.poses, peaks.spacing_px)
    return replace(seen, labels=replace(result.labels, identity=identity))


def impute_missing(prediction: Prediction, frame: Frame, peaks: JointPeaks) -> Prediction:
    """Joints that are not known are placed limb by limb: whole skeletons, as the model gives them."""
    return impute_joints(prediction, frame.cameras, peaks)


def use_rest_pose(prediction: Prediction, frame: Frame, peaks: JointPeaks) -> Prediction:
    """The rest pose at every root: what is known without looking for any other joint."""
    poses = prediction.poses
    rest = torch.tensor(rest_pose(poses.skeleton).xyz, dtype=torch.float64)
    root = poses.skeleton.index(str(poses.skeleton.root))
    known = poses.valid[:, root, None]
    xyz = torch.where(known[..., None], poses.xyz_world[:, [root]] + rest - rest[root], 0.0)
    return replace(prediction, poses=replace(poses, xyz_world=xyz, valid=known.expand_as(poses.valid).clone()))


def classic_method(
    looked: Looked, name: str, one: Classic, *, finish: Finish = impute_missing, gates: PeakGates = MAP_GATES
) -> Method:
    """Roots by a classic associator, then joint by joint from the model's heat maps, finished in some way."""

    def rebuild(frame: Frame, association: Association) -> Prediction:
        peaks = looked.peaks[frame.number]
        found = people_from_peaks(frame.cameras, peaks, association, gates=gates, number=frame.number)
        return finish(found, frame, peaks)

    return Method(name, associate_each(partial(one.associate, gate_mm=one.gate_mm)), reconstruct_each(rebuild))


def without_stage_two(looked: Looked, name: str, *, gates: PeakGates = MAP_GATES) -> Method:
    """The model's own groups and roots, then joint by joint by classic means."""
    mine = {one.prediction.number: one.prediction for one in looked.answers.results}

    def rebuild(frame: Frame, association: Association) -> Prediction:
        peaks, roots = looked.peaks[frame.number], mine[frame.number].root
        found = people_from_peaks(frame.cameras, peaks, association, roots, gates=gates, number=frame.number)
        return impute_missing(found, frame, peaks)

    return Method(name, associate_each(lambda frame: mine[frame.number].association), reconstruct_each(rebuild))


def toy_methods(looked: Looked, classics: Sequence[Classic], gates: PeakGates) -> list[Method]:
    """The lines of the table below the model's; the first classic associator also with less than whole skeletons."""
    first, triangulated = classics[0], lambda prediction, frame, peaks: prediction
    return [
        without_stage_two(looked, WITHOUT, gates=gates),
        *(classic_method(looked, f"{one.name} + DLT", one, gates=gates) for one in classics),
        classic_method(looked, f"{first.name} + DLT, seen joints", first, finish=triangulated, gates=gates),
        classic_method(looked, f"{first.name}, rest pose at the roots", first, finish=use_rest_pose, gates=gates),
    ]


def evaluate_toy_images(model: DisPose, *, frames: int, gate_frames: int) -> ToyTables:
    """Score the model, the model without Stage II, and the classic methods on its heat maps.

    Args:
        model: ready for inference.
        frames: number of captures that are scored.
        gate_frames: number of captures on which the gates of the classic methods are chosen.
    """
    config = RenderConfig(size=model.config.input_size, views=(3, 7), persons=(1, 5), frames_per_rig=2)
    chosen, tried, gates = list(CLASSICS), list[Row](), MAP_GATES
    if gate_frames:
        others = look(model, toy_scenes(gate_frames, config, GATE_SEED), gate_frames)
        pairs = best_gates(others)
        chosen = [one for one, _ in pairs]
        gates, rows = best_joint_gate(others, chosen[0])
        tried = [row for _, mine in pairs for row in mine] + rows
    looked = look(model, toy_scenes(frames, config, HELD_OUT_SEED), frames)
    found = [looked.answers, *(answers(looked.source, one) for one in toy_methods(looked, chosen, gates))]
    return ToyTables(tuple(toy_row(mine) for mine in found), by_views(found), tuple(tried))


def best_gates(looked: Looked) -> list[tuple[Classic, list[Row]]]:
    """Every classic associator at the gate with the greatest pair F1 of root peaks, and the rows of all gates."""
    out = []
    for one in CLASSICS:
        rows = []
        for gate in GATES_MM:
            method = Method(one.name, associate_each(partial(one.associate, gate_mm=gate)),
                            reconstruct_each(without_joints), gate)  # fmt: skip
            found = answers(looked.source, method)
            score = next(figure for figure in association_figures(found.results) if figure.name == "pair_f1")
            rows.append(replace(row_of(found, DETECTIONS, (score,)), seconds=0.0))
        best = max(rows, key=lambda row: _or_worst(row.value("pair_f1"), -1.0))
        out.append((replace(one, gate_mm=best.gate_mm or one.gate_mm), rows))
    return out


def best_joint_gate(looked: Looked, one: Classic) -> tuple[PeakGates, list[Row]]:
    """The gate of the joints' peaks with the least error of a classic associator's people, and the rows of all."""
    tried = [replace(MAP_GATES, joint=gate, root=max(gate, MAP_GATES.root), error=error) for gate, error in JOINT_GATES]
    names = [f"{one.name}, joints within {gates.joint:g} map pixels" for gates in tried]
    methods = [classic_method(looked, name, one, gates=gates) for name, gates in zip(names, tried, strict=True)]
    rows = [toy_row(answers(looked.source, method)) for method in methods]
    errors = [_or_worst(row.value("mpjpe_mm"), float("inf")) for row in rows]
    return tried[errors.index(min(errors))], rows


def _or_worst(value: float, worst: float) -> float:
    return value if value == value else worst


def toy_row(found: Answers) -> Row:
    """One line; the time is that of who is who, for the model with the look at the images."""
    figures = {figure.name: figure for figure in figures_of(found.results, MEASURES)}
    return row_of(replace(found, gate_mm=None), DETECTIONS, tuple(figures[name] for name in SHOWN))


def by_views(found: Sequence[Answers]) -> tuple[Row, ...]:
    """A line for each number of cameras and each of the model, the model without Stage II and the first classic one."""
    rows = []
    for views in sorted({views_of(one) for mine in found for one in mine.results}):
        for mine in found:
            if mine.method in (OURS, WITHOUT, BASELINE):
                some = tuple(one for one in mine.results if views_of(one) == views)
                row = toy_row(replace(mine, results=some))
                rows.append(replace(row, figures=(Figure("views", float(views)), *row.figures)))
    return tuple(rows)


def views_of(result: FrameResult) -> int:
    """Number of cameras."""
    return result.prediction.association.members.shape[1]


def reduction(rows: Sequence[Row], method: str = OURS, baseline: str = BASELINE) -> float:
    """By how many percent the MPJPE of one method is below that of another."""
    value = {row.method: row.value("mpjpe_mm") for row in rows}
    return 100 * (1 - value[method] / value[baseline])
