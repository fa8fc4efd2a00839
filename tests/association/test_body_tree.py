"""The best body is the best of all combinations, and a joint is rather missing than wrong."""

import itertools

import numpy as np

from dispose.association.body_tree import MISSING, PANOPTIC_SHAPE, SIZE_COSTS, SIZES, best_body
from dispose.association.imputation import STANDING
from dispose.skeletons.catalog import PANOPTIC_15

ROOT = PANOPTIC_15.index("mid_hip")


def cost_of(choice: tuple[int, ...], places: list[np.ndarray], size: float) -> float:
    """What the bones of a body cost."""
    total: float = 0.0
    bones = zip(PANOPTIC_15.bone_indices, PANOPTIC_SHAPE.length_mm, PANOPTIC_SHAPE.spread_mm, strict=True)
    last, stretch = {ROOT: ROOT}, {ROOT: 0.0}
    for (a, b), length, spread in bones:
        here = choice[b] >= 0
        if here:
            anchor = places[last[a]][choice[last[a]]]
            z = (float(np.linalg.norm(anchor - places[b][choice[b]])) - size * (stretch[a] + length)) / spread
            z = max(z, 0.0) if stretch[a] else abs(z)
            total += z * z / 2 if z <= PANOPTIC_SHAPE.farthest else np.inf
        last[b], stretch[b] = (b, 0.0) if here else (last[a], stretch[a] + length)
    return float(total)


def brute_force(places: list[np.ndarray], gains: list[np.ndarray]) -> float:
    """The greatest gain over all combinations and sizes."""
    best = -np.inf
    for choice in itertools.product(*(range(-1 if j != ROOT else 0, len(g)) for j, g in enumerate(gains))):
        own = sum(float(g[c]) for g, c in zip(gains, choice, strict=True) if c >= 0)
        best = max(best, *(own - c - cost_of(choice, places, s) for s, c in zip(SIZES, SIZE_COSTS, strict=True)))
    return best


def candidates(rng: np.random.Generator, joints: tuple[str, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two candidates of some joints: near where a standing person has it, and a metre away; the root alone."""
    places, gains = [], []
    for joint, point in zip(PANOPTIC_15.joints, np.array(STANDING.xyz), strict=True):
        count = 1 if joint == "mid_hip" else 2 if joint in joints else 0
        there = point + rng.normal(0, 60.0, (count, 3)) + np.array([[0.0], [400.0]])[:count] * (count > 1)
        places.append(there if joint != "mid_hip" else point[None])
        gains.append(rng.uniform(0, 2, count) if joint != "mid_hip" else np.zeros(1))
    return places, gains


def test_the_tree_finds_what_trying_everything_finds():
    rng = np.random.default_rng(0)
    for _ in range(6):
        places, gains = candidates(rng, ("neck", "nose", "l_shoulder", "l_elbow", "l_hip", "l_knee"))
        choice = best_body(PANOPTIC_SHAPE, places, gains)
        assert np.isclose(choice.gain, brute_force(places, gains))


def test_a_standing_person_is_taken_whole_at_any_size():
    for size in (0.72, 1.0, 1.12):
        places = [size * np.array([point]) for point in STANDING.xyz]
        choice = best_body(PANOPTIC_SHAPE, places, [np.full(1, 1.5)] * 15)
        assert choice.candidate == (0,) * 15
        assert choice.gain > 15


def test_a_joint_two_metres_away_is_missing():
    places = [np.array([point]) for point in STANDING.xyz]
    wrist = PANOPTIC_15.index("l_wrist")
    places[wrist] = places[wrist] + 2000.0
    choice = best_body(PANOPTIC_SHAPE, places, [np.full(1, 1.5)] * 15)
    assert choice.candidate[wrist] == MISSING and choice.candidate.count(MISSING) == 1


def test_the_root_alone():
    places = [np.zeros((1 if joint == ROOT else 0, 3)) for joint in range(15)]
    choice = best_body(PANOPTIC_SHAPE, places, [np.zeros(len(place)) for place in places])
    assert choice.candidate == tuple(0 if joint == ROOT else MISSING for joint in range(15)) and choice.gain == 0
