"""BVH, what animation programs read: a hierarchy of joints at rest in a T-pose, then a line of numbers per frame.

Centimetres, y up, facing +z, angles in degrees. Every joint has six channels, three of translation (which take the
place of its OFFSET) and three of rotation (R = Rz Rx Ry): with rotations alone bones would keep their length, and
joints would lie elsewhere than where they were found. Retargeting uses the rotations and the OFFSETs.
"""

from pathlib import Path
from typing import TextIO

import numpy as np
from scipy.spatial.transform import Rotation

from dispose.formats.files import replacing
from dispose.scene.motion import BLOCK, BodyMotion
from dispose.tensors import ABSENT

ORDER = "ZXY"
CHANNELS = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
CM = 0.1
END_MM = 50.0
"""How far the end of a chain reaches beyond its last joint."""


def write_bvh(path: Path, motion: BodyMotion, names: tuple[str, ...], rate_hz: float) -> None:
    """Write one person.

    Args:
        path: of the file.
        motion: of the person.
        names: of the joints of its tree.
        rate_hz: frames per second.
    """
    with replacing(path) as file:
        file.write("HIERARCHY\n")
        _write_joint(file, motion, names, 0, "")
        frames = len(motion.xyz)
        file.write(f"MOTION\nFrames: {frames}\nFrame Time: {1 / rate_hz:.8f}\n")
        for start in range(0, frames, BLOCK):
            poses = motion.poses(start, start + BLOCK)
            count, joints = poses.translation.shape[:2]
            with np.errstate(all="ignore"):
                turn = Rotation.from_matrix(poses.rotation.reshape(-1, 3, 3)).as_euler(ORDER, degrees=True)
            table = np.concatenate([poses.translation * CM, turn.reshape(count, joints, 3)], -1).reshape(count, -1)
            file.writelines(" ".join(f"{number:.5f}" for number in row) + "\n" for row in table.tolist())


def _write_joint(file: TextIO, motion: BodyMotion, names: tuple[str, ...], joint: int, indent: str) -> None:
    """A joint and all that hang on it."""
    kind = "ROOT" if motion.tree.parents[joint] == ABSENT else "JOINT"
    x, y, z = motion.offset[joint] * CM
    file.write(f"{indent}{kind} {names[joint]}\n{indent}{{\n")
    file.write(f"{indent}\tOFFSET {x:.5f} {y:.5f} {z:.5f}\n{indent}\t{CHANNELS}\n")
    children = motion.tree.children(joint)
    for child in children:
        _write_joint(file, motion, names, child, f"{indent}\t")
    if not children:
        length = float(np.linalg.norm(motion.offset[joint]))
        x, y, z = motion.offset[joint] * (CM * END_MM / length if length else 0.0)
        file.write(f"{indent}\tEnd Site\n{indent}\t{{\n{indent}\t\tOFFSET {x:.5f} {y:.5f} {z:.5f}\n{indent}\t}}\n")
    file.write(f"{indent}}}\n")
