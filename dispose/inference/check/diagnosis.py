"""What is probably wrong with a calibration: its direction, its axes, its units, or a single camera."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.association.decode import LEAST_BASELINE_MM
from dispose.inference.check.consistency import Consistency, rig_consistency
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections

# Bone lengths of an adult in mm, as far apart as detectors' joints lie; children are down to half of it.
ADULT_MM = (
    ("l_shoulder", "l_elbow", 285.0),
    ("r_shoulder", "r_elbow", 285.0),
    ("l_elbow", "l_wrist", 245.0),
    ("r_elbow", "r_wrist", 245.0),
    ("l_shoulder", "l_hip", 510.0),
    ("r_shoulder", "r_hip", 510.0),
    ("l_hip", "l_knee", 410.0),
    ("r_hip", "r_knee", 410.0),
    ("l_knee", "l_ankle", 400.0),
    ("r_knee", "r_ankle", 400.0),
)

GOOD_SHARE = 0.02
"""Cameras whose median reprojection error is below this share of a person's size are good."""

USABLE_SHARE = 0.06
"""A rig is usable whose median error over pairs of cameras is below this share of a person's size."""

LOST_SHARE = 0.12
"""A camera that people miss by more than this share of their size does not belong to the others."""

SAME_SCALE = 2.5
UPRIGHT = 0.7


@dataclass(frozen=True)
class Finding:
    """One thing that looks wrong.

    The topic is extrinsics, units, axes, camera, place or floor; the sentence says what was seen, its likely cause, and
    what to do.
    """

    topic: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What looks wrong with the cameras as given, and whether it makes sense to predict with them."""

    consistency: Consistency
    findings: tuple[Finding, ...]
    verdict: str
    usable: bool


def inverted(cameras: Cameras) -> Cameras:
    """Every extrinsic inverted: right where the file holds world_from_camera."""
    return replace(cameras, rotation=cameras.rotation.mT.contiguous(), translation=cameras.centres)


def centre_as_translation(cameras: Cameras) -> Cameras:
    """The stored translation taken as the camera's centre."""
    shift = -(cameras.rotation @ cameras.translation[..., None])[..., 0]
    return replace(cameras, translation=shift)


def transposed_rotation(cameras: Cameras) -> Cameras:
    """Every rotation transposed, the translation kept."""
    return replace(cameras, rotation=cameras.rotation.mT.contiguous())


def opengl_camera(cameras: Cameras) -> Cameras:
    """Camera axes turned from OpenGL's (y up, looking along -z) to OpenCV's."""
    flip = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    return replace(cameras, rotation=flip[:, None] * cameras.rotation, translation=flip * cameras.translation)


def inverted_opengl(cameras: Cameras) -> Cameras:
    """World_from_camera of OpenGL's camera axes, as Blender and NeRF tools write it."""
    return opengl_camera(inverted(cameras))


REPAIRS: tuple[tuple[Callable[[Cameras], Cameras], str], ...] = (
    (inverted, "the extrinsics are world_from_camera (camera to world); invert them"),
    (centre_as_translation, "the translation is the camera's centre; it must be t = -R C"),
    (transposed_rotation, "the rotations are transposed (world_from_camera) while the translations are not"),
    (opengl_camera, "the camera axes are OpenGL's (y up, looking along -z); flip y and z of the camera"),
    (inverted_opengl, "the extrinsics are world_from_camera with OpenGL's camera axes, as Blender writes them"),
)


UNIT_MISTAKES = (
    (1e-3, "the translations are in metres where millimetres are expected (a thousand times too small)"),
    (1 / 304.8, "the translations are in feet where millimetres are expected"),
    (1e-2, "the translations are a hundred times too small (m where cm are expected)"),
    (1 / 25.4, "the translations are in inches where millimetres are expected"),
    (0.1, "the translations are ten times too small (cm where mm are expected)"),
    (10.0, "the translations are ten times too large (mm where cm are expected)"),
    (100.0, "the translations are a hundred times too large (cm where m are expected)"),
    (1000.0, "the translations are in millimetres where metres are expected (a thousand times too large)"),
)


def diagnose(frames: Sequence[Detections], cameras: Cameras) -> Diagnosis:
    """Look at a rig through people's detections; changes nothing, says what it would change."""
    given = rig_consistency(frames, cameras)
    if not given.pairs:
        finding = Finding("extrinsics", "nobody is seen by two cameras at once, so nothing can be checked.")
        return Diagnosis(given, (finding,), "Not checked: no person is seen by two cameras.", usable=False)
    findings: list[Finding] = []
    best, best_cameras = given, cameras
    if given.share > USABLE_SHARE:
        best, best_cameras, finding = _try_repairs(frames, cameras, given)
        findings.append(finding)
    if best.share <= USABLE_SHARE:
        findings += [f for f in (units_finding(best), axes_finding(best)) if f is not None]
        if not any(f.topic == "axes" for f in findings):
            findings += floor_findings(best, best_cameras)
        findings += camera_findings(best, best_cameras)
        if not any(f.topic == "units" for f in findings):
            findings += place_findings(best_cameras)
    return Diagnosis(given, tuple(findings), _verdict(given, findings), _usable(given, findings))


def _try_repairs(
    frames: Sequence[Detections], cameras: Cameras, given: Consistency
) -> tuple[Consistency, Cameras, Finding]:
    """The repair that explains the detections best, if it makes the rig usable."""
    tried = []
    for repair, cause in REPAIRS:
        repaired = repair(cameras)
        tried.append((rig_consistency(frames, repaired), repaired, cause))
    best, best_cameras, cause = min(tried, key=lambda item: item[0].share)
    seen = f"the same people seen by two cameras do not fit together ({_px(given)} at the median)"
    if best.share < USABLE_SHARE and best.share < given.share / 2:
        return (
            best,
            best_cameras,
            Finding("extrinsics", f"{seen}, but read otherwise they do ({_px(best)}): probably {cause}."),
        )
    sentence = (
        f"{seen}, and no usual mistake explains it: are these the cameras of these recordings, in this order, "
        "synchronised, and at this picture size?"
    )
    return given, cameras, Finding("extrinsics", sentence)


def _px(consistency: Consistency) -> str:
    pixels = consistency.share * consistency.size_px
    if not np.isfinite(pixels):
        return "their rays meet behind the cameras"
    return f"{pixels:.0f} px ({100 * consistency.share:.1f} % of a person)"


def body_scale(consistency: Consistency) -> float | None:
    """Median of bone length over an adult's, 1 for adults in mm; None where no bone is known."""
    xyz, skeleton = consistency.xyz_world, consistency.skeleton
    ratios = []
    for a, b, length in ADULT_MM:
        if a in skeleton.joints and b in skeleton.joints:
            ratio = (xyz[:, skeleton.index(a)] - xyz[:, skeleton.index(b)]).norm(dim=-1) / length
            ratios.append(ratio[torch.isfinite(ratio)])
    joined = torch.cat(ratios) if ratios else torch.zeros(0)
    return float(joined.median()) if len(joined) else None


def units_finding(consistency: Consistency) -> Finding | None:
    """A finding where people are far from human size."""
    scale = body_scale(consistency)
    if scale is None or 1 / SAME_SCALE < scale < SAME_SCALE:
        return None
    height = f"people are {1700 * scale:.3g} mm tall"
    factor, cause = min(UNIT_MISTAKES, key=lambda mistake: abs(np.log(scale / mistake[0])))
    if 1 / SAME_SCALE < scale / factor < SAME_SCALE:
        return Finding("units", f"{height}: probably {cause}.")
    off = f"{scale:.2g} times too large" if scale > 1 else f"{1 / scale:.2g} times too small"
    return Finding("units", f"{height}: the translations are about {off}.")


def up_direction(consistency: Consistency) -> Float[Tensor, " 3"] | None:
    """Mean direction from hips to shoulders and from ankles to hips; shorter than 1 where people disagree."""
    xyz, skeleton = consistency.xyz_world, consistency.skeleton
    found = []
    for low, high in (("hip", "shoulder"), ("ankle", "hip")):
        names = tuple(f"{side}_{joint}" for joint in (low, high) for side in "lr")
        if not set(names) <= set(skeleton.joints):
            continue
        rows = skeleton.indices(names)
        up = xyz[:, rows[2:]].mean(1) - xyz[:, rows[:2]].mean(1)
        length = up.norm(dim=-1, keepdim=True)
        found.append((up / length)[torch.isfinite(length[:, 0]) & (length[:, 0] > 0)])
    joined = torch.cat(found) if found else torch.zeros(0, 3)
    return joined.mean(0) if len(joined) else None


def axes_finding(consistency: Consistency) -> Finding | None:
    """A finding where people stand along another axis than +z."""
    up = up_direction(consistency)
    if up is None or float(up.norm()) < UPRIGHT or float(up[2]) >= UPRIGHT * float(up.norm()):
        return None
    axis = int(up.abs().argmax())
    sign = "+" if float(up[axis]) > 0 else "-"
    if abs(float(up[axis])) < UPRIGHT * float(up.norm()):
        tilt = float(torch.rad2deg(torch.arccos((up[2] / up.norm()).clamp(-1, 1))))
        return Finding("axes", f"people lean {tilt:.0f}° from +z: the world is not level, or its axes are arbitrary.")
    cause = {
        ("-", 2): "the world's z axis points down",
        ("+", 1): "the world is y-up",
        ("-", 1): "the world is y-down",
        ("+", 0): "the world is x-up",
        ("-", 0): "the world's x axis points down",
    }[sign, axis]
    return Finding("axes", f"people stand along {sign}{'xyz'[axis]} instead of +z: probably {cause}.")


def floor_findings(consistency: Consistency, cameras: Cameras) -> list[Finding]:
    """Cameras that stand below the people's feet."""
    skeleton = consistency.skeleton
    rows = [skeleton.index(j) for j in ("l_ankle", "r_ankle") if j in skeleton.joints]
    feet = consistency.xyz_world[:, rows, 2].flatten()
    feet = feet[torch.isfinite(feet)]
    scale = body_scale(consistency)
    if not len(feet) or scale is None:
        return []
    floor = float(feet.quantile(0.2))
    below = [n for n, centre in zip(cameras.names, cameras.centres, strict=True) if centre[2] < floor - 400 * scale]
    if not below:
        return []
    return [Finding("floor", f"below the people's feet stand the cameras {', '.join(below)}: is +z really up?")]


def camera_findings(consistency: Consistency, cameras: Cameras) -> list[Finding]:
    """Single cameras whose pairs are much worse than the pairs without them, or that the others' people miss."""
    found = []
    whole = {camera.view: camera.median_px for camera in consistency.cameras}
    for view, name in enumerate(cameras.names):
        own = [p.median_px for p in consistency.pairs if view in (p.view_a, p.view_b)]
        rest = [p.median_px for p in consistency.pairs if view not in (p.view_a, p.view_b)]
        if not own or not rest:
            continue
        bound = max(5 * float(np.median(rest)), USABLE_SHARE / 2 * consistency.size_px)
        off = max(float(np.median(own)), whole.get(view, 0.0))
        if float(np.median(own)) > bound or whole.get(view, 0.0) > LOST_SHARE * consistency.size_px:
            far = f"{off:.0f} px" if np.isfinite(off) else "rays meet behind it"
            sentence = (
                f"camera {name} disagrees with the others ({far}; {np.median(rest):.0f} px without it): "
                "moved, out of sync, or another camera's calibration."
            )
            found.append(Finding("camera", sentence))
    return found


def place_findings(cameras: Cameras) -> list[Finding]:
    """Pairs of cameras that stand at one place: two views of which say no more than one."""
    distance = torch.cdist(cameras.centres, cameras.centres)
    near = (distance < LEAST_BASELINE_MM).triu(1).nonzero().tolist()
    return [
        Finding(
            "place",
            f"cameras {cameras.names[a]} and {cameras.names[b]} stand at one place ({distance[a, b]:.0f} mm apart): "
            "who is seen by these two alone has no depth; were they calibrated apart from each other?",
        )
        for a, b in near
    ]


def _usable(given: Consistency, findings: Sequence[Finding]) -> bool:
    topics = [finding.topic for finding in findings]
    many = 2 * topics.count("camera") >= len(given.cameras)
    return given.share <= USABLE_SHARE and not many and not {"units", "axes", "extrinsics"} & set(topics)


def _verdict(given: Consistency, findings: Sequence[Finding]) -> str:
    if not _usable(given, findings):
        return "Not usable as it stands."
    medians = sorted(camera.median_px for camera in given.cameras)
    low, high = f"{medians[0]:.0f}", f"{medians[-1]:.0f}"
    range_px = f"people reproject with {low if low == high else f'{low} to {high}'} px at the median of each camera"
    if any(f.topic == "camera" for f in findings):
        return f"Usable, but not every camera fits: {range_px}."
    if medians[-1] <= GOOD_SHARE * given.size_px:
        return f"Good: {range_px}."
    return f"Usable: {range_px}; a refined calibration would help."
