"""People in images by the ONNX networks of rtmlib: a detector of persons and RTMPose, or RTMO, which is both in one.

What it returns is not what is told here: scores pass 1 and fall below 0, a person is made up where there is nobody, and
it never swaps colours, though RTMPose was trained on RGB and the others on BGR (jiang2023rtmpose, lu2024rtmo).
"""

import contextlib
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dispose.errors import DownloadError, InputError, MissingBackendError
from dispose.formats.files import digest_of
from dispose.preparation.detector import DetectorCard, ImagePeople, nobody
from dispose.preparation.similarity import box_around
from dispose.skeletons.catalog import COCO_17, HALPE_26
from dispose.skeletons.skeleton import Skeleton

NEEDED = "pip install onnxruntime tqdm && pip install --no-deps rtmlib"
"""rtmlib itself asks for two more builds of OpenCV, which would overwrite the one that is here."""

HUB = "https://download.openmmlab.com/mmpose/v1/projects"


@dataclass(frozen=True)
class RtmNetwork:
    """A network of rtmlib.

    Attributes:
        source: an ONNX file, or the address of a zipped one, which rtmlib fetches once into its own cache.
        size: width and height of its input, px.
    """

    source: str
    size: tuple[int, int]


@dataclass(frozen=True)
class RtmSettings:
    """Which networks, and what is kept.

    Attributes:
        joints: RTMPose for the skeleton, or RTMO.
        people: YOLOX for persons; None: RTMO finds both.
        skeleton: what the joints are.
        joint_score: keypoints of a higher score are kept.
        mean_score: people of whose keypoints the mean score is higher are kept.
    """

    joints: RtmNetwork
    people: RtmNetwork | None
    skeleton: Skeleton = COCO_17
    joint_score: float = 0.1
    mean_score: float = 0.2


YOLOX_M = RtmNetwork(f"{HUB}/rtmposev1/onnx_sdk/yolox_m_8xb8-300e_humanart-c2c7a14a.zip", (640, 640))
RTMPOSE_M = f"{HUB}/rtmposev1/onnx_sdk/rtmpose-m_simcc-body7_pt-body7"
RTMO_M = f"{HUB}/rtmo/onnx_sdk/rtmo-m_16xb16-600e_body7-640x640-39e78cc4_20231211.zip"

RTMPOSE = RtmSettings(RtmNetwork(f"{RTMPOSE_M}_420e-256x192-e48f03d0_20230504.zip", (192, 256)), YOLOX_M)
RTMPOSE_FEET = RtmSettings(
    RtmNetwork(f"{RTMPOSE_M}-halpe26_700e-256x192-4d3e73dd_20230605.zip", (192, 256)), YOLOX_M, HALPE_26
)
RTMO = RtmSettings(RtmNetwork(RTMO_M, (640, 640)), None)

Bgr = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True, eq=False)
class RtmDetector:
    """rtmlib's networks as a detector.

    Attributes:
        joints: rtmlib's RTMPose, called with RGB and boxes; or RTMO, called with BGR.
        people: rtmlib's YOLOX, called with BGR; None beside RTMO.
        card: what the answers depend on.
        settings: what is kept.
    """

    joints: Callable[..., Any]
    people: Callable[[Bgr], Any] | None
    card: DetectorCard
    settings: RtmSettings

    def find(self, image: UInt8[np.ndarray, "height width 3"], before: ImagePeople, *, search: bool) -> ImagePeople:
        """The people of an RGB image, looked for in the whole of it every time."""
        bgr, boxes = np.ascontiguousarray(image[..., ::-1]), None
        if self.people is None:
            found, scores = self.joints(bgr)
        else:
            boxes = np.asarray(self.people(bgr), np.float64).reshape(-1, 4)
            if not len(boxes):
                # rtmlib would take the whole image for a person.
                return nobody(self.card.skeleton)
            found, scores = self.joints(image, bboxes=boxes.tolist())
        keypoints = np.concatenate([found, np.clip(scores, 0, 1)[..., None]], -1, dtype=np.float64)
        return kept_people(keypoints, boxes, self.settings.joint_score, self.settings.mean_score, image)


def kept_people(
    keypoints: Float[np.ndarray, "people joints 3"],
    boxes: Float[np.ndarray, "people 4"] | None,
    joint_score: float,
    mean_score: float,
    image: UInt8[np.ndarray, "height width 3"],
) -> ImagePeople:
    """People with at least so sure keypoints on average, without unsure ones; boxes are around keypoints where None."""
    scores = keypoints[..., 2].mean(-1)
    keypoints = np.where(keypoints[..., 2:] > joint_score, keypoints, 0)
    kept = (scores > mean_score) & (keypoints[..., 2] > 0).any(-1)
    around = box_around(keypoints, joint_score) if boxes is None else boxes
    edges = np.tile((image.shape[1], image.shape[0]), 2)
    return ImagePeople(np.clip(around[kept], 0, edges), keypoints[kept], scores[kept])


def load_rtm_detector(settings: RtmSettings = RTMPOSE, folder: Path | None = None) -> RtmDetector:
    """A detector with rtmlib's networks, on the CPU.

    Args:
        settings: which networks, and what is kept.
        folder: where their ONNX files lie, each named as its zip file; None: rtmlib fetches and keeps them.

    Raises:
        MissingBackendError: rtmlib or onnxruntime is not installed.
        InputError: a file is not there, or no such network.
        DownloadError: a network cannot be fetched.
    """
    try:
        import onnxruntime  # noqa: F401  # rtmlib would complain only when it loads a network
        import rtmlib
    except ImportError as error:
        raise MissingBackendError(f"this detector needs rtmlib ({error}): {NEEDED}") from None
    one_stage = settings.people is None
    joints = _load(rtmlib.RTMO if one_stage else rtmlib.RTMPose, settings.joints, folder)
    people = None if settings.people is None else _load(rtmlib.YOLOX, settings.people, folder)
    tools = [joints] if people is None else [people, joints]
    weights = tuple((Path(tool.onnx_model).stem, digest_of(Path(tool.onnx_model))) for tool in tools)
    said = [(field.name, str(vars(settings)[field.name])) for field in fields(settings) if field.name != "skeleton"]
    name = "rtmo" if one_stage else "rtmpose"
    detector = RtmDetector(joints, people, DetectorCard(name, settings.skeleton, weights, tuple(said)), settings)
    count = _joints_of(detector)
    if count != len(settings.skeleton):
        raise InputError(
            f"{settings.joints.source}: says {count} keypoints; {settings.skeleton.name} has {len(settings.skeleton)}."
        )
    return detector


def _load(kind: Callable[..., Any], network: RtmNetwork, folder: Path | None) -> Any:
    """One of rtmlib's networks."""
    source = Path(network.source)
    if folder is not None:
        source = folder / f"{source.name.partition('.')[0]}.onnx"
    remote = folder is None and network.source.startswith("https://")
    if not remote and not source.is_file():
        raise InputError(f"{source}: is not there; {how_to_get(network, source)}.")
    # The detector's sizes are height and width there, those of poses width and height; the former are squares.
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return kind(network.source if remote else str(source), model_input_size=network.size)
    except Exception as error:  # of the network, of ONNX's reader, of the network's file: they have no common kind
        line = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
        if remote:
            raise DownloadError(f"{network.source}: cannot be had ({line}); {how_to_get(network, None)}.") from None
        raise InputError(f"{source}: is no network that rtmlib can run ({line}).") from None


def how_to_get(network: RtmNetwork, target: Path | None) -> str:
    """What to do about a network that is not there."""
    address = network.source if network.source.startswith("https://") else "the address of its zip file"
    name = target or f"FOLDER/{Path(network.source).name.partition('.')[0]}.onnx"
    return f"where there is internet, fetch {address} and put the end2end.onnx in it at {name}"


def _joints_of(detector: RtmDetector) -> int:
    """How many keypoints the networks say of one person, by trying."""
    width, height = detector.settings.joints.size
    nothing = np.zeros((height, width, 3), np.uint8)
    found, _ = detector.joints(nothing) if detector.people is None else detector.joints(nothing, bboxes=[[0, 0, 9, 9]])
    if np.ndim(found) != 3 or not math.prod(np.shape(found)):
        raise InputError(f"{detector.settings.joints.source}: says no keypoints of people.")
    return np.shape(found)[1]
