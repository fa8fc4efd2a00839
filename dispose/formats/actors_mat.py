"""``actorsGT.mat`` of Shelf and Campus: MATLAB cells ``actor3D{person}{frame}`` of 14 joints in metres, or empty."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.mat5 import MatArray, read_mat
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
    people = [
        _cells(cell, f"{path}: {KEY}, actor {number}") for number, cell in enumerate(_cells(read_mat(path, KEY), path))
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


def _cells(value: MatArray, where: object) -> tuple[MatArray, ...]:
    """The elements of a cell array; a cell that holds nothing but another cell array is opened."""
    while len(value.cells) == 1 and value.cells[0].numbers is None:
        value = value.cells[0]
    if value.numbers is not None:
        raise InputError(f"{where}: cells are expected, not numbers of size {value.size}.")
    return value.cells


def _joints(cell: MatArray, where: str) -> Float[np.ndarray, "_ 3"]:
    """The joints of one person in one frame, metres; none where the cell is empty."""
    while len(cell.cells) == 1:
        cell = cell.cells[0]
    if 0 in cell.size:
        return np.zeros((0, 3))
    if cell.numbers is None or cell.size != (len(SHELF_14), 3):
        raise InputError(f"{where}: {len(SHELF_14)} x 3 numbers are expected, not {cell.size}.")
    return cell.numbers
