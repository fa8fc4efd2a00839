"""Lags of cameras: told to half a frame where people move, whatever the rates; not told where they stand still."""

from dataclasses import replace

import pytest
import torch

from dispose.inference.check.agreement import CAP
from dispose.inference.check.contest import court_of
from dispose.inference.check.diagnosis import Diagnosis, diagnose
from dispose.inference.check.footage import footage_of
from dispose.inference.check.lags import DistancesAtLags, joint_lags
from dispose.inference.readings import Source
from dispose.inference.timing import clocks_of, retimed
from dispose.scene.frame import Detections, Frame
from dispose.tensors import cat

FRAMES, NOISE_PX = 60, 1.5


def noisy(found: Detections, generator: torch.Generator) -> Detections:
    noise = NOISE_PX * torch.randn(found.xy_image.shape, dtype=torch.float64, generator=generator)
    return replace(found, xy_image=found.xy_image + noise)


def sixty_and_thirty(walk, late: float) -> Diagnosis:
    """Three cameras of 60 frames a second and one of 30, which starts late; all as one capture of 60."""
    generator = torch.Generator().manual_seed(7)
    frames = []
    for n in range(FRAMES):
        fast = noisy(walk.detections_at(0.5 * n), generator)
        slow = noisy(walk.detections_at(0.5 * (2 * n - late)), generator).select(views=[2])
        if 2 * n >= FRAMES:
            slow = replace(slow, valid=torch.zeros_like(slow.valid))
        parts = [fast.select(views=[0, 1]), slow, fast.select(views=[3])]
        frames.append(Frame(n, walk.rig(), cat(parts, "views")))
    clocks, rate = clocks_of([60.0, 60.0, 30.0, 60.0])
    assert rate == 60.0
    source = retimed(Source.of(frames), clocks)
    readings = [reading for n in range(FRAMES - 2) if (reading := source.read(n)) is not None]
    return diagnose([one.frame.detections for one in readings], walk.rig(), rate_hz=60.0)


@pytest.mark.parametrize(
    "late", [5.0, pytest.param(-8.5, marks=pytest.mark.slow), pytest.param(0.0, marks=pytest.mark.slow)]
)
def test_a_slower_camera_is_late_by_what_it_is_late(walk, late: float) -> None:
    found = sixty_and_thirty(walk, late)
    assert found.trial is not None
    lag = found.trial.measured[2]
    assert lag.told and abs(lag.frames - late) < 0.5
    assert abs(lag.frames - late) <= 1.96 * lag.error, "what is printed as uncertainty is smaller than the error"
    assert [one.cameras for one in found.findings] == ([(walk.rig().names[2],)] if late else [])


@pytest.mark.parametrize(
    "late",
    [
        (0, -8, 5, 9),
        # Most cameras are with one: that one is in time.
        pytest.param((7, 7, -4, 10), marks=pytest.mark.slow),
        pytest.param((0, 3, -12, 20), marks=pytest.mark.slow),
    ],
)
def test_cameras_that_all_started_by_themselves_are_put_in_time(walk, late: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(7)
    frames = []
    for n in range(2 * FRAMES):
        parts = [noisy(walk.detections_at(0.5 * (n - lag)), generator).select(views=[v]) for v, lag in enumerate(late)]
        frames.append(cat(parts, "views"))
    found = diagnose(frames, walk.rig(), rate_hz=60.0)
    beside = [lag - late[0] for lag in late]
    assert [one.topic for one in found.findings] == ["time"] * (4 - beside.count(0))
    assert [round(shift) for shift in found.shifts] == [-lag for lag in beside]
    assert all(abs(shift + lag) < 0.5 for shift, lag in zip(found.shifts, beside, strict=True))
    assert found.trial is not None and all(lag.told for lag in found.trial.measured)
    # The picture of every camera is lowest at its lag.
    assert [curve.best for curve in found.trial.curves] == beside


class Told(DistancesAtLags):
    """Pairs of cameras that agree at a lag; the others share nobody, or agree exactly at every lag."""

    def __init__(self, at: dict[tuple[int, int], int], views: int, otherwise: float) -> None:
        self.at, self.rig, self.otherwise = at, [None] * views, otherwise  # type: ignore[assignment]

    def __call__(self, a: int, b: int, between: int) -> float:
        return 0.01 * abs(between - self.at[a, b]) if (a, b) in self.at else self.otherwise


@pytest.mark.parametrize("otherwise", [CAP, 0.0])
def test_lags_of_cameras_that_share_nobody_are_not_made_up(walk, otherwise: float) -> None:
    """Two rooms: in one a camera is late, in the other one is early; between the two nothing is known."""
    found = footage_of(range(100), [walk.detections_at(n % 6) for n in range(100)])
    pairs = ((0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3))
    court = replace(court_of(found, 30.0), pairs=pairs)
    told = {(0, 1): 0, (0, 2): 7, (1, 2): 7, (3, 4): -9, (3, 5): 0, (4, 5): 9}
    assert joint_lags(court, Told(told, 6, otherwise), 30.0) == (0, 0, 7, 0, -9, 0)


@pytest.mark.parametrize("lasts", [0.0, 0.96])
def test_of_people_who_stand_still_nobody_can_tell(walk, lasts: float) -> None:
    """All frames show one instant, with the detector's noise, new in every frame or drifting: no lag is told."""
    generator = torch.Generator().manual_seed(1)
    still = walk.detections_at(4)
    off = torch.zeros_like(still.xy_image)
    frames = []
    for _ in range(FRAMES):
        fresh = torch.randn(off.shape, dtype=torch.float64, generator=generator)
        off = lasts * off + (1 - lasts**2) ** 0.5 * NOISE_PX * fresh
        frames.append(replace(still, xy_image=still.xy_image + off))
    found = diagnose(frames, walk.rig(), rate_hz=60.0)
    assert found.trial is not None and found.findings == ()
    assert [lag.told for lag in found.trial.measured] == [False] * 4
    assert all(curve.distance.max() < CAP for curve in found.trial.curves)
