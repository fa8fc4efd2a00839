"""Rigs as other programs write them: a file per camera, or all in one in layouts of their own."""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import torch
import yaml

from dispose.geometry.rigid import quaternion, rotation_vector
from dispose.scene.cameras import Cameras
from tests.formats.rigs_of_others import from_the_first, in_world, kalibr, rig


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


def nerfstudio(cameras: Cameras) -> str:
    """A unit of 250 mm, intrinsics of every frame; OpenGL's camera axes."""
    stand = torch.linalg.inv(poses(cameras, UNITS["transforms.json"]))
    stand[:, :3, 1:3] *= -1
    frames = []
    for v, name in enumerate(cameras.names):
        fx, fy, cx, cy = (float(cameras.matrix[v][at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        k1, k2, p1, p2, k3 = cameras.distortion[v, :5].tolist()
        frames.append(
            {
                "file_path": f"images/{name}.png", "transform_matrix": stand[v].tolist(), "fl_x": fx, "fl_y": fy,
                "cx": cx + 0.5, "cy": cy + 0.5, "k1": k1, "k2": k2, "k3": k3, "p1": p1, "p2": p2,
            }
        )  # fmt: skip
    width, height = cameras.size[0].tolist()
    return json.dumps({"camera_model": "OPENCV", "w": width, "h": height, "frames": frames})


def theia(cameras: Cameras) -> str:
    """Qualisys' elements: pixels, and mm from the world to the camera."""
    lines = ["<calibration>", "<results/>", "<cameras>"]
    for v, name in enumerate(cameras.names):
        matrix, (k1, k2, p1, p2, k3) = cameras.matrix[v], cameras.distortion[v, :5].tolist()
        turn = " ".join(f'r{i + 1}{j + 1}="{float(cameras.rotation[v, i, j])!r}"' for i in range(3) for j in range(3))
        place = " ".join(f'{axis}="{x!r}"' for axis, x in zip("xyz", cameras.translation[v].tolist(), strict=True))
        width, height = cameras.size[v].tolist()
        lines += [
            f'<camera active="1" serial="{name}" viewrotation="0"><transform {place} {turn}/>',
            f'<intrinsic focallength="8" sensorMinU="0" sensorMaxU="{width - 1}" sensorMinV="0" sensorMaxV="{height}" '
            f'focalLengthU="{float(matrix[0, 0])!r}" focalLengthV="{float(matrix[1, 1])!r}" skew="0" '
            f'centerPointU="{float(matrix[0, 2])!r}" centerPointV="{float(matrix[1, 2])!r}" radialDistortion1="{k1!r}" '
            f'radialDistortion2="{k2!r}" radialDistortion3="{k3!r}" tangentalDistortion1="{p1!r}" '
            f'tangentalDistortion2="{p2!r}"/></camera>',
        ]
    return "\n".join([*lines, "</cameras></calibration>"])


def from_a_body(camchain: str) -> str:
    """Kalibr's chain of three cameras with the pose of each from a body that stands anywhere."""
    table, body = yaml.safe_load(camchain), torch.eye(4, dtype=torch.float64)
    body[:3, :3], body[:3, 3] = rig().rotation[1], torch.tensor([0.1, 0.2, -0.3])
    for camera in table.values():
        body = torch.tensor(camera.pop("T_cn_cnm1", torch.eye(4).tolist()), dtype=torch.float64) @ body
        camera["T_cam_imu"] = body.tolist()
    return yaml.safe_dump(table)


def write_colmap_binary(folder: Path, cameras: Cameras, name: str = "{}/0007.png") -> None:
    """As COLMAP writes its models, of a unit of 250 mm: FULL_OPENCV, and points that nobody reads."""
    folder.mkdir(parents=True, exist_ok=True)
    count = struct.pack("<Q", len(cameras))
    lenses, images = [count], [count]
    for v, camera in enumerate(cameras.names):
        matrix = cameras.matrix[v]
        middle = matrix[:2, 2] + 0.5
        numbers = [matrix[0, 0], matrix[1, 1], *middle, *cameras.distortion[v]]
        lenses.append(struct.pack("<IiQQ12d", v + 1, 6, *map(int, cameras.size[v]), *map(float, numbers)))
        pose = (*quaternion(cameras.rotation[v]), *(cameras.translation[v] / 250.0))
        images.append(struct.pack("<I7dI", v + 5, *map(float, pose), v + 1) + name.format(camera).encode() + b"\0")
        images.append(struct.pack("<Q", 2) + struct.pack("<ddq", 1.0, 2.0, -1) * 2)
    (folder / "cameras.bin").write_bytes(b"".join(lenses))
    (folder / "images.bin").write_bytes(b"".join(images))


UNITS = {"transforms.json": 250.0, "COLMAP binary": 250.0}

EACH: dict[str, Callable[[Path, Cameras], None]] = {
    "OpenCV YAML": lambda folder, cameras: write_opencv_each(folder, cameras, ".yml", vector=False),
    "OpenCV XML": lambda folder, cameras: write_opencv_each(folder, cameras, ".xml", vector=True),
    "OpenCV JSON": lambda folder, cameras: write_opencv_each(folder, cameras, ".json", vector=False),
    "OpenPose": write_openpose_each,
    "BioCV": write_biocv,
    "BioCV without endings": lambda folder, cameras: write_biocv(folder, cameras, ""),
    "EasyMocap XML": write_easymocap_xml,
    "COLMAP binary": lambda folder, cameras: write_colmap_binary(folder, cameras),
}
"""Each writes a folder."""

LAYOUTS: dict[str, Callable[[Cameras], str]] = {
    "multical.json": multical,
    "calibrated_cameras_data.yml": mc_calib,
    "annots.json": zju_mocap,
    "human36m.json": human36m,
    "transforms.json": nerfstudio,
    "theia.txt": theia,
    "camchain-imucam.yaml": lambda cameras: from_a_body(kalibr(cameras)),
}
"""Each makes the text of a file of that name."""
