"""One Lightning fit that can be killed at any moment and goes on from its last complete checkpoint."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoints appear complete or not at all, and are read without unpickling objects."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write beside the path, then rename."""
        temporary = f"{path}.part"
        super().save_checkpoint(checkpoint, temporary, storage_options)
        os.replace(temporary, path)


def fit(task: lightning.LightningModule, folder: Path, *, steps: int, checkpoint_every: int, clip: float) -> None:
    """Train a task to its last step, from the newest checkpoint in `folder` where there is one.

    Logs go to ``folder/csv`` and, for TensorBoard, ``folder/tensorboard``. Under ``torchrun`` the processes of the
    launcher train together (DDP, gloo on CPU).
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
    trainer = lightning.Trainer(
        accelerator="cpu" if world > 1 else "auto",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy="ddp" if world > 1 else "auto",
        max_steps=steps,
        max_epochs=-1,
        gradient_clip_val=clip,
        callbacks=[keep, TQDMProgressBar(refresh_rate=10)],
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
