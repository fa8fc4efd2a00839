"""Released networks that lift one view's keypoints, recognised by the names of their tensors."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from dispose.errors import InputError
from dispose.models.diffpose_hypotheses.network import HypothesesNetwork
from dispose.nn.hrnet import HRNet, HRNetConfig
from dispose.released.context import ReleasedContext, context_entry, released_config
from dispose.released.diffpose_gmm import (
    RELEASED_DENOISER,
    RELEASED_LIFTER,
    ReleasedGraphDenoiser,
    ReleasedGraphLifter,
    graph_entry,
    plain_graph_tensors,
)
from dispose.released.diffpose_hypotheses import RELEASED_HYPOTHESES, hypotheses_entry, used_tensors
from dispose.zoo.checkpoints import released_name
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


CONTEXT_START = "volume_net.coord_embed.weight"
"""By which Context-Aware PoseFormer is told from others."""


def is_context(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of Context-Aware PoseFormer."""
    return any(name.removeprefix("module.") == CONTEXT_START for name in tensors)


def import_context(path: Path) -> ReleasedContext:
    """The released Context-Aware PoseFormer with the weights of a file: its tensors say which.

    Raises:
        InputError: see `read_entries`; or the tensors are those of none of the released networks on HRNet.
    """
    entries = read_entries(path)
    tensors = {name.removeprefix("module."): value for name, value in entries.tensors.items()}
    config = released_config({name: tuple(value.shape) for name, value in tensors.items()})
    if config is None:
        raise InputError(f"{path}: holds no Context-Aware PoseFormer on the maps of HRNet-32 or HRNet-48")
    network = ReleasedContext(config)
    fill(network, Entries(path, tensors), context_entry)
    return network


TIMM_HEADS = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What timm's HRNets have for ImageNet's classes. They fuse all maps at the end, too, where COCO's fuse one."""


HRNET_START = "stage2.0.branches.0.0.conv1.weight"
"""By which HRNet is told from others."""


def plain_hrnet_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what others put before the names."""
    return {re.sub(r"^(module|backbone|keypoint_head)\.", "", name): value for name, value in tensors.items()}


def is_hrnet(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of HRNet."""
    return HRNET_START in plain_hrnet_tensors(tensors)


def import_hrnet(path: Path) -> HRNet:
    """HRNet by its official names for COCO, by mmpose's, or by timm's, whose heads are left out: no heat maps then.

    Raises:
        InputError: see `read_entries`; or the tensors make no HRNet.
    """
    tensors = plain_hrnet_tensors(read_entries(path).tensors)
    if "classifier.weight" in tensors:
        surplus = (*TIMM_HEADS, *(f"stage4.2.fuse_layers.{level}." for level in (1, 2, 3)))
        tensors = {name: value for name, value in tensors.items() if not name.startswith(surplus)}
    branch = tensors.get(HRNET_START)
    if branch is None or branch.ndim != 4:
        raise InputError(f"{path}: holds no HRNet: it has no {HRNET_START}")
    joints = tensors["final_layer.weight"].shape[0] if "final_layer.weight" in tensors else 0
    network = HRNet(HRNetConfig(len(branch), joints))
    fill(network, Entries(path, tensors), released_name)
    return network


HYPOTHESES_START = "denoise_fn.upscale.weight"
"""By which Holmquist and Wandt's DiffPose is told from others."""


def is_hypotheses(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are tensors of Holmquist and Wandt's DiffPose."""
    return HYPOTHESES_START in tensors


def import_hypotheses(path: Path) -> HypothesesNetwork:
    """The released DiffPose of Holmquist and Wandt; the number of its steps is read from its tables.

    Its moving average of the weights is not taken: the release does not evaluate it either.

    Raises:
        InputError: see `read_entries`; or entries are missing, surplus, of another shape or not finite.
    """
    entries = read_entries(path)
    if not is_hypotheses(entries.tensors):
        raise InputError(f"{path}: holds no DiffPose of many hypotheses: it has no {HYPOTHESES_START}")
    steps = len(entries.tensors.get("betas", range(RELEASED_HYPOTHESES.steps)))
    network = HypothesesNetwork(replace(RELEASED_HYPOTHESES, steps=steps))
    fill(network, Entries(path, used_tensors(entries.tensors)), hypotheses_entry)
    return network
