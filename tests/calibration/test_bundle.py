"""Adjusting cameras and what they see: the minimum is scipy's, the truth is found, nothing moves without reason."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from dispose.inference.calibration import bundle
from dispose.inference.calibration.bundle import (
    CENTRE,
    EXPECTED,
    EXTRINSICS,
    FOCAL,
    LENS,
    RigObservations,
    adjust,
    move_cameras,
    move_freely,
    move_rigidly,
)
from dispose.inference.calibration.refine import moved_by
from dispose.inference.calibration.world import carry_cameras, onto_rig
from dispose.scene.cameras import Cameras
from tests.calibration.walkers import ring


def disturbed(cameras: Cameras, generator: torch.Generator, free: int = EXTRINSICS) -> Cameras:
    """Every camera turned by 1°, moved by 30 mm, and with another lens."""
    step = torch.randn(len(cameras), free, generator=generator, dtype=torch.float64)
    step[:, :3] *= math.radians(1) / step[:, :3].norm(dim=-1, keepdim=True)
    step[:, 3:6] *= 30 / step[:, 3:6].norm(dim=-1, keepdim=True)
    step[:, 6:] *= 0.3 * torch.tensor(EXPECTED[6:free])
    return move_cameras(cameras, step)


def seen(cameras: Cameras, xyz: torch.Tensor, noise_px: float, generator: torch.Generator) -> RigObservations:
    xy, front = cameras.project(xyz)
    xy = xy + noise_px * torch.randn(xy.shape, generator=generator, dtype=torch.float64)
    there = front & (torch.rand(front.shape, generator=generator) < 0.8)
    return RigObservations(xyz, torch.where(there[..., None], xy, 0.0), torch.ones_like(xy[..., 0]), there)


def points(count: int, generator: torch.Generator) -> torch.Tensor:
    return 1000 * torch.randn(count, 1, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0, 900])


def test_it_finds_the_rig_from_exact_sightings(generator: torch.Generator) -> None:
    true = ring(4)
    observations = seen(true, points(150, generator), 0.0, generator)
    start = replace(observations, xyz_world=observations.xyz_world + 40)
    found = adjust(start, disturbed(true, generator), repeats=1e-6, most_steps=100).cameras
    mm, degrees = moved_by(true, carry_cameras(found, onto_rig(found, true)))
    assert float(mm.max()) < 0.1 and float(degrees.max()) < 0.002


@pytest.mark.parametrize("free", [FOCAL, CENTRE, LENS])
def test_it_finds_the_lens_as_far_as_it_is_free(generator: torch.Generator, free: int) -> None:
    true = ring(4)
    observations = seen(true, points(200, generator), 0.0, generator)
    found = adjust(observations, disturbed(true, generator, free), free=free, repeats=1e-6, most_steps=100).cameras
    torch.testing.assert_close(found.matrix, true.matrix, rtol=1e-3, atol=1.0)
    torch.testing.assert_close(found.distortion, true.distortion, rtol=0, atol=3e-3)


def test_the_minimum_is_that_of_scipy(generator: torch.Generator) -> None:
    # Where nothing is wild the loss is the plain square, which scipy's solver takes as well.
    true = ring(3)
    observations = seen(true, points(8, generator), 2.0, generator)
    start = disturbed(true, generator)
    found = adjust(observations, start, scale=1e6, most_steps=100)

    def residuals(numbers: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(numbers)
        step, xyz = values[:18].reshape(3, 6), values[18:].reshape(-1, 1, 3)
        off = (move_cameras(start, step).project(xyz)[0] - observations.xy_image)[observations.seen]
        return torch.cat([off.flatten(), (step / torch.tensor(EXPECTED[:6])).flatten()]).numpy()

    begin = np.concatenate([np.zeros(18), observations.xyz_world.flatten().numpy()])
    theirs = least_squares(residuals, begin, x_scale="jac", max_nfev=30)
    assert found.after < found.before / 30
    assert found.after == pytest.approx(2 * theirs.cost, rel=0.01)


def test_a_dozen_steps_are_enough(generator: torch.Generator) -> None:
    # With a wrong system the damping still finds its way down, but needs all the steps there are.
    true = ring(4)
    observations = seen(true, points(60, generator), 1.0, generator)
    found = adjust(observations, disturbed(true, generator))
    assert found.steps <= 20 and found.after < 0.07 * found.before


@pytest.mark.parametrize("wild_px", [0.0, 30.0])
def test_the_system_is_the_slope_of_the_loss(generator: torch.Generator, wild_px: float) -> None:
    """Its right side is half the derivative of Cauchy's loss, by definition: also where sightings are wild."""
    true = ring(3)
    observations = seen(true, points(6, generator), 1.0, generator)
    observations = replace(observations, xy_image=observations.xy_image + wild_px)
    state = bundle._Now(true, observations.xyz_world, torch.full((3, 6), 1e-3).double(), torch.ones(6).double())
    system = bundle._linearise(observations, state, move_freely, 3, 2.0)

    def loss(camera: int, number: int, step: float) -> float:
        move = torch.zeros(3, 6, dtype=torch.float64)
        move[camera, number] = step
        moved = bundle._Now(move_cameras(true, move), state.xyz, state.moved + move, state.held)
        return bundle._cost(observations, moved, 2.0)

    for camera in range(3):
        for number in range(6):
            slope = (loss(camera, number, 1e-5) - loss(camera, number, -1e-5)) / 2e-5
            assert float(system.of_cameras[camera, number]) == pytest.approx(slope / 2, rel=1e-4, abs=1e-4)


def test_wild_sightings_hardly_move_it(generator: torch.Generator) -> None:
    true = ring(4)
    observations = seen(true, points(150, generator), 1.0, generator)
    calm = adjust(observations, true).cameras
    wild = observations.seen & (torch.rand(observations.seen.shape, generator=generator) < 0.05)
    noisy = replace(observations, xy_image=observations.xy_image + torch.where(wild[..., None], 150.0, 0.0))
    mm, degrees = moved_by(calm, adjust(noisy, true).cameras)
    assert float(mm.max()) < 8 and float(degrees.max()) < 0.15


def test_where_nothing_is_seen_everything_stays(generator: torch.Generator) -> None:
    true = ring(4)
    observations = seen(true, points(40, generator), 1.0, generator)
    blind = replace(observations, seen=torch.zeros_like(observations.seen))
    found = adjust(blind, true)
    torch.testing.assert_close(found.cameras.translation, true.translation)
    # One camera that sees nothing stays, whatever the others do.
    some = observations.seen.clone()
    some[3] = False
    found = adjust(replace(observations, seen=some), true).cameras
    torch.testing.assert_close(found.translation[3], true.translation[3])
    assert float((found.translation[:3] - true.translation[:3]).abs().max()) > 0.1


def test_sightings_that_repeat_each_other_count_less(generator: torch.Generator) -> None:
    true = ring(4)
    observations = seen(true, points(60, generator), 2.0, generator)
    free, held = (adjust(observations, true, repeats=repeats).cameras for repeats in (1.0, 1e6))
    assert float(moved_by(true, held)[0].max()) < 0.05 * float(moved_by(true, free)[0].max())


def test_boards_keep_their_shape_and_the_size_of_the_rig(generator: torch.Generator) -> None:
    true = ring(4)
    board = torch.tensor([[x, y, 0.0] for y in range(4) for x in range(3)], dtype=torch.float64) * 150
    step = torch.randn(20, 6, generator=generator, dtype=torch.float64) * torch.tensor([0.6, 0.6, 0.6, 600, 600, 300])
    xyz = move_rigidly(board.repeat(20, 1, 1) + torch.tensor([0.0, 0, 900]), step)
    observations = seen(true, xyz, 0.3, generator)
    larger = carry_cameras(disturbed(true, generator), onto_rig(true, true))
    start = move_rigidly(xyz, 0.02 * step)
    found = adjust(replace(observations, xyz_world=start), larger, move=move_rigidly, numbers=6, repeats=1e-6)
    torch.testing.assert_close(torch.cdist(found.xyz_world, found.xyz_world), torch.cdist(xyz, xyz), rtol=0, atol=1e-6)
    apart = torch.cdist(found.cameras.centres, found.cameras.centres)
    torch.testing.assert_close(apart, torch.cdist(true.centres, true.centres), rtol=2e-3, atol=1.0)
    assert move_freely(xyz[:, :1], torch.ones(20, 3).double()).allclose(xyz[:, :1] + 1)
