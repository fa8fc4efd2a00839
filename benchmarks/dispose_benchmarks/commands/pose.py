"""`dispose bench pose`: what a frame and a training step of the image models cost, and where the time goes."""

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from tqdm import tqdm

from dispose.errors import DisposeError, InputError
from dispose.evaluation.published import FOLDER, read_published
from dispose.evaluation.reports import commit, versions
from dispose.formats.files import replacing
from dispose.models.dispose.backbone import BackboneConfig
from dispose.options import Count, require_file
from dispose.recipes.datasets import DATASETS
from dispose.recipes.images import TOY_IMAGES, TOY_SMOKE
from dispose.released.model import RELEASED, ReleasedConfig
from dispose.training.image_config import ImageRecipe
from dispose.zoo.records import from_json
from dispose_benchmarks.pose import PoseCell, measure_inference

SCHEMA = "dispose.bench-pose/1"
Sizes = Literal["panoptic", "toy_images", "toy_smoke"]


@dataclass(frozen=True)
class Pose:
    """What a frame and a training step of the image models cost, and where the time goes.

    Weights are random and pictures are noise; the backbone's heat maps are replaced by those of a synthetic scene, so
    that both stages work on a known number of people. A training step is the pose recipe's: two frames in three
    copies. It is measured with one frame where that is too much, and the file says so.
    """

    views: tuple[int, ...] = (3, 4, 5, 6)
    """Numbers of cameras, for inference."""
    persons: tuple[int, ...] = (4, 10)
    """Numbers of people in the room."""
    sizes: Sizes = "panoptic"
    """Sizes of networks and pictures: the published ones, or those of a recipe for laptops."""
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
        if not self.views or min(self.views) < 2:
            raise InputError(f"--views is {list(self.views)}; numbers from 2 on are expected.")
        if not self.persons or min(self.persons) < 1:
            raise InputError(f"--persons is {list(self.persons)}; numbers from 1 on are expected.")
        if self.train_views and self.train_views < 2:
            raise InputError(f"--train-views is {self.train_views}; 2 or more, or 0, are expected.")
        require_file(self.out)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device is cuda, and there is no CUDA device; leave it out or say cpu.")
        device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
        frames = [(model, v, p) for model in self.models for v in self.views for p in self.persons]
        cells = [apart("inference", *frame, self.repeats, self, device, None) for frame in tqdm(frames, unit="size")]
        if self.train_views:
            cells += [self.step(device, persons) for persons in self.persons]
        print(table(cells))
        self.write(cells, device)
        return 0

    def step(self, device: str, persons: int) -> PoseCell:
        """One training step; of one frame where the batch is too much."""
        try:
            seconds = 60 * self.most_minutes
            return apart("step", "ours", self.train_views, persons, self.batch, self, device, seconds)
        except DisposeError as error:
            if self.batch == 1:
                raise
            cell = apart("step", "ours", self.train_views, persons, 1, self, device, None)
            return replace(cell, note=f"{cell.note}; one frame, for with {self.batch}: {error}")

    def write(self, cells: list[PoseCell], device: str) -> None:
        """The result file, to a temporary name first."""
        content = {
            "schema": SCHEMA,
            "device": device_name(device),
            "threads": self.threads,
            "sizes": self.sizes,
            "rows": [row_of(cell) for cell in cells],
            "published": ["efficiency"],
            "commit": commit(),
            "command": shlex.join(("dispose", *sys.argv[1:])),
            "versions": {name: number for name, number in versions()},
        }
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.out) as file:
            json.dump(content, file, indent=1, allow_nan=False)
            file.write("\n")
        print(f"wrote {self.out}")


def recipe_of(sizes: Sizes) -> ImageRecipe:
    """The recipe whose networks and training step are measured."""
    return {
        "panoptic": DATASETS["panoptic"].images,
        "toy_images": TOY_IMAGES.images,
        "toy_smoke": TOY_SMOKE.images,
    }[sizes]


def released_of(sizes: Sizes) -> ReleasedConfig:
    """The released networks; on small pictures with a small trunk, for their other sizes are fixed."""
    if sizes == "panoptic":
        return RELEASED[0]
    small = BackboneConfig(depth=18, width=8, deconv_chans=256)
    return replace(RELEASED[0], input_size=recipe_of(sizes).model.input_size, backbone=small)


def measure(work: str, model: str, views: int, persons: int, count: int, options: Pose, device: str) -> PoseCell:
    """One measurement in this process; `count` is repeats of inference or frames of a step."""
    torch.set_num_threads(options.threads)
    recipe, place = recipe_of(options.sizes), torch.device(device)
    if work == "inference":
        config = recipe.model if model == "ours" else released_of(options.sizes)
        return measure_inference(config, views, persons, device=place, repeats=count, seed=options.seed)
    # Imported here: only training needs Lightning.
    from dispose_benchmarks.pose_step import measure_step

    if device == "cpu":
        most = int(options.most_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    settings = replace(recipe.pose, optimisation=replace(recipe.pose.optimisation, batch=count))
    return measure_step(recipe.model, settings, views, persons, device=place, repeats=1, seed=options.seed)


def apart(
    work: str,
    model: str,
    views: int,
    persons: int,
    count: int,
    options: Pose,
    device: str,
    seconds: float | None,
) -> PoseCell:
    """`measure` in a process of its own; `DisposeError` where it fails or a step takes longer than so many seconds."""
    plain = replace(options, out=Path("unused"))
    arguments = f"{work!r}, {model!r}, {views}, {persons}, {count}, {options_code(plain)}, {device!r}"
    code = (
        "from dispose_benchmarks.commands.pose import Pose, measure; from dispose.zoo.records import to_json; "
        f"print(to_json(measure({arguments})))"
    )
    told = f"{work} of {views} views and {persons} people"
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    try:
        # The first step warms up: two of them, and half a minute to begin.
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=None if seconds is None else 2 * seconds + 30,
        )
    except subprocess.TimeoutExpired:
        raise DisposeError(f"{told} took longer than {seconds:.0f} s") from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise DisposeError(f"{told} failed: {reason}")
    return from_json(done.stdout.strip().splitlines()[-1], PoseCell, "bench")


def options_code(options: Pose) -> str:
    """What a process needs to know of the options, as the call that makes them."""
    kept = f"sizes={options.sizes!r}, threads={options.threads}, seed={options.seed}, most_gib={options.most_gib}"
    return f"Pose({kept})"


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
    parts = {part.name: part.milliseconds for part in cell.parts}
    row = {"method": f"{values.pop('model')}, {values.pop('work')}", **values, "parts": parts, "split": split(cell)}
    return {**row, "memory_gib": round(memory, 2), "before_gib": round(before, 2)}


def split(cell: PoseCell) -> str:
    """The shares of the parts, the largest first."""
    parts = sorted(cell.parts, key=lambda part: -part.milliseconds)
    return ", ".join(f"{part.name} {100 * part.milliseconds / cell.milliseconds:.0f}%" for part in parts)


def table(cells: list[PoseCell]) -> str:
    """Cells as lines of text, and the published figures below."""
    lines = []
    for cell in cells:
        lines.append(
            f"{cell.work} ({cell.model}), {cell.views} views, {cell.persons} people, {cell.pictures} pictures: "
            f"{cell.milliseconds:.0f} ms, {cell.memory_mib:.0f} MiB ({split(cell)})"
        )
    return "\n".join([*lines, *published_lines()])


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
    told = ", ".join(f"{row.note} {figure.value}%" for row in shares.rows for figure in row.figures)
    return [*lines, f"published, {shares.title}: {told}", f"Published: {table.source}. {table.note}"]
