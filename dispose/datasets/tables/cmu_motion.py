"""CMU motion capture (mocap.cs.cmu.edu): rotations of a tree of joints, so that bodies of other sizes can do the same.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF
EIA-0196217.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.tables.reading import read_columns, require
from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text
from dispose.tensors import TensorStruct

ROTATION_UNIT = 1e-4
"""Rotation vectors are stored as whole numbers of this, radians."""


@dataclass(frozen=True, eq=False)
class Motion(TensorStruct):
    """People in motion: a tree of joints whose root moves and whose bones turn.

    Attributes:
        joints: names of the tree's joints, the root first.
        parents: of every joint; -1 for the root.
        offsets: from its parent to every joint at rest, mm (+X forward, +Y left, +Z up), of every skeleton.
        skeleton: whose offsets are those of a frame.
        clip: of every frame; frames of one clip follow each other at 20 Hz.
        root: place of the root, mm, +Z up.
        rotations: of every bone against its parent's, as rotation vectors (rad).
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[Tensor, "skeletons joints 3"]
    skeleton: Int[Tensor, " frames"]
    clip: Int[Tensor, " frames"]
    root: Float[Tensor, "frames 3"]
    rotations: Float[Tensor, "frames joints 3"]


def read_cmu_motion(folder: Path) -> Motion:
    """Read the folder ``cmu_motion`` of the converted tables.

    Raises:
        InputError: a file or a column is missing; the description does not fit the table.
    """
    path = folder / "meta.json"
    told: Any = parse_json(read_text(require(path)), str(path))
    try:
        tree, names = told["tree"], list(told["tree"]["rest_offsets_mm"])
        skeleton_of = [names.index(clip["skeleton"]) for clip in told["clips"]]
        joints, parents = tuple(tree["joints"]), tuple(tree["parents"])
        offsets = torch.tensor([tree["rest_offsets_mm"][name] for name in names], dtype=torch.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: does not describe trees and clips of the table ({error})") from None
    table = folder / "poses.npz"
    clip, root, rotvec = read_columns(table, ("clip", "root", "rotvec"))
    if rotvec.shape[1:] != (len(joints), 3) or offsets.shape[1:] != (len(joints), 3):
        raise InputError(f"{table}: {rotvec.shape[1]} rotations, {len(joints)} joints in {path.name}")
    number = torch.from_numpy(clip.astype(np.int64))
    if len(number) and not 0 <= int(number.min()) <= int(number.max()) < len(skeleton_of):
        raise InputError(f"{table}: clip {int(number.max())}, {len(skeleton_of)} clips in {path.name}")
    rotations = torch.from_numpy(rotvec.astype(np.float32)) * ROTATION_UNIT
    place = torch.from_numpy(root.astype(np.float32))
    return Motion(joints, parents, offsets, torch.tensor(skeleton_of)[number], number, place, rotations)
