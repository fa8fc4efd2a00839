"""Multi-way matching by singular value thresholding, the idea of MVPose (dong2019mvpose)."""

import numpy as np
from jaxtyping import Float, Int

from dispose.association.pairwise import association_of_groups, pair_distances
from dispose.scene.frame import Frame
from dispose.scene.results import Association

RANK_PENALTY = 50.0
SPARSITY = 0.5
STEPS = 300
TOLERANCE = 1e-3


def svt(frame: Frame, *, gate_mm: float = 100.0) -> Association:
    """Cycle-consistent matching of all views at once as a low-rank matrix.

    With affinities ``S = 2^(-(d / gate)^2)`` (a half at the gate) the matching matrix X minimises
    ``-<S - 1/2, X> + λ |X|_*`` over symmetric X in [0, 1] with unit diagonal, zeros between detections of
    one view and rows and columns of every pair of views that sum to at most one (ADMM). Entries over a half
    are matches, taken strongest first so that a group has one detection per view.
    """
    distances = pair_distances(frame)
    if len(distances) == 0:
        return association_of_groups(distances, np.zeros(0, dtype=np.int64), gate_mm=gate_mm)
    view = distances.view.cpu().numpy()
    affinity = np.exp2(-((distances.mm.cpu().numpy() / gate_mm) ** 2))
    matching = match_low_rank(affinity, view)
    return association_of_groups(distances, groups_of_matches(matching, view), gate_mm=gate_mm)


def match_low_rank(
    affinity: Float[np.ndarray, "detections detections"], view: Int[np.ndarray, " detections"]
) -> Float[np.ndarray, "detections detections"]:
    """The relaxed matching matrix by ADMM: a nuclear-norm step by eigenvalues, then a step onto the constraints."""
    count = len(view)
    same_view = view[:, None] == view[None]
    slices = [np.flatnonzero(view == v) for v in np.unique(view)]
    gain = np.where(same_view, 0.0, affinity - SPARSITY)
    x = np.where(same_view, 0.0, affinity)
    np.fill_diagonal(x, 1.0)
    dual, mu = np.zeros((count, count)), 64.0
    for _ in range(STEPS):
        before = x
        values, vectors = np.linalg.eigh(x + dual / mu)
        shrunk = np.sign(values) * np.maximum(np.abs(values) - RANK_PENALTY / mu, 0.0)
        low_rank = (vectors * shrunk) @ vectors.T
        x = onto_constraints(low_rank + (gain - dual) / mu, same_view, slices)
        dual = dual + mu * (x - low_rank)
        primal, change = np.linalg.norm(x - low_rank) / count, mu * np.linalg.norm(x - before) / count
        if primal < TOLERANCE and change < TOLERANCE:
            break
        if primal > 10 * change:
            mu *= 2
        elif change > 10 * primal:
            mu /= 2
    return x


def onto_constraints(
    x: Float[np.ndarray, "detections detections"], same_view: np.ndarray, slices: list[np.ndarray]
) -> Float[np.ndarray, "detections detections"]:
    """A symmetric matrix in [0, 1] whose rows have at most one match in every view (projected in turn)."""
    x = np.clip(x, 0.0, 1.0)
    x[same_view] = 0.0
    for columns in slices:
        if len(columns) > 1:
            x[:, columns] = capped_rows(x[:, columns])
    x = (x + x.T) / 2
    np.fill_diagonal(x, 1.0)
    return x


def capped_rows(block: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Project every row onto ``x >= 0, sum x <= 1`` (Euclidean, by sorting)."""
    ordered = -np.sort(-block, axis=1)
    excess = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, block.shape[1] + 1)
    support = np.maximum((ordered > excess).sum(1), 1)
    shift = np.maximum(excess[np.arange(len(block)), support - 1], 0.0)
    return np.maximum(block - shift[:, None], 0.0)


def groups_of_matches(
    matching: Float[np.ndarray, "detections detections"], view: Int[np.ndarray, " detections"]
) -> Int[np.ndarray, " detections"]:
    """Join matches over a half, strongest first, never two detections of one view in a group."""
    number = np.arange(len(view))
    a, b = np.nonzero(np.triu(matching > 0.5, k=1))
    for k in np.argsort(-matching[a, b], kind="stable"):
        left, right = number == number[a[k]], number == number[b[k]]
        if not np.isin(view[left], view[right]).any():
            number[right] = number[a[k]]
    return number
