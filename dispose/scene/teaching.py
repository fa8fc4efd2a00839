"""Detections that never err, and cameras with one thing made wrong on purpose: for teaching and tests."""

import math
from dataclasses import replace

import torch

from dispose.errors import InputError
from dispose.geometry.rigid import rodrigues
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Poses
from dispose.tensors import ABSENT


def projected_frame(number: int, cameras: Cameras, poses: Poses) -> Frame:
    """The people as every camera sees them; slots are rows of `poses`.

    A joint is seen where it is known, in front of the camera and inside its image; a person of whom a view sees no
    joint is no detection there.
    """
    xy, front = cameras.project(torch.where(poses.valid[..., None], poses.xyz_world, 0.0).double())
    visible = front & poses.valid & cameras.inside(xy)
    confidence = torch.where(visible, poses.confidence.double(), 0.0)
    valid = visible.any(-1)
    index = torch.where(valid, torch.arange(valid.shape[1]), ABSENT)
    xy = torch.where(visible[..., None], xy, 0.0)
    return Frame(number, cameras, Detections(poses.skeleton, xy, confidence, visible, valid.double(), valid, index))


def knock_cameras(cameras: Cameras, degrees: float, mm: float, generator: torch.Generator) -> Cameras:
    """The calibration of a rig of which every camera was knocked: turned about its centre, and moved, any way."""
    draws = torch.randn(2, len(cameras), 3, dtype=torch.float64, generator=generator)
    turn, shift = draws / draws.norm(dim=-1, keepdim=True)
    rotation = rodrigues(math.radians(degrees) * turn) @ cameras.rotation
    centres = cameras.centres + mm * shift
    return replace(cameras, rotation=rotation, translation=-(rotation @ centres[..., None])[..., 0])


def rotate_camera(cameras: Cameras, view: int, degrees: float, *, axis: int = 1) -> Cameras:
    """The calibration of a rig of which one camera was knocked afterwards: turned about its own centre.

    Args:
        cameras: the rig.
        view: which camera.
        degrees: how far.
        axis: of the camera: 0 = its x (tilts), 1 = its y (pans), 2 = its line of sight (rolls).

    Raises:
        InputError: there is no such view.
    """
    if not 0 <= view < len(cameras):
        raise InputError(f"there is no view {view} to turn, the rig has {len(cameras)}.")
    vector = torch.zeros(3, dtype=cameras.rotation.dtype)
    vector[axis] = math.radians(degrees)
    turn = rodrigues(vector)
    rotation, translation = cameras.rotation.clone(), cameras.translation.clone()
    rotation[view], translation[view] = turn @ rotation[view], turn @ translation[view]
    return replace(cameras, rotation=rotation, translation=translation)


def read_as_millimetres(cameras: Cameras) -> Cameras:
    """The rig of a file in metres whose numbers were taken for millimetres."""
    return replace(cameras, translation=cameras.translation / 1000.0)


def turn_y_up(cameras: Cameras) -> Cameras:
    """The same rig in a world whose y axis points up."""
    turn = rodrigues(torch.tensor([math.pi / 2, 0.0, 0.0], dtype=torch.float64))
    return replace(cameras, rotation=cameras.rotation @ turn)


def exchange_cameras(cameras: Cameras, one: int, other: int) -> Cameras:
    """Two cameras that have each other's calibration."""
    order = list(range(len(cameras)))
    order[one], order[other] = other, one
    return replace(cameras.select(views=order), names=cameras.names)
