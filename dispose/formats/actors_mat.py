"""``actorsGT.mat`` of Shelf and Campus: MATLAB cells ``actor3D{person}{frame}`` of 14 joints in metres, or empty."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import SHELF_14
from dispose.tensors import TensorStruct

KEY = "actor3D"
MM_PER_METRE = 1000.0


@dataclass(frozen=True, eq=False)
class Actors(TensorStruct):
    """The actors of a whole recording; frames count from 0.

    Attributes:
        xyz_world: joints of `SHELF_14` in mm, z up; 0 where not annotated.
        annotated: which joints of which actor are known in which frame.
    """

    xyz_world: Float[Tensor, "persons frames joints 3"]
    annotated: Bool[Tensor, "persons frames joints"]

    def at(self, frame: int) -> Poses:
        """The annotated people of a frame; their id is the actor's number, from 0."""
        valid = self.annotated[:, frame]
        keep = valid.any(-1)
        return Poses(SHELF_14, self.xyz_world[keep, frame], valid[keep].double(), valid[keep], keep.nonzero()[:, 0])


def read_actors(path: Path) -> Actors:
    """Read the file; `InputError` names actor and frame where a cell is not what it should be."""
    people = [_cells(cell, f"{path}: {KEY}, actor {number}") for number, cell in enumerate(_cells(_table(path), path))]
    lengths = {len(frames) for frames in people}
    if len(lengths) != 1:
        raise InputError(f"{path}: {KEY}: the actors have {sorted(lengths)} frames, one number is expected.")
    xyz = np.zeros((len(people), lengths.pop(), len(SHELF_14), 3))
    known = np.zeros(xyz.shape[:3], dtype=bool)
    for person, frames in enumerate(people):
        for frame, cell in enumerate(frames):
            joints = _joints(cell, f"{path}: {KEY}, actor {person}, frame {frame}")
            if len(joints):
                finite = np.isfinite(joints).all(-1)
                xyz[person, frame, finite], known[person, frame] = MM_PER_METRE * joints[finite], finite
    return Actors(torch.from_numpy(xyz), torch.from_numpy(known))


def write_actors(path: Path, actors: Actors) -> None:
    """Write a recording as this format has it; a person of whom no joint is known is an empty cell."""
    table = np.empty((1, actors.annotated.shape[0]), dtype=object)
    for person in range(table.shape[1]):
        frames = np.empty((actors.annotated.shape[1], 1), dtype=object)
        for frame in range(len(frames)):
            known = actors.annotated[person, frame]
            joints = torch.where(known[:, None], actors.xyz_world[person, frame] / MM_PER_METRE, torch.nan)
            frames[frame, 0] = joints.numpy() if bool(known.any()) else np.zeros((1, 0))
        table[0, person] = frames
    scipy.io.savemat(path, {KEY: table})


def _table(path: Path) -> object:
    """The variable ``actor3D`` of the file."""
    try:
        content = scipy.io.loadmat(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, TypeError, NotImplementedError, zlib.error, scipy.io.matlab.MatReadError) as error:
        raise InputError(f"{path}: is no MATLAB file of version 4 to 7.2 ({error}).") from error
    if KEY not in content:
        names = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise InputError(f"{path}: no {KEY!r} (there is {names}).")
    return content[KEY]


def _cells(value: object, where: object) -> list[object]:
    """The elements of a cell array; cells that hold nothing but another cell array are opened."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        inner = value.flat[0]
        if not (isinstance(inner, np.ndarray) and inner.dtype == object):
            break
        value = inner
    if not isinstance(value, np.ndarray) or value.dtype != object:
        raise InputError(f"{where}: cells are expected, not {type(value).__name__}.")
    return list(value.flat)


def _joints(cell: object, where: str) -> Float[np.ndarray, "_ 3"]:
    """The joints of one person in one frame, metres; none where the cell is empty."""
    while isinstance(cell, np.ndarray) and cell.dtype == object and cell.size == 1:
        cell = cell.flat[0]
    if isinstance(cell, np.ndarray) and cell.size == 0:
        return np.zeros((0, 3))
    if not isinstance(cell, np.ndarray) or cell.dtype.kind not in "fiu" or cell.shape != (len(SHELF_14), 3):
        shape = getattr(cell, "shape", "no array")
        raise InputError(f"{where}: {len(SHELF_14)} x 3 numbers are expected, not {shape}.")
    return cell.astype(np.float64)
