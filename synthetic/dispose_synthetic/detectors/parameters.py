"""The parameters of the detection model, and the kinds of detectors that they are drawn for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.tensors import TensorStruct
from dispose_synthetic.randomness import Noise, between, choose

Value = TypeVar("Value")
Range = tuple[int | float, int | float]


@dataclass(frozen=True)
class DetectorParameters(TensorStruct, Generic[Value]):
    """What a 2-D detector does to the truth; probabilities unless said otherwise.

    Attributes:
        name: of the kind of detector.
        noise_px: standard deviation of a keypoint in pixels of a 640-pixel-wide image.
        noise_mm: the part of it that grows with the apparent size, mm at the person.
        outliers: share of keypoints with four times that noise.
        bias_mm: the detector's idea of a joint differs from the skeleton's, alike in all views, mm.
        view_bias_mm: the same, different in every view (a hip seen from the side), mm.
        seen: an unhidden joint is reported (for the easiest joints; `JOINT_EASE` for the others).
        seen_self: the same when the own body hides it.
        seen_other: when somebody else hides it.
        seen_thing: when furniture hides it.
        seen_away: when it is a point of the face on the far side.
        quality: spread of the log-odds of being reported between people and views.
        chain: a wrist is lost with its elbow, an ankle with its knee.
        limb_loss: a whole head, arm or pair of legs is lost at once.
        smallest_px: the apparent height at which half of the people are lost, in pixels of a 640-wide image.
        miss: somebody is lost in a view for no visible reason.
        hard: share of the people who are lost in most views.
        fewest_joints: detections with fewer joints are not reported.
        fragment: a person is torn in two detections.
        duplicate: a person is reported twice.
        limb_theft: of two people close in the image one takes a limb of the other.
        snap: a joint hidden by somebody else is put on that person's.
        swap_all: left and right of the whole body are exchanged.
        swap_limb: left and right of the arms, or of the legs, are exchanged.
        false_rate: false people per view (expectation).
        score_level: log-odds of the score of a clear joint.
        score_spread: how much the scores' log-odds vary, and fall with the error.
        binary: 1 = every reported joint has score 1.
    """

    name: str
    noise_px: Value
    noise_mm: Value
    outliers: Value
    bias_mm: Value
    view_bias_mm: Value
    seen: Value
    seen_self: Value
    seen_other: Value
    seen_thing: Value
    seen_away: Value
    quality: Value
    chain: Value
    limb_loss: Value
    smallest_px: Value
    miss: Value
    hard: Value
    fewest_joints: Value
    fragment: Value
    duplicate: Value
    limb_theft: Value
    snap: Value
    swap_all: Value
    swap_limb: Value
    false_rate: Value
    score_level: Value
    score_spread: Value
    binary: Value


DetectorRanges = DetectorParameters[Range]
"""One kind of detector: (low, high) of every parameter."""
DetectorModel = DetectorParameters[Float[Tensor, " frames"]]
"""Detectors drawn for frames: one value per frame."""

PERFECT = DetectorRanges(
    "perfect", noise_px=(0, 0), noise_mm=(0, 0), outliers=(0, 0), bias_mm=(0, 0), view_bias_mm=(0, 0), seen=(1, 1),
    seen_self=(1, 1), seen_other=(1, 1), seen_thing=(1, 1), seen_away=(1, 1), quality=(0, 0), chain=(0, 0),
    limb_loss=(0, 0), smallest_px=(0, 0), miss=(0, 0), hard=(0, 0), fewest_joints=(1, 1), fragment=(0, 0),
    duplicate=(0, 0), limb_theft=(0, 0), snap=(0, 0), swap_all=(0, 0), swap_limb=(0, 0), false_rate=(0, 0),
    score_level=(3, 3), score_spread=(0, 0), binary=(1, 1),
)  # fmt: skip
TOP_DOWN = DetectorRanges(
    "top-down", noise_px=(0.3, 1.0), noise_mm=(4, 10), outliers=(0.01, 0.05), bias_mm=(5, 20), view_bias_mm=(3, 12),
    seen=(0.98, 0.998), seen_self=(0.7, 0.97), seen_other=(0.4, 0.9), seen_thing=(0.3, 0.85), seen_away=(0.2, 0.8),
    quality=(0.3, 0.8), chain=(0.0, 0.3), limb_loss=(0.0, 0.01), smallest_px=(15, 35), miss=(0.0, 0.04),
    hard=(0.0, 0.05), fewest_joints=(3, 6), fragment=(0.0, 0.01), duplicate=(0.0, 0.03), limb_theft=(0.0, 0.05),
    snap=(0.1, 0.6), swap_all=(0.0, 0.02), swap_limb=(0.0, 0.03), false_rate=(0.0, 0.3), score_level=(1.5, 3.0),
    score_spread=(0.4, 1.0), binary=(0, 0),
)  # fmt: skip
BOTTOM_UP = DetectorRanges(
    "bottom-up", noise_px=(0.4, 1.2), noise_mm=(4, 10), outliers=(0.01, 0.06), bias_mm=(5, 20), view_bias_mm=(4, 14),
    seen=(0.95, 0.99), seen_self=(0.6, 0.95), seen_other=(0.2, 0.6), seen_thing=(0.05, 0.4), seen_away=(0.01, 0.2),
    quality=(0.4, 1.0), chain=(0.2, 0.8), limb_loss=(0.0, 0.03), smallest_px=(20, 50), miss=(0.0, 0.06),
    hard=(0.0, 0.1), fewest_joints=(1, 4), fragment=(0.0, 0.15), duplicate=(0.0, 0.03), limb_theft=(0.0, 0.15),
    snap=(0.0, 0.3), swap_all=(0.0, 0.02), swap_limb=(0.0, 0.04), false_rate=(0.0, 0.6), score_level=(0.9, 2.2),
    score_spread=(0.6, 1.2), binary=(0, 0),
)  # fmt: skip
POOR = DetectorRanges(
    "low resolution", noise_px=(0.6, 2.2), noise_mm=(6, 18), outliers=(0.03, 0.12), bias_mm=(10, 30),
    view_bias_mm=(8, 28), seen=(0.88, 0.97), seen_self=(0.4, 0.85), seen_other=(0.1, 0.5), seen_thing=(0.05, 0.4),
    seen_away=(0.01, 0.2), quality=(0.8, 1.6), chain=(0.3, 0.9), limb_loss=(0.01, 0.08), smallest_px=(30, 80),
    miss=(0.03, 0.2), hard=(0.0, 0.25), fewest_joints=(2, 4), fragment=(0.0, 0.2), duplicate=(0.0, 0.06),
    limb_theft=(0.0, 0.25), snap=(0.0, 0.4), swap_all=(0.0, 0.04), swap_limb=(0.0, 0.06), false_rate=(0.0, 1.0),
    score_level=(0.3, 1.4), score_spread=(0.8, 1.4), binary=(0, 0),
)  # fmt: skip
SCORELESS = DetectorRanges(
    "without scores", noise_px=(0.5, 1.5), noise_mm=(5, 14), outliers=(0.02, 0.08), bias_mm=(8, 28),
    view_bias_mm=(5, 20), seen=(0.93, 0.985), seen_self=(0.5, 0.9), seen_other=(0.15, 0.5), seen_thing=(0.05, 0.4),
    seen_away=(0.01, 0.2), quality=(0.5, 1.2), chain=(0.2, 0.8), limb_loss=(0.0, 0.04), smallest_px=(25, 60),
    miss=(0.0, 0.15), hard=(0.0, 0.2), fewest_joints=(3, 5), fragment=(0.0, 0.06), duplicate=(0.0, 0.03),
    limb_theft=(0.0, 0.15), snap=(0.0, 0.3), swap_all=(0.0, 0.03), swap_limb=(0.0, 0.05), false_rate=(0.0, 0.4),
    score_level=(1, 1), score_spread=(0, 0), binary=(1, 1),
)  # fmt: skip

# Four real detectors, fitted by hand until `tools/fit_detector.py` finds the same statistics in rooms like theirs.
OPENPOSE_SURGERY = replace(
    POOR, name="OpenPose in an operating room", noise_px=(0.8, 1.2), noise_mm=(9, 13), outliers=(0.0, 0.02),
    view_bias_mm=(12, 20), seen=(0.95, 0.98), seen_self=(0.65, 0.85), seen_other=(0.2, 0.4), seen_thing=(0.2, 0.4),
    seen_away=(0.02, 0.08), quality=(0.6, 1.0), chain=(0.6, 0.9), limb_loss=(0.01, 0.03), smallest_px=(30, 60),
    miss=(0.02, 0.12), hard=(0.25, 0.4), fewest_joints=(3, 3), fragment=(0.01, 0.03), duplicate=(0.0, 0.01),
    limb_theft=(0.02, 0.06), snap=(0.0, 0.2), swap_all=(0.0, 0.01), swap_limb=(0.0, 0.02), false_rate=(0.05, 0.2),
)  # fmt: skip
RTPOSE_SURGERY = replace(
    SCORELESS, name="RTPose in an operating room", noise_px=(0.7, 1.1), noise_mm=(8, 12), outliers=(0.0, 0.02),
    view_bias_mm=(10, 18), seen=(0.96, 0.985), seen_self=(0.75, 0.92), seen_other=(0.2, 0.4), seen_thing=(0.2, 0.4),
    seen_away=(0.02, 0.08), quality=(0.4, 0.8), chain=(0.6, 0.9), limb_loss=(0.0, 0.01), smallest_px=(30, 50),
    miss=(0.0, 0.08), hard=(0.2, 0.3), fewest_joints=(4, 5), fragment=(0.0, 0.02), duplicate=(0.0, 0.01),
    limb_theft=(0.02, 0.05), snap=(0.0, 0.2), swap_all=(0.0, 0.01), swap_limb=(0.0, 0.02), false_rate=(0.0, 0.1),
)  # fmt: skip
OPENPOSE_ROOM = replace(
    BOTTOM_UP, name="OpenPose in a room", noise_px=(0.5, 0.8), noise_mm=(4, 6), outliers=(0.01, 0.03),
    view_bias_mm=(4, 8), seen=(0.98, 0.995), seen_self=(0.7, 0.85), seen_other=(0.4, 0.7), seen_thing=(0.2, 0.4),
    seen_away=(0.02, 0.06), quality=(0.3, 0.5), limb_loss=(0.0, 0.01), smallest_px=(20, 40), miss=(0.0, 0.1),
    hard=(0.0, 0.05), fewest_joints=(1, 2), fragment=(0.1, 0.2), limb_theft=(0.0, 0.03), snap=(0.0, 0.2),
    false_rate=(0.2, 0.4), score_level=(1.4, 2.0), score_spread=(0.5, 0.8),
    swap_all=(0.0, 0.01),
    swap_limb=(0.0, 0.02),
)  # fmt: skip
CLEAN_PORTRAIT = replace(
    TOP_DOWN, name="OpenPose on two people", seen=(0.998, 1.0), seen_self=(0.99, 1.0), seen_other=(0.9, 1.0),
    seen_thing=(0.9, 1.0), seen_away=(0.01, 0.03), quality=(0.2, 0.4), chain=(0, 0), limb_loss=(0, 0), miss=(0, 0.01),
    hard=(0, 0), fragment=(0, 0), duplicate=(0, 0.02), limb_theft=(0, 0), false_rate=(0, 0.2), score_level=(0.3, 0.8),
    outliers=(0.0, 0.02),
    swap_all=(0.0, 0.01),
    swap_limb=(0.0, 0.01),
)  # fmt: skip
FITTED = (OPENPOSE_SURGERY, RTPOSE_SURGERY, OPENPOSE_ROOM, CLEAN_PORTRAIT)
DETECTORS = (TOP_DOWN, BOTTOM_UP, POOR, SCORELESS, *FITTED)
DETECTOR_WEIGHTS = (0.12, 0.18, 0.2, 0.15, 0.12, 0.08, 0.1, 0.05)


def sample_detectors(
    source: Noise,
    frames: int,
    kinds: Sequence[DetectorRanges] = DETECTORS,
    weights: Sequence[float] = DETECTOR_WEIGHTS,
) -> DetectorModel:
    """One detector per frame: a kind, then every parameter inside its range."""
    kind = choose(source, (frames,), torch.tensor(list(weights)[: len(kinds)]))
    values = {}
    for name in (field.name for field in fields(DetectorParameters) if field.name != "name"):
        low, high = torch.tensor([vars(ranges)[name] for ranges in kinds], dtype=torch.float32)[kind].unbind(-1)
        values[name] = between(source, (frames,), low, high)
    return DetectorModel("drawn", **values)
