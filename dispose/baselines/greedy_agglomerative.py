"""Nearest pairs first."""

import numpy as np

from dispose.association.pairwise import association_of_groups, pair_distances
from dispose.scene.frame import Frame
from dispose.scene.results import Association


def greedy_agglomerative(frame: Frame, *, gate_mm: float = 150.0) -> Association:
    """Merge the two nearest groups until none are nearer than `gate_mm` (average linkage).

    The distance of two groups is the mean ray distance of their cross pairs that share joints; two groups
    with detections in one view never merge.
    """
    distances = pair_distances(frame)
    count = len(distances)
    mm = distances.mm.cpu().numpy()
    known = np.isfinite(mm)
    total, pairs = np.where(known, mm, 0.0), known.astype(np.float64)
    views = np.zeros((count, distances.views), dtype=bool)
    views[np.arange(count), distances.view.cpu().numpy()] = True
    clash = (views.astype(np.int64) @ views.T.astype(np.int64)) > 0
    number = np.arange(count)
    while count:
        mean = np.where((pairs > 0) & ~clash, total / np.maximum(pairs, 1), np.inf)
        a, b = np.unravel_index(np.argmin(mean), mean.shape)
        if not mean[a, b] <= gate_mm:
            break
        total[a], pairs[a] = total[a] + total[b], pairs[a] + pairs[b]
        total[:, a], pairs[:, a] = total[a], pairs[a]
        clash[a] |= clash[b]
        clash[:, a] = clash[a]
        clash[b] = True
        clash[:, b] = True
        number[number == b] = a
    return association_of_groups(distances, number, gate_mm=gate_mm)
