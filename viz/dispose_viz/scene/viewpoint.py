"""Where the reader stands: one pinhole view of a scene that plotly and Open3D both take."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from dispose_viz.scene.stage import Stage, name_signs, points_of, reach_of

UP = np.array([0.0, 0.0, 1.0])
FIELD_DEG = 45.0
"""Vertical field of view; plotly's cannot be changed, so everybody uses it."""

STEEP = 1e-9
"""Sine of the angle to the vertical below which a line of sight is vertical."""

BESIDE = 3.0
"""Cameras nearer to the eye than so many lengths of a frustum are left out."""


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """An eye that looks at a point, +Z upwards in the picture, with `FIELD_DEG` from top to bottom.

    Straight down or up, +Y is upwards.

    Attributes:
        eye: mm.
        target: the point in the middle of the picture, mm.
    """

    eye: Float[np.ndarray, " 3"]
    target: Float[np.ndarray, " 3"]

    @property
    def axes(self) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
        """Unit vectors forward, to the right and downwards in the picture."""
        forward = self.target - self.eye
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, UP)
        if np.linalg.norm(right) < STEEP:
            # Straight down or up: +Y is upwards in the picture, as on a map.
            right = np.cross(forward, [0.0, 1.0, 0.0])
        right = right / np.linalg.norm(right)
        return forward, right, np.cross(forward, right)

    def project(
        self, xyz_world: Float[np.ndarray, "points 3"], width: int, height: int
    ) -> tuple[Float[np.ndarray, "points 2"], Bool[np.ndarray, " points"]]:
        """Pixels of world points (mm) in a picture of this size, and which of them lie in front of the eye."""
        forward, right, down = self.axes
        seen = (xyz_world - self.eye) @ np.stack([right, down, forward], -1)
        depth = np.maximum(seen[:, 2:], 1e-6)
        focal = height / 2 / math.tan(math.radians(FIELD_DEG) / 2)
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        return focal * seen[:, :2] / depth + centre, seen[:, 2] > 0


def overview(
    stage: Stage, *, azimuth_deg: float = -50.0, elevation_deg: float = 24.0, aspect: float = 4 / 3
) -> Viewpoint:
    """A viewpoint from which everything on the stage is seen, from a direction around +Z and above the floor.

    Args:
        stage: what must be in the picture.
        azimuth_deg: direction of the eye seen from the middle, counter-clockwise from +X.
        elevation_deg: its height above the horizon.
        aspect: width by height of the picture.
    """
    points = np.concatenate([points_of(stage), *(place[None] for _, place in name_signs(stage))])
    low, high = points.min(0), points.max(0)
    target = (low + high) / 2
    a, e = math.radians(azimuth_deg), math.radians(elevation_deg)
    away = np.array([math.cos(a) * math.cos(e), math.sin(a) * math.cos(e), math.sin(e)])
    return _framed(Viewpoint(target + 1000.0 * away, target), points, aspect)


def views_in_sight(stage: Stage, viewpoint: Viewpoint) -> list[int]:
    """The cameras of the stage but for those that the reader stands beside: they would hide everything else."""
    if stage.cameras is None:
        return []
    distance = np.linalg.norm(stage.cameras.centres.double().numpy() - viewpoint.eye, axis=-1)
    return np.flatnonzero(distance > BESIDE * reach_of(stage)).tolist()


def turn_viewpoint(viewpoint: Viewpoint, degrees: float) -> Viewpoint:
    """The viewpoint after the eye went around the target, counter-clockwise seen from above."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y, z = viewpoint.eye - viewpoint.target
    return replace(viewpoint, eye=viewpoint.target + np.array([c * x - s * y, s * x + c * y, z]))


def approach(viewpoint: Viewpoint, share: float) -> Viewpoint:
    """The viewpoint after the eye went a share of the way to the target (negative: away from it)."""
    return replace(viewpoint, eye=viewpoint.eye + share * (viewpoint.target - viewpoint.eye))


def _framed(viewpoint: Viewpoint, points: Float[np.ndarray, "points 3"], aspect: float) -> Viewpoint:
    """The same direction, moved so that all points fill the picture but for a margin."""
    forward, right, down = viewpoint.axes
    slope = 0.9 * math.tan(math.radians(FIELD_DEG) / 2)
    target, distance = viewpoint.target, 0.0
    # Nearer things look larger, so the middle of the picture is not the middle of the things: a few rounds settle it.
    for _ in range(4):
        x, y, depth = ((points - target) @ axis for axis in (right, down, forward))
        distance = max(500.0, float(np.max(np.maximum(np.abs(x) / (slope * aspect), np.abs(y) / slope) - depth)))
        across, along = x / (distance + depth), y / (distance + depth)
        shift = (across.max() + across.min()) / 2 * right + (along.max() + along.min()) / 2 * down
        target = target + distance * shift
    return Viewpoint(target - distance * forward, target)
