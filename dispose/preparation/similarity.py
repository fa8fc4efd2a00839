"""How alike two people in one image are by their keypoints (OKS), and the best of those who are alike (lin2014coco)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

COCO_SIGMAS = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
     0.089]
)  # fmt: skip
"""By how much annotators differ in each joint of COCO's skeleton, as a share of a person's size."""

SEEN = 0.1
"""Keypoints of a higher score are compared."""

LEAST_PX = 1.0
"""Nobody is smaller than this in either direction."""


def box_around(keypoints: Float[np.ndarray, "people joints 3"], seen: float = SEEN) -> Float[np.ndarray, "people 4"]:
    """Left, top, right and bottom of the keypoints of a higher score; not a number where there is none."""
    there = keypoints[..., 2:] > seen
    low = np.where(there, keypoints[..., :2], np.inf).min(1, initial=np.inf)
    high = np.where(there, keypoints[..., :2], -np.inf).max(1, initial=-np.inf)
    return np.where(np.isfinite(low).all(-1, keepdims=True), np.concatenate([low, high], -1), np.nan)


def keypoint_similarity(
    people: Float[np.ndarray, "people joints 3"], others: Float[np.ndarray, "others joints 3"]
) -> Float[np.ndarray, "people others"]:
    """COCO's object keypoint similarity in [0, 1], over the joints that both have; 0 where they share none.

    ``mean_j exp(-d_j² / (2 s² (2 sigma_j)²))``; the size s² is the smaller area of the two boxes around keypoints.
    """
    areas = []
    for some in (people, others):
        box = np.nan_to_num(box_around(some))
        areas.append(np.maximum(box[:, 2:] - box[:, :2], LEAST_PX).prod(-1))
    size = np.minimum(areas[0][:, None], areas[1][None])
    squared = ((people[:, None, :, :2] - others[None, :, :, :2]) ** 2).sum(-1)
    both = (people[:, None, :, 2] > SEEN) & (others[None, :, :, 2] > SEEN)
    alike = np.exp(-squared / (8 * size[..., None] * COCO_SIGMAS**2))
    return (alike * both).sum(-1) / np.maximum(both.sum(-1), 1)


def best_of_alike(
    keypoints: Float[np.ndarray, "people joints 3"],
    order: Sequence[int],
    threshold: float | Float[np.ndarray, "people people"],
) -> list[int]:
    """Those, in some order, who are not more alike than the threshold to one kept before them.

    The threshold may be another for every pair.
    """
    excess = keypoint_similarity(keypoints, keypoints) - threshold
    kept: list[int] = []
    for one in order:
        if not kept or excess[one, kept].max() <= 0:
            kept.append(one)
    return kept
