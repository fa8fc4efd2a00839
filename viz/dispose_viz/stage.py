"""One instant in 3-D as a record that every 3-D renderer draws: plotly in the notebook, Open3D for pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from dispose.scene.cameras import Cameras
from dispose.scene.poses import Poses


@dataclass(frozen=True, eq=False)
class Ray:
    """A line of sight from a camera to the point of the scene that it speaks of.

    Attributes:
        start: the camera's centre, mm.
        end: where the ray ends, mm.
        person: the id whose colour it takes, `ABSENT` = nobody's.
    """

    start: Float[np.ndarray, " 3"]
    end: Float[np.ndarray, " 3"]
    person: int


@dataclass(frozen=True, eq=False)
class Stage:
    """What stands in the scene at one instant; what is not known is empty or None.

    Attributes:
        people: skeletons in person colours, joints faded by their confidence.
        cameras: frusta with names.
        pictures: what each camera saw (RGB), hung into its frustum; None for a camera without a picture.
        ghosts: other skeletons to compare with, drawn pale behind: the truth, or another method's answer.
        trails: the same people in earlier frames, oldest first: where everybody came from.
        rays: lines of sight.
    """

    people: Poses
    cameras: Cameras | None = None
    pictures: tuple[UInt8[np.ndarray, "height width 3"] | None, ...] = ()
    ghosts: Poses | None = None
    trails: tuple[Poses, ...] = ()
    rays: tuple[Ray, ...] = ()
