"""Released networks that lift one view's keypoints, recognised by the names of their tensors."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from dispose.errors import InputError
from dispose.released.diffpose_gmm import (
    RELEASED_DENOISER,
    RELEASED_LIFTER,
    ReleasedGraphDenoiser,
    ReleasedGraphLifter,
    graph_entry,
    plain_graph_tensors,
)
from dispose.zoo.importing import Entries, fill, read_entries

GRAPH_START = "gconv_input.weight"
"""By which the networks of Gong's DiffPose are told from others."""


def is_graph_pose(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of Gong's DiffPose."""
    return any(name.removeprefix("module.") == GRAPH_START for name in tensors)


def import_graph_pose(path: Path) -> ReleasedGraphLifter | ReleasedGraphDenoiser:
    """The released initial-pose network or denoiser of Gong's DiffPose: which of them the tensors say.

    Raises:
        InputError: see `read_entries`; or entries are missing, surplus, of another shape or not finite; or the learned
            adjacency has a column whose sum is negative, for which the release computes no numbers.
    """
    entries = read_entries(path)
    tensors = plain_graph_tensors(entries.tensors)
    if GRAPH_START not in tensors:
        raise InputError(f"{path}: holds no graph network of DiffPose: it has no {GRAPH_START}")
    for name, value in tensors.items():
        if name.endswith("A_hat") and value.ndim == 2 and bool((value.sum(0) + 1e-5 <= 0).any()):
            raise InputError(f"{path}: a column of {name} sums to less than 0, its root is no number")
    denoises = any("temb_proj" in name for name in tensors)
    network = ReleasedGraphDenoiser(RELEASED_DENOISER) if denoises else ReleasedGraphLifter(RELEASED_LIFTER)
    fill(network, Entries(path, tensors), graph_entry)
    return network
