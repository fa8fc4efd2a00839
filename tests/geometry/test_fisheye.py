"""The fisheye lens is OpenCV's in values and gradients, its inverse is exact, and rigs may mix both kinds."""

import math

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.geometry.fisheye import (
    WIDEST,
    distort_fisheye,
    fisheye_stretch,
    in_fisheye_range,
    lens_end,
    undistort_fisheye,
)
from dispose.geometry.pinhole import distort, normalize_points, pixels_per_unit, project_points, undistort

LENSES = (
    (0.0, 0.0, 0.0, 0.0),
    (0.05, -0.02, 0.01, -0.003),
    (-0.04, 0.01, -0.004, 0.0006),
    (0.3, 0.1, 0.05, 0.02),
)
TURNS_BACK = (-0.3, 0.02, 0.0, 0.0)
MATRIX = torch.tensor([[420.0, 1.5, 640], [0, 410, 480], [0, 0, 1]], dtype=torch.float64)


def rays(widest_degrees: float, count: int = 15) -> torch.Tensor:
    """Normalised coordinates from the axis outwards, all around; the axis itself among them."""
    angle = torch.linspace(0, math.radians(widest_degrees), count, dtype=torch.float64)
    around = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)[:-1]
    way = torch.stack([around.cos(), around.sin()], -1)
    return (angle.tan()[:, None, None] * way).reshape(-1, 2)


@pytest.mark.parametrize("lens", LENSES)
def test_projection_is_opencvs(lens: tuple[float, ...]) -> None:
    xyz = torch.cat([rays(85), torch.ones(120, 1, dtype=torch.float64)], -1) * 1500
    rotation, shift = np.array([0.1, -0.2, 0.05]), np.array([30.0, -20.0, 60.0])
    at = cv2.Rodrigues(rotation)[0] @ xyz.numpy().T + shift[:, None]
    theirs, jacobian = cv2.fisheye.projectPoints(
        xyz.numpy()[None], rotation, shift, MATRIX.numpy(), np.array(lens), alpha=1.5 / 420
    )
    camera = torch.from_numpy(at.T).requires_grad_()
    coefficients = torch.tensor(lens, dtype=torch.float64, requires_grad=True)
    numbers = torch.cat([coefficients, torch.zeros(4, dtype=torch.float64), torch.ones(1, dtype=torch.float64)])
    ours = project_points(camera, MATRIX, numbers)
    front = at[2] > 1
    assert front.sum() > 100
    assert_close(ours[front], torch.from_numpy(theirs[0])[front], atol=1e-7, rtol=1e-10)
    # OpenCV's derivatives by the four coefficients stand in columns 4 to 7, those by the translation in 11 to 13.
    for row in np.flatnonzero(front)[::7]:
        for axis in (0, 1):
            by_lens, by_point = torch.autograd.grad(ours[row, axis], (coefficients, camera), retain_graph=True)
            assert_close(by_lens, torch.from_numpy(jacobian[2 * row + axis, 4:8]), atol=1e-6, rtol=1e-6)
            assert_close(by_point[row], torch.from_numpy(jacobian[2 * row + axis, 11:14]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_the_inverse_is_exact_and_opencvs(lens: tuple[float, ...]) -> None:
    numbers = torch.tensor([*lens, 0, 0, 0, 0, 1], dtype=torch.float64)
    xy = rays(85)
    assert_close(undistort(distort(xy, numbers), numbers), xy, atol=1e-9, rtol=1e-9)
    # OpenCV's inverse takes image points at most pi / 2 focal lengths from the middle.
    pixels = project_points(torch.cat([rays(55), torch.ones(120, 1, dtype=torch.float64)], -1), MATRIX, numbers)
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-14)
    theirs = cv2.fisheye.undistortPoints(
        pixels.numpy()[None], MATRIX.numpy() * np.array([[1, 0, 1], [1, 1, 1], [1, 1, 1]]), np.array(lens),
        criteria=criteria,
    )  # fmt: skip
    skewless = MATRIX.clone()
    skewless[0, 1] = 0
    assert_close(normalize_points(pixels, skewless, numbers), torch.from_numpy(theirs[0]), atol=1e-8, rtol=0)


@pytest.mark.parametrize("lens", LENSES)
def test_gradients_are_those_of_the_functions(lens: tuple[float, ...]) -> None:
    numbers = torch.tensor(lens, dtype=torch.float64, requires_grad=True)
    xy = rays(75, 4)[5:].requires_grad_()
    assert torch.autograd.gradcheck(distort_fisheye, (xy, numbers), atol=1e-6)
    target = distort_fisheye(xy, numbers).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: undistort_fisheye(p, numbers.detach()), (target,), atol=1e-6)
    axis = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    columns = [torch.autograd.grad(distort_fisheye(axis, numbers.detach())[0, i], axis)[0][0] for i in (0, 1)]
    assert_close(torch.stack(columns), torch.eye(2, dtype=torch.float64))


def test_a_lens_ends_where_it_turns_back() -> None:
    lens = torch.tensor(TURNS_BACK, dtype=torch.float64)
    end = float(lens_end(lens))
    assert 0.9 < end < 1.4
    slope = 1 - 3 * 0.3 * end**2 + 5 * 0.02 * end**4
    assert abs(slope) < 1e-9
    assert float(lens_end(torch.zeros(4, dtype=torch.float64))) == pytest.approx(WIDEST)
    beyond = torch.tensor([[3.0, 0.0], [0.0, -50.0], [0.5, 0.0]], dtype=torch.float64)
    found = undistort_fisheye(beyond, lens)
    assert torch.isfinite(found).all()
    assert_close(found[:2].norm(dim=-1), torch.full((2,), math.tan(end), dtype=torch.float64))
    assert_close(distort_fisheye(found[2:], lens), beyond[2:], atol=1e-10, rtol=0)


def test_what_lies_beyond_a_lens_has_no_ray() -> None:
    """A lens shows what lies behind its side, or turns back before: no ray of ours leads there."""
    wide = torch.tensor([0.01, -0.002, 0.0005, 0.0], dtype=torch.float64)
    angle = torch.deg2rad(torch.tensor([5.0, 60.0, 89.0, 91.0, 110.0], dtype=torch.float64))
    far = angle * (1 + sum(wide[n] * angle ** (2 * n + 2) for n in range(4)))
    direction = torch.tensor([0.6, 0.8], dtype=torch.float64)
    assert in_fisheye_range(far[:, None] * direction, wide).tolist() == [True, True, True, False, False]
    # theta (1 - 0.3 theta²) is 0.7027 at most.
    back = torch.tensor([-0.3, 0.0, 0.0, 0.0], dtype=torch.float64)
    far = torch.tensor([0.1, 0.702, 0.703, 2.0], dtype=torch.float64)
    assert in_fisheye_range(far[:, None] * direction, back).tolist() == [True, True, False, False]


def test_both_kinds_of_lenses_at_once() -> None:
    rational = torch.tensor([-0.2, 0.05, 1e-3, -2e-3, 0.01, 0, 0, 0, 0], dtype=torch.float64)
    fisheye = torch.tensor([0.05, -0.02, 0.01, -0.003, 0, 0, 0, 0, 1], dtype=torch.float64)
    xy = rays(40)
    together = distort(xy.expand(2, 120, 2), torch.stack([rational, fisheye])[:, None])
    # A lens that is none is computed as it was before there were fisheyes, to the last bit.
    assert torch.equal(together[0], distort(xy, rational[:8]))
    assert torch.equal(together[1], distort_fisheye(xy, fisheye[:4]))
    back = undistort(together, torch.stack([rational, fisheye])[:, None])
    assert torch.equal(back[0], undistort(together[0], rational[:8]))
    assert_close(back[1], xy, atol=1e-10, rtol=0)
    apart = torch.stack([undistort_fisheye(p, fisheye[:4]) for p in together[1]])
    assert torch.equal(back[1], apart)


def test_a_fisheye_shows_its_border_smaller() -> None:
    lens = torch.tensor(LENSES[1], dtype=torch.float64)
    xy = rays(75, 6)
    step = 1e-5 * torch.eye(2, dtype=torch.float64)
    columns = [(distort_fisheye(xy + d, lens) - distort_fisheye(xy - d, lens)) / 2e-5 for d in step]
    area = torch.linalg.det(torch.stack(columns, -1))
    assert_close(fisheye_stretch(xy, lens), area.sqrt(), atol=1e-7, rtol=1e-6)
    assert float(fisheye_stretch(xy[-1], lens)) < 0.3
    mixed = torch.stack([torch.zeros(9, dtype=torch.float64), torch.cat([lens, torch.tensor([0, 0, 0, 0, 1.0])])])
    pixels = pixels_per_unit(xy.expand(2, 48, 2), MATRIX, mixed[:, None])
    assert_close(pixels[0], torch.full((48,), 415.0, dtype=torch.float64))
    assert_close(pixels[1], 415 * area.sqrt(), atol=1e-4, rtol=1e-6)


def test_near_the_axis_it_is_the_same_function() -> None:
    r = torch.tensor([1e-9, 3e-5, 9e-5, 1.1e-4], dtype=torch.float64)
    lens = torch.tensor(LENSES[3], dtype=torch.float64)
    theta = r.atan()
    wanted = theta * (1 + 0.3 * theta**2 + 0.1 * theta**4)
    assert_close(distort_fisheye(torch.stack([r, 0 * r], -1), lens)[:, 0], wanted, atol=0, rtol=1e-12)
