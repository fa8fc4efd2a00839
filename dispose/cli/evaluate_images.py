"""Image models in `dispose evaluate`: synthetic pictures, and the data sets of the literature with two protocols."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from dispose.datasets.multiview import FrameLog
from dispose.errors import InputError
from dispose.evaluation.image_protocols import image_protocols_of, source_scenes
from dispose.evaluation.image_scenes import ImageAnswer, ImageMethod, ImageScene, answer_all
from dispose.evaluation.map_evidence import MapReader, model_method
from dispose.evaluation.published import FOLDER, read_published, side_by_side
from dispose.evaluation.reports import Report, text_table, write_report
from dispose.evaluation.toy_images import evaluate_toy_images, reduction
from dispose.models.dispose.model import DisPose
from dispose.released.model import ReleasedDisPose
from dispose.scene.frame import Frame
from dispose.zoo.checkpoints import load_weights, read_metadata

TOY = "toy_images"


@dataclass(frozen=True)
class ImageJob:
    """What is scored, with which weights, and where the figures go.

    Attributes:
        protocol: `TOY` or a name of `image_protocols.IMAGE_PROTOCOLS`.
        weights: of an image model.
        data: folder of the data set in its original layout.
        frames: captures of `TOY` that are scored.
        out: result file.
        command: as it was typed.
    """

    protocol: str
    weights: Path
    data: Path
    frames: int
    out: Path
    command: str


def score_images(job: ImageJob) -> int:
    """Score, print beside the published figures where there are any, write."""
    return score_toy(job) if job.protocol == TOY else score_source(job)


def score_toy(job: ImageJob) -> int:
    """The model beside classic methods on its own heat maps."""
    start = time.perf_counter()
    model = load_weights(job.weights, DisPose)
    tables = evaluate_toy_images(model, frames=job.frames, gate_frames=max(job.frames // 8, 2), watch=bar)
    print(text_table(tables.rows))
    print(text_table(tables.by_views))
    print(f"Stage II lowers MPJPE by {reduction(tables.rows):.1f} % against the classic bodies on the same heat maps.")
    report = Report(job.protocol, None, tables.rows, tables.tried, job.command, time.perf_counter() - start)
    write_report(job.out, report)
    by_views = job.out.with_name(f"{job.out.stem}_by_views.json")
    write_report(by_views, replace(report, rows=tables.by_views, sweep=()))
    print(f"wrote {job.out} and {by_views}")
    return 0


def score_source(job: ImageJob) -> int:
    """One model on the test frames of a data set, counted in both ways, beside what was published."""
    start = time.perf_counter()
    protocols = image_protocols_of(job.protocol)
    method = method_of(job.weights)
    source = protocols[0].source(job.data)
    log = FrameLog()
    answers = answer_all(bar(source_scenes(source, log), len(source.keys)), [method])[0]
    print(log.summary())
    if not answers.outcomes:
        raise InputError(
            f"{job.data}: none of the {len(source.keys)} frames of {protocols[0].test.name} can be scored."
        )
    rows = tuple(protocol.score(answers) for protocol in protocols)
    table = FOLDER / f"{protocols[0].published}.json"
    for row in rows:
        print(text_table((row,)))
    if table.exists():
        print(side_by_side(rows, read_published(table)))
    names = (protocols[0].published,)
    report = Report(job.protocol, None, rows, (), job.command, time.perf_counter() - start, published=names)
    write_report(job.out, report)
    print(f"wrote {job.out}")
    return 0


def method_of(weights: Path) -> ImageMethod:
    """The model of a weights file, ours or an imported released one, as a method."""
    if read_metadata(weights)[0] == ReleasedDisPose.__name__:
        released = load_weights(weights, ReleasedDisPose)

        def predict(frame: Frame) -> ImageAnswer:
            return ImageAnswer(released(frame))

        return ImageMethod(f"DisPOSE as released, {weights.stem}", predict)
    return model_method(MapReader(load_weights(weights, DisPose)), f"DisPOSE, {weights.stem}")


def bar(scenes: Iterable[ImageScene], count: int) -> Iterator[ImageScene]:
    """Progress over frames where it takes longer than two seconds."""
    yield from tqdm(scenes, total=count, unit="frame", delay=2.0, mininterval=0.5, leave=False)
