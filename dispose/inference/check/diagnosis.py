"""What is probably wrong with a rig: units, axes, extrinsics, time, or single cameras; and the rig as it is right."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dispose.association.decode import LEAST_BASELINE_MM
from dispose.inference.check.consistency import Consistency, rig_consistency
from dispose.inference.check.contest import thinned
from dispose.inference.check.footage import Footage, footage_of
from dispose.inference.check.hypotheses import REPAIRS
from dispose.inference.check.recording import frozen_views, silent_views
from dispose.inference.check.trial import LEAST_GAIN, Fault, RigTrial, small_turn, try_rig
from dispose.inference.check.world import (
    Finding,
    axes_finding,
    body_scale,
    in_mm,
    levelled,
    sides_finding,
    units_finding,
)
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.tensors import cat

GOOD_SHARE = 0.02
"""Cameras whose median reprojection error is below this share of a person's size are good."""

USABLE_SHARE = 0.06
"""A rig is usable whose median error over pairs of cameras is below this share of a person's size;"""

BEST_SHARE = 0.035
"""or where the best quarter of the matches is below this share: detectors that see people who are not there give the
others wrong partners, which says nothing of the cameras. With wrong cameras no quarter fits."""

LOST_SHARE = 0.12
"""A camera that people miss by more than this share of their size does not belong to the others."""

HARMFUL = 0.045
"""A camera whose people lie this far from the others', in their sizes, does more harm than good."""

NEAR_WHOLE = 0.15
"""So near to a whole number of frames a lag is taken for it."""

LOOKED_AT = 60
"""Frames that the table of errors is made of, at most."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What looks wrong with the cameras as given, and whether it makes sense to predict with them.

    Attributes:
        consistency: of the cameras as they were given.
        findings: what is wrong.
        notes: what could be better, and is no more than calibrations usually are off.
        verdict: one sentence.
        usable: whether to go on.
        repaired: the cameras with everything mended that is found; those that see nobody are left out.
        shifts: per camera, in frames, what is to be added to its frame numbers.
        trial: what was tried; None where nothing could be.
    """

    consistency: Consistency
    findings: tuple[Finding, ...]
    verdict: str
    usable: bool
    repaired: Cameras
    shifts: tuple[float, ...]
    notes: tuple[Finding, ...] = ()
    trial: RigTrial | None = None


def diagnose(
    frames: Sequence[Detections],
    cameras: Cameras,
    numbers: Sequence[int] | None = None,
    rate_hz: float = 30.0,
) -> Diagnosis:
    """Look at a rig through people's detections; changes nothing, says what it would change.

    Args:
        frames: what the cameras saw, in ascending order; frames in a row, where time is to be looked at too.
        cameras: as they were given.
        numbers: of the frames; default one after the other.
        rate_hz: of these numbers.
    """
    some = [frames[row] for row in thinned(np.arange(len(frames)), LOOKED_AT)]
    given = rig_consistency(some, cameras)
    footage = footage_of(range(len(frames)) if numbers is None else numbers, frames)
    dead = dead_findings(footage, cameras)
    alive = [v for v, name in enumerate(cameras.names) if not any(name in finding.cameras for finding in dead)]
    still = (0.0,) * len(cameras)
    if not given.pairs or len(alive) < 2:
        finding = Finding("extrinsics", "nobody is seen by two cameras at once, so nothing can be checked.")
        verdict = "Not checked: no person is seen by two cameras."
        return Diagnosis(given, (*dead, finding), verdict, False, cameras, still)
    trial = try_rig(footage.select(alive), cameras.select(views=alive), rate_hz)
    shifts = list(still)
    for view, lag in zip(alive, trial.lags, strict=True):
        shifts[view] = -lag
    findings, notes = told(trial, cameras.select(views=alive).names)
    best = rig_consistency([frame.select(views=alive) for frame in later(frames, shifts, LOOKED_AT)], trial.cameras)
    unexplained = not fit_together(best)
    if unexplained:
        findings.append(unexplained_finding(best))
    scale, up = (None, None) if unexplained else (units_finding(best), axes_finding(best))
    sides = None if unexplained else sides_finding(best)
    # Exchanged names of joints say nothing of the cameras, and people are found all the same.
    notes += [] if sides is None else [sides]
    more = [finding for finding in (scale, up) if finding is not None]
    repaired = trial.cameras
    if not unexplained:
        more += [] if up else floor_findings(best, repaired)
        more += camera_findings(best, repaired)
        more += [] if scale else place_findings(repaired)
        repaired = levelled(repaired, best) if up else repaired
        repaired = in_mm(repaired, best) if scale else repaired
    findings = [*dead, *findings, *more]
    usable = _usable(given, findings, trial.faults)
    return Diagnosis(
        given, tuple(findings), _verdict(given, findings, usable=usable), usable, repaired, tuple(shifts), tuple(notes),
        trial,
    )  # fmt: skip


def fit_together(consistency: Consistency) -> bool:
    """Whether cameras and people belong to each other, be it a quarter of those who seem to be the same."""
    return consistency.share <= USABLE_SHARE or consistency.best_share <= BEST_SHARE


def later(frames: Sequence[Detections], shifts: Sequence[float], most: int) -> list[Detections]:
    """Some frames with every camera as it was at that instant, to the nearest frame."""
    lags = [-round(shift) for shift in shifts]
    rows = np.arange(max(0, -min(lags)), len(frames) - max(0, *lags))
    found = []
    for row in thinned(rows, most):
        parts = [frames[row + lag].select(views=[view]) for view, lag in enumerate(lags)]
        slots = max(one.valid.shape[1] for one in parts)
        found.append(cat([one.pad(slots=slots) for one in parts], "views"))
    return found


def dead_findings(footage: Footage, cameras: Cameras) -> list[Finding]:
    """Cameras that see nobody, or the same picture all the time."""
    found = []
    for views, what in (
        (silent_views(footage), "sees nobody in any frame: is its lens covered, or are its files another recording's?"),
        (frozen_views(footage), "shows people who never move, in almost every frame: its picture is frozen."),
    ):
        for view in views:
            name = cameras.names[view]
            found.append(Finding("dead", f"camera {name} {what} The others are used without it.", (name,)))
    return found


def told(trial: RigTrial, names: Sequence[str]) -> tuple[list[Finding], list[Finding]]:
    """Faults in words, what is wrong first, then what is no more than usual.

    A camera that is turned a little is wrong where nothing else is. Beside other faults, or other such cameras, it is a
    calibration that is not exact as a whole, and people alone do not tell which of those that lean are right. What
    takes little off the loss is also just a note, and so is a turn that another camera's explains as well.
    """
    findings, notes = [], []
    general = len({(fault.hypothesis.kind, fault.hypothesis.views) for fault in trial.faults}) > 1
    leaning = len({fault.hypothesis.views for fault in trial.faults if small_turn(fault)}) > 1
    for fault in merged(trial):
        little = small_turn(fault) and (general or bool(fault.rivals))
        usual = fault.hypothesis.kind == "turned" and (fault.gain < LEAST_GAIN or little)
        (notes if usual else findings).append(worded(fault, names))
    named = {fault.hypothesis.views for fault in trial.faults}
    notes += [worded(one, names) for one in trial.leaning if leaning and one.hypothesis.views not in named]
    return findings, notes


def merged(trial: RigTrial) -> list[Fault]:
    """The faults of one kind and camera as one: the last says where the camera has come to."""
    found: dict[tuple[str, tuple[int, ...]], Fault] = {}
    for fault in trial.faults:
        key = (fault.hypothesis.kind, fault.hypothesis.views)
        first = found.get(key)
        if first is not None:
            known, value = first.hypothesis.value, fault.hypothesis.value
            total = max(known, value) if fault.hypothesis.kind == "turned" else known * value
            fault = replace(
                fault, before=first.before, rivals=first.rivals, hypothesis=replace(fault.hypothesis, value=total)
            )
        if fault.hypothesis.kind == "late":
            view = fault.hypothesis.views[0]
            lag, error = trial.lags[view], trial.measured[view].error
            fault = replace(fault, hypothesis=replace(fault.hypothesis, value=lag, error=error))
        found[key] = fault
    return list(found.values())


def worded(fault: Fault, names: Sequence[str]) -> Finding:
    """What is wrong, how that shows, and what to do."""
    one = fault.hypothesis
    who = " and ".join(names[view] for view in one.views)
    seen = f"people disagree by {100 * fault.before:.1f} % of their size; mended, by {100 * fault.after:.1f} %"
    cameras = tuple(names[view] for view in one.views)
    if one.kind == "extrinsics":
        sentence = "the same people seen by two cameras do not fit together, but read otherwise they do"
        return Finding("extrinsics", f"{sentence} ({seen}): probably {REPAIRS[int(one.value)][1]}.")
    if one.kind == "exchanged":
        sentence = f"the calibrations of {who} are exchanged: with each other's they fit ({seen})."
        return Finding("exchanged", sentence, cameras)
    if one.kind == "late":
        word, shift = "late" if one.value > 0 else "early", -whole_if_near(one.value, one.error)
        sentence = (
            f"camera {who} is {abs(one.value):.1f} frames {word} (± {1.96 * one.error:.1f}): it fits when shifted by "
            f"{shift:+.3g} frames ({seen}); give --shift {who}={shift:.3g}, or --synchronise."
        )
        return Finding("time", sentence, cameras, shift)
    if one.kind == "turned" and fault.rivals:
        cameras = tuple(names[view] for view in sorted({*one.views, *fault.rivals}))
        sentence = (
            f"one of the cameras {', '.join(cameras)} is turned by {one.value:.1f}° or so against its calibration "
            f"({seen}, with {who} turned): people do not tell which; `dispose calibrate refine` looks at all at once."
        )
        return Finding("turned", sentence, cameras)
    if one.kind == "turned":
        sentence = (
            f"camera {who} is turned by {one.value:.1f}° against its calibration ({seen}): it was moved after it was "
            "calibrated; `dispose calibrate refine` mends that."
        )
        return Finding("turned", sentence, cameras)
    whose = f"camera {who}" if cameras else "all cameras"
    if one.kind == "focal":
        wrong = 1 / one.value
        sentence = (
            f"the focal length of {whose} is {wrong:.2f} times what it should be ({seen}): other lens or zoom than "
            "calibrated; `dispose calibrate refine --intrinsics focal` measures it."
        )
        return Finding("focal length", sentence, cameras)
    sentence = (
        f"the detections of {whose} are of images {one.value:.3g} times as large as those that were calibrated "
        f"({seen}): resized images; the calibration has to be resized alike."
    )
    return Finding("picture size", sentence, cameras)


def whole_if_near(frames: float, error: float) -> float:
    """A whole number of frames where that is as likely: cameras mostly start late by whole frames."""
    return float(round(frames)) if abs(frames - round(frames)) < max(1.96 * error, NEAR_WHOLE) else round(frames, 2)


def unexplained_finding(best: Consistency) -> Finding:
    """People do not fit together, whatever is tried."""
    return Finding(
        "extrinsics",
        f"the same people seen by two cameras do not fit together ({_px(best)} at the median), and no usual mistake "
        "explains it: are these the cameras of these recordings, in this order, synchronised, at this picture size?",
    )


def _px(consistency: Consistency) -> str:
    pixels = consistency.share * consistency.size_px
    if not np.isfinite(pixels):
        return "their rays meet behind the cameras"
    return f"{pixels:.0f} px ({100 * consistency.share:.1f} % of a person)"


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


def _usable(given: Consistency, findings: Sequence[Finding], faults: Sequence[Fault]) -> bool:
    topics = [finding.topic for finding in findings]
    many = 2 * topics.count("camera") >= len(given.cameras)
    wrong = {"units", "axes", "extrinsics", "exchanged", "picture size"} & set(topics)
    harmful = any(fault.before > HARMFUL for fault in faults)
    return fit_together(given) and not many and not wrong and not harmful


def _verdict(given: Consistency, findings: Sequence[Finding], *, usable: bool) -> str:
    if not usable:
        return "Not usable as it stands."
    medians = sorted(camera.median_px for camera in given.cameras)
    low, high = f"{medians[0]:.0f}", f"{medians[-1]:.0f}"
    range_px = f"people reproject with {low if low == high else f'{low} to {high}'} px at the median of each camera"
    if any(f.topic in ("camera", "turned", "time", "focal length", "dead") for f in findings):
        return f"Usable, but not every camera fits: {range_px}."
    if medians[-1] <= GOOD_SHARE * given.size_px:
        return f"Good: {range_px}."
    return f"Usable: {range_px}; a refined calibration would help."
