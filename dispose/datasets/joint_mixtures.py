"""How uncertain the 2-D joints of recordings are: mixtures from several detectors' files, or from stored heat maps.

They are written as Gong's DiffPose keeps them, so that its own code reads them too.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from dispose.datasets.tables.videopose3d import CAMERAS, read_tree, skeleton_of
from dispose.diffusion.noise import Mixture
from dispose.errors import InputError
from dispose.formats.arrays import NUMBERS, Arrays
from dispose.formats.files import replacing_path
from dispose.formats.plain_pickle import load_plain_arrays
from dispose.nn.joint_mixtures import mixture_of_detections, mixture_of_heatmaps
from dispose.skeletons.skeleton import Skeleton

Recordings = dict[tuple[str, str], list[Mixture]]
"""By subject and action, camera by camera."""

AFFINE = "/image_from_map"


def mixtures_of_detectors(paths: Sequence[Path], kernels: int) -> tuple[Recordings, Skeleton]:
    """From the 2-D files of several detectors (``data_2d_h36m_*.npz``): what all of them looked at.

    Raises:
        InputError: names file, subject, action and camera of what is not as it should be.
    """
    if len(paths) < 2:
        raise InputError(f"{paths[0]}: one file of detections does not say how much they vary; name two or more.")
    stored = [load_plain_arrays(path) for path in paths]
    skeletons = [skeleton_of(path, one.get("metadata")) for path, one in zip(paths, stored, strict=True)]
    if len({skeleton.name for skeleton in skeletons}) > 1:
        raise InputError(f"{paths[1]}: the joints are not those of {paths[0]}.")
    trees = [read_tree(path, "positions_2d", one) for path, one in zip(paths, stored, strict=True)]
    found: Recordings = {}
    for subject, actions in trees[0].items():
        for action in actions:
            if all(action in tree.get(subject, {}) for tree in trees):
                where = f"{subject}, {action}"
                each = [
                    _cameras(f"{path}: {where}", tree[subject][action]) for path, tree in zip(paths, trees, strict=True)
                ]
                cameras = range(min(map(len, each)))
                found[subject, action] = [_together(where, [one[k] for one in each], k, kernels) for k in cameras]
    if not found:
        raise InputError(f"{paths[1]}: no action of any subject that {paths[0]} has too.")
    return found, skeletons[0]


def mixtures_of_maps(path: Path, kernels: int, skeleton: Skeleton) -> Recordings:
    """From an `.npz` of heat maps: arrays ``SUBJECT/ACTION/CAMERA`` (frames, joints, height, width).

    Beside each may stand ``SUBJECT/ACTION/CAMERA/image_from_map`` (frames, 2, 3), the affine from pixels of the map to
    pixels of the image; without it the map's own pixels are meant.

    Raises:
        InputError: names the array of what is not as it should be.
    """
    plain = load_plain_arrays(path)
    arrays = Arrays(path, {name: value for name, value in plain.items() if isinstance(value, np.ndarray)})
    found: Recordings = {}
    for name in arrays.columns:
        if name.endswith(AFFINE):
            continue
        parts = name.split("/")
        if len(parts) != 3:
            raise InputError(f"{path}: array {name!r} is not named SUBJECT/ACTION/CAMERA.")
        maps = torch.from_numpy(arrays.get(name, NUMBERS, None, len(skeleton), None, None).astype(np.float64))
        affine = torch.eye(2, 3, dtype=torch.float64).expand(len(maps), 2, 3)
        if name + AFFINE in arrays.columns:
            affine = torch.from_numpy(arrays.finite(name + AFFINE, len(maps), 2, 3).astype(np.float64))
        try:
            mixture = mixture_of_heatmaps(maps, affine, kernels)
        except InputError as error:
            raise InputError(f"{path}: {name}, {error}") from None
        found.setdefault((parts[0], parts[1]), []).append(mixture)
    if not found:
        raise InputError(f"{path}: no heat maps in it.")
    return found


def _cameras(where: str, value: object) -> list[np.ndarray]:
    if not isinstance(value, list | tuple | np.ndarray) or not len(value):
        raise InputError(f"{where}: a list of cameras is expected (Human3.6M has {len(CAMERAS)}).")
    for number, xy in enumerate(value):
        if not isinstance(xy, np.ndarray) or xy.ndim != 3 or xy.shape[-1] != 2 or xy.dtype.kind != "f":
            raise InputError(f"{where}, camera {number}: keypoints are not [frames, joints, 2].")
    return list(value)


def _together(where: str, each: Sequence[np.ndarray], camera: int, kernels: int) -> Mixture:
    """What several detectors say of one camera, as long as all of them filmed; what is no number does not count."""
    frames = min(map(len, each))
    if len({xy.shape[1] for xy in each}) > 1:
        raise InputError(f"{where}, camera {camera}: the files have different numbers of joints.")
    xy = torch.stack([torch.from_numpy(one[:frames].astype(np.float64)) for one in each], -2)
    try:
        return mixture_of_detections(xy, torch.isfinite(xy).all(-1).double(), kernels)
    except InputError as error:
        raise InputError(f"{where}, camera {camera}, {error}") from None


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
