"""One person at one instant, as several cameras see them; and how a person is cut out of the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dispose.datasets.layouts.source import Layout
from dispose.datasets.multiview import read_raw, warp_views
from dispose.errors import InputError
from dispose.geometry.image_affine import crop
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Poses

MARGIN = 1.3
"""Side of a square around a person, in extents of their joints, as the recipes train with."""


@dataclass(frozen=True, eq=False)
class Person:
    """One person at one instant: the images as they were taken (RGB; None where a view has none), and the truth."""

    number: int
    cameras: Cameras
    images: Sequence[np.ndarray | None]
    poses: Poses


def cut_out(person: Person, input_size: tuple[int, int], *, margin: float, jitter: float = 0.0, seed: int = 0) -> Frame:
    """A square around the joints of the only person in every view, as a network takes it.

    The squares come from the true joints, as in the published protocol.

    Raises:
        InputError: there is not exactly one person, or a view sees it from behind the camera.
    """
    poses, cameras = person.poses, person.cameras
    if len(poses.xyz_world) != 1 or not bool(poses.valid.any()):
        raise InputError(f"frame {person.number}: {len(poses.xyz_world)} people where exactly one is expected")
    xy, front = cameras.project(poses.xyz_world[0, poses.valid[0]])
    if not bool(front.all()):
        raise InputError(f"frame {person.number}: the person stands behind one of the cameras")
    low, high = xy.amin(1), xy.amax(1)
    side = margin * (high - low).amax(-1, keepdim=True).expand_as(low)
    drawn = torch.rand(len(side), 3, generator=torch.Generator().manual_seed(seed), dtype=side.dtype) * 2 - 1
    centre = (low + high) / 2 + jitter * drawn[:, :2] * side
    affine = crop(centre, side * (1 + jitter * drawn[:, 2:]), input_size)
    return Frame.of_images(person.number, cameras, warp_views(person.images, affine, input_size))


class RecordedPeople:
    """The instants of a data set in its original layout, such as Human3.6M's, that have one labelled person."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.skeleton = layout, layout.traits.skeleton

    def __len__(self) -> int:
        return len(self.layout.keys)

    def views(self, row: int) -> int:
        """Number of cameras."""
        return len(self.layout.rigs[self.layout.keys[row].sequence])

    def person(self, row: int) -> Person:
        """An instant, its images read from their files."""
        key = self.layout.keys[row]
        raw = read_raw(self.layout, key)
        return Person(raw.number, raw.cameras, raw.images, self.layout.truth(key).poses)
