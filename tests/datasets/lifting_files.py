"""Small files of Human3.6M and MPI-INF-3DHP in the forms that circulate, all of the same made people."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dispose.datasets.human36m_choice import CAMERAS, RAW_ROWS
from dispose.datasets.labelled_people import screen_of_pixels
from dispose.formats.human36m import IMAGE_SIZES
from dispose.geometry.human36m_lens import distort_human36m
from dispose.scene.cameras import Cameras
from dispose_synthetic.human36m_rig import human36m_rig

FRAMES = 9
SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


@dataclass
class Recording:
    """One subject in one recording: raw joints in metres, and all of them in every view, as the data set shows them."""

    subject: str
    name: str
    rig: Cameras
    raw: np.ndarray

    @property
    def xyz_camera(self) -> torch.Tensor:
        """Every view, frame and raw joint, mm."""
        return self.rig.to_camera(1000 * torch.from_numpy(self.raw))

    @property
    def pixels(self) -> np.ndarray:
        """Where Human3.6M's own lens shows them."""
        camera = self.xyz_camera
        bent = distort_human36m(camera[..., :2] / camera[..., 2:], self.rig.distortion[:, None, None])
        xy = torch.einsum("vij,vfkj->vfki", self.rig.matrix[:, :2, :2], bent) + self.rig.matrix[:, None, None, :2, 2]
        return xy.numpy()

    @property
    def projected(self) -> np.ndarray:
        """Where OpenCV's lens shows the seventeen joints."""
        return self.rig.project(1000 * torch.from_numpy(self.raw[:, list(RAW_ROWS)]))[0].numpy()


def recordings() -> list[Recording]:
    """Two people in one recording each; raw joints 13, 16 and 24 are one place."""
    drawn = np.random.default_rng(4)
    found = []
    for subject, name in (("S9", "Walking 1"), ("S11", "Photo")):
        raw = drawn.normal([0, 0, 1.0], 0.35, (FRAMES, 32, 3))
        raw[:, 16], raw[:, 24] = raw[:, 13], raw[:, 13]
        found.append(Recording(subject, name, human36m_rig(subject), raw))
    return found


def write_npz(folder: Path, some: list[Recording], *, mixtures: bool = False, screen: bool = False) -> Path:
    """`data_3d_h36m.npz` and a file of keypoints, or of mixtures of three parts."""
    space = {one.subject: {one.name: one.raw.astype(np.float32)} for one in some}
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(space, object))
    images: dict[str, Any] = {}
    for one in some:
        places = one.pixels[:, :, list(RAW_ROWS)]
        if mixtures:
            parts = np.zeros((*places.shape[:3], 3, 5))
            parts[..., 0] = [0.5, 0.5, 0.0]
            aside = np.array([6.0, 0.0])
            parts[..., 0, 1:3], parts[..., 1, 1:3] = places - aside, places + aside
            parts[..., 2, 1:] = np.nan
            parts[..., :2, 3:] = np.array([8.0, 4.0]) / (500 if screen else 1)
            places = parts
        images[one.subject] = {one.name: [np.concatenate([view, view[-1:]]) for view in places]}
    path = folder / ("data_2d_h36m_cpn_ft_h36m_dbb_gmm.npz" if mixtures else "data_2d_h36m_cpn_ft_h36m_dbb.npz")
    arrays = {"positions_2d": np.array(images, object)}
    if not mixtures:
        arrays["metadata"] = np.array({"keypoints_symmetry": SIDES}, object)
    np.savez_compressed(path, allow_pickle=True, **arrays)
    return path


def context_entries(some: list[Recording]) -> list[dict[str, Any]]:
    """A dictionary per frame and view, as Context-Aware PoseFormer's script makes them."""
    entries = []
    taken = [RAW_ROWS[k] if k != 8 else 16 for k in range(17)]
    for one in some:
        for view, camera in enumerate(CAMERAS):
            size = torch.tensor(IMAGE_SIZES.get(camera, (1000, 1000)), dtype=torch.float64)
            lens = one.rig.distortion[view].numpy()
            shared = {
                "R": one.rig.rotation[view].numpy(), "T": one.rig.centres[view].numpy()[:, None],
                "fx": one.rig.matrix[view, 0, :1].numpy(), "fy": one.rig.matrix[view, 1, 1:2].numpy(),
                "cx": one.rig.matrix[view, 0, 2:].numpy(), "cy": one.rig.matrix[view, 1, 2:].numpy(),
                "k": lens[[0, 1, 4]][:, None], "p": lens[[2, 3]][:, None],
            }  # fmt: skip
            seen = torch.from_numpy(one.pixels[view][:, list(RAW_ROWS)])
            for frame in range(FRAMES):
                entries.append({
                    "image": f"{one.subject}_{camera}_{frame + 1:06d}.jpg", "subject": int(one.subject[1:]),
                    "action": {"Walking 1": 14, "Photo": 12}[one.name], "subaction": 1, "camera_id": view,
                    "image_id": frame + 1, "camera": shared, "box": np.array([10.0, 20.0, 300.0, 400.0 + frame]),
                    "joints_2d_cpn": screen_of_pixels(seen[frame], size).numpy(),
                    "joints_3d": one.xyz_camera[view, frame, taken].numpy() / 1000,
                })  # fmt: skip
    return entries


def pickled(path: Path, value: object) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=3))
    return path


H5_ROW = np.dtype([
    ("action", "S16"), ("argmax_2d", "<f4", (2, 16)), ("cam", "S8"), ("crop_size", "<i4"), ("frame_orig", "<i4"),
    ("gt_2d", "<f4", (2, 17)), ("gt_2d_image_coords", "<f4", (2, 32)), ("gt_3d", "<f4", (3, 17)),
    ("hardsubset", "u1", (1,)), ("heatmap", "<f2", (16, 64, 64)), ("subaction", "S1"), ("subject", "S3"),
])  # fmt: skip
"""What h5py makes of the columns that PyTables writes for the release's description of a row."""

PEAKS = (27, 26, 25, 17)
"""Raw joints where the first peaks are put in these files."""


def h5_rows(some: list[Recording]) -> np.ndarray:
    """A row per frame and view; the maps of a row are its number, its first four peaks lie on `PEAKS`."""
    rows = np.zeros(len(some) * 4 * FRAMES, H5_ROW)
    number = 0
    for one in some:
        for view, camera in enumerate(CAMERAS):
            for frame in range(FRAMES):
                row, xy = rows[number], one.pixels[view, frame]
                corner, side = np.floor(xy.min(0)) - 20, int(np.ceil(np.ptp(xy, axis=0).max())) + 40
                row["action"], row["subject"], row["cam"] = one.name.split(" ")[0], one.subject, camera
                row["frame_orig"], row["crop_size"], row["hardsubset"] = 4 * frame + 3, side, number % 3 == 0
                row["gt_2d"], row["gt_3d"] = xy[list(RAW_ROWS)].T, one.xyz_camera[view, frame, list(RAW_ROWS)].numpy().T
                row["gt_2d_image_coords"] = ((xy - corner) / side).T
                row["argmax_2d"][:, :4] = row["gt_2d_image_coords"][::-1, list(PEAKS)]
                row["heatmap"] = number
                number += 1
    return rows
