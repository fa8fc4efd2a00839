"""View after view, by optimal assignment to the groups found so far."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from dispose.association.pairwise import association_of_groups, pair_distances
from dispose.scene.frame import Frame
from dispose.scene.results import Association

UNRELATED_MM = 1e6


def incremental_hungarian(frame: Frame, *, gate_mm: float = 100.0) -> Association:
    """Add one view at a time: its detections are assigned to groups at least total distance.

    The distance of a detection to a group is the mean of its ray distances to those members that share joints
    with it; assigned pairs farther apart than `gate_mm` are refused and the detection opens its own group.
    Depends on the order of the views, as the method does.
    """
    distances = pair_distances(frame)
    mm, view = distances.mm.cpu().numpy(), distances.view.cpu().numpy()
    groups: list[list[int]] = []
    for v in range(distances.views):
        new = np.flatnonzero(view == v)
        cost = group_distances(mm, groups, new)
        rows, columns = linear_sum_assignment(np.where(np.isfinite(cost), cost, UNRELATED_MM))
        taken = {int(c): int(r) for r, c in zip(rows, columns, strict=True) if cost[r, c] <= gate_mm}
        for column, detection in enumerate(new.tolist()):
            if column in taken:
                groups[taken[column]].append(detection)
            else:
                groups.append([detection])
    number = np.empty(len(distances), dtype=np.int64)
    for g, members in enumerate(groups):
        number[members] = g
    return association_of_groups(distances, number, gate_mm=gate_mm)


def group_distances(
    mm: Float[np.ndarray, "detections detections"], groups: list[list[int]], new: np.ndarray
) -> Float[np.ndarray, "groups new"]:
    """Mean distance of new detections to the members of groups; infinite where they share no joint with any."""
    out = np.full((len(groups), len(new)), np.inf)
    for g, members in enumerate(groups):
        block = mm[np.asarray(members)[:, None], new]
        known = np.isfinite(block)
        some = known.any(0)
        total = np.where(known, block, 0.0).sum(0)
        out[g, some] = total[some] / known.sum(0)[some]
    return out
