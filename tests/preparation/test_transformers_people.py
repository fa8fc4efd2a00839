"""RT-DETR and ViTPose behind our interface, with tiny untrained models (skipped without transformers)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.errors import InputError, MissingBackendError
from dispose.preparation.detector import Detector, nobody
from dispose.preparation.detectors import detector_of
from dispose.preparation.transformers_people import ViTPoseDetector, ViTPoseSettings, load_vitpose_detector
from dispose.skeletons.catalog import COCO_17

transformers = pytest.importorskip("transformers")

ANYBODY = ViTPoseSettings(person_score=0.0, joint_score=0.0, mean_score=0.0)


def rt_detr(folder: Path) -> None:
    """A tiny untrained RT-DETR that calls its second label a person."""
    torch.manual_seed(5)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[8, 16, 16], feat_strides=[8, 16, 32],
        encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16, num_queries=12, decoder_in_channels=[16, 16, 16],
        decoder_ffn_dim=16, decoder_layers=2, decoder_attention_heads=2, num_denoising=0,
        id2label={0: "lamp", 1: "person"}, label2id={"lamp": 0, "person": 1},
    )  # fmt: skip
    transformers.RTDetrForObjectDetection(config).save_pretrained(folder)
    transformers.RTDetrImageProcessorPil(size={"height": 96, "width": 96}).save_pretrained(folder)


def vitpose(folder: Path, experts: int, joints: int = 17) -> None:
    """A tiny untrained ViTPose, of several data sets where there are experts."""
    torch.manual_seed(6)
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[64, 48], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_experts=experts, part_features=8 if experts > 1 else 0, out_features=["stage2"],
    )  # fmt: skip
    names = {k: str(k) for k in range(joints)}
    config = transformers.VitPoseConfig(
        backbone_config=backbone, id2label=names, label2id={v: k for k, v in names.items()}, use_simple_decoder=True
    )
    network = transformers.VitPoseForPoseEstimation(config)
    with torch.no_grad():
        network.head.conv.weight *= 30  # heat maps that pass 1
    network.save_pretrained(folder)
    transformers.VitPoseImageProcessorPil(size={"height": 64, "width": 48}).save_pretrained(folder)


@pytest.fixture(scope="module", params=[1, 3], ids=["plain", "mixture"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ViTPoseSettings:
    """Two models in folders."""
    folder = tmp_path_factory.mktemp("models")
    rt_detr(folder / "people")
    vitpose(folder / "joints", request.param)
    return replace(ANYBODY, people=str(folder / "people"), joints=str(folder / "joints"))


def an_image() -> np.ndarray:
    """Noise of 200 x 120 px."""
    return np.random.default_rng(1).integers(0, 255, (120, 200, 3)).astype(np.uint8)


def test_keypoints_lie_in_the_crops_of_their_boxes(models: ViTPoseSettings):
    detector = load_vitpose_detector(models)
    assert isinstance(detector, Detector)
    found = detector.find(an_image(), nobody(COCO_17), search=False)
    assert len(found) > 0
    boxes, keypoints = found.boxes, found.keypoints
    assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.min() >= 0 and (boxes.max(0) <= (200, 120, 200, 120)).all()
    # ViTPose's crop: the box, made 3 by 4, and a quarter larger; what refines places may push a few out of it.
    size = boxes[:, 2:] - boxes[:, :2]
    reach = np.maximum(size, size[:, ::-1] * (0.75, 4 / 3)) * 1.25 / 2
    away = np.abs(keypoints[..., :2] - (boxes[:, None, :2] + boxes[:, None, 2:]) / 2)
    seen = keypoints[..., 2] > 0
    assert (away <= reach[:, None] * 1.1 + 1)[seen].mean() > 0.95
    assert (away > 0.5 * reach[:, None])[seen].any(), "keypoints of an untrained network are anywhere in the crop"
    assert keypoints[..., 2].min() >= 0 and keypoints[..., 2].max() <= 1
    again = detector.find(an_image(), found, search=True)
    np.testing.assert_array_equal(again.keypoints, keypoints)


def test_only_persons_are_looked_into(models: ViTPoseSettings):
    detector = load_vitpose_detector(models)
    boxes = detector.boxes_of(an_image())
    persons: dict[int, str] = detector.people.config.id2label
    persons[0], persons[1] = persons[1], persons[0]
    others = detector.boxes_of(an_image())
    assert len(boxes) and len(others) and len(boxes) + len(others) == 12, "the answers of both labels together"


def test_nobody_is_no_error(models: ViTPoseSettings):
    detector = load_vitpose_detector(replace(models, person_score=0.999))
    assert len(detector.find(an_image(), nobody(COCO_17), search=True)) == 0


def test_a_card_tells_models_revisions_and_numbers(models: ViTPoseSettings):
    card = load_vitpose_detector(replace(models, joints_revision="v2")).card
    assert dict(card.settings)["joints_revision"] == "v2"
    assert [name for name, _ in card.weights] == [models.people, models.joints]
    assert len({digest for _, digest in card.weights}) == 2


def test_what_is_not_there_is_told_with_what_to_do(
    models: ViTPoseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    command = "hf download nobody/none --revision v1 --local-dir FOLDER/people`, .*--models FOLDER"
    with pytest.raises(InputError, match=f"^nobody/none: the model cannot be had .*{command}"):
        load_vitpose_detector(replace(models, people="nobody/none", people_revision="v1"))
    usual = f"hf download {ViTPoseSettings().joints} --revision main --local-dir {tmp_path}"
    with pytest.raises(InputError, match=f"^{tmp_path}: the model cannot be had .*{usual}"):
        load_vitpose_detector(replace(models, joints=str(tmp_path)))
    vitpose(tmp_path, 1, joints=5)
    with pytest.raises(InputError, match="says 5 keypoints; COCO has 17"):
        load_vitpose_detector(replace(models, joints=str(tmp_path)))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="the model cannot be had"):
        load_vitpose_detector(replace(models, joints=str(tmp_path)))
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(MissingBackendError, match=r"pip install 'dispose\[transformers\]'"):
        load_vitpose_detector(models)


def test_the_command_names_detectors_and_their_folder(models: ViTPoseSettings):
    folder = Path(models.people).parent
    detector = detector_of("vitpose", models=folder)()
    assert detector.card.weights[1][0] == str(folder / "joints")
    with pytest.raises(InputError, match="--models is for detectors other than movenet"):
        detector_of(models=folder)


def test_the_models_run_on_the_device_that_is_named(models: ViTPoseSettings):
    folder = Path(models.people).parent
    here, there = (detector_of("vitpose", models=folder, device=device)() for device in ("cpu", "meta"))
    assert isinstance(there, ViTPoseDetector)
    assert {next(one.parameters()).device.type for one in (there.people, there.joints)} == {"meta"}
    assert there.card.weights == here.card.weights and there.card.settings == (*here.card.settings, ("device", "meta"))
