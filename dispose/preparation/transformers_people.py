"""People in images by networks of the Hugging Face hub: boxes by RT-DETR, keypoints in them by ViTPose.

(zhao2024rtdetr, xu2022vitpose). Models are named as on the hub, or are folders, and nothing in them is executed.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from dispose.errors import InputError, MissingBackendError
from dispose.preparation.detector import DetectorCard, ImagePeople, nobody, where_it_runs
from dispose.preparation.rtmlib_people import kept_people
from dispose.skeletons.catalog import COCO_17
from dispose.zoo.movenet import digest_of_numbers

NEEDED = "pip install 'dispose[transformers]'"
PERSON = 0
"""The label of persons in COCO's list, where a model does not say it."""


@dataclass(frozen=True)
class ViTPoseSettings:
    """Which models, and what is kept.

    Attributes:
        people: model of the detector, a name of the hub or a folder.
        people_revision: branch, tag or commit of it.
        joints: model of the keypoints, likewise.
        joints_revision: likewise.
        dataset: for which of its data sets a mixture (ViTPose++) says keypoints; 0: COCO.
        person_score: boxes of a higher score are looked into.
        joint_score: keypoints of a higher score are kept.
        mean_score: people of whose keypoints the mean score is higher are kept.
    """

    people: str = "PekingU/rtdetr_r50vd_coco_o365"
    people_revision: str = "main"
    joints: str = "usyd-community/vitpose-plus-base"
    joints_revision: str = "main"
    dataset: int = 0
    person_score: float = 0.3
    joint_score: float = 0.1
    mean_score: float = 0.2


@dataclass(frozen=True, eq=False)
class ViTPoseDetector:
    """RT-DETR and ViTPose as a detector; runs where its networks are.

    Attributes:
        people_inputs: makes the detector's input and reads its output.
        people: the detector.
        joints_inputs: likewise of the keypoints.
        joints: the network for keypoints.
        card: what the answers depend on.
        settings: what is kept.
    """

    people_inputs: Any
    people: Any
    joints_inputs: Any
    joints: Any
    card: DetectorCard
    settings: ViTPoseSettings

    @torch.inference_mode()
    def find(self, image: UInt8[np.ndarray, "height width 3"], before: ImagePeople, *, search: bool) -> ImagePeople:
        """The people of an RGB image, looked for in the whole of it every time."""
        boxes = self.boxes_of(image)
        if not len(boxes):
            # The keypoints' processor fails on an image without boxes.
            return nobody(self.card.skeleton)
        corner_and_size = [np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], -1).tolist()]
        device = next(self.joints.parameters()).device
        inputs = self.joints_inputs(
            [image], boxes=corner_and_size, return_tensors="pt", input_data_format="channels_last"
        ).to(device)
        mixture = self.joints.config.backbone_config.num_experts > 1
        which = {"dataset_index": torch.full((len(boxes),), self.settings.dataset, device=device)} if mixture else {}
        outputs = self.joints(**inputs, **which)
        (said,) = self.joints_inputs.post_process_pose_estimation(outputs, boxes=corner_and_size)
        places = np.stack([one["keypoints"].double().cpu().numpy() for one in said])
        # Maxima of heat maps: they may pass 1, and where nothing is above 0 the place means nothing.
        scores = np.stack([one["scores"].double().cpu().numpy().reshape(-1) for one in said]).clip(0, 1)
        keypoints = np.concatenate([places, scores[..., None]], -1)
        return kept_people(keypoints, boxes, self.settings.joint_score, self.settings.mean_score, image)

    def boxes_of(self, image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "people 4"]:
        """Left, top, right and bottom of everybody, inside the image and of some extent."""
        device = next(self.people.parameters()).device
        inputs = self.people_inputs([image], return_tensors="pt", input_data_format="channels_last").to(device)
        height, width = image.shape[:2]
        (found,) = self.people_inputs.post_process_object_detection(
            self.people(**inputs), threshold=self.settings.person_score, target_sizes=[(height, width)]
        )
        boxes = found["boxes"][found["labels"] == _person(self.people)].double().cpu().numpy().reshape(-1, 4)
        boxes = np.clip(boxes, 0, np.tile((width, height), 2))
        return boxes[(boxes[:, 2:] - boxes[:, :2] >= 1).all(-1)]


def load_vitpose_detector(settings: ViTPoseSettings = ViTPoseSettings(), device: str = "cpu") -> ViTPoseDetector:
    """A detector with models of the hub: those in its cache or in folders, else fetched.

    Args:
        settings: which models, and what is kept.
        device: where the networks run.

    Raises:
        MissingBackendError: transformers is not installed.
        InputError: a model cannot be had, or is of another kind.
    """
    try:
        import transformers
        from transformers import AutoImageProcessor, RTDetrForObjectDetection, VitPoseForPoseEstimation
    except ImportError as error:
        raise MissingBackendError(f"this detector needs transformers ({error}): {NEEDED}") from None
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    loaded: list[Any] = []
    for kind, part in ((RTDetrForObjectDetection, "people"), (VitPoseForPoseEstimation, "joints")):
        # Pickled weights are refused; Pillow's way of resizing is there without torchvision and the same everywhere.
        loaded += [
            _load(AutoImageProcessor.from_pretrained, settings, part, {"backend": "pil"}),
            _load(kind.from_pretrained, settings, part, {"use_safetensors": True}).eval().requires_grad_(False),
        ]
    people_inputs, people, joints_inputs, joints = loaded
    if joints.config.num_labels != len(COCO_17):
        raise InputError(f"{settings.joints}: says {joints.config.num_labels} keypoints; COCO has {len(COCO_17)}.")
    weights = ((settings.people, digest_of_numbers(people)), (settings.joints, digest_of_numbers(joints)))
    said = tuple((field.name, str(vars(settings)[field.name])) for field in fields(settings))
    card = DetectorCard("vitpose", COCO_17, weights, (*said, *where_it_runs(torch.device(device))))
    return ViTPoseDetector(people_inputs, people.to(device), joints_inputs, joints.to(device), card, settings)


def _load(load: Callable[..., Any], settings: ViTPoseSettings, part: str, options: dict[str, bool | str]) -> Any:
    """Something of the model for `part` (people, joints): a folder and the hub's cache come before the network."""
    name, revision = vars(settings)[part], vars(settings)[f"{part}_revision"]
    failures = []
    for only_local in (True, False):
        try:
            return load(name, revision=revision, local_files_only=only_local, **options)
        except Exception as error:  # transformers raises many kinds: no file, no network, another model's file
            failures.append(f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}")
    local = Path(name).is_absolute() or Path(name).exists()
    published = vars(ViTPoseSettings())[part] if local else name
    target = name if local else f"FOLDER/{part}"
    raise InputError(
        f"{name}: the model cannot be had ({failures[-1]}); where there is internet, run `hf download {published} "
        f"--revision {revision} --local-dir {target}`, and name its folder: `--models {Path(target).parent}`."
    )


def _person(network: Any) -> int:
    """The label of persons by a model's own list."""
    labels = network.config.id2label
    return next((int(k) for k, word in labels.items() if str(word).lower() == "person"), PERSON)
