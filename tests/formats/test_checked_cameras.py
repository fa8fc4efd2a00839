"""Cameras that cannot be, one number at a time; and those that look odd and are right."""

from dataclasses import replace

import pytest
import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters, as_cameras, pinhole_matrix
from dispose.geometry.rigid import rodrigues


def vector(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def focal(fx: int, fy: int, cx: int, cy: int) -> torch.Tensor:
    return pinhole_matrix(float(fx), float(fy), float(cx), float(cy))


FIRST = CameraParameters(
    "a", vector(1000, 600), focal(400, 400, 500, 300), vector(0, 0, 0, 0, 0), rodrigues(vector(0.4, -0.3, 0.2)),
    vector(0, 0, 4000),
)  # fmt: skip
SECOND = replace(FIRST, name="b", rotation=rodrigues(vector(0.1, 1.2, 0.3)))
WIDE = {"matrix": focal(100, 100, 500, 300)}
"""The end of the longer side lies at five times the focal length."""

SKEWED = vector(400, 201, 500, 0, 400, 300, 0, 0, 1).reshape(3, 3)
TURNED = vector(400, 0, 500, 1, 400, 300, 0, 0, 1).reshape(3, 3)
SCALED = vector(400, 0, 500, 0, 400, 300, 0, 0, 2).reshape(3, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"translation": vector(0, float("nan"), 0)}, "camera a: translation has an entry that is not finite"),
        ({"distortion": vector(0, 0, 0, 0, float("inf"))}, "camera a: distortion has an entry that is not finite"),
        ({"rotation": FIRST.rotation * float("nan")}, "camera a: rotation has an entry that is not finite"),
        ({"translation": vector(0, -2e9, 0)}, "camera a: translation is .* no place on Earth"),
        ({"matrix": focal(400, 400, 300, 500)}, "are width and height exchanged"),
        ({"matrix": focal(400, 90, 500, 300)}, "focal lengths are 400 and 90 pixels"),
        ({"matrix": SKEWED}, "a skew of 201 pixels"),
        ({"matrix": TURNED}, "not upper triangular"),
        ({"matrix": SCALED}, "not upper triangular"),
        ({**WIDE, "distortion": vector(0.41, 0, 0, 0, 0)}, "which no lens has"),
        ({**WIDE, "distortion": vector(0, 0.017, 0, 0, 0)}, "which no lens has"),
        ({**WIDE, "distortion": vector(0, 0, 0, 0, 0.0007)}, "which no lens has"),
        ({"distortion": vector(2e4, 0, 0, 0, 0, 2e4, 0, 0)}, "which no lens has"),
        ({"rotation": torch.diag(vector(1, 1, -1))}, "is a reflection"),
        ({"rotation": FIRST.rotation * 1.01}, "not orthonormal"),
        ({"rotation": SECOND.rotation}, "cameras a and b stand at one place"),
    ],
)  # fmt: skip
def test_what_no_camera_has_is_refused_by_name(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=f"rig.toml: .*{sentence}"):
        as_cameras("rig.toml", [replace(FIRST, **changes), SECOND])


@pytest.mark.parametrize(
    "changes",
    [
        {**WIDE, "distortion": vector(0.39, 0, 0, 0, 0)},
        {**WIDE, "distortion": vector(0, 0, 1.9, 1.9, 0)},
        {**WIDE, "distortion": vector(3, 0, 0, 0, 0, 3, 0, 0)},  # a rational lens, whose powers all but cancel
        {**WIDE, "distortion": vector(0.45, 0, 0, 0), "fisheye": True},
        {"size": vector(600, 1000), "size_is_guessed": True},
        {"size": vector(640, 600), "matrix": focal(400, 400, 320, 300)},  # nearly square: the middle is near both
        {"matrix": focal(400, 400, 420, 300)},
    ],
)
def test_what_is_odd_and_right_is_taken(changes: dict[str, object]) -> None:
    found = as_cameras("rig.toml", [replace(FIRST, **changes), SECOND])
    assert found.names == ("a", "b")


def test_cameras_at_one_place_are_told_by_their_centres() -> None:
    """Whose translations differ, and the other way round."""
    centre = vector(1000, 2000, 1500)
    pair = [replace(one, translation=-one.rotation @ centre) for one in (FIRST, SECOND)]
    away = replace(FIRST, name="c", translation=vector(0, 0, 9000))
    with pytest.raises(InputError, match="cameras a and b stand at one place"):
        as_cameras("rig.toml", [*pair, away])


def test_a_pair_far_from_the_worlds_origin_is_a_pair() -> None:
    """What counts is the rig's own size: worlds of surveyors begin many kilometres away."""
    there = vector(1e7, 2e7, 0)
    pair = [
        replace(one, translation=-one.rotation @ (there + vector(at, 0, 0)))
        for one, at in ((FIRST, 0.0), (SECOND, 50.0))
    ]
    assert as_cameras("rig.toml", pair).names == ("a", "b")
