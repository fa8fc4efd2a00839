"""rtmlib behind our interface, with tiny ONNX networks that find colours (skipped where it is not installed)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dispose.errors import DownloadError, InputError, MissingBackendError
from dispose.preparation.detector import Detector, nobody
from dispose.preparation.rtmlib_people import RTMO, RTMPOSE, RTMPOSE_FEET, RtmNetwork, RtmSettings, load_rtm_detector
from dispose.skeletons.catalog import COCO_17, HALPE_26

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("rtmlib")

RED, BLUE = (220, 0, 0), (0, 0, 220)


def save_onnx(path: Path, size: tuple[int, int], nodes: Sequence, constants: dict, outputs: Sequence[str]) -> None:
    """A network of an image (width, height) in ONNX."""
    helper, kinds = onnx.helper, onnx.TensorProto
    shown = helper.make_tensor_value_info("input", kinds.FLOAT, [1, 3, size[1], size[0]])
    told = [helper.make_tensor_value_info(name, kinds.FLOAT, None) for name in outputs]
    held = [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "tiny", [shown], told, held)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def yolox(path: Path, box: tuple[float, ...]) -> None:
    """One box, if there is anything brighter in the first channel than the grey that is put around images."""
    node = onnx.helper.make_node
    nodes = [
        node("Slice", ["input", "zero", "one", "chan"], ["first"]),
        node("ReduceMax", ["first"], ["score4"], keepdims=1),
        node("Reshape", ["score4", "three"], ["score"]),
        node("Div", ["score", "full"], ["share"]),
        node("Concat", ["box", "share"], ["dets"], axis=2),
    ]
    constants = {
        "zero": np.array([0]), "one": np.array([1]), "chan": np.array([1]), "three": np.array([1, 1, 1]),
        "full": np.float32(600), "box": np.array(box, np.float32).reshape(1, 1, 4),
    }  # fmt: skip
    save_onnx(path, (640, 640), nodes, constants, ["dets"])


def rtmpose(path: Path, joints: int, scale: float = 1.0) -> None:
    """All keypoints in the column and row where the first channel is highest on average."""
    width, height = 192, 256
    node = onnx.helper.make_node
    nodes = [
        node("Slice", ["input", "zero", "one", "chan"], ["whole"]),
        node("Add", ["whole", "black"], ["light"]),
        node("Mul", ["light", "scale"], ["first"]),
    ]
    for name, axis in (("x", 2), ("y", 3)):
        nodes += [
            node("ReduceMean", ["first"], [f"mean_{name}"], axes=[axis], keepdims=1),
            node("Reshape", [f"mean_{name}", f"column_{name}"], [f"profile_{name}"]),
            node("Expand", [f"profile_{name}", f"twice_{name}"], [f"wide_{name}"]),
            node("Reshape", [f"wide_{name}", f"flat_{name}"], [f"simcc_{name}"]),
        ]
    constants = {"zero": np.array([0]), "one": np.array([1]), "chan": np.array([1])}
    constants |= {"black": np.float32(123.675 / 58.395), "scale": np.float32(scale)}
    for name, length in (("x", width), ("y", height)):
        constants |= {
            f"column_{name}": np.array([1, 1, length, 1]),
            f"twice_{name}": np.array([1, joints, length, 2]),
            f"flat_{name}": np.array([1, joints, 2 * length]),
        }
    save_onnx(path, (width, height), nodes, constants, ["simcc_x", "simcc_y"])


def rtmo(path: Path) -> None:
    """One person at a known place, as surely as there is anything in the first channel."""
    node = onnx.helper.make_node
    nodes = [
        node("Slice", ["input", "zero", "one", "chan"], ["first"]),
        node("ReduceMax", ["first"], ["score4"], keepdims=1),
        node("Reshape", ["score4", "three"], ["score"]),
        node("Div", ["score", "full"], ["share"]),
        node("Concat", ["box", "share"], ["dets"], axis=2),
        node("Identity", ["places"], ["pose"]),
    ]
    places = np.concatenate([np.linspace(100, 300, 34).reshape(17, 2), np.full((17, 1), 1.7)], -1)
    constants = {
        "zero": np.array([0]), "one": np.array([1]), "chan": np.array([1]), "three": np.array([1, 1, 1]),
        "full": np.float32(255), "box": np.array([90, 90, 310, 310], np.float32).reshape(1, 1, 4),
        "places": places.astype(np.float32).reshape(1, 1, 17, 3),
    }  # fmt: skip
    save_onnx(path, (640, 640), nodes, constants, ["dets", "pose"])


def two_squares() -> np.ndarray:
    """An image of 320 x 240 px with a blue square on the left and a red one about (200, 120), RGB."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[20:40, 20:40] = BLUE
    image[111:130, 191:210] = RED
    return image


def settings_in(folder: Path, base: RtmSettings, joints: int = 17, scale: float = 1.0) -> RtmSettings:
    """Networks in files, named as the published ones."""
    name = Path(base.joints.source).name.partition(".")[0]
    if base.people is None:
        rtmo(folder / f"{name}.onnx")
    else:
        rtmpose(folder / f"{name}.onnx", joints, scale)
        # In a 640 px input the image is twice as large.
        yolox(folder / f"{Path(base.people.source).name.partition('.')[0]}.onnx", (280, 60, 520, 420))
    return base


@pytest.mark.parametrize("base, joints", [(RTMPOSE, 17), (RTMPOSE_FEET, 26)])
def test_people_are_looked_for_in_bgr_and_looked_at_in_rgb(base: RtmSettings, joints: int, tmp_path: Path):
    detector = load_rtm_detector(settings_in(tmp_path, base, joints), tmp_path)
    assert isinstance(detector, Detector)
    assert detector.card.skeleton == (COCO_17 if joints == 17 else HALPE_26)
    assert len(detector.card.weights) == 2 and all(len(digest) == 64 for _, digest in detector.card.weights)
    found = detector.find(two_squares(), nobody(COCO_17), search=False)
    np.testing.assert_allclose(found.boxes, [[140, 30, 260, 210]])
    np.testing.assert_allclose(found.keypoints[0, :, :2], np.tile((200, 120), (joints, 1)), atol=11)
    assert found.keypoints[..., 2].min() >= 0 and found.keypoints[..., 2].max() <= 1
    unsure = replace(detector, settings=replace(base, mean_score=0.9))
    assert len(unsure.find(two_squares(), nobody(COCO_17), search=True)) == 0
    nobody_blue = two_squares()
    nobody_blue[20:40, 20:40] = 0
    assert len(detector.find(nobody_blue, nobody(COCO_17), search=True)) == 0, "no box, no person"


def test_scores_are_probabilities_and_what_is_below_zero_is_no_place(tmp_path: Path):
    settings = settings_in(tmp_path, RTMPOSE, scale=9.0)
    found = load_rtm_detector(settings, tmp_path).find(two_squares(), nobody(COCO_17), search=False)
    assert found.keypoints[..., 2].max() == 1 and found.scores.max() <= 1
    settings_in(tmp_path, RTMPOSE, scale=0.0)
    assert len(load_rtm_detector(settings, tmp_path).find(two_squares(), nobody(COCO_17), search=False)) == 0


def test_one_stage_finds_boxes_around_keypoints_and_nobody_where_nobody_is(tmp_path: Path):
    detector = load_rtm_detector(settings_in(tmp_path, RTMO), tmp_path)
    found = detector.find(two_squares(), nobody(COCO_17), search=False)
    np.testing.assert_allclose(found.keypoints[0, [0, -1], :2], [[50, 53.03], [146.97, 150]], atol=0.01)
    np.testing.assert_allclose(found.boxes[0], [50, 53.03, 146.97, 150], atol=0.01)
    assert found.keypoints[..., 2].max() == 1
    assert len(detector.find(np.zeros((240, 320, 3), np.uint8), nobody(COCO_17), search=False)) == 0


def test_what_is_not_there_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match=r"rtmpose-m.*\.onnx: is not there; .* fetch https://.*\.zip and put"):
        load_rtm_detector(RTMPOSE, tmp_path)
    settings = settings_in(tmp_path, RTMPOSE)
    with pytest.raises(InputError, match="says 17 keypoints; halpe_26 has 26"):
        load_rtm_detector(replace(settings, skeleton=HALPE_26), tmp_path)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no network")
    with pytest.raises(InputError, match=r"broken.onnx: is no network that rtmlib can run"):
        load_rtm_detector(RtmSettings(RtmNetwork(str(broken), (192, 256)), None))
    nowhere = RtmNetwork("https://localhost:9/none.zip", (640, 640))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DownloadError, match=r"none.zip: cannot be had .* in it at FOLDER/none.onnx"):
        load_rtm_detector(RtmSettings(nowhere, None))
    monkeypatch.setitem(__import__("sys").modules, "rtmlib", None)
    with pytest.raises(MissingBackendError, match="pip install --no-deps rtmlib"):
        load_rtm_detector(settings, tmp_path)
