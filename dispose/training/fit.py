"""One Lightning fit that can be killed at any moment and goes on from its last complete checkpoint."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints appear complete or not at all, and are read without unpickling objects."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write beside the path, then rename."""
        temporary = f"{path}.part"
        super().save_checkpoint(checkpoint, temporary, storage_options)
        os.replace(temporary, path)


def fit(
    task: lightning.LightningModule,
    folder: Path,
    *,
    steps: int,
    checkpoint_every: int,
    clip: float,
    average: float = 0.0,
) -> None:
    """Train a task to its last step, from the newest checkpoint in `folder` where there is one.

    Logs go to ``folder/csv`` and, for TensorBoard, ``folder/tensorboard``. Under ``torchrun`` the processes of the
    launcher train together, on one machine or several: NCCL where every process has a GPU, gloo on CPU. On GPUs batch
    statistics are shared between processes.

    Args:
        task: what is trained; afterwards it has the last weights, or their average.
        folder: of checkpoints and logs.
        steps: optimiser steps.
        checkpoint_every: steps between checkpoints.
        clip: largest gradient norm.
        average: decay of an exponential moving average of the weights; 0 = none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    last = folder / "last.ckpt"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    keep = ModelCheckpoint(
        folder, filename="last", every_n_train_steps=checkpoint_every, save_top_k=1, enable_version_counter=False
    )
    averaging = [EMAWeightAveraging(decay=average)] if average else []
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = torch.cuda.device_count() >= local
    trainer = lightning.Trainer(
        accelerator="auto" if on_gpu or world == 1 else "cpu",
        devices=local,
        num_nodes=world // local,
        strategy="ddp" if world > 1 else "auto",
        sync_batchnorm=on_gpu and world > 1,
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=clip,
        callbacks=[keep, TQDMProgressBar(refresh_rate=10), *averaging],
        logger=[CSVLogger(folder, name="csv", version=""), TensorBoardLogger(folder, name="tensorboard", version="")],
        plugins=[AtomicCheckpointIO()],
        log_every_n_steps=10,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(task, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.save_checkpoint(last)
