"""``actorsGT.mat`` of Shelf and Campus: MATLAB cells ``actor3D{person}{frame}`` of 14 joints in metres, or empty."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.mat_cells import open_cells, read_mat_cells
from dispose.scene.frame import Poses
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
    people = [
        open_cells(cell, f"{path}: {KEY}, actor {number}") for number, cell in enumerate(read_mat_cells(path, KEY))
    ]
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


def _joints(cell: Shaped[np.ndarray, "..."], where: str) -> Float[np.ndarray, "_ 3"]:
    """The joints of one person in one frame, metres; none where the cell is empty."""
    while cell.dtype == object and cell.size == 1:
        cell = cell.flat[0]
    if cell.size == 0:
        return np.zeros((0, 3))
    if cell.dtype == object or cell.shape != (len(SHELF_14), 3):
        raise InputError(f"{where}: {len(SHELF_14)} x 3 numbers are expected, not {cell.shape}.")
    return cell
