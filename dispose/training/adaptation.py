"""The associator brought nearer to one room: fine-tuned on what was found in a capture, judged apart in time.

Labels come from the capture's own detections (`dispose.preparation.labels`); no truth is read, and what is handed in
holds none. Stretches of time that are not learned from decide whether the new weights are better than the old ones.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from safetensors.torch import save
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.formats.files import digest_of, replacing, replacing_path
from dispose.formats.pseudo_labels import write_pseudo_labels
from dispose.inference.readings import Source
from dispose.metrics.association import PairCounts, count_pairs
from dispose.models.dispose.associator import Associator
from dispose.preparation.labels import LabelSettings, ReadFrames, label_frames, read_frames
from dispose.preparation.report import LabelReport, text_of_report
from dispose.scene.frame import Frame
from dispose.scene.labels import identities
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.training.associator import DenoiserTask
from dispose.training.config import ASSOCIATOR, AssociatorRecipe
from dispose.training.examples import GraphExample, GraphSource, clean_assignment, graph_example, scenes_of_chunk
from dispose.training.fit import BEST, fit
from dispose.training.shards import claim, save_shard, write_once
from dispose.training.stretches import AdaptRecipe, HeldOutStretches, stretches_of
from dispose.zoo.checkpoints import load_associator, save_weights, shipped_associator_weights
from dispose.zoo.records import to_json

LABELS, REPORT, DECISION = "labels.npz", "labels.txt", "decision.json"
"""What a run leaves in its folder beside the weights."""

REHEARSAL_CHUNK = 900_000
"""Beyond those that the shipped weights were trained on, below those that they were validated on."""


@dataclass(frozen=True, eq=False)
class KnownFrame:
    """A frame, who its detections are by the labels, and the number of its stretch of time."""

    frame: Frame
    identity: Int[Tensor, "views slots"]
    stretch: int


@dataclass(frozen=True)
class AdaptVerdict:
    """How well stretches that decide agree with their labels before and after, percent, and the gain's standard error.

    The measure is a clause that a sentence begins with.
    """

    before: float
    after: float
    error: float
    measure: str = "groups agree with the labels by pair F1"

    def better(self, recipe: HeldOutStretches) -> bool:
        """Whether the new weights are worth taking."""
        return self.after - self.before >= max(recipe.least_gain, recipe.least_errors * self.error)

    def sentence(self, recipe: HeldOutStretches) -> str:
        """In words."""
        said = (
            "the adapted weights are taken" if self.better(recipe) else "adapting does not help here: nothing is taken"
        )
        return (
            f"on stretches of time that were not learned from, {self.measure} {self.before:.2f} % before and "
            f"{self.after:.2f} % after (standard error {self.error:.2f}): {said}."
        )


def read_verdict(path: Path) -> AdaptVerdict:
    """The verdict that an earlier part of a run has written; `InputError` where the file holds none."""
    told = Entry.of_json(path)
    values = [told.at(name).value for name in ("before", "after", "error")]
    # Not `number`: the error of a single stretch is infinite.
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    if len(numbers) < len(values):
        raise InputError(f"{path}: holds no verdict; remove it, and the same command decides again.")
    before, after, error = numbers
    return AdaptVerdict(before, after, error, told.at("measure").text())


def adapt_associator(
    recipe: AdaptRecipe,
    name: str,
    source: Source,
    folder: Path,
    *,
    start: Path | None = None,
    settings: LabelSettings | None = None,
    workers: int | None = None,
) -> tuple[Path, AdaptVerdict]:
    """Fine-tune the denoiser on the labels of a recording; the path of the weights that are best, and why.

    These are the weights that training started with where it does not help.

    Args:
        recipe: how.
        name: of the recording.
        source: its frames; labels that a reading holds are not looked at.
        folder: of the run; a run that was stopped goes on.
        start: weights to begin with (default: those of the package).
        settings: how labels are made.
        workers: processes that read ahead.

    Raises:
        InputError: the folder holds another run, or the recording is too short to be judged apart.
    """
    start = start or shipped_associator_weights()
    parts = stretches_of(source.numbers, recipe)
    read = read_frames(name, Source([number for part in parts for number in part], source.read), 1)
    claim(folder, to_json(recipe) + f" recording {name} {read.digest} from {digest_of(start)}")
    weights, shard, decision = folder / ASSOCIATOR, folder / "shards" / "learned.safetensors", folder / DECISION
    if decision.exists():
        verdict = read_verdict(decision)
        return (weights if verdict.better(recipe) else start), verdict
    labelled = label_stretches(name, read, parts, folder, settings or LabelSettings())
    learned = [one for one in labelled if not is_apart(one, recipe)]
    apart = [one for one in labelled if is_apart(one, recipe)]
    associator = load_associator(start)
    judge = with_subsets(apart, recipe.subsets, seed=recipe.seed + 1)
    before = scores(associator, judge)
    write_once(shard, lambda path: save_shard(path, examples_of(associator, learned, recipe)))
    drawn = folder / "shards" / "drawn.safetensors"
    write_once(drawn, lambda path: save_shard(path, drawn_examples(associator, recipe)))
    # Weights that are loaded to be used do not learn.
    task = DenoiserTask(
        associator.denoiser.requires_grad_(requires_grad=True), recipe.denoiser, associator.config.noise
    )
    best = tried_weights(folder)
    best.parent.mkdir(parents=True, exist_ok=True)
    write_once(best, lambda path: _keep_start(path, task, f1(before)))
    few, many = len(GraphSource([drawn]).groups), len(GraphSource([shard]).groups)
    again = max(round(many * recipe.rehearsal_share / (1 - recipe.rehearsal_share) / max(few, 1)), 1)
    task.train()
    fit(task, GraphSource([shard, *[drawn] * again]), folder / task.name, recipe.denoiser.optimisation,
        seed=recipe.seed, workers=workers, score=lambda: f1(scores(associator.eval(), judge)))  # fmt: skip
    verdict = verdict_of(before, scores(associator.eval(), judge))
    if verdict.better(recipe):
        note = f"Adapted to {name}: {verdict.sentence(recipe)}"
        write_once(weights, lambda path: save_weights(path, associator.eval(), recipe=to_json(recipe), note=note))
    with replacing(decision) as file:
        json.dump(asdict(verdict), file)
    return (weights if verdict.better(recipe) else start), verdict


def tried_weights(folder: Path) -> Path:
    """Where a run keeps the denoiser that agreed best with the labels, whether it is taken or not."""
    return folder / DenoiserTask.name / BEST


def label_stretches(
    name: str, read: ReadFrames, parts: Sequence[Sequence[int]], folder: Path, settings: LabelSettings
) -> list[KnownFrame]:
    """The labels of some stretches of a recording, written beside the run with their report."""
    stretch_of = {number: row for row, part in enumerate(parts) for number in part}
    made = label_frames(name, read.frames, settings, read=read.sentences)
    views = made.frames[0].cameras.names
    write_pseudo_labels(folder / LABELS, PANOPTIC_15, views, made.labels, source=settings.group_name)
    with replacing(folder / REPORT) as file:
        file.write(text_of_report(LabelReport((made.report,))) + "\n")
    return [
        KnownFrame(frame, identities(frame, found), stretch_of[frame.number])
        for frame, found in zip(made.frames, made.predictions, strict=True)
    ]


def is_apart(one: KnownFrame, recipe: AdaptRecipe) -> bool:
    """Whether a frame is of a stretch that decides and is not learned from."""
    return one.stretch % recipe.held_out == recipe.held_out - 1


def with_subsets(labelled: Sequence[KnownFrame], subsets: int, *, seed: int) -> list[KnownFrame]:
    """Every frame with all of its cameras, and with some choices of two or more: there it is harder."""
    found = []
    for one in labelled:
        found.append(one)
        generator = np.random.default_rng([seed, one.frame.number])
        views = len(one.frame.cameras)
        for _ in range(subsets if views > 2 else 0):
            count = int(generator.integers(2, views))
            chosen = np.sort(generator.choice(views, count, replace=False)).tolist()
            found.append(KnownFrame(one.frame.select(views=chosen), one.identity[chosen], one.stretch))
    return found


def examples_of(associator: Associator, labelled: Sequence[KnownFrame], recipe: AdaptRecipe) -> list[GraphExample]:
    """The candidate graphs of labelled frames and of choices of their cameras, with the clean assignment on them."""
    found = []
    for one in with_subsets(labelled, recipe.subsets, seed=recipe.seed):
        problem = associator.problem(one.frame)
        if problem is None or len(problem.members) > recipe.denoiser.most_tuples:
            continue
        graph = problem.graph
        truth = clean_assignment(problem, one.identity)
        found.append(GraphExample(graph.members, graph.detections, graph.tuples, graph.incidences, graph.cue, truth))
    if not found:
        raise InputError("nobody was labelled in two cameras at once, so there is nothing to learn from.")
    return found


def drawn_examples(associator: Associator, recipe: AdaptRecipe) -> list[GraphExample]:
    """Synthetic frames, so that what is known of other rooms is not forgotten."""
    scenes = scenes_of_chunk(AssociatorRecipe(seed=recipe.seed), REHEARSAL_CHUNK, recipe.rehearsal)
    examples = [graph_example(associator, *scene) for scene in scenes]
    most = recipe.denoiser.most_tuples
    return [one for one in examples if one is not None and len(one.truth) <= most]


def scores(associator: Associator, labelled: Sequence[KnownFrame]) -> dict[int, PairCounts]:
    """How well an associator's groups agree with the labels, by stretch of time."""
    found: dict[int, PairCounts] = {}
    for one in labelled:
        counts = count_pairs(associator(one.frame), one.identity)
        found[one.stretch] = found.get(one.stretch, PairCounts()) + counts
    return found


def f1(counts: dict[int, PairCounts]) -> float:
    """Of all stretches together, percent."""
    return 100 * sum(counts.values(), PairCounts()).f1


def verdict_of(before: dict[int, PairCounts], after: dict[int, PairCounts]) -> AdaptVerdict:
    """Both together and how much the difference varies from stretch to stretch."""
    return AdaptVerdict(
        f1(before), f1(after), error_of_mean([100 * (after[row].f1 - before[row].f1) for row in before])
    )


def error_of_mean(gains: Sequence[float]) -> float:
    """The standard error of the mean of some stretches' gains; infinite of one."""
    return float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else float("inf")


def _keep_start(path: Path, task: DenoiserTask, score: float) -> None:
    """The weights that training starts with, as the best so far."""
    state = {name: value.cpu().contiguous() for name, value in task.state_dict().items()}
    with replacing_path(path) as temporary:
        temporary.write_bytes(save(state, metadata={"score": repr(score), "step": "0"}))
