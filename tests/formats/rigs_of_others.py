"""Rigs as other programs write them, and the rig that they should be read as."""

from dataclasses import replace

import torch
from torch.testing import assert_close

from dispose.formats.calibration.rig import OURS_FROM_UP
from dispose.geometry.rigid import look_at, quaternion
from dispose.scene.cameras import Cameras

POINTS = torch.tensor([[300.0, -200.0, 1500.0], [-500.0, 400.0, 900.0], [0.0, 0.0, 100.0]], dtype=torch.float64)


def rig(names: tuple[str, ...] = ("cam1", "cam2", "cam3")) -> Cameras:
    angle = 0.4 + 2 * torch.arange(3, dtype=torch.float64)
    centre = torch.stack([4000 * angle.cos(), 4000 * angle.sin(), 2000 + 200 * angle], -1)
    target = torch.tensor([0.0, 0.0, 900.0], dtype=torch.float64).expand(3, 3)
    rotation, translation = look_at(centre, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    matrix = torch.tensor([[1100.5, 0, 959.5], [0, 1080.25, 539.5], [0, 0, 1]], dtype=torch.float64).repeat(3, 1, 1)
    lens = torch.tensor([-0.2, 0.05, 1e-3, -2e-3, 0, 0, 0, 0], dtype=torch.float64).repeat(3, 1)
    size = torch.tensor([1920.0, 1080.0], dtype=torch.float64).repeat(3, 1)
    return Cameras(names, size, matrix, lens, rotation, translation)


def in_world(cameras: Cameras, up: str) -> Cameras:
    """The same rig in a world where that axis points up."""
    return replace(cameras, rotation=cameras.rotation @ torch.tensor(OURS_FROM_UP[up], dtype=torch.float64))


def assert_same(found: Cameras, cameras: Cameras, tolerance: float = 1e-6) -> None:
    assert_close(found.project(POINTS)[0], cameras.project(POINTS)[0], atol=tolerance, rtol=0)
    assert_close(found.centres, cameras.centres, atol=tolerance, rtol=0)
    assert_close(found.size, cameras.size)


def voxelpose(cameras: Cameras) -> list[dict]:
    return [
        {
            "R": cameras.rotation[v].tolist(), "T": cameras.centres[v][:, None].tolist(),
            "fx": float(cameras.matrix[v, 0, 0]), "fy": float(cameras.matrix[v, 1, 1]),
            "cx": float(cameras.matrix[v, 0, 2]), "cy": float(cameras.matrix[v, 1, 2]),
            "k": [[float(cameras.distortion[v, 0])], [float(cameras.distortion[v, 1])], [0]],
            "p": [[float(cameras.distortion[v, 2])], [float(cameras.distortion[v, 3])]],
        }
        for v in range(3)
    ]  # fmt: skip


def kalibr(cameras: Cameras, lens: str = "radtan") -> str:
    lines = []
    for v, name in enumerate(cameras.names):
        fx, fy, cx, cy = (float(cameras.matrix[v][at]) for at in ((0, 0), (1, 1), (0, 2), (1, 2)))
        lines += [
            f"{name}:", "  camera_model: pinhole", f"  intrinsics: [{fx}, {fy}, {cx}, {cy}]",
            f"  distortion_model: {lens}", f"  distortion_coeffs: {cameras.distortion[v, :4].tolist()}",
            f"  resolution: {[int(x) for x in cameras.size[v]]}", "  rostopic: /x/image_raw",
        ]  # fmt: skip
        if v:
            turn = cameras.rotation[v] @ cameras.rotation[v - 1].T
            shift = (cameras.translation[v] - turn @ cameras.translation[v - 1]) / 1000
            rows = torch.cat([torch.cat([turn, shift[:, None]], 1), torch.tensor([[0.0, 0, 0, 1]])]).tolist()
            lines += ["  T_cn_cnm1:", *(f"  - {row}" for row in rows)]
    return "\n".join(lines) + "\n"


def from_the_first(cameras: Cameras) -> Cameras:
    """The rig in a world whose axes are the first camera's, turned so that its y is down."""
    first, ours = cameras.rotation[0], torch.tensor(OURS_FROM_UP["-y"], dtype=torch.float64)
    turn = cameras.rotation @ first.T
    shift = cameras.translation - (turn @ cameras.translation[0])
    return replace(cameras, rotation=turn @ ours.T, translation=shift)


def vicon(cameras: Cameras) -> str:
    lines = ["<Cameras>"]
    for v, name in enumerate(cameras.names):
        w, x, y, z = quaternion(cameras.rotation[v]).tolist()
        aspect = float(cameras.matrix[v, 0, 0] / cameras.matrix[v, 1, 1])
        lines.append(
            f'<Camera DEVICEID="{name}" TYPE="VideoCamera" SENSOR_SIZE="1920 1080" PIXEL_ASPECT_RATIO="{aspect!r}">'
            f'<KeyFrames><KeyFrame FOCAL_LENGTH="{float(cameras.matrix[v, 0, 0])!r}" '
            f'PRINCIPAL_POINT="{float(cameras.matrix[v, 0, 2])} {float(cameras.matrix[v, 1, 2])}" '
            f'ORIENTATION="{x!r} {y!r} {z!r} {w!r}" POSITION="{" ".join(map(repr, cameras.centres[v].tolist()))}" '
            f'VICON_RADIAL2="ViconRadial2 960 540 -0.2 0.05 0.01"/></KeyFrames></Camera>'
        )
    return "\n".join([*lines, "</Cameras>"])
