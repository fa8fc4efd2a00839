"""`dispose bench pose`: what a frame and a training step of the image models cost, and where the time goes."""

import os
import platform
import resource
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm

from dispose.errors import DisposeError, InputError
from dispose.evaluation.published import FOLDER, read_published
from dispose.formats.folders import require_file
from dispose.nn.backbones import BackboneConfig
from dispose.options import Count
from dispose.recipes.datasets import DATASETS
from dispose.recipes.synthetic import TOY_IMAGES, TOY_SMOKE
from dispose.released.model import RELEASED, ReleasedConfig
from dispose.training.config import ModelRecipe
from dispose_benchmarks.pose import PoseCell, measure_inference, measure_step
from dispose_benchmarks.report import apart, require_numbers, write_figures

SCHEMA = "dispose.bench-pose/1"
Sizes = Literal["panoptic", "toy_images", "toy_smoke"]


@dataclass(frozen=True)
class PoseBench:
    """What a frame and a training step of the image models cost, and where the time goes.

    Weights are random and images are noise; the backbone's heat maps are replaced by those of a synthetic scene, so
    that both stages work on a known number of people. A training step is the pose recipe's: two frames in three
    copies. It is measured with one frame where that is too much, and the file says so.
    """

    views: tuple[int, ...] = (3, 4, 5, 6)
    """Numbers of cameras, for inference."""
    persons: tuple[int, ...] = (4, 10)
    """Numbers of people in the room."""
    sizes: Sizes = "panoptic"
    """Sizes of networks and images: the published ones, or those of a recipe for laptops."""
    models: tuple[Literal["ours", "released"], ...] = ("ours", "released")
    """Our networks, and those of the released weights."""
    train_views: int = 5
    """Cameras of the training step; 0 leaves it out."""
    batch: Count = 2
    """Frames of the training step."""
    repeats: Count = 3
    """Runs of inference; the median counts. A training step runs twice, and the second counts."""
    most_minutes: float = 5.0
    """A training step that takes longer is measured with one frame."""
    most_gib: float = 24.0
    """So is one that takes more memory, on a CPU."""
    threads: Count = os.cpu_count() or 1
    """Of a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; auto takes a GPU that is there."""
    seed: int = 0
    """Of weights and scenes."""
    out: Path = Path("data/results/bench_pose.json")
    """Result file."""

    def run(self) -> int:
        """Measure, print, write."""
        require_numbers("views", self.views, 2)
        require_numbers("persons", self.persons, 1)
        if self.train_views and self.train_views < 2:
            raise InputError(f"--train-views is {self.train_views}; 2 or more, or 0, are expected.")
        require_file(self.out)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device is cuda, and there is no CUDA device; leave it out or say cpu.")
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        sizes = [(model, views, persons) for model in self.models for views in self.views for persons in self.persons]
        cells = [
            apart(f"inference of {views} views and {persons} people", None, infer, self, model, views, persons, device)
            for model, views, persons in tqdm(sizes, unit="size")
        ]
        if self.train_views:
            cells += [self.step(persons, device) for persons in self.persons]
        for cell in cells:
            print(
                f"{cell.work} ({cell.model}), {cell.views} views, {cell.persons} people, {cell.images} images: "
                f"{cell.milliseconds:.0f} ms, {cell.memory_mib:.0f} MiB ({split(cell)})"
            )
        print("\n".join(published_lines()))
        about = {"device": device_name(device), "threads": self.threads, "sizes": self.sizes}
        rows = [row_of(cell) for cell in cells]
        write_figures(self.out, SCHEMA, {**about, "rows": rows, "published": ["efficiency"]})
        return 0

    def step(self, persons: int, device: str) -> PoseCell:
        """One training step, in a process of its own; of one frame where the batch is too much."""
        name = f"step of {self.train_views} views and {persons} people"
        # The first step warms up: two of them, and half a minute to begin.
        seconds = 2 * 60 * self.most_minutes + 30
        try:
            return apart(name, seconds, step, self, self.batch, persons, device)
        except DisposeError as error:
            if self.batch == 1:
                raise
            cell = apart(name, None, step, self, 1, persons, device)
            return replace(cell, note=f"{cell.note}; one frame, for with {self.batch}: {error}")


def infer(options: PoseBench, model: str, views: int, persons: int, device: str) -> PoseCell:
    """Inference of one frame, in this process."""
    torch.set_num_threads(options.threads)
    config = recipe_of(options.sizes).model if model == "ours" else released_of(options.sizes)
    place = torch.device(device)
    return measure_inference(config, views, persons, device=place, repeats=options.repeats, seed=options.seed)


def step(options: PoseBench, batch: int, persons: int, device: str) -> PoseCell:
    """One training step, in this process."""
    torch.set_num_threads(options.threads)
    if device == "cpu":
        most = int(options.most_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    recipe, place = recipe_of(options.sizes), torch.device(device)
    settings = replace(recipe.pose, optimisation=replace(recipe.pose.optimisation, batch=batch))
    return measure_step(
        recipe.model, settings, options.train_views, persons, device=place, repeats=1, seed=options.seed
    )


def recipe_of(sizes: Sizes) -> ModelRecipe:
    """The recipe whose networks and training step are measured."""
    return {
        "panoptic": DATASETS["panoptic"].training,
        "toy_images": TOY_IMAGES.training,
        "toy_smoke": TOY_SMOKE.training,
    }[sizes]


def released_of(sizes: Sizes) -> ReleasedConfig:
    """The released networks; on small images with a small trunk, for their other sizes are fixed."""
    if sizes == "panoptic":
        return RELEASED[0]
    small = BackboneConfig(depth=18, width=8, deconv_chans=256)
    return replace(RELEASED[0], input_size=recipe_of(sizes).model.input_size, backbone=small)


def device_name(device: str) -> str:
    """The processor or accelerator, in words."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    cpus = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
    return f"CPU, {names[0] if names else platform.processor() or platform.machine()}"


def row_of(cell: PoseCell) -> dict[str, object]:
    """A cell as the result file has it, in the columns of the published table where they are the same."""
    values = asdict(cell)
    memory, before = values.pop("memory_mib") / 1024, values.pop("before_mib") / 1024
    row = {"method": f"{values.pop('model')}, {values.pop('work')}", "pictures": values.pop("images"), **values}
    row["parts"] = {part.name: part.milliseconds for part in cell.parts}
    row |= {"milliseconds": cell.milliseconds, "split": split(cell)}
    return {**row, "memory_gib": round(memory, 2), "before_gib": round(before, 2)}


def split(cell: PoseCell) -> str:
    """The shares of the parts, the largest first."""
    parts = sorted(cell.parts, key=lambda part: -part.milliseconds)
    return ", ".join(f"{part.name} {100 * part.milliseconds / cell.milliseconds:.0f}%" for part in parts)


def published_lines() -> list[str]:
    """The published figures, in a checkout of the repository; they lie beside the results."""
    if not FOLDER.is_dir():
        return []
    lines = []
    table = read_published(FOLDER / "efficiency.json")
    for row in table.rows:
        figures = {figure.name: figure.value for figure in row.figures}
        lines.append(
            f"published, {row.method}, {figures['views']:g} views: {figures['batch_ms']:g} ms, "
            f"{figures['memory_gib']:g} GiB ({row.note})"
        )
    shares = read_published(FOLDER / "efficiency_split.json")
    split_words = ", ".join(f"{row.note} {figure.value}%" for row in shares.rows for figure in row.figures)
    return [*lines, f"published, {shares.title}: {split_words}", f"Published: {table.source}. {table.note}"]
