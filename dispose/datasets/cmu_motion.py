"""CMU motion capture (mocap.cs.cmu.edu): rotations of a tree of joints, so that bodies of other sizes can do the same.

The data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding from NSF
EIA-0196217.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.tables.reading import read_columns, require
from dispose.errors import InputError
from dispose.formats.asf_amc import TURNED, read_amc, read_asf
from dispose.formats.files import parse_json, read_text
from dispose.geometry.rigid import rotation_vector
from dispose.tensors import TensorStruct, cat

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


BONES = (
    ("root", "root"),
    ("l_hip", "lhipjoint"), ("l_knee", "lfemur"), ("l_ankle", "ltibia"), ("l_toe_base", "lfoot"),
    ("l_toe_tip", "ltoes"),
    ("r_hip", "rhipjoint"), ("r_knee", "rfemur"), ("r_ankle", "rtibia"), ("r_toe_base", "rfoot"),
    ("r_toe_tip", "rtoes"),
    ("lower_spine", "lowerback"), ("upper_spine", "upperback"), ("neck_base", "thorax"), ("neck", "lowerneck"),
    ("skull_base", "upperneck"), ("head_top", "head"),
    ("l_shoulder", "lclavicle"), ("l_elbow", "lhumerus"), ("l_wrist", "lradius"),
    ("r_shoulder", "rclavicle"), ("r_elbow", "rhumerus"), ("r_wrist", "rradius"),
)  # fmt: skip
"""Joints of the tree, and the bones of the original skeletons that end at them; hands are left out."""

EVERY = 6
"""Original frames (120 Hz) of which one is taken."""


def read_motion(folder: Path) -> Motion:
    """Motion in a folder: the converted table, or original skeletons and motions.

    Originals lie as the source's archives unpack: ``…/01/01.asf`` and beside it ``01_01.amc``, ``01_02.amc``, …

    Raises:
        InputError: there is neither; or see `read_table` and `dispose.formats.asf_amc`.
    """
    if (folder / "meta.json").is_file():
        return read_table(folder)
    skeletons = sorted(folder.rglob("*.asf"))
    if not skeletons:
        raise InputError(
            f"{folder}: holds neither meta.json with poses.npz nor any .asf with .amc (see data/README.md)."
        )
    return join([read_originals(path) for path in skeletons])


def read_originals(path: Path) -> Motion:
    """All motions of one person: a skeleton and the motions beside it, at 20 Hz.

    Raises:
        InputError: there is no motion, or the skeleton lacks a bone.
    """
    skeleton = read_asf(path)
    lacking = [bone for _, bone in BONES if bone not in skeleton.bones]
    if lacking:
        raise InputError(f"{path}: has no bone {lacking[0]}, which CMU's skeletons have.")
    motions = [read_amc(file, skeleton, every=EVERY) for file in sorted(path.parent.glob(f"{path.stem}_*.amc"))]
    if not motions:
        raise InputError(f"{path}: has no motion {path.stem}_*.amc beside it.")
    names, ends = list(skeleton.bones), [bone for _, bone in BONES]
    joints = tuple(joint for joint, _ in BONES)
    parents = tuple(ends.index(skeleton.parent[bone]) if bone in skeleton.parent else -1 for bone in ends)
    offsets = torch.tensor([skeleton.bones[bone].offset for bone in ends], dtype=torch.float64) @ TURNED.T
    turns = torch.cat([motion.turns for motion in motions])[:, [names.index(bone) for bone in ends]]
    clip = torch.cat([torch.full((len(motion.root),), row) for row, motion in enumerate(motions)])
    return Motion(
        joints,
        parents,
        offsets.float()[None],
        torch.zeros_like(clip),
        clip,
        torch.cat([motion.root for motion in motions]).float(),
        rotation_vector(turns).float(),
    )


def join(motions: Sequence[Motion]) -> Motion:
    """Motions of several people as one; they have the same tree."""
    skeletons = torch.tensor([len(motion.offsets) for motion in motions]).cumsum(0)
    clips = torch.tensor([int(motion.clip.max()) + 1 for motion in motions]).cumsum(0)
    counted = [
        replace(motion, skeleton=motion.skeleton + int(skeletons[k - 1]), clip=motion.clip + int(clips[k - 1]))
        if k
        else motion
        for k, motion in enumerate(motions)
    ]
    return replace(cat(counted, "frames"), offsets=torch.cat([motion.offsets for motion in motions]))


def read_table(folder: Path) -> Motion:
    """The converted table: `meta.json` and `poses.npz`.

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
