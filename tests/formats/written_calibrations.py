"""Rigs as other programs write them: a file per camera, or all in one in layouts of their own."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import torch

from dispose.geometry.rigid import quaternion, rotation_vector
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import from_the_first, in_world, rig


def bent() -> Cameras:
    """A rig whose coefficients are five different numbers."""
    cameras = rig()
    cameras.distortion[:, 4] = torch.tensor([0.01, 0.02, -0.01])
    return cameras


def store(path: Path, entries: Mapping[str, Any]) -> None:
    """As OpenCV itself writes it; the ending says whether that is YAML, XML or JSON."""
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for key, value in entries.items():
        storage.write(key, value.contiguous().numpy() if isinstance(value, torch.Tensor) else value)
    storage.release()


def write_opencv_each(folder: Path, cameras: Cameras, ending: str, *, vector: bool) -> None:
    folder.mkdir(exist_ok=True)
    for v, name in enumerate(cameras.names):
        turn = rotation_vector(cameras.rotation[v])[:, None] if vector else cameras.rotation[v]
        store(
            folder / f"{name}{ending}",
            {
                "image_width": int(cameras.size[v, 0]), "image_height": int(cameras.size[v, 1]),
                "camera_matrix": cameras.matrix[v], "distortion_coefficients": cameras.distortion[v, :5, None],
                "rvec" if vector else "R": turn, "tvec" if vector else "T": cameras.translation[v, :, None],
            },
        )  # fmt: skip


def write_openpose_each(folder: Path, cameras: Cameras) -> None:
    """Metres; eight coefficients, and no size."""
    folder.mkdir(exist_ok=True)
    for v, name in enumerate(cameras.names):
        whole = torch.cat([cameras.rotation[v], cameras.translation[v, :, None] / 1000], 1)
        entries = {"CameraMatrix": whole, "Intrinsics": cameras.matrix[v], "Distortion": cameras.distortion[v, :, None]}
        store(folder / f"{name}.xml", entries)


def biocv(cameras: Cameras, v: int) -> str:
    whole = torch.eye(4, dtype=torch.float64)
    whole[:3, :3], whole[:3, 3] = cameras.rotation[v], cameras.translation[v]
    parts = (cameras.matrix[v], whole, cameras.distortion[v, :5][None])
    blocks = ["\n".join(" ".join(map(repr, row)) for row in part.tolist()) for part in parts]
    return "\n".join(str(int(side)) for side in cameras.size[v]) + "\n" + "\n\n".join(blocks) + "\n"


def write_biocv(folder: Path, cameras: Cameras, ending: str = ".mp4.calib") -> None:
    folder.mkdir(exist_ok=True)
    for v, name in enumerate(cameras.names):
        (folder / f"{name}{ending}").write_text(biocv(cameras, v))


def write_easymocap_xml(folder: Path, cameras: Cameras) -> None:
    folder.mkdir(exist_ok=True)
    inner, outer = {}, {}
    for v, name in enumerate(cameras.names):
        inner |= {f"K_{name}": cameras.matrix[v], f"dist_{name}": cameras.distortion[v, :5][None]}
        inner |= {f"W_{name}": float(cameras.size[v, 0]), f"H_{name}": float(cameras.size[v, 1])}
        outer |= {f"Rot_{name}": cameras.rotation[v], f"T_{name}": cameras.translation[v, :, None] / 1000}
    store(folder / "intri.xml", inner)
    store(folder / "extri.xml", outer)


EACH: dict[str, Callable[[Path, Cameras], None]] = {
    "OpenCV YAML": lambda folder, cameras: write_opencv_each(folder, cameras, ".yml", vector=False),
    "OpenCV XML": lambda folder, cameras: write_opencv_each(folder, cameras, ".xml", vector=True),
    "OpenCV JSON": lambda folder, cameras: write_opencv_each(folder, cameras, ".json", vector=False),
    "OpenPose": write_openpose_each,
    "BioCV": write_biocv,
    "BioCV without endings": lambda folder, cameras: write_biocv(folder, cameras, ""),
    "EasyMocap XML": write_easymocap_xml,
}
"""Each writes a folder."""


def poses(cameras: Cameras, unit: float = 1.0) -> torch.Tensor:
    """``camera_from_world`` as matrices of 4 x 4."""
    whole = torch.eye(4, dtype=torch.float64).repeat(len(cameras), 1, 1)
    whole[:, :3, :3], whole[:, :3, 3] = cameras.rotation, cameras.translation / unit
    return whole


def of_the_first(cameras: Cameras) -> Cameras:
    """The rig in the axes of its first camera, as they are written."""
    return in_world(from_the_first(cameras), "-y")


def multical(cameras: Cameras) -> str:
    """Metres, poses from the first camera."""
    inner = {
        name: {"model": "standard", "image_size": cameras.size[v].tolist(), "K": cameras.matrix[v].tolist(),
               "dist": cameras.distortion[v, :5][None].tolist()}
        for v, name in enumerate(cameras.names)
    }  # fmt: skip
    outer, first = of_the_first(cameras), cameras.names[0]
    told = {
        name if v == 0 else f"{name}_to_{first}": {
            "R": outer.rotation[v].tolist(), "T": (outer.translation[v] / 1000).tolist()
        }
        for v, name in enumerate(cameras.names)
    }  # fmt: skip
    return json.dumps({"cameras": inner, "camera_poses": told, "image_sets": {"rgb": []}})


def mc_calib(cameras: Cameras) -> str:
    """OpenCV's YAML, metres, how every camera stands in the axes of the first."""
    lines = ["%YAML:1.0", "---", f"nb_camera: {len(cameras)}"]
    stand = torch.linalg.inv(poses(of_the_first(cameras), 1000.0))
    for v in range(len(cameras)):
        numbers = {
            "camera_matrix": cameras.matrix[v], "distortion_vector": cameras.distortion[v, :5][None],
            "camera_pose_matrix": stand[v],
        }  # fmt: skip
        lines.append(f"camera_{v}:")
        for key, value in numbers.items():
            rows, columns = value.shape
            data = value.flatten().tolist()
            lines += [f"   {key}: !!opencv-matrix", f"      rows: {rows}", f"      cols: {columns}", "      dt: d"]
            lines += [f"      data: {data}"]
        width, height = (int(side) for side in cameras.size[v])
        lines += ["   distortion_type: 0", "   camera_group: 0", f"   img_width: {width}", f"   img_height: {height}"]
    return "\n".join(lines) + "\n"


def zju_mocap(cameras: Cameras) -> str:
    """Lists side by side, mm."""
    return json.dumps(
        {
            "K": cameras.matrix.tolist(), "D": cameras.distortion[:, :5, None].tolist(), "R": cameras.rotation.tolist(),
            "T": cameras.translation[..., None].tolist(), "image_size": cameras.size.tolist(),
        }
    )  # fmt: skip


def human36m(cameras: Cameras) -> str:
    """As its readers list its cameras: how they stand, as quaternions, and where, mm."""
    records = [
        {
            "id": name, "center": matrix[:2, 2].tolist(), "focal_length": matrix.diagonal()[:2].tolist(),
            "radial_distortion": lens[[0, 1, 4]].tolist(), "tangential_distortion": lens[2:4].tolist(),
            "res_w": int(size[0]), "res_h": int(size[1]), "azimuth": 70, "orientation": quaternion(turn.T).tolist(),
            "translation": centre.tolist(),
        }
        for name, matrix, lens, size, turn, centre in zip(
            cameras.names, cameras.matrix, cameras.distortion, cameras.size, cameras.rotation, cameras.centres,
            strict=True,
        )
    ]  # fmt: skip
    return json.dumps(records)


LAYOUTS: dict[str, Callable[[Cameras], str]] = {
    "multical.json": multical,
    "calibrated_cameras_data.yml": mc_calib,
    "annots.json": zju_mocap,
    "human36m.json": human36m,
}
"""Each makes the text of a file of that name."""
