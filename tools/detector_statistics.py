"""What an associator notices of a detector: who is found, with which joints, how far apart the rays are."""

from dataclasses import dataclass

import numpy as np
import torch

from dispose.scene.frame import Frame, Labels
from dispose.tensors import ABSENT

GROUPS = ((0, 1, 2, 3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
COMMON_BINS = ((1, 3), (4, 6), (7, 9), (10, 17))
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Statistics:
    """Names say what; tuples are listed in the docs (docs/synthetic.md)."""

    persons_per_frame: float
    recall: float
    found_in_all_most_some_one_none: tuple[float, ...]
    false_per_view: float
    false_joints_quantiles: tuple[float, ...]
    joints_quantiles: tuple[float, ...]
    joints_histogram_3_6_9_12_15_17: tuple[float, ...]
    seen_head_shoulder_elbow_wrist_hip_knee_ankle: tuple[float, ...]
    pattern_all_upper_head_only_no_head_legs_only: tuple[float, ...]
    one_side_only_elbow_wrist_hip_knee_ankle: tuple[float, ...]
    common_0_3_6_9_17: tuple[float, ...]
    ray_mm_median_by_common: tuple[float, ...]
    ray_mm_90_by_common: tuple[float, ...]
    joint_ray_mm_quantiles: tuple[float, ...]
    joint_ray_mm_median_by_group: tuple[float, ...]
    strangers_within_100_150_250_mm: tuple[float, ...]
    nearest_is_right: float
    nearest_is_right_where_others_are_near: float
    height_px_per_640_quantiles: tuple[float, ...]
    score_quantiles: tuple[float, ...]


def ray_distances(frame: Frame) -> torch.Tensor:
    """Shortest distances of the rays of equal joints, (views, slots, views, slots, joints); nan if not common."""
    found = frame.detections
    direction = frame.cameras.directions(found.xy_image)
    centre = frame.cameras.centres
    a, b = direction[:, :, None, None], direction[None, None]
    base = (centre[None] - centre[:, None])[:, None, :, None, None]
    normal = torch.linalg.cross(
        a.expand(*torch.broadcast_shapes(a.shape, b.shape)), b.expand(*torch.broadcast_shapes(a.shape, b.shape)), dim=-1
    )
    distance = (normal * base).sum(-1).abs() / normal.norm(dim=-1).clamp(min=1e-9)
    both = found.visible[:, :, None, None] & found.visible[None, None]
    return torch.where(both, distance, torch.nan)


def _expected(frame: Frame, labels: Labels) -> np.ndarray:
    """Which people could be found in which view: annotated there, or with enough joints inside the image."""
    poses, views = labels.poses, len(frame.cameras)
    if len(poses.id) and not poses.valid.any():
        return (poses.confidence[:, :views] > 0).T.numpy()
    xy, front = frame.cameras.project(poses.xyz_world)
    inside = frame.cameras.inside(xy) & front & poses.valid
    return (inside[..., :13].sum(-1) >= 5).numpy()


def _share(values: np.ndarray, edges: tuple[float, ...]) -> tuple[float, ...]:
    counts, _ = np.histogram(values, edges)
    return tuple(np.round(counts / max(len(values), 1), 3).tolist())


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(np.quantile(values, QUANTILES), 3).tolist()) if len(values) else (0.0,) * 5


def _patterns(visible: np.ndarray) -> tuple[float, ...]:
    head, legs = visible[:, :5].any(1), visible[:, 13:].any(1)
    hips, arms = visible[:, 11:13].any(1), visible[:, 5:11].any(1)
    return tuple(
        round(float(x.mean()), 3)
        for x in (head & arms & hips & legs, head & arms & ~legs, head & ~arms & ~legs, ~head & arms, ~head & ~arms)
    )


def _pairs(frame: Frame, labels: Labels) -> tuple[list[tuple[int, float]], list[np.ndarray], list[float]]:
    """Of pairs of one person (joints in common, mean distance), (distance by joint); of strangers the mean distance."""
    distance, identity = ray_distances(frame).numpy(), labels.identity.numpy()
    same, joints, strangers = [], [], []
    rows = np.argwhere(identity != ABSENT)
    for i, (v, s) in enumerate(rows):
        for w, r in rows[i + 1 :]:
            if v == w:
                continue
            common = np.isfinite(distance[v, s, w, r])
            mean = float(distance[v, s, w, r][common].mean()) if common.any() else np.nan
            if identity[v, s] == identity[w, r]:
                same.append((int(common.sum()), mean))
                joints.append(distance[v, s, w, r])
            elif common.any():
                strangers.append(mean)
    return same, joints, strangers


def _nearest(frame: Frame, labels: Labels) -> list[tuple[bool, bool]]:
    """For every detection and other view with its person: is the nearest detection right, was there a reference."""
    distance = np.nanmean(np.pad(ray_distances(frame).numpy(), [(0, 0)] * 4 + [(0, 1)], constant_values=np.nan), -1)
    identity = labels.identity.numpy()
    valid = frame.detections.valid.numpy()
    out = []
    for v, s in np.argwhere(identity != ABSENT):
        for w in range(len(frame.cameras)):
            right = np.flatnonzero(identity[w] == identity[v, s])
            if w == v or not len(right) or not np.isfinite(distance[v, s, w, right[0]]):
                continue
            row = np.where(valid[w], distance[v, s, w], np.inf)
            row = np.where(np.isfinite(row), row, np.inf)
            rivals = np.delete(row, right[0])
            out.append((bool(row.argmin() == right[0]), bool((rivals < 200.0).any())))
    return out


def measure(frames: list[tuple[Frame, Labels]]) -> Statistics:
    """All statistics of a capture."""
    visible, scores, false_joints, recalls, shares, heights = [], [], [], [], [], []
    same, joints, strangers, nearest, views, people = [], [], [], [], 0, 0
    for frame, labels in frames:
        found, identity = frame.detections, labels.identity
        views, people = views + len(frame.cameras), people + len(labels.poses.id)
        known = found.valid & (identity != ABSENT)
        visible.append(found.visible[known].numpy())
        scores.append(found.confidence[found.visible].numpy())
        false_joints.append(found.visible[found.valid & ~known].sum(-1).numpy())
        expected = _expected(frame, labels)
        got = (identity[:, :, None] == labels.poses.id).any(1).numpy() if identity.shape[1] else expected & False
        recalls.append(got[expected])
        often = expected.sum(0) >= 2
        shares.append(((got & expected).sum(0) / np.maximum(expected.sum(0), 1))[often])
        one, each, other = _pairs(frame, labels)
        same, joints, strangers = same + one, joints + each, strangers + other
        nearest += _nearest(frame, labels)
        for v, s in known.nonzero().tolist():
            y = found.xy_image[v, s, found.visible[v, s], 1]
            heights.append(float(y.max() - y.min()) * 640 / float(frame.cameras.size[v, 0]))
    table, share = np.concatenate(visible), np.concatenate(shares)
    number, mean = np.array([n for n, _ in same]), np.array([d for _, d in same])
    binned = [mean[(number >= a) & (number <= b)] for a, b in COMMON_BINS]
    each = np.stack(joints)
    return Statistics(
        persons_per_frame=people / len(frames),
        recall=float(np.concatenate(recalls).mean()),
        found_in_all_most_some_one_none=tuple(
            round(float(x.mean()), 3)
            for x in (
                share == 1,
                (share > 0.6) & (share < 1),
                (share > 0.34) & (share <= 0.6),
                (share > 0) & (share <= 0.34),
                share == 0,
            )
        ),
        false_per_view=sum(len(x) for x in false_joints) / views,
        false_joints_quantiles=_quantiles(np.concatenate(false_joints)),
        joints_quantiles=_quantiles(table.sum(1)),
        joints_histogram_3_6_9_12_15_17=_share(table.sum(1), (1, 4, 7, 10, 13, 16, 18)),
        seen_head_shoulder_elbow_wrist_hip_knee_ankle=tuple(round(float(table[:, g].mean()), 3) for g in GROUPS),
        pattern_all_upper_head_only_no_head_legs_only=_patterns(table),
        one_side_only_elbow_wrist_hip_knee_ankle=tuple(
            round(float((table[:, a] != table[:, b]).mean()), 3) for a, b in GROUPS[2:]
        ),
        common_0_3_6_9_17=_share(number, (0, 1, 4, 7, 10, 18)),
        ray_mm_median_by_common=tuple(round(float(np.median(x)), 1) if len(x) else 0.0 for x in binned),
        ray_mm_90_by_common=tuple(round(float(np.quantile(x, 0.9)), 1) if len(x) else 0.0 for x in binned),
        joint_ray_mm_quantiles=_quantiles(each[np.isfinite(each)]),
        joint_ray_mm_median_by_group=tuple(round(float(np.nanmedian(each[:, g])), 1) for g in GROUPS),
        strangers_within_100_150_250_mm=tuple(
            round(float((np.array(strangers) < d).mean()), 3) for d in (100, 150, 250)
        ),
        nearest_is_right=float(np.mean([right for right, _ in nearest])),
        nearest_is_right_where_others_are_near=float(np.mean([right for right, reference in nearest if reference])),
        height_px_per_640_quantiles=_quantiles(np.array(heights)),
        score_quantiles=_quantiles(np.concatenate(scores)),
    )
