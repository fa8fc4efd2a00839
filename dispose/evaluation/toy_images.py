"""The laptop-sized model on synthetic pictures of rigs it has never seen, beside classic methods on its heat maps.

The classic methods have their gates chosen on pictures of other rigs than those they are scored on, by the figures they
are scored with.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from dispose.baselines.heatmap_peaks import MAP_GATES, PeakGates
from dispose.evaluation.image_measures import clean_roots, clean_skeletons, figures_of, root_pairs
from dispose.evaluation.image_scenes import Answers, ImageMethod, ImageScene, answer_all, root_identities
from dispose.evaluation.map_evidence import (
    MapReader,
    classic_method,
    classic_people,
    keep_triangulated,
    model_method,
    use_rest_pose,
    without_stage_two,
)
from dispose.evaluation.methods import CLASSIC, Classic
from dispose.evaluation.scenes import Figure, Row
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.model import DisPose
from dispose.scene.peaks import root_frame
from dispose_synthetic.renderer.captures import RenderConfig, as_input, sample_captures

HELD_OUT_SEED = 20_261_120
"""Of the pictures that are scored: training draws from other seeds."""
GATE_SEED = 20_261_121
"""Of the pictures on which gates are chosen."""
GATES_MM = (40.0, 70.0, 110.0, 160.0, 240.0)
JOINT_GATES = ((1.0, 0.2), (1.5, 0.3), (2.0, 0.5), (3.0, 1.0), (4.0, 1.5))
"""Gate of the joints' peaks and error of triangulated joints, heat-map pixels."""
CLASSICS = tuple(one for one in CLASSIC if one.key in ("integer_programme", "greedy"))
"""The classic associators that are scored: the exact one and the quick one."""
MEASURES = (clean_skeletons, clean_roots, root_pairs)
SHOWN = ("map", "ap_50", "ap_100", "recall_500", "mpjpe_mm", "joints", "root_mm", "pair_f1")
DETECTIONS = "synthetic pictures"
OURS = "DisPOSE"
BASELINE = "integer programme + DLT"
WITHOUT = "DisPOSE without Stage II"

Watch = Callable[[Iterable[ImageScene], int], Iterable[ImageScene]]


def unwatched(scenes: Iterable[ImageScene], count: int) -> Iterable[ImageScene]:
    """No progress bar."""
    return scenes


@dataclass(frozen=True)
class ToyTables:
    """Figures over all frames, the same by number of cameras, and of the gates that were tried."""

    rows: tuple[Row, ...]
    by_views: tuple[Row, ...]
    tried: tuple[Row, ...]


def toy_scenes(frames: int, config: RenderConfig, seed: int) -> Iterator[ImageScene]:
    """Held-out captures, drawn one by one: rooms, rigs and people of seeds that no training run uses."""
    captures = sample_captures(torch.Generator().manual_seed(seed), frames, config)
    for number, capture in enumerate(captures):
        yield ImageScene(as_input(capture, number), capture.poses)


def held_out_config(size: tuple[int, int]) -> RenderConfig:
    """3 to 7 cameras, 1 to 5 people, a new rig every other frame."""
    return RenderConfig(size=size, views=(3, 7), persons=(1, 5), frames_per_rig=2)


def evaluate_toy_images(model: DisPose, *, frames: int, gate_frames: int, watch: Watch = unwatched) -> ToyTables:
    """Score the model, the model without Stage II, and the classic methods on its heat maps.

    Args:
        model: ready for inference.
        frames: number of captures that are scored.
        gate_frames: number of captures on which the gates of the classic methods are chosen.
        watch: shows progress.
    """
    config = held_out_config(model.config.input_size)
    read = MapReader(model)
    others = list(watch(toy_scenes(gate_frames, config, GATE_SEED), gate_frames))
    chosen, tried = list(CLASSICS), list[Row]()
    gates = MAP_GATES
    if others:
        pairs = best_gates(read, others)
        chosen = [one for one, _ in pairs]
        gates, rows = best_joint_gate(read, chosen[0], others)
        tried = [row for _, mine in pairs for row in mine] + rows
    methods = toy_methods(read, chosen, gates)
    answers = answer_all(watch(toy_scenes(frames, config, HELD_OUT_SEED), frames), methods)
    return ToyTables(tuple(row_of(mine) for mine in answers), by_views(answers), tuple(tried))


def toy_methods(read: MapReader, classics: Sequence[Classic], gates: PeakGates) -> list[ImageMethod]:
    """The lines of the table; the first classic associator also with less than whole skeletons."""
    find = [classic_people(read, _at(one), gates=gates) for one in classics]
    return [
        model_method(read, OURS),
        without_stage_two(read, WITHOUT, gates=gates),
        *(classic_method(read, f"{one.name} + DLT", mine) for one, mine in zip(classics, find, strict=True)),
        classic_method(read, f"{classics[0].name} + DLT, seen joints", find[0], finish=keep_triangulated),
        classic_method(read, f"{classics[0].name}, rest pose at the roots", find[0], finish=use_rest_pose),
    ]


def best_gates(read: MapReader, scenes: Sequence[ImageScene]) -> list[tuple[Classic, list[Row]]]:
    """Every classic associator at the gate with the greatest pair F1 of root peaks, and the rows of all gates."""
    counts = {(one.key, gate): PairCounts() for one in CLASSICS for gate in GATES_MM}
    for scene in scenes:
        frame, peaks = scene.frame, read.peaks(scene.frame)
        roots = root_frame(frame.number, frame.cameras, peaks)
        identity = root_identities(frame.cameras, scene.truth, roots.detections, peaks.spacing_px)
        for one in CLASSICS:
            for gate in GATES_MM:
                counts[one.key, gate] += count_pairs(one.associate(roots, gate_mm=gate), identity)
    out = []
    for one in CLASSICS:
        scores = [100 * counts[one.key, gate].f1 for gate in GATES_MM]
        best = max(range(len(scores)), key=lambda k: scores[k] if scores[k] == scores[k] else -1.0)
        rows = [
            Row(one.name, DETECTIONS, len(scenes), gate, (Figure("pair_f1", score),), 0.0)
            for gate, score in zip(GATES_MM, scores, strict=True)
        ]
        out.append((replace(one, gate_mm=GATES_MM[best]), rows))
    return out


def best_joint_gate(read: MapReader, one: Classic, scenes: Sequence[ImageScene]) -> tuple[PeakGates, list[Row]]:
    """The gate of the joints' peaks with the least error of a classic associator's people, and the rows of all."""
    tried = [replace(MAP_GATES, joint=gate, root=max(gate, MAP_GATES.root), error=error) for gate, error in JOINT_GATES]
    methods = [
        classic_method(
            read, f"{one.name}, joints within {gates.joint:g} map pixels", classic_people(read, _at(one), gates=gates)
        )
        for gates in tried
    ]
    rows = [row_of(mine) for mine in answer_all(scenes, methods)]
    errors = [row.value("mpjpe_mm") for row in rows]
    return tried[min(range(len(errors)), key=lambda k: errors[k] if errors[k] == errors[k] else float("inf"))], rows


def row_of(answers: Answers) -> Row:
    """One line; the first method to ask for the heat maps pays for them, here the model."""
    figures = {figure.name: figure for figure in figures_of(answers.outcomes, MEASURES)}
    shown = tuple(figures[name] for name in SHOWN)
    return Row(answers.method, DETECTIONS, len(answers.outcomes), None, shown, answers.seconds)


def by_views(answers: Sequence[Answers]) -> tuple[Row, ...]:
    """A line for each number of cameras and each of the model, the model without Stage II and the first classic one."""
    counts = sorted({len(o.cameras) for mine in answers for o in mine.outcomes})
    rows = []
    for views in counts:
        for mine in answers:
            if mine.method not in (OURS, WITHOUT, BASELINE):
                continue
            some = tuple(o for o in mine.outcomes if len(o.cameras) == views)
            row = row_of(replace(mine, outcomes=some))
            rows.append(replace(row, figures=(Figure("views", float(views)), *row.figures)))
    return tuple(rows)


def reduction(rows: Sequence[Row], method: str = OURS, baseline: str = BASELINE) -> float:
    """By how many percent the MPJPE of one method is below that of another."""
    value = {row.method: row.value("mpjpe_mm") for row in rows}
    return 100 * (1 - value[method] / value[baseline])


def _at(one: Classic) -> Callable:
    return partial(one.associate, gate_mm=one.gate_mm)
