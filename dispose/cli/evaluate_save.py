"""What a method said about every frame of a data set, as folders that `dispose inspect` opens."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dispose.association.hypotheses import prune_hypotheses
from dispose.evaluation.protocols import Protocol
from dispose.evaluation.run import Watch
from dispose.evaluation.scenes import Method, Scene
from dispose.formats.evidence import EVIDENCE, PREDICTIONS, write_evidence
from dispose.formats.predictions import by_source, write_predictions
from dispose.inference.tracking import Memory, link
from dispose.scene.frame import Frame
from dispose.scene.prediction import Association
from dispose.scene.results import AssociationResult, FrameResult, Results
from dispose.scene.truth import association_of_identities


@dataclass(frozen=True, eq=False)
class SaveJob:
    """One method on one data set.

    Attributes:
        folder: where the results go.
        protocol: names the run, and says which of the truth's joints count.
        method: who answered.
        weigh: its associations, with what was weighed where it says so.
        reference: the integer programme; None where that is the method itself.
    """

    folder: Path
    protocol: Protocol
    method: Method
    weigh: Callable[[Frame], AssociationResult]
    reference: Callable[[Frame], Association] | None


def save_results(job: SaveJob, scenes: Sequence[Scene], watch: Watch) -> None:
    """Run the method once more over all scenes and write predictions and evidence, with the labels.

    People are numbered over time as `dispose predict` does; nobody's numbers are scored.
    """
    cases = tuple(cases_of(job, watch(scenes, f"{job.protocol.name}: saving {job.method.name}")))
    frames = tuple(
        by_source(case.prediction, scene.frame.detections) for case, scene in zip(cases, scenes, strict=True)
    )
    skeleton, cameras = frames[0].poses.skeleton, scenes[0].frame.cameras.names
    (job.folder / EVIDENCE).unlink(missing_ok=True)
    write_predictions(job.folder / PREDICTIONS, skeleton, cameras, frames)
    write_evidence(job.folder / EVIDENCE, Results(job.protocol.name, job.method.name, skeleton, cases))


def cases_of(job: SaveJob, scenes: Iterable[Scene]) -> Iterator[FrameResult]:
    """Every scene with what was weighed and concluded; of the candidates also the right groups are kept."""
    memory = Memory()
    for scene in scenes:
        frame, labels = scene.frame, scene.labels
        found = job.weigh(frame)
        memory, prediction = link(memory, job.method.reconstruct(frame, found.association), frame)
        reference = None if job.reference is None else job.reference(frame)
        hypotheses = found.hypotheses
        if hypotheses is not None:
            answers = [found.association.members, association_of_identities(labels.identity).members]
            hypotheses = prune_hypotheses(hypotheses, answers + ([] if reference is None else [reference.members]))
        truth = replace(labels, poses=job.protocol.truth_of(labels.poses))
        yield FrameResult(prediction, frame, hypotheses, reference, truth)
