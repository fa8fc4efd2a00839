"""A run over frames whose truth is known, kept as `dispose predict` keeps its runs, with the labels beside."""

from collections.abc import Iterable
from pathlib import Path

from dispose.association.hypotheses import prune_hypotheses
from dispose.formats.evidence import EVIDENCE, PREDICTIONS, write_evidence
from dispose.formats.predictions import by_source, write_predictions
from dispose.inference.predict import Associate, Reconstruct, Weigh
from dispose.inference.tracking import Memory, link
from dispose.scene.frame import Frame, Labels
from dispose.scene.results import FrameResult, Results


def run_labelled(
    name: str,
    method: str,
    scenes: Iterable[tuple[Frame, Labels]],
    weigh: Weigh,
    reconstruct: Reconstruct,
    *,
    reference: Associate | None = None,
) -> Results:
    """Everybody in every frame, numbered over time, with what was weighed; the method never sees the labels.

    Args:
        name: what the run is about.
        method: who answers.
        scenes: frames of one rig, with labels.
        weigh: who is who, and from what it was chosen (`Associator.weigh`, or `dispose.inference.predict.unweighed`).
        reconstruct: where every joint is.
        reference: a second opinion to keep beside the answer, such as the integer programme's.
    """
    memory, cases, skeleton = Memory(), [], None
    for frame, labels in scenes:
        found = weigh(frame)
        memory, prediction = link(memory, reconstruct(frame, found.association), frame)
        second = None if reference is None else reference(frame)
        hypotheses, skeleton = found.hypotheses, prediction.poses.skeleton
        if hypotheses is not None:
            answers = [found.association.members] + ([] if second is None else [second.members])
            hypotheses = prune_hypotheses(hypotheses, answers)
        cases.append(FrameResult(prediction, frame, hypotheses, second, labels))
    assert skeleton is not None, "a run has at least one frame"
    return Results(name, method, skeleton, tuple(cases))


def write_run(folder: Path, results: Results) -> Path:
    """Write ``predictions.jsonl`` and ``evidence.npz``, so that `dispose inspect` opens the folder; returns it."""
    cases = [(case.prediction, case.frame) for case in results.cases]
    found = [prediction if frame is None else by_source(prediction, frame.detections) for prediction, frame in cases]
    cameras = () if results.cases[0].cameras is None else results.cases[0].cameras.names
    (folder / EVIDENCE).unlink(missing_ok=True)
    write_predictions(folder / PREDICTIONS, results.skeleton, cameras, found)
    write_evidence(folder / EVIDENCE, results)
    return folder
