"""Agreement of people from videos: with themselves, with somebody beside them, and in their own images."""

import numpy as np
import pytest

from dispose.evaluation.from_videos import (
    LIMB_JOINTS,
    agreement_of_actor,
    bone_variation,
    frames_ahead,
    jitter_mm,
    later,
)

FRAMES = 12


def walking(generator: np.random.Generator, noise_mm: float = 0.0) -> dict[int, np.ndarray]:
    """Somebody who speeds up, whose bones keep their lengths but for the noise."""
    body = np.random.default_rng(0).normal(0, 300, (len(LIMB_JOINTS), 3))
    return {
        number: body + np.array((20.0 * number**2, 0, 0)) + generator.normal(0, noise_mm, body.shape)
        for number in range(FRAMES)
    }


def test_the_actor_is_who_moves_and_is_nearest_and_offsets_are_distances():
    generator = np.random.default_rng(1)
    actor, standing = walking(generator), {n: np.zeros((len(LIMB_JOINTS), 3)) for n in range(FRAMES)}
    ours = {1: {n: joints + np.array((0, 30, 0)) for n, joints in actor.items()}, 2: standing}
    ours[1][3] = ours[1][3].copy()
    ours[1][3][0] = np.nan
    found = agreement_of_actor(ours, {7: actor, 8: standing})
    assert found is not None and (found.person, found.other, found.frames) == (1, 7, FRAMES)
    assert found.median_mm == pytest.approx(30) and found.p90_mm == pytest.approx(30)
    assert found.missing == pytest.approx(1 / (FRAMES * len(LIMB_JOINTS))) and found.bone_variation < 1e-9
    assert agreement_of_actor({2: standing}, {8: standing}) is None, "who stands still is a mannequin"


def test_jitter_is_the_second_difference_and_bones_vary_with_noise():
    generator = np.random.default_rng(1)
    assert jitter_mm(walking(generator)) == pytest.approx(40) and bone_variation(walking(generator)) < 1e-9
    assert bone_variation(walking(generator, 20.0)) > 0.02


@pytest.mark.parametrize("ahead", [-3, 0, 2])
def test_detections_of_other_frames_than_they_say_are_found_out(ahead: int):
    generator = np.random.default_rng(2)
    ours = walking(generator, 20.0)
    theirs = later(walking(generator, 20.0), ahead)
    theirs[FRAMES - 4] = np.full_like(theirs[FRAMES - 4], np.nan)
    assert frames_ahead(ours, theirs) == ahead
    assert frames_ahead({0: ours[0]}, {99: ours[0]}) == 0, "nothing to compare"
