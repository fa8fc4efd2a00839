"""One Lightning fit that can be killed at any moment and goes on from its last complete checkpoint."""

import logging
import os
import resource
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import DataLoader

from dispose.formats.files import replacing_path
from dispose.losses.objective import total
from dispose.training.config import Optimisation
from dispose.training.metrics_log import MetricsLog
from dispose.training.shards import is_first, meet
from dispose.training.task import ExampleSource, StepNumbers, Task, TrainingStep, TrainingSteps

MOST_WORKERS = 4
"""Processes that read ahead, where nobody asks for another number."""


@dataclass(frozen=True)
class StepTimes:
    """How long training took since its first batch, and how much of this it waited for the loader."""

    steps: int
    seconds: float
    waiting: float

    @property
    def share(self) -> float:
        """Share of the time spent waiting."""
        return self.waiting / self.seconds if self.seconds else 0.0


class TimedLoader:
    """A loader, and how long those who read it have waited for it since its first batch."""

    def __init__(self, loader: DataLoader[TrainingStep]) -> None:
        self.loader, self.steps, self.waiting, self.start = loader, 0, 0.0, time.perf_counter()

    def __iter__(self) -> Iterator[TrainingStep]:
        batches = iter(self.loader)
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            now = time.perf_counter()
            # Until the first batch is there the workers start.
            self.waiting += now - asked if self.steps else 0.0
            self.start = self.start if self.steps else now
            self.steps += 1
            yield batch

    @property
    def times(self) -> StepTimes:
        """Up to now."""
        return StepTimes(self.steps, time.perf_counter() - self.start, self.waiting)


class Loop(lightning.LightningModule):
    """A task, its examples and its optimisation as Lightning drives them."""

    def __init__(self, task: Task, source: ExampleSource, plan: Optimisation, *, seed: int, workers: int) -> None:
        super().__init__()
        self.task, self.source, self.plan, self.seed, self.workers = task, source, plan, seed, workers
        self.loader: TimedLoader | None = None
        self.logged: tuple[str, ...] = ()

    def train_dataloader(self) -> TimedLoader:
        """The steps that are left, read ahead by workers."""
        trainer = self.trainer
        steps = TrainingSteps(
            self.source, self.plan.batch, seed=self.seed, rank=trainer.global_rank, world=trainer.world_size
        )
        self.loader = TimedLoader(
            DataLoader(
                steps,
                batch_size=None,
                sampler=StepNumbers(trainer.global_step, self.plan.steps),
                num_workers=self.workers,
                collate_fn=_as_it_is,
                worker_init_fn=_one_thread,
            )
        )
        return self.loader

    def transfer_batch_to_device(self, batch: TrainingStep, device: torch.device, dataloader_idx: int) -> TrainingStep:
        """A task knows itself what of a batch belongs on the device."""
        return batch

    def training_step(self, batch: TrainingStep, index: int) -> Float[Tensor, ""]:
        """The weighted sum of the task's terms."""
        # Dropout and whatever else draws from the global generator: the same on an unbroken and a resumed run.
        torch.manual_seed(self.seed * 104_729 + batch.number)
        terms = self.task(batch.batch)
        loss = total(terms).float()
        values = [(term.name, term.value) for term in terms] + [("loss", loss)] * (len(terms) > 1)
        self.logged = tuple(f"{self.task.name}/{name}" for name, _ in values)
        for name, (_, value) in zip(self.logged, values, strict=True):
            last, shared = name == self.logged[-1], self.trainer.world_size > 1
            self.log(name, value.detach(), prog_bar=last, batch_size=1, sync_dist=shared)
        if self.loader is not None:
            self.log(f"{self.task.name}/waiting", self.loader.times.share, batch_size=1)
        # Connected to every weight: processes with nothing to learn in a step stay in step.
        return loss + 0.0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()

    def configure_optimizers(self):
        """AdamW, the rate as planned."""
        plan, optimizer = self.plan, optimizer_of(self.task, self.plan)
        cycle = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: plan.rate_at(step) / plan.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def optimizer_of(task: Task, plan: Optimisation) -> torch.optim.Optimizer:
    """AdamW (Adam where nothing decays) over what is trained, at the task's own rates."""
    learned = [(name, p) for name, p in task.named_parameters() if p.requires_grad]
    rates = {**task.rates(), "": 1.0}
    groups: dict[str, list[torch.nn.Parameter]] = {beginning: [] for beginning in rates}
    for name, parameter in learned:
        groups[next(beginning for beginning in rates if name.startswith(beginning))].append(parameter)
    options = [{"params": some, "lr": plan.rate * rates[beginning]} for beginning, some in groups.items() if some]
    return torch.optim.AdamW(options, lr=plan.rate, weight_decay=plan.weight_decay)


BEST = "best.safetensors"


@dataclass(frozen=True)
class BestSoFar:
    """The score of the weights that are kept, and the step after which they had it."""

    score: float
    step: int


class KeepBest(lightning.Callback):
    """Keeps the weights with the best score so far; score and weights are one file, so that a killed run agrees."""

    def __init__(self, score: Callable[[], float], path: Path, plan: Optimisation) -> None:
        self.score, self.path, self.plan = score, path, plan

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """A run that was killed after its last step has nothing left to do."""
        trainer.should_stop = self.path.exists() and self._over(trainer.global_step)

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """Score now and then, and at the end."""
        step = trainer.global_step
        if step % self.plan.select_every and step < self.plan.steps:
            return
        if is_first():
            pl_module.eval()
            with torch.no_grad():
                score = self.score()
            pl_module.train()
            print(f"step {step}: {score:.2f} on the validation split")
            if not self.path.exists() or score > self.best().score:
                state = {name: value.cpu().contiguous() for name, value in pl_module.task.state_dict().items()}
                with replacing_path(self.path) as temporary:
                    temporary.write_bytes(save(state, metadata={"score": repr(score), "step": str(step)}))
        meet()
        if self._over(step):
            trainer.should_stop = True

    def _over(self, step: int) -> bool:
        """Whether nothing better came for long; from the file, so that a run that goes on ends where it would have."""
        patience = self.plan.patience * self.plan.select_every
        return bool(patience) and step - self.best().step >= patience

    def best(self) -> BestSoFar:
        """The weights that are kept."""
        with safe_open(self.path, "pt") as file:
            return BestSoFar(float(file.metadata()["score"]), int(file.metadata()["step"]))


LOG_EVERY = 10
"""Steps from one row of the logs to the next."""


class LogRows(lightning.Callback):
    """Writes ``csv/metrics.csv``, before a step's checkpoint is saved: a killed run that goes on lacks no row."""

    def __init__(self, folder: Path) -> None:
        self.rows = MetricsLog(folder / "csv" / "metrics.csv")

    def on_train_batch_end(self, trainer: lightning.Trainer, pl_module: Any, *_: Any) -> None:
        """What this step logged itself; how long it waited is the clock's and stands in TensorBoard alone."""
        step, logged = trainer.global_step, trainer.logged_metrics
        if is_first() and (step % LOG_EVERY == 0 or trainer.should_stop):
            self.rows.add(step - 1, {name: float(logged[name]) for name in pl_module.logged})


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints appear complete or not at all, and are read without unpickling objects."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write beside the path, then rename."""
        temporary = f"{path}.part"
        super().save_checkpoint(checkpoint, temporary, storage_options)
        os.replace(temporary, path)


def fit(
    task: Task,
    source: ExampleSource,
    folder: Path,
    plan: Optimisation,
    *,
    seed: int,
    workers: int | None = None,
    score: Callable[[], float] | None = None,
) -> StepTimes:
    """Train a task to its last step, from the newest checkpoint in `folder` where there is one.

    Logs go to ``folder/csv`` and, for TensorBoard, ``folder/tensorboard``. Under ``torchrun`` the processes of the
    launcher train together, on one machine or several: NCCL where every process has a GPU, gloo on CPU. On GPUs batch
    statistics are shared between processes.

    Args:
        task: what is trained; afterwards it has the last weights, their average, or the best ones.
        source: what it learns from.
        folder: of checkpoints and logs.
        plan: how it learns.
        seed: of everything random.
        workers: processes that read ahead; 0 = none does.
        score: how good the weights are on the validation split, more is better; needed with ``plan.select_every``.
    """
    _quieten()
    meet()
    folder.mkdir(parents=True, exist_ok=True)
    if workers is None:
        workers = min(os.cpu_count() or 1, MOST_WORKERS)
    loop = Loop(task, source, plan, seed=seed, workers=workers)
    best = folder / BEST
    selecting = [KeepBest(score, best, plan)] if score is not None and plan.select_every else []
    trainer = _trainer(folder, plan, selecting)
    last = folder / "last.ckpt"
    trainer.fit(loop, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.save_checkpoint(last)
    if selecting:
        task.load_state_dict(load_file(best))
    return loop.loader.times if loop.loader is not None else StepTimes(0, 0.0, 0.0)


def _trainer(folder: Path, plan: Optimisation, callbacks: list[KeepBest]) -> lightning.Trainer:
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    on_gpu = torch.cuda.device_count() >= local
    keep = ModelCheckpoint(
        folder, filename="last", every_n_train_steps=plan.checkpoint_every, save_top_k=1, enable_version_counter=False
    )
    averaging = []
    if plan.average:
        averaging = [EMAWeightAveraging(decay=plan.average, update_every_n_steps=plan.average_every)]
    return lightning.Trainer(
        accelerator="auto" if on_gpu or world == 1 else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        sync_batchnorm=on_gpu and world > 1,
        max_steps=plan.steps,
        max_epochs=-1,
        gradient_clip_val=plan.clip,
        callbacks=[keep, TQDMProgressBar(refresh_rate=10), *averaging, *callbacks, LogRows(folder)],
        logger=TensorBoardLogger(folder, name="tensorboard", version=""),
        plugins=[AtomicCheckpointIO()],
        log_every_n_steps=LOG_EVERY,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _quieten() -> None:
    """Lightning says much; and every tensor that a worker hands over holds a file open until it is used."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for sentence in ("does not have many workers", "GPU available but not used", "isinstance.treespec, LeafSpec",
                     "exists and is not empty"):  # fmt: skip
        warnings.filterwarnings("ignore", message=f".*{sentence}.*")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
