"""The lifter that several systems begin with, trained once for a folder."""

from pathlib import Path

from safetensors.torch import load_file, save
from torch import nn

from dispose.errors import InputError
from dispose.formats.files import replacing_path
from dispose.training.config import Optimisation
from dispose.training.fit import fit
from dispose.training.lifting import DrawnViews, LifterTask
from dispose.training.shards import write_once

LIFTER = "lifter.safetensors"
"""What it leaves in the folder of a run: tensors by name."""


def train_lifter(
    network: nn.Module, people: DrawnViews, plan: Optimisation, folder: Path, *, seed: int, workers: int | None
) -> None:
    """Teach a network the mean pose of drawn people, or take what an earlier run left in the folder.

    One seed, plan and size make one file, whichever system asks: it may be copied from run to run.

    Raises:
        InputError: the file in the folder is of another network.
    """
    path = folder / LIFTER
    if not path.exists():
        fit(LifterTask(network), people, folder / LifterTask.name, plan, seed=seed, workers=workers)
        write_once(path, lambda path: _save(path, network))
    stored = load_file(path)
    shapes, wanted = ({name: value.shape for name, value in some.items()} for some in (stored, network.state_dict()))
    if shapes != wanted:
        raise InputError(f"{path}: holds a lifter of other sizes; remove it, and it is trained anew.")
    network.load_state_dict(stored)


def _save(path: Path, network: nn.Module) -> None:
    with replacing_path(path) as temporary:
        temporary.write_bytes(save(network.state_dict()))
