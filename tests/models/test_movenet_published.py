"""MoveNet with its published weights, against what an executor of the published graphs says (skipped without them)."""

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dispose.models.movenet.decode import decode_people, decode_person
from dispose.models.movenet.find import crop_squares, find_joints, find_people, letterbox
from dispose.models.movenet.network import MULTIPOSE, THUNDER, MoveNetConfig, MoveNetHeads, TracedMoveNet
from tests.zoo.movenet_weights import published

CASES = {"multi_a": MULTIPOSE, "multi_b": MULTIPOSE, "multi_pad": MULTIPOSE} | {
    f"thunder_{one}": THUNDER for one in ("a0", "a1", "b0", "b1")
}


@functools.cache
def recorded(config: MoveNetConfig) -> TracedMoveNet:
    """A published network in its fast form."""
    return TracedMoveNet(published(config))


@pytest.fixture(scope="module")
def fixture(shared_data: Path) -> Any:
    """What the executor said."""
    return json.loads((shared_data / "detector" / "fixture.json").read_text())


def rows(heads: MoveNetHeads) -> Float[Tensor, "rows numbers"]:
    """Decoded people as the graphs put them out."""
    if heads.box_scale is None:
        return decode_person(heads)[0]
    people = decode_people(heads)
    return torch.cat((people.keypoints[0].flatten(1), people.boxes[0], people.scores[0, :, None]), -1)


def test_decoding_of_given_heads_is_the_graphs_own(shared_data: Path):
    with np.load(shared_data / "detector" / "decode.npz") as held:
        for model in ("multi", "thunder"):
            names = [name for name in held if name.startswith(model) and not name.endswith("output")]
            maps = {name.removeprefix(f"{model}_"): torch.from_numpy(held[name])[None].float() for name in names}
            said, wanted = rows(MoveNetHeads(**maps)), torch.from_numpy(held[f"{model}_output"])
            torch.testing.assert_close(said, wanted, atol=2e-6, rtol=0)


@pytest.mark.parametrize("traced", [False, True], ids=["plain", "traced"])
@pytest.mark.parametrize("case", CASES)
def test_heads_and_people_are_the_graphs_own(case: str, traced: bool, shared_data: Path, fixture: Any):
    told, network = fixture["cases"][case], published(CASES[case])
    with np.load(shared_data / "detector" / "inputs.npz") as held:
        image = torch.from_numpy(held[case]).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        heads = recorded(CASES[case])(image) if traced else network(image)
    for name in network.heads:
        tap, head = told["taps"][name], vars(heads)[name][0]
        values = torch.stack([head[tuple(index)] for index in tap["index"]])
        torch.testing.assert_close(values, torch.tensor(tap["value"]), atol=5e-3, rtol=0)
        assert float(head.double().mean()) == pytest.approx(tap["mean"], abs=2e-5)
        assert float(head.double().std(correction=0)) == pytest.approx(tap["std"], abs=2e-5)
    said, wanted = rows(heads), torch.tensor(told["output"])
    kept = wanted[:, -1] >= 0.01 if CASES[case].boxes else torch.ones(17, dtype=torch.bool)
    torch.testing.assert_close(said[kept], wanted[kept], atol=5e-5, rtol=0)


@pytest.mark.parametrize("case", CASES)
def test_people_of_an_image_are_found_where_the_graph_finds_them(case: str, shared_data: Path, fixture: Any):
    told, network = fixture["cases"][case], published(CASES[case])
    read = cv2.imread(str(shared_data / "raw" / "panoptic" / "images" / told["picture"]))
    assert read is not None
    image: UInt8[np.ndarray, "height width 3"] = read[..., ::-1].copy()
    if CASES[case].boxes:
        image = image[:, slice(*told["columns"])]
        shown = letterbox(image, told["side"]).image
        found = find_people(network, image, told["side"])
        for k, person in enumerate(told["persons"]):
            np.testing.assert_allclose(found.boxes[k], person["box_xyxy"], atol=0.1)
            np.testing.assert_allclose(found.keypoints[k], person["keypoints_xys"], atol=0.1)
            assert found.scores[k] == pytest.approx(person["score"], abs=5e-5)
    else:
        square = np.array([[*told["crop_center_xy"], told["crop_side"]]])
        (shown,) = crop_squares(image, square, 256)
        np.testing.assert_allclose(find_joints(network, image, square)[0], told["keypoints_xys"], atol=0.1)
    if cv2.__version__ == fixture["made_with"]["opencv"]:
        assert hashlib.sha256(shown.tobytes()).hexdigest() == told["input"]["sha256"]
