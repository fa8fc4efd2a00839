"""The account of how labels were made: what was left out, put together, repaired, dropped and kept; text and JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dispose.formats.pseudo_labels import LabelledFrame
from dispose.inference.check.diagnosis import Diagnosis
from dispose.inference.check.world import Finding
from dispose.preparation.anatomy import Bones, UsualBone
from dispose.preparation.filters import Removal
from dispose.preparation.programme import Grouped
from dispose.preparation.rectify import Repairs

SCHEMA = "dispose.label_report/1"

PROVEN = 1e-6
"""A gap below this is rounding."""


@dataclass(frozen=True, eq=False)
class Account:
    """What the making of one recording's labels left behind; see the fields of `SequenceReport`."""

    name: str
    method: str
    labels: tuple[LabelledFrame, ...]
    removals: tuple[Removal, ...]
    repairs: Repairs
    bones: Bones
    grouped: tuple[Grouped, ...]
    diagnosis: Diagnosis | None
    left_out: tuple[str, ...]
    read: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class SequenceReport:
    """The account of one recording.

    Attributes:
        name: of the recording.
        method: who said who is who.
        frames: with labels.
        persons: in all frames together, and of them
        whole: with at least twelve joints in space, and
        flat: with none.
        unmatched: detections of single views that are nobody's of these.
        views: in how many views people were seen: for every number of views from 2 on the people.
        removals: detections that were left out.
        repairs: what was put right.
        bones: of everybody.
        seconds: mean and longest time in which a frame was put together.
        stopped_early: frames whose answer is not proven to be the best; the largest gap of one.
        confidence: tenth, half and nine tenths of the joints are surer than this.
        findings: cameras that do not fit, in words.
        left_out: cameras whose detections are known in 2-D only.
        read: what was read, a sentence a line.
    """

    name: str
    method: str
    frames: int
    persons: int
    whole: int
    flat: int
    unmatched: int
    views: tuple[int, ...]
    removals: tuple[Removal, ...]
    repairs: Repairs
    bones: Mapping[str, UsualBone]
    seconds: tuple[float, float]
    stopped_early: tuple[int, float]
    confidence: tuple[float, ...]
    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    read: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LabelReport:
    """The accounts of all recordings of a file."""

    sequences: tuple[SequenceReport, ...]


def sequence_report(account: Account) -> SequenceReport:
    """The account in numbers."""
    labels = [one.labels for one in account.labels]
    known = np.concatenate([one.poses.valid.sum(-1).numpy() for one in labels])
    seen = np.concatenate([one.visible.any(-1).sum(0).numpy() for one in labels])
    sure = np.concatenate([one.poses.confidence[one.poses.valid].numpy() for one in labels])
    seconds = np.array([one.seconds for one in account.grouped])
    gaps = np.array([one.gap for one in account.grouped])
    views = np.bincount(seen, minlength=labels[0].visible.shape[0] + 1)
    return SequenceReport(
        name=account.name,
        method=account.method,
        frames=len(labels),
        persons=len(known),
        whole=int((known >= 12).sum()),
        flat=int((known == 0).sum()),
        unmatched=sum(int(one.unmatched.valid.sum()) for one in labels),
        views=tuple(views[2:].tolist()),
        removals=account.removals,
        repairs=account.repairs,
        bones=account.bones.everybody,
        seconds=(round(float(seconds.mean()), 4), round(float(seconds.max()), 4)),
        stopped_early=(int((gaps > PROVEN).sum()), round(float(gaps.max()), 4)),
        confidence=tuple(np.quantile(sure, (0.9, 0.5, 0.1)).round(3).tolist()) if len(sure) else (),
        findings=() if account.diagnosis is None else account.diagnosis.findings,
        left_out=account.left_out,
        read=account.read,
    )


def text_of_report(report: LabelReport) -> str:
    """The account for a terminal."""
    return "\n\n".join("\n".join(_lines(one)) for one in report.sequences)


def _lines(one: SequenceReport) -> list[str]:
    lines = [f"{one.name}: {one.frames} frames, {one.persons} people in them, {one.whole} with at least 12 joints"]
    lines += [f"  {sentence}" for sentence in one.read]
    lines += [f"  camera at fault: {finding.sentence}" for finding in one.findings if finding.cameras]
    lines += [f"  cameras: {finding.sentence}" for finding in one.findings if not finding.cameras]
    if one.left_out:
        lines.append(
            f"  left out: {', '.join(one.left_out)}; people there are known in 2-D only, until the camera is mended."
        )
    counts = Counter(removed.reason for removed in one.removals)
    lines += [f"  removed: {count} detections ({reason})" for reason, count in sorted(counts.items())]
    for camera, count in sorted(Counter(removed.camera for removed in one.removals).items()):
        lines.append(f"    of camera {camera}: {count}")
    mean, longest = one.seconds
    lines.append(f"  put together: {one.method}, {1000 * mean:.0f} ms a frame (longest {1000 * longest:.0f} ms)")
    stopped, gap = one.stopped_early
    if stopped:
        lines.append(f"    stopped early in {stopped} frames; the best answer is better by {100 * gap:.1f} % at most")
    seen = [f"{people} in {views} views" for views, people in enumerate(one.views, 2) if people]
    lines.append(f"    people: {', '.join(seen) or 'none'}; {one.unmatched} detections alone")
    fixed = one.repairs
    lines += [
        f"  put right: {fixed.views_taken_out} views taken out of people they contradict, {fixed.attached} detections "
        "given back to people,",
        f"    left and right exchanged in {fixed.sides_switched} views, {fixed.joints_mended} joints placed anew and "
        f"{fixed.joints_dropped} dropped for their bones",
    ]
    if one.flat:
        lines.append(f"    {one.flat} people have no joint in space")
    if one.confidence:
        low, middle, high = one.confidence[2], one.confidence[1], one.confidence[0]
        lines.append(f"  kept: confidence of joints {middle:.2f} (one in ten below {low:.2f}, one above {high:.2f})")
    bones = [f"{name} {bone.mm:.0f} mm" for name, bone in one.bones.items()]
    lines.append(f"  bones: {', '.join(bones) or 'too few to tell'}")
    return lines


def plain_sequence(one: SequenceReport) -> Mapping[str, object]:
    """The account of one recording as JSON has it, every removed detection with its place."""
    return {**asdict(one), "removed": _counts(one.removals)}


def _counts(removals: Sequence[Removal]) -> Mapping[str, Mapping[str, int]]:
    """Removed detections by reason and camera."""
    found: dict[str, dict[str, int]] = {}
    for one in removals:
        by_camera = found.setdefault(one.reason, {})
        by_camera[one.camera] = by_camera.get(one.camera, 0) + 1
    return found
