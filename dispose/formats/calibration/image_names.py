"""Which camera took an image: rigs of images (COLMAP, nerfstudio) name files, not cameras."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import torch

from dispose.errors import InputError
from dispose.formats.calibration.rig import CameraParameters

FRAME = re.compile(r"[ _.-](?:frame_?)?\d+$", re.IGNORECASE)
LONG_FRAME = re.compile(r"\d{3,}$")
"""The number of a frame behind a camera's name; one of three digits is nothing else."""

SAME_POSE = 1e-6
"""Two poses that differ by less, a turn's entries or a share of the distance, are one."""


def by_camera(source: str, images: Sequence[CameraParameters]) -> tuple[CameraParameters, ...]:
    """One view per camera, of images that are named by their paths.

    ``cam1/0001.png`` and ``cam1_0001.png`` are of `cam1` where that leaves several cameras, each of one pose; otherwise
    every image is a camera named after its file. A folder that all images share says nothing.

    Raises `InputError` where a camera has several poses: it moves, or its images were calibrated one by one.
    """
    parts = [re.split(r"[/\\]", re.sub(r"\.\w+$", "", image.name.removeprefix("./"))) for image in images]
    shared = len(list(takewhile(lambda one: len(set(one)) == 1, zip(*(part[:-1] for part in parts), strict=False))))
    parts = [part[shared:] for part in parts]
    for names, of_frames in (
        (["/".join(part[:-1]) for part in parts], [part[-1] for part in parts]),
        ([FRAME.sub("", "/".join(part)) for part in parts], ["/".join(part) for part in parts]),
    ):
        if len(set(names)) < 2 or not all(names):
            continue
        first = dict(reversed(list(zip(names, images, strict=True))))
        apart = [at for at, name in enumerate(names) if not _same_pose(images[at], first[name])]
        if not apart:
            return tuple(replace(first[name], name=name) for name in dict.fromkeys(names))
        if all(LONG_FRAME.search(frame) for frame in of_frames):
            name = names[apart[0]]
            raise InputError(
                f"{source}: camera {name} has another pose in {images[apart[0]].name} than in {first[name].name}: keep "
                "one image of every camera, and of cameras that do not move."
            )
    return tuple(replace(image, name="/".join(part)) for part, image in zip(parts, images, strict=True))


def _same_pose(a: CameraParameters, b: CameraParameters) -> bool:
    far = max(float(torch.linalg.vector_norm(b.translation)), 1e-9)
    turned, moved = (a.rotation - b.rotation).abs().max(), (a.translation - b.translation).abs().max()
    return bool(turned < SAME_POSE) and bool(moved < SAME_POSE * far)
