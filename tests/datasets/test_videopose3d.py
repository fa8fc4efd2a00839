"""VideoPose3D's files of Human3.6M: four real views of one person, and the lens they are made with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dispose.datasets.human36m_choice import Rigs
from dispose.datasets.tables.videopose3d import CAMERAS, RAW_ROWS, read_videopose3d
from dispose.errors import InputError
from dispose.geometry.human36m_lens import distort_human36m, opencv_place, undistort_human36m
from dispose.geometry.pinhole import distort
from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17, H36M_17
from dispose_synthetic.rigs import STUDIO, sample_rigs

LENS = torch.tensor([-0.2071, 0.2478, -0.00142, -0.00098, -0.0031, 0, 0, 0], dtype=torch.float64)
"""One of the data set's."""

SIDES = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


@dataclass
class Files:
    """What the three files hold before they are written."""

    space: dict[str, Any]
    images: dict[str, Any]
    metadata: Any
    rig: Cameras

    def write(self, folder: Path) -> tuple[Path, Path, Rigs]:
        np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(self.space, object))
        np.savez_compressed(
            folder / "data_2d_h36m_gt.npz",
            positions_2d=np.array(self.images, object), metadata=np.array(self.metadata, object),
        )  # fmt: skip
        rig = replace(self.rig, names=CAMERAS, distortion=LENS.expand(4, 8))
        return folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz", lambda _: rig


@pytest.fixture
def files() -> Files:
    """Three frames of a person, projected by Human3.6M's own lens; one camera films for two frames more."""
    rig = sample_rigs(torch.Generator().manual_seed(5), 1, 4, [STUDIO])[0]
    xyz = np.random.default_rng(2).normal([0, 0, 1.0], 0.4, (5, 32, 3))
    camera = rig.to_camera(1000 * torch.from_numpy(xyz[:, list(RAW_ROWS)]))
    bent = distort_human36m(camera[..., :2] / camera[..., 2:], LENS)
    xy = torch.einsum("vij,v...j->v...i", rig.matrix[:, :2, :2], bent) + rig.matrix[:, None, None, :2, 2]
    views = [view[: 5 if row == 2 else 3].numpy() for row, view in enumerate(xy)]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": SIDES}
    space = {"S1": {"Walking 1": xyz[:3].astype(np.float32), "Eating": xyz[:3].astype(np.float32)}}
    return Files(space, {"S1": {"Walking 1": views, "Posing": views}}, metadata, rig)


def test_keypoints_fall_on_the_joints_of_the_truth(files: Files, tmp_path: Path):
    found = read_videopose3d(*files.write(tmp_path))
    # Only what both files have, and as long as the motion capture.
    assert list(found) == ["S1/Walking 1"] and len(found["S1/Walking 1"]) == 3
    for frame, labels in found["S1/Walking 1"]:
        seen, _ = frame.cameras.project(labels.poses.xyz_world)
        assert frame.detections.skeleton == H36M_17 and bool(frame.detections.visible.all())
        # Positions are stored in single precision: 0.0001 mm.
        torch.testing.assert_close(frame.detections.xy_image, seen, atol=2e-3, rtol=0)
        assert labels.identity.tolist() == [[0]] * 4 and frame.cameras.names[1] == "55011271"
    place = 1000 * files.space["S1"]["Walking 1"][2, 27]
    np.testing.assert_allclose(labels.poses.xyz_world[0, H36M_17.index("r_wrist")], place, rtol=1e-6)


def test_human36ms_lens_has_half_of_opencvs_cross_terms():
    xy = (torch.rand(200, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 0.5) * 0.8
    k1, k2, p1, p2, k3 = LENS[:5].tolist()
    x, y = xy.unbind(-1)
    r2 = x * x + y * y
    cross = torch.stack([p1 * x * y + p2 * x * x, p1 * y * y + p2 * x * y], -1)
    torch.testing.assert_close(distort(xy, LENS) - distort_human36m(xy, LENS), cross)
    radial_only = distort_human36m(xy, LENS * torch.tensor([1, 1, 0, 0, 1, 0, 0, 0]))
    torch.testing.assert_close(radial_only, xy * (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3)[:, None])
    torch.testing.assert_close(undistort_human36m(distort_human36m(xy, LENS), LENS), xy, atol=1e-9, rtol=0)
    matrix = torch.tensor([[1145.0, 0, 512], [0, 1143, 515], [0, 0, 1]], dtype=torch.float64)
    seen = xy * torch.tensor([1145.0, 1143.0]) + torch.tensor([512.0, 515.0])
    assert torch.equal(opencv_place(seen, matrix, torch.zeros(8).double()).round(decimals=9), seen.round(decimals=9))


def test_cocos_joints_are_told_by_their_symmetry(files: Files, tmp_path: Path):
    files.metadata = {"keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]]}
    files.images["S1"]["Walking 1"][1][0, 4] = np.nan
    frame, _ = read_videopose3d(*files.write(tmp_path))["S1/Walking 1"].frame(0)
    assert frame.detections.skeleton == COCO_17
    assert (~frame.detections.visible).nonzero().tolist() == [[1, 0, 4]]


def longer(files: Files) -> None:
    files.images["S1"]["Walking 1"][3] = files.images["S1"]["Walking 1"][3][:2]


def nowhere(files: Files) -> None:
    files.space["S1"]["Walking 1"][1, 3, 0] = np.inf


BAD: dict[str, tuple[Callable[[Files], Any], str]] = {
    "a camera stops early": (longer, r"gt\.npz: S1, Walking 1, camera 60457274: 2 frames, the motion capture has 3"),
    "a joint nowhere": (nowhere, r"3d_h36m\.npz: S1, Walking 1: frame 1 has a joint that is no number"),
    "a camera lacks": (lambda f: f.images["S1"]["Walking 1"].pop(), "3 cameras, there must be 4"),
    "no joints": (lambda f: f.images["S1"]["Walking 1"].__setitem__(0, np.zeros((3, 16, 2))), r"\[3, 16, 2\], not"),
    "17 joints": (lambda f: f.space["S1"].update({"Walking 1": np.zeros((3, 17, 3))}), r"\[3, 17, 3\], not"),
    "nothing in common": (lambda f: f.space.pop("S1"), "no action of any subject"),
    "no symmetry": (lambda f: f.metadata.pop("keypoints_symmetry"), "keypoints_symmetry"),
    "other symmetry": (lambda f: f.metadata.update(keypoints_symmetry=[[1], [2]]), r"\[\[1\], \[2\]\] is neither"),
    "no tree": (lambda f: setattr(f, "images", [1]), "no dictionary 'positions_2d'"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_files_are_refused_in_one_sentence(files: Files, tmp_path: Path, name: str):
    change, sentence = BAD[name]
    change(files)
    with pytest.raises(InputError, match=sentence) as stop:
        read_videopose3d(*files.write(tmp_path))
    assert "\n" not in str(stop.value)
