"""The file in which Gong's DiffPose keeps how uncertain 2-D joints are: written so that its own code reads it too.

``positions_2d[subject][action][camera]`` is (frames, joints, kernels, 5): weight, mean u and v, standard deviation of u
and v, in pixels of the image; ``metadata`` tells left from right.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dispose.diffusion.noise import Mixture
from dispose.errors import InputError
from dispose.formats.files import replacing_path
from dispose.skeletons.skeleton import Skeleton


def write_joint_mixtures(
    path: Path, recordings: Mapping[tuple[str, str], Sequence[Mixture]], skeleton: Skeleton
) -> None:
    """Write the mixtures of recordings, by subject and action, camera by camera (leading axes frames, joints).

    Raises:
        InputError: a camera's mixtures are not of this skeleton's joints in two dimensions.
    """
    tree: dict[str, dict[str, list[np.ndarray]]] = {}
    for (subject, action), cameras in recordings.items():
        for number, mixture in enumerate(cameras):
            if mixture.mean.ndim != 4 or mixture.mean.shape[1] != len(skeleton) or mixture.mean.shape[-1] != 2:
                found = "x".join(map(str, mixture.mean.shape))
                raise InputError(f"{subject}, {action}, camera {number}: {found} is not of {skeleton.name}'s joints.")
        columns = [torch.cat([one.weight[..., None], one.mean, one.scale], -1) for one in cameras]
        tree.setdefault(subject, {})[action] = [column.float().numpy() for column in columns]
    sides = [[row for row, joint in enumerate(skeleton.joints) if joint.startswith(side)] for side in ("l_", "r_")]
    with replacing_path(path) as temporary:
        # Objects, as the file that others read has them: NumPy stores the dictionaries pickled.
        sides_of = {"keypoints_symmetry": sides, "num_joints": len(skeleton)}
        np.savez_compressed(temporary, positions_2d=np.array(tree, object), metadata=np.array(sides_of, object))
