"""What trajectories are made of: normal equations, restlessness, sides, gaps, filters, the person of interest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.inference.trajectories import adjust
from dispose.inference.trajectories.adjust import AdjustWeights, adjust_track, bone_lengths
from dispose.inference.trajectories.filters import butterworth, filter_joints, loess, median, odd_frames
from dispose.inference.trajectories.gaps import bridged, even_grid, parts_of
from dispose.inference.trajectories.interest import looked_at, person_of_interest
from dispose.inference.trajectories.normal_equations import FIRST_SPEED, LOOSE, Band, MotionWeights
from dispose.inference.trajectories.restlessness import keeping, told_by
from dispose.inference.trajectories.sides import untangle
from dispose.inference.trajectories.track import Track, image_errors, track_keypoints
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose_synthetic.rigs import RING, sample_rigs
from dispose_synthetic.sequences import sample_sequence

RATE = 25.0


def dense_of(frames: int, joints: int, seed: int) -> tuple[Band, np.ndarray, np.ndarray]:
    """A band of random places, one bone and motion, and the same matrix and right side by definition."""
    draw = np.random.default_rng(seed)
    band = Band(frames, joints)
    size = frames * joints * 6
    at = np.arange(size).reshape(frames, joints, 3, 2)
    matrix, right = LOOSE * np.eye(size), np.zeros(size)
    root = draw.normal(size=(frames, joints, 3, 3))
    weight, pull = root @ root.swapaxes(-1, -2), draw.normal(size=(frames, joints, 3))
    band.add_places(weight, pull)
    place, speed = draw.normal(size=(2, frames, joints, 3))
    step, density = draw.uniform(0.1, 0.3, frames - 1), draw.uniform(1, 2, (frames - 1, joints))
    band.add_motion(MotionWeights.of(step, density), place, speed)
    bone = np.einsum("fi,fj->fij", *2 * [draw.normal(size=(frames, 3))])
    tug = draw.normal(size=(frames, 3))
    band.add_bone((2, 0), bone, tug)

    def add(rows: np.ndarray, jacobian: np.ndarray, information: np.ndarray, residual: np.ndarray) -> None:
        matrix[np.ix_(rows, rows)] += jacobian.T @ information @ jacobian
        right[rows] += jacobian.T @ information @ residual

    for f in range(frames):
        for j in range(joints):
            rows = at[f, j, :, 0]
            matrix[np.ix_(rows, rows)] += weight[f, j]
            right[rows] += pull[f, j]
        rows = np.concatenate([at[f, 2, :, 0], at[f, 0, :, 0]])
        difference = np.hstack([np.eye(3), -np.eye(3)])
        matrix[np.ix_(rows, rows)] += difference.T @ bone[f] @ difference
        right[rows] += difference.T @ tug[f]
    for f, h in enumerate(step):
        for j in range(joints):
            inverse = np.linalg.inv(density[f, j] * np.array([[h**3 / 3, h**2 / 2], [h**2 / 2, h]]))
            for a in range(3):
                rows = np.array([at[f, j, a, 0], at[f, j, a, 1], at[f + 1, j, a, 0], at[f + 1, j, a, 1]])
                moves = np.array([[-1, -h, 1, 0], [0, -1, 0, 1]])
                now = np.array([place[f, j, a], speed[f, j, a], place[f + 1, j, a], speed[f + 1, j, a]])
                add(rows, moves, inverse, -moves @ now)
    first = at[0, :, :, 1].ravel()
    matrix[first, first] += 1 / FIRST_SPEED**2
    right[first] -= speed[0].ravel() / FIRST_SPEED**2
    return band, matrix, right


def test_the_band_is_the_dense_system():
    band, matrix, right = dense_of(5, 3, 1)
    np.testing.assert_allclose(band.solve().ravel(), np.linalg.solve(matrix, right), rtol=1e-8, atol=1e-10)
    inverse = np.linalg.inv(matrix)
    at = np.arange(len(matrix)).reshape(5, 3, 3, 2)
    for f in range(5):
        for j in range(3):
            rows = at[f, j, :, 0]
            np.testing.assert_allclose(band.covariances()[f, j], inverse[np.ix_(rows, rows)], rtol=1e-7)


def test_restlessness_is_told_from_what_a_smoother_lets_through():
    """White accelerations and errors, smoothed by a filter that assumes too little: the truth is told all the same."""
    draw, frames, true, assumed = np.random.default_rng(3), 40_000, 0.5, 0.05
    angle = 2 * np.pi * np.fft.rfftfreq(frames)
    motion, error = true * (2 / 3 + np.cos(angle) / 3), (2 - 2 * np.cos(angle)) ** 2
    white = [np.fft.rfft(draw.normal(size=frames)) for _ in range(2)]
    # Second differences of the noisy way; the smoother is one factor for every frequency.
    second = np.sqrt(motion) * white[0] + np.sqrt(error) * white[1]
    assume = assumed * (2 / 3 + np.cos(angle) / 3)
    out = np.fft.irfft(assume / (assume + error) * second, frames)
    told = told_by(np.array([(out**2).mean()]), np.array([assumed]), np.array([1e-6]))
    assert told[0] == pytest.approx(true, rel=0.05)
    kept = keeping(np.array([true]))[0] * (2 / 3 + np.cos(angle) / 3)
    restless = np.fft.irfft(kept / (kept + error) * second, frames)
    assert (restless**2).mean() == pytest.approx(true * 2 / 3, rel=0.05)


@pytest.fixture(scope="module")
def walk() -> tuple[Track, np.ndarray, Cameras]:
    """Somebody before three cameras that see them perfectly; the frames are 15 mm off, and claim it."""
    generator = torch.Generator().manual_seed(2)
    (rig,) = sample_rigs(generator, 1, 3, (RING,))
    rig = replace(rig.to(torch.float64), distortion=torch.zeros(3, 8, dtype=torch.float64))
    scenes = sample_sequence(generator, 60, 1, rig)
    truth = np.stack([labels.poses.xyz_world[0].numpy() for _, labels in scenes])
    xy = torch.stack([rig.project(torch.from_numpy(one))[0] for one in truth])
    keypoints = track_keypoints(rig, xy.numpy(), np.ones(xy.shape[:3], dtype=bool))
    noise = 15 * np.random.default_rng(1).normal(size=truth.shape)
    covariance = np.broadcast_to(225 * np.eye(3), (*truth.shape, 3)).copy()
    known = np.ones(truth.shape[:2], dtype=bool)
    return Track(np.arange(60) / RATE, truth + noise, known, covariance, keypoints), truth, rig


def far(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(found - truth, axis=-1).mean())


def test_cameras_bones_and_motion_each_help(walk):
    track, truth, _ = walk
    blind = replace(track, keypoints=replace(track.keypoints, seen=np.zeros_like(track.keypoints.seen)))
    alone = adjust_track(blind, COCO_17, AdjustWeights(bone=np.inf, restless=1e9))
    moving = adjust_track(blind, COCO_17, AdjustWeights(bone=np.inf))
    bony = adjust_track(blind, COCO_17)
    seen = adjust_track(track, COCO_17)
    errors = [far(one.xyz_world, truth) for one in (alone, moving, bony, seen)]
    assert errors[0] == pytest.approx(far(track.xyz_world, truth), rel=0.02)
    assert errors[1] < 0.75 * errors[0] and errors[2] < 0.97 * errors[1] and errors[3] < 0.95 * errors[2]
    true = bone_lengths(truth, track.known, COCO_17)
    # Of eyes and ears, 50 to 100 mm apart, the errors of their ends are a large part.
    off = np.abs(seen.lengths / true - 1)
    assert off[true > 60].max() < 0.09 and off[true > 150].max() < 0.04 and off[true > 150].mean() < 0.015


def test_long_tracks_are_solved_in_windows(walk, monkeypatch):
    track, _, _ = walk
    whole = adjust_track(track, COCO_17)
    monkeypatch.setattr(adjust, "WINDOW", 25)
    monkeypatch.setattr(adjust, "MARGIN", 20)
    parts = adjust_track(track, COCO_17)
    away = np.abs(parts.xyz_world - whole.xyz_world)
    assert away.mean() < 0.02 and away.max() < 0.7
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=0.02, atol=0.5)


def test_the_lens_is_taken_away_and_errors_are_pixels(walk):
    track, truth, _ = walk
    error, moves = image_errors(track.keypoints, truth)
    assert np.abs(error).max() < 1e-9
    shifted, _ = image_errors(track.keypoints, truth + np.array([1e-3, 0, 0]))
    np.testing.assert_allclose(shifted, -1e-3 * moves[..., 0], atol=1e-9)


def test_switched_legs_are_found_and_nothing_else(walk):
    track, truth, _ = walk
    legs = [joint for joint, name in enumerate(COCO_17.joints) if name.endswith(("hip", "knee", "ankle"))]
    place = track.keypoints.place.copy()
    place[10:14, 1, legs] = track.keypoints.place[10:14, 1][:, np.array(COCO_17.mirror)[legs]]
    found = untangle(replace(track.keypoints, place=place), truth, COCO_17)
    wanted = np.zeros_like(track.keypoints.seen)
    wanted[10:14, 1, legs] = True
    assert (found.switched == wanted).all()
    np.testing.assert_allclose(found.keypoints.place, track.keypoints.place)


@pytest.mark.parametrize("share", [0.02, 0.03, 0.04, 0.05, 0.07, 0.1])
def test_sides_are_switched_where_that_is_a_hundred_times_likelier(walk, share: float) -> None:
    """By Student's t of the keypoints: below that a detector is believed, which errs in one person of a hundred."""
    track, truth, _ = walk
    legs = [joint for joint, name in enumerate(COCO_17.joints) if name.endswith(("hip", "knee", "ankle"))]
    mine, theirs = track.keypoints.place[10, 1, legs], track.keypoints.place[10, 1][np.array(COCO_17.mirror)[legs]]
    place = track.keypoints.place.copy()
    place[10, 1, legs] = mine + (0.5 + share) * (theirs - mine)
    changed = replace(track.keypoints, place=place)
    straight, crossed = (
        image_errors(changed, xyz)[0][10, 1, legs] for xyz in (truth, truth[:, np.array(COCO_17.mirror)])
    )
    noise = track.keypoints.noise[10, 1, legs]
    likelier = 3 * np.log((1 + (straight**2).sum(-1) / noise**2 / 4) / (1 + (crossed**2).sum(-1) / noise**2 / 4)).sum()
    found = untangle(changed, truth, COCO_17).switched
    assert found[10, 1, legs].all() == (likelier > np.log(100)) and found.sum() in (0, len(legs))


def test_what_frames_made_of_switched_keypoints_does_not_count(walk) -> None:
    """Legs that one view takes for each other have put the frames' own legs 170 mm off, and these say they are sure."""
    track, truth, _ = walk
    legs = [joint for joint, name in enumerate(COCO_17.joints) if name.endswith(("hip", "knee", "ankle"))]
    place, xyz = track.keypoints.place.copy(), track.xyz_world.copy()
    place[10:14, 1, legs] = track.keypoints.place[10:14, 1][:, np.array(COCO_17.mirror)[legs]]
    xyz[10:14, legs] = truth[10:14][:, legs] + 100
    found = adjust_track(replace(track, xyz_world=xyz, keypoints=replace(track.keypoints, place=place)), COCO_17)
    assert far(found.xyz_world[10:14][:, legs], truth[10:14][:, legs]) < 20


def test_gaps_are_parted_and_bridged_by_their_length():
    seconds = np.arange(20) / 10
    assert parts_of([0, 1, 2, 5, 6, 15], seconds, 0.2) == [[0, 1, 2, 5, 6], [15]]
    assert parts_of([0, 1, 2, 5, 6, 15], seconds, 0.1) == [[0, 1, 2], [5, 6], [15]]
    known = np.ones(20, dtype=bool)
    known[[0, 4, 5, 10, 11, 12]] = False
    assert np.flatnonzero(bridged(known, seconds, 0.2)).tolist() == [0, 4, 5]
    assert not bridged(known, seconds, 0.0).any() and not bridged(np.zeros(20, dtype=bool), seconds, 9.0).any()
    grid, at = even_grid(np.array([3, 6, 12]))
    assert grid.tolist() == [3, 6, 9, 12] and at.tolist() == [0, 1, 3]


def test_butterworth_lets_the_share_pass_that_it_says():
    seconds = np.arange(400) / 100
    for hertz, share in ((6.0, 2**-0.5), (1.0, 1.0), (25.0, 0.0)):
        wave = np.sin(2 * np.pi * hertz * seconds)[:, None]
        out = butterworth(wave, 100.0, cutoff_hz=6.0, order=4)[100:300]
        # No lag: the same phase, smaller.
        assert float((out * wave[100:300]).sum() / (wave[100:300] ** 2).sum()) == pytest.approx(share, abs=0.01)
    with pytest.raises(InputError, match="must be below 12"):
        butterworth(np.zeros((50, 3)), 25.0, cutoff_hz=12.5, order=4)


def test_loess_is_the_weighted_line_by_definition():
    run = np.random.default_rng(0).normal(size=(30, 3)).cumsum(0)
    out, half = loess(run, 100.0, seconds=0.09), 4
    assert odd_frames(0.09, 100.0) == 9
    for k in (0, 2, 15, 29):
        at = np.arange(max(k - half, 0), min(k + half, 29) + 1)
        root = (1 - (np.abs(at - k) / (half + 1)) ** 3) ** 1.5
        wanted = [np.polyval(np.polyfit(at - k, run[at, axis], 1, w=root), 0) for axis in range(3)]
        np.testing.assert_allclose(out[k], wanted)
    line = np.arange(30.0)[:, None] * np.array([1.0, -2, 3])
    np.testing.assert_allclose(loess(line, 100.0, seconds=0.09), line)
    spike = line.copy()
    spike[12] += 500
    np.testing.assert_allclose(median(spike, 100.0, seconds=0.05)[5:25], line[5:25], atol=3)


def test_filters_take_the_runs_apart_that_long_gaps_part():
    line = np.arange(30.0)[:, None, None] * np.ones(3)
    known = np.ones((30, 1), dtype=bool)
    known[[4, 15, 16, 17, 18]] = False
    bridge = np.zeros((30, 1), dtype=bool)
    bridge[4] = True
    found = filter_joints(np.where(known[..., None], line, 0.0), known, bridge, 30.0, lambda run, _: run + len(run))
    assert found.said[:, 0].tolist() == [*[True] * 15, *[False] * 4, *[True] * 11]
    np.testing.assert_allclose(found.xyz_world[:15], line[:15] + 15)
    np.testing.assert_allclose(found.xyz_world[19:], line[19:] + 11)


def test_the_middle_is_where_the_cameras_look():
    generator = torch.Generator().manual_seed(5)
    (rig,) = sample_rigs(generator, 1, 4, (RING,))
    middle = looked_at(rig.to(torch.float64))
    axis = rig.rotation[:, 2].double()
    away = middle - rig.centres.double()
    assert float((away - (away * axis).sum(-1, keepdim=True) * axis).norm(dim=-1).max()) < 700
    with pytest.raises(InputError, match="nobody was found"):
        person_of_interest((), "longest")
