"""`dispose evaluate`: figures, with what made them."""

import shlex
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from dispose.cli.evaluate_images import ImageJob, score_images
from dispose.cli.evaluate_save import SaveJob, save_results
from dispose.errors import InputError
from dispose.evaluation.methods import classic, oracle_method, random_method
from dispose.evaluation.protocols import Protocol, protocols_of
from dispose.evaluation.reports import Report, text_table, write_report
from dispose.evaluation.run import best_method, evaluate
from dispose.evaluation.scenes import Method, Scene, gather
from dispose.models.dispose.associator import Associator
from dispose.options import Count, PathOption, require_file, require_folder
from dispose.scene.results import AssociationResult
from dispose.zoo import load_associator
from dispose.zoo.checkpoints import shipped_image_weights

Name = Literal["ours", "integer_programme", "svt", "greedy", "hungarian", "random", "oracle"]
ProtocolName = Literal[
    "shelf", "mvor", "mvor_rtpose", "mvor_openpose", "mvor_openpose_distinct", "mvor_openpose_ms", "panoptic_mini",
    "toy_images", "panoptic_images", "shelf_images", "campus_images", "mm_or_images",
]  # fmt: skip
IMAGES = ("toy_images", "panoptic_images", "shelf_images", "campus_images", "mm_or_images")


@dataclass(frozen=True)
class EvaluateCommand:
    """Score associators or image models on a data set and write the figures with commit, command and versions.

    The data are the converted tables described in data/README.md; they are not part of the project.
    Classic associators run at their default gate, or at the best of several (mvor_openpose and --gates-mm), which
    favours them: the gate is chosen by the figure it is scored with.

    `toy_images` scores an image model on synthetic pictures of unseen rigs, beside classic methods on its heat maps;
    `panoptic_images`, `shelf_images`, `campus_images` and `mm_or_images` score one on the data set in its original
    layout (--data: its folder), counted as released and cleanly, beside the published figures.
    """

    protocol: Annotated[ProtocolName, tyro.conf.Positional]
    """What to score on; `mvor` scores all three detectors into one file (OpenPose also without its exact repeats)."""
    associators: tuple[Name, ...] = ("ours", "integer_programme", "svt", "greedy", "hungarian", "random", "oracle")
    """Which methods; `ours` is the trained associator, `oracle` reads the labels."""
    data: Path = Path("../shared/data")
    """Folder with shelf/, mvor/, panoptic_mini/."""
    views: Annotated[tuple[int, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Cameras to use, by position and in this order (default: all)."""
    gates_mm: Annotated[tuple[float, ...], tyro.conf.arg(help_behavior_hint="")] = ()
    """Gates to try for every classic associator; the table shows the best by pair F1 (default: the protocol's)."""
    weights: PathOption = None
    """Weights of `ours` or of the image model (default: those shipped)."""
    frames: Count = 120
    """Synthetic pictures that `toy_images` scores."""
    save: PathOption = None
    """Also what every method said about every frame, for `dispose inspect`: a folder per data set and method here."""
    out: PathOption = None
    """Result file (default: data/results/NAME.json, with the views in its name)."""

    def run(self) -> int:
        """Score, print, write."""
        start = time.perf_counter()
        path = require_file(
            self.out or Path("data/results") / f"{'_'.join(map(str, (self.protocol, *self.tail())))}.json"
        )
        if self.protocol in IMAGES:
            return score_images(self.image_job(path))
        if self.save is not None:
            require_folder(self.save)
        if len(self.views) == 1:
            raise InputError(f"--views is {self.views[0]}; at least two cameras are needed.")
        associator = load_associator(self.weights) if "ours" in self.associators else None
        ours = None if associator is None else Method("ours", associator, associator.reconstruct_frame)
        rows, sweep = [], []
        for protocol in protocols_of(self.protocol):
            scenes = gather(protocol.read(self.data), self.views or None)
            if not scenes:
                raise InputError(f"{self.data}: no frames for {protocol.name}")
            print(f"{protocol.title}: {len(scenes)} frames, {len(scenes[0].frame.cameras)} views")
            chosen: list[tuple[Name, Method]] = []
            for name in self.associators:
                method, tried = best_method(protocol, scenes, self.methods(name, protocol, scenes, ours), watch=bar)
                chosen.append((name, method))
                rows.append(evaluate(protocol, scenes, method, watch=bar))
                sweep += tried
            if self.save is not None:
                self.save_all(self.save, protocol, scenes, chosen, associator)
        print(text_table(tuple(rows)))
        words = ("dispose", *sys.argv[1:])
        report = Report(
            self.protocol, self.views or None, tuple(rows), tuple(sweep), shlex.join(words), time.perf_counter() - start
        )
        write_report(path, report)
        print(f"wrote {path}")
        return 0

    def save_all(
        self,
        folder: Path,
        protocol: Protocol,
        scenes: tuple[Scene, ...],
        chosen: list[tuple[Name, Method]],
        associator: Associator | None,
    ) -> None:
        """One results folder per method; the integer programme at its best gate is everybody's reference."""
        reference = next((method for name, method in chosen if name == "integer_programme"), None)
        if reference is None:
            reference, _ = best_method(
                protocol, scenes, self.methods("integer_programme", protocol, scenes, None), watch=bar
            )
        for name, method in chosen:
            weigh = (
                associator.weigh
                if name == "ours" and associator is not None
                else lambda frame, of=method: AssociationResult(of.associate(frame))
            )
            second = None if name == "integer_programme" else reference.associate
            save_results(SaveJob(folder / protocol.name / name, protocol, method, weigh, second), scenes, bar)
            print(f"wrote {folder / protocol.name / name}")

    def image_job(self, path: Path) -> ImageJob:
        """The same request for an image model. `InputError` for options that only associators have."""
        if self.save is not None:
            raise InputError(f"--save keeps what associators say, which {self.protocol} does not score.")
        if self.views or self.gates_mm:
            raise InputError(f"--views and --gates-mm are for associators, not for {self.protocol}.")
        weights = self.weights or shipped_image_weights()
        return ImageJob(self.protocol, weights, self.data, self.frames, path, shlex.join(("dispose", *sys.argv[1:])))

    def tail(self) -> tuple[str | int, ...]:
        """What the views add to the name of the file."""
        return ("views", *self.views) if self.views else ()

    def methods(self, name: Name, protocol: Protocol, scenes: tuple[Scene, ...], ours: Method | None) -> list[Method]:
        """One method, or one per gate."""
        if name == "ours":
            return [ours] if ours else []
        if name == "random":
            return [random_method()]
        if name == "oracle":
            return [oracle_method(scenes)]
        one = classic(name)
        return [one.at(gate, protocol.joints) for gate in self.gates_mm or protocol.gates_mm or (one.gate_mm,)]


def bar(scenes: Iterable[Scene], title: str) -> Iterable[Scene]:
    """Progress over frames where it takes longer than two seconds."""
    return tqdm(scenes, desc=title, unit="frame", delay=2.0, mininterval=0.5, leave=False)
