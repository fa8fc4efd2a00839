"""Graph models of TensorFlow.js made by rule, and MoveNet's published form of any network."""

import json
import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped

from dispose.models.movenet.network import MoveNet
from dispose.zoo.movenet import published_name

HEADS = {"center": 3, "box_scale": 4, "box_offset": 5, "kpt_heatmap": 6, "kpt_regress": 7, "kpt_offset": 8}


def written_graph(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], shards: tuple[str, ...] = ("w.bin",)
) -> tuple[bytes, dict[str, bytes]]:
    """JSON and files of arrays: float32 in half precision, integers as they are, cut into shards of equal length."""
    entries, stream = [], b""
    for name, array in arrays.items():
        half = array.dtype == np.float32
        entry = {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        entries.append(entry | ({"quantization": {"dtype": "float16", "original_dtype": "float32"}} if half else {}))
        stream += array.astype("<f2" if half else "<i4").tobytes()
    step = -(-len(stream) // len(shards))
    files = {name: stream[k * step : (k + 1) * step] for k, name in enumerate(shards)}
    graph = {"format": "graph-model", "weightsManifest": [{"paths": list(shards), "weights": entries}]}
    return json.dumps(graph).encode(), files


def published_arrays(network: MoveNet) -> dict[str, Shaped[np.ndarray, "..."]]:
    """A network's numbers as the published graphs name and lay them out, integers and constants between them."""
    arrays: dict[str, Shaped[np.ndarray, ...]] = {}
    for k, (name, value) in enumerate(network.state_dict().items()):
        theirs = published_name(name)
        head = re.search(r"/(\w+)_0/(separable_)?conv2d/", theirs)
        if head:
            number = HEADS[head[1]] + (head[2] is None)
            theirs = theirs.replace(f"{head[2] or ''}conv2d/", f"{head[2] or ''}conv2d_{number}/", 1)
        array = value.numpy()
        if array.ndim == 4:
            array = array.transpose(2, 3, 0, 1) if ".depthwise." in name else array.transpose(2, 3, 1, 0)
        arrays[theirs] = array
        arrays[f"StatefulPartitionedCall/Reshape_{k}/shape"] = np.arange(k % 3 + 1, dtype=np.int32)
    arrays["StatefulPartitionedCall/truediv"] = np.full((1, 1, 1, 3), 0.0078, np.float32)
    return arrays
