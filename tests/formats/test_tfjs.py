"""Weights of TensorFlow.js: every number where it belongs, and what is no list of them told in one sentence."""

import json

import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats.tfjs import read_graph_weights
from tests.formats.written_tfjs import written_graph

ARRAYS = {
    "a": np.linspace(-2, 2, 30, dtype=np.float16).astype(np.float32).reshape(1, 5, 6),
    "shape": np.array([7, -1, 3], np.int32),
    "scalar": np.full((), 0.5, np.float32),
    "none": np.zeros((0, 4), np.float32),
    "b": np.arange(12, dtype=np.float32).reshape(3, 4),
}


@pytest.mark.parametrize("shards", [("w.bin",), ("1of3.bin", "2of3.bin", "3of3.bin")])
def test_integers_between_floats_shift_nothing(shards: tuple[str, ...]):
    read = read_graph_weights(*written_graph(ARRAYS, shards), "x.json")
    assert list(read.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[name], array)


def test_plain_floats_are_read_too():
    graph, _ = written_graph({"a": np.zeros(2, np.float32)})
    plain = graph.replace(b'"quantization"', b'"comment"')
    read = read_graph_weights(plain, {"w.bin": np.array([1.5, -3], "<f4").tobytes()}, "x.json")
    assert read.arrays["a"].tolist() == [1.5, -3]


@pytest.mark.parametrize(
    "change, files, sentence",
    [
        ({}, b"\0", r"x.json: lists 98 bytes of weights, there are 99\."),
        ({}, None, r"x.json: its numbers break off in 'b', after 97 bytes\."),
        ({"shape": [-1]}, b"", r"the shape of 'a' is \[-1\]"),
        ({"shape": [10**9, 10**9]}, b"", r"its numbers break off in 'a'"),
        ({"shape": [True]}, b"", r"the shape of 'a' is"),
        ({"dtype": "uint8", "quantization": None}, b"", r"'a' is stored as 'uint8' \(None\)"),
        ({"quantization": {"dtype": "uint8"}}, b"", r"'a' is stored as 'float32'"),
        ({"name": "b"}, b"", r"lists 'b' twice"),
        ({"name": 3}, b"", r"has no name"),
    ],
)
def test_other_lists_are_refused(change: dict, files: bytes | None, sentence: str):
    graph, held = written_graph(ARRAYS)
    stored = json.loads(graph)
    stored["weightsManifest"][0]["weights"][0].update(change)
    stream = held["w.bin"][:-1] if files is None else held["w.bin"] + files
    with pytest.raises(InputError, match=sentence):
        read_graph_weights(json.dumps(stored).encode(), {"w.bin": stream}, "x.json")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float):
    graph, held = written_graph({"a": np.zeros(3, np.float32), "b": np.array([1, value], np.float32)})
    with pytest.raises(InputError, match=r"x\.json: 'b' has values that are not finite"):
        read_graph_weights(graph, held, "x.json")


@pytest.mark.parametrize(
    "graph, sentence",
    [
        (b"\xff\xfe", "is no JSON text"),
        (b"{", "breaks off"),
        (b"[1]", "lists no weights"),
        (b'{"weightsManifest": [3]}', "has no lists of paths and weights"),
        (b'{"weightsManifest": [{"paths": ["../w.bin"], "weights": []}]}', r"'\.\./w\.bin', which is not there"),
        (b'{"weightsManifest": [{"paths": [[]], "weights": []}]}', "which is not there"),
    ],
)
def test_what_is_no_graph_model_is_refused(graph: bytes, sentence: str):
    with pytest.raises(InputError, match=f"x.json: .*{sentence}"):
        read_graph_weights(graph, {"w.bin": b""}, "x.json")
