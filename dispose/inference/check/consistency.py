"""Do cameras and detections fit together? Reprojection of people matched across views, without any model.

Matching uses ray distances relative to each other only, so that nothing here depends on the calibration's units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from dispose.geometry.pinhole import normalize_points, pixels_per_unit
from dispose.geometry.triangulation import ray_distance, reprojection_error, triangulate_midpoint, triangulate_robust
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

MIN_COMMON_JOINTS = 4
KEPT_MATCHES = 0.75

INLIER_SHARE = 0.2
"""Inlier bound of the triangulation as a share of the people's median size in the images: wide, so that cameras
that are a little off share their error instead of one of them being declared an outlier."""


@dataclass(frozen=True)
class Match:
    """Two detections of one frame that may be one person."""

    frame: int
    view_a: int
    slot_a: int
    view_b: int
    slot_b: int
    distance: float


@dataclass(frozen=True)
class PairError:
    """Reprojection error of people matched between two cameras, pixels (each triangulated from these two).

    `best_px` is what the best quarter of the matches stay below, each by the median of its joints.
    """

    view_a: int
    view_b: int
    matches: int
    median_px: float
    best_px: float


@dataclass(frozen=True)
class CameraError:
    """Reprojection error in one camera of people triangulated robustly from all their cameras, pixels."""

    view: int
    people: int
    median_px: float
    p90_px: float


@dataclass(frozen=True, eq=False)
class Consistency:
    """How well a rig explains detections: errors by pair of cameras that share a match, and by camera.

    People are triangulated in the calibration's units, NaN where unknown; `size_px` is the median diagonal of their
    boxes.
    """

    pairs: tuple[PairError, ...]
    cameras: tuple[CameraError, ...]
    size_px: float
    skeleton: Skeleton
    xyz_world: Float[Tensor, "persons joints 3"]

    @property
    def share(self) -> float:
        """Median over pairs of the error as a share of people's size; infinite without any match."""
        return self._median([pair.median_px for pair in self.pairs])

    @property
    def best_share(self) -> float:
        """The same of the best quarter of the matches: those that detectors are right about."""
        return self._median([pair.best_px for pair in self.pairs])

    def _median(self, errors_px: Sequence[float]) -> float:
        return float(np.median(errors_px)) / self.size_px if errors_px else float("inf")


def match_pair(
    detections: Detections,
    centres: Float[Tensor, "views 3"],
    directions: Float[Tensor, "views slots joints 3"],
    views: tuple[int, int],
    frame: int,
) -> list[Match]:
    """The best of the optimal assignment of people between two views by their median ray distance."""
    a, b = views
    slots_a, slots_b = (detections.valid[v].nonzero()[:, 0] for v in views)
    if not len(slots_a) or not len(slots_b):
        return []
    common = detections.visible[a, slots_a][:, None] & detections.visible[b, slots_b][None]
    ray_a, ray_b = directions[a, slots_a][:, None], directions[b, slots_b][None]
    apart = ray_distance(centres[a], ray_a, centres[b], ray_b)
    middle = torch.where(common, apart, torch.nan).nanmedian(-1).values
    known = common.sum(-1) >= MIN_COMMON_JOINTS
    finite = middle[known]
    if not len(finite):
        return []
    cost = torch.where(known, middle, 10 * finite.max() + 1).numpy()
    rows, columns = linear_sum_assignment(cost)
    pairs = sorted((float(cost[r, c]), int(r), int(c)) for r, c in zip(rows, columns, strict=True) if known[r, c])
    # People seen by one of the two cameras only are assigned to somebody as well: the worst quarter does not count.
    keep = math.ceil(KEPT_MATCHES * min(len(slots_a), len(slots_b)))
    return [Match(frame, a, int(slots_a[r]), b, int(slots_b[c]), d) for d, r, c in pairs[:keep]]


def match_frame(detections: Detections, cameras: Cameras, frame: int) -> list[Match]:
    """Matches between all pairs of views of one frame."""
    xy = torch.where(detections.visible[..., None], detections.xy_image, 0.0)
    directions = cameras.directions(xy)
    matches = []
    for views in combinations(range(len(cameras)), 2):
        matches += match_pair(detections, cameras.centres, directions, views, frame)
    return matches


def grouped(matches: Sequence[Match], views: int) -> list[list[int]]:
    """Members (slot per view, `ABSENT` elsewhere) of people joined from one frame's matches, best match first."""
    groups: list[list[int]] = []
    for match in sorted(matches, key=lambda m: m.distance):
        found = [
            next((g for g in groups if g[view] == slot), None)
            for view, slot in ((match.view_a, match.slot_a), (match.view_b, match.slot_b))
        ]
        first, second = found
        if first is None and second is None:
            group = [ABSENT] * views
            group[match.view_a], group[match.view_b] = match.slot_a, match.slot_b
            groups.append(group)
        elif first is not None and second is None and first[match.view_b] == ABSENT:
            first[match.view_b] = match.slot_b
        elif second is not None and first is None and second[match.view_a] == ABSENT:
            second[match.view_a] = match.slot_a
    return groups


def rig_consistency(frames: Sequence[Detections], cameras: Cameras) -> Consistency:
    """Match, triangulate and reproject the people of some frames with some cameras."""
    matches = [match for n, frame in enumerate(frames) for match in match_frame(frame, cameras, n)]
    size = _median_size(frames)
    pairs = []
    for views in combinations(range(len(cameras)), 2):
        chosen = [m for m in matches if (m.view_a, m.view_b) == views]
        if chosen:
            pairs.append(_pair_error(frames, cameras, views, chosen))
    xy, seen = _group_points(frames, matches, len(cameras))
    found = triangulate_robust(
        xy,
        seen.double(),
        cameras.matrix,
        cameras.lens,
        cameras.rotation,
        cameras.translation,
        threshold_px=INLIER_SHARE * size,
    )
    lines = []
    for view in range(len(cameras)):
        known = seen[..., view] & torch.isfinite(found.xyz_world[..., 0])
        error = found.error_px[..., view][known]
        if len(error):
            people = int(known.any(-1).sum())
            lines.append(CameraError(view, people, _quantile(error, 0.5), _quantile(error, 0.9)))
    return Consistency(tuple(pairs), tuple(lines), size, frames[0].skeleton, found.xyz_world)


def _quantile(values: Float[Tensor, " count"], share: float) -> float:
    # By rank, not by interpolation: points behind a camera have an infinite error.
    return float(values.sort().values[min(int(share * len(values)), len(values) - 1)])


def _median_size(frames: Sequence[Detections]) -> float:
    """Median diagonal of the boxes around all people, pixels."""
    sizes = []
    for found in frames:
        seen = found.visible[..., None]
        low = torch.where(seen, found.xy_image, torch.inf).amin(2)
        high = torch.where(seen, found.xy_image, -torch.inf).amax(2)
        sizes.append((high - low).norm(dim=-1)[found.valid])
    joined = torch.cat(sizes) if sizes else torch.zeros(0)
    return max(float(joined.median()), 1.0) if len(joined) else 1.0


def _pair_error(
    frames: Sequence[Detections], cameras: Cameras, views: tuple[int, int], matches: Sequence[Match]
) -> PairError:
    """Triangulate matched people from two views and reproject them into both."""
    a, b = views
    rig = cameras.select(views=views)
    xy = torch.stack(
        [
            torch.stack([frames[m.frame].xy_image[a, m.slot_a], frames[m.frame].xy_image[b, m.slot_b]], dim=-2)
            for m in matches
        ]
    )
    seen = torch.stack([frames[m.frame].visible[a, m.slot_a] & frames[m.frame].visible[b, m.slot_b] for m in matches])
    xy = torch.where(seen[..., None, None], xy, 0.0)
    directions = rig.directions(xy.movedim(-2, 0)).movedim(0, -2)
    weights = seen[..., None].expand(*seen.shape, 2).double()
    xyz = triangulate_midpoint(rig.centres, directions, weights)
    flat = normalize_points(xy, rig.matrix, rig.lens)
    focal = pixels_per_unit(flat, rig.matrix, rig.lens)
    error = reprojection_error(torch.where(seen[..., None], xyz, 0.0), flat, focal, rig.rotation, rig.translation)
    error = error.mean(-1)
    of_matches = torch.where(seen, error, torch.nan).nanmedian(-1).values
    return PairError(a, b, len(matches), _quantile(error[seen], 0.5), _quantile(of_matches, 0.25))


def _group_points(
    frames: Sequence[Detections], matches: Sequence[Match], views: int
) -> tuple[Float[Tensor, "persons joints views 2"], Bool[Tensor, "persons joints views"]]:
    """Keypoints of all groups of all frames."""
    joints = len(frames[0].skeleton)
    xys, seens = [], []
    for n, found in enumerate(frames):
        for members in grouped([m for m in matches if m.frame == n], views):
            xy = torch.zeros(joints, views, 2, dtype=torch.float64)
            seen = torch.zeros(joints, views, dtype=torch.bool)
            for view, slot in enumerate(members):
                if slot != ABSENT:
                    xy[:, view], seen[:, view] = found.xy_image[view, slot], found.visible[view, slot]
            xys.append(xy)
            seens.append(seen)
    if not xys:
        empty = torch.zeros(0, joints, views, 2, dtype=torch.float64)
        return empty, empty[..., 0] > 0
    return torch.stack(xys), torch.stack(seens)
