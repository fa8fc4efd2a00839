"""What is known of one person over time: what every frame claims, and the keypoints of all cameras as rays."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from dispose.association.claims import usual_noise
from dispose.association.packing import box_diagonal
from dispose.scene.cameras import Cameras

NEAREST = 0.05
"""A ray at so large an angle to the camera's axis that its third coordinate is smaller than this says nothing here."""


@dataclass(frozen=True, eq=False)
class TrackKeypoints:
    """One person's keypoints without the lens: ``x / z, y / z`` in camera coordinates, and what they scatter by there.

    Attributes:
        rotation: of ``camera_from_world``.
        translation: mm.
        focal_px: pixels per unit of `place`.
        place: 0 where not seen.
        seen: which keypoints there are.
        noise: usual standard deviation of a keypoint, in units of `place`; 1 where not seen.
    """

    rotation: Float[np.ndarray, "views 3 3"]
    translation: Float[np.ndarray, "views 3"]
    focal_px: Float[np.ndarray, " views"]
    place: Float[np.ndarray, "frames views joints 2"]
    seen: Bool[np.ndarray, "frames views joints"]
    noise: Float[np.ndarray, "frames views joints"]


@dataclass(frozen=True, eq=False)
class Track:
    """One person from their first frame to their last, without a gap in the frames; mm, seconds.

    Attributes:
        seconds: time of every frame, rising.
        xyz_world: joints by every frame alone; 0 where not known.
        known: which it says.
        covariance: what it claims, mm².
        keypoints: what the cameras saw.
    """

    seconds: Float[np.ndarray, " frames"]
    xyz_world: Float[np.ndarray, "frames joints 3"]
    known: Bool[np.ndarray, "frames joints"]
    covariance: Float[np.ndarray, "frames joints 3 3"]
    keypoints: TrackKeypoints


def track_keypoints(
    cameras: Cameras,
    xy_image: Float[np.ndarray, "frames views joints 2"],
    seen: Bool[np.ndarray, "frames views joints"],
) -> TrackKeypoints:
    """Keypoints (pixels) of one person before a rig; any lens."""
    xy, shown = torch.from_numpy(xy_image).double(), torch.from_numpy(seen)
    xy = torch.where(shown[..., None], xy, 0.0)
    frames, views, joints = shown.shape
    by_view = xy.transpose(0, 1).reshape(views, frames * joints, 2)
    ray = (cameras.directions(by_view) @ cameras.rotation.mT).reshape(views, frames, joints, 3).transpose(0, 1)
    shown = shown & (ray[..., 2] > NEAREST)
    focal = (cameras.matrix[:, 0, 0] + cameras.matrix[:, 1, 1]) / 2
    noise = usual_noise(box_diagonal(xy, shown)[..., None], xy, cameras.size[:, None]) / focal[:, None]
    place = torch.where(shown[..., None], ray[..., :2] / torch.where(shown, ray[..., 2], 1.0)[..., None], 0.0)
    return TrackKeypoints(
        cameras.rotation.numpy(),
        cameras.translation.numpy(),
        focal.numpy(),
        place.numpy(),
        shown.numpy(),
        torch.where(shown, noise, 1.0).numpy(),
    )


def image_errors(
    keypoints: TrackKeypoints, xyz_world: Float[np.ndarray, "frames joints 3"]
) -> tuple[Float[np.ndarray, "frames views joints 2"], Float[np.ndarray, "frames views joints 2 3"]]:
    """How far keypoints lie from joints, in units of `place`, and how joints move there per mm."""
    rotation = keypoints.rotation[None, :, None]
    camera = np.einsum("vik,fjk->fvji", keypoints.rotation, xyz_world) + keypoints.translation[:, None]
    depth = np.maximum(camera[..., 2:], 100.0)
    at = camera[..., :2] / depth
    # d(x/z) = (row_xy - (x/z) row_z) / z
    moves = (rotation[..., :2, :] - at[..., None] * rotation[..., 2:, :]) / depth[..., None]
    return keypoints.place - at, moves
