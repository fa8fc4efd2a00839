"""Synthetic captures with pictures kept on disk, chunk by chunk: drawn once, learned from often."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dispose.formats.files import replacing_path
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, Labels
from dispose.scene.poses import Poses
from dispose.skeletons.catalog import PANOPTIC_15
from dispose_synthetic.renderer.captures import RenderConfig, RenderedFrame, as_input, as_labels, sample_captures

CAMERA_FIELDS = ("size", "matrix", "distortion", "rotation", "translation")

HELD_OUT_CHUNK = 1_000_000
"""Chunk numbers from here on are never trained on."""


def captures_of_chunk(config: RenderConfig, seed: int, chunk: int, frames: int) -> list[RenderedFrame]:
    """The captures of a chunk: a function of the seed and the chunk's number."""
    generator = torch.Generator().manual_seed(seed * 10_000_019 + chunk)
    return list(sample_captures(generator, frames, config))


def render_shard(config: RenderConfig, seed: int, frames: int, chunk: int, path: Path) -> None:
    """Draw and write the captures of one chunk; the file appears complete or not at all."""
    captures = captures_of_chunk(config, seed, chunk, frames)
    tensors: dict[str, Tensor] = {
        "views_of": torch.tensor([len(c.cameras) for c in captures]),
        "persons_of": torch.tensor([len(c.poses.id) for c in captures]),
        "pictures": torch.cat([c.images for c in captures]),
        "xyz": torch.cat([c.poses.xyz_world for c in captures]),
        "visible": torch.cat([c.visible.flatten(0, 1) for c in captures]),
        "inside": torch.cat([c.inside.flatten(0, 1) for c in captures]),
    }
    for name in CAMERA_FIELDS:
        tensors[name] = torch.cat([vars(c.cameras)[name] for c in captures])
    with replacing_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary)


class RenderedShards:
    """The captures of some chunks as an `ImageSource`; pictures are read when they are asked for.

    Augmented copies are not made: the pictures come from rigs, rooms and people that are all drawn at random.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        # No open files are kept: a bank is copied with the task that holds it, and sent to other processes.
        self._paths = list(paths)
        self._small = [_all_but_pictures(path) for path in paths]
        self._place = [
            (chunk, frame) for chunk, small in enumerate(self._small) for frame in range(len(small["views_of"]))
        ]
        self._first_view = [_starts(small["views_of"]) for small in self._small]
        self._first_person = [_starts(small["persons_of"]) for small in self._small]
        self._first_pair = [_starts(small["views_of"] * small["persons_of"]) for small in self._small]

    def __len__(self) -> int:
        return len(self._place)

    def views(self, row: int) -> int:
        """Number of cameras of a capture."""
        chunk, frame = self._place[row]
        return int(self._small[chunk]["views_of"][frame])

    def capture(self, row: int) -> RenderedFrame:
        """One capture as it was drawn."""
        chunk, frame = self._place[row]
        small, views = self._small[chunk], self.views(row)
        persons = int(small["persons_of"][frame])
        view = slice(self._first_view[chunk][frame], self._first_view[chunk][frame] + views)
        person = slice(self._first_person[chunk][frame], self._first_person[chunk][frame] + persons)
        pair = slice(self._first_pair[chunk][frame], self._first_pair[chunk][frame] + views * persons)
        cameras = Cameras(tuple(f"camera{v}" for v in range(views)), *(small[name][view] for name in CAMERA_FIELDS))
        xyz = small["xyz"][person]
        known = torch.ones(xyz.shape[:2], dtype=torch.bool)
        poses = Poses(PANOPTIC_15, xyz, known.to(xyz.dtype), known, torch.arange(persons))
        with safe_open(self._paths[chunk], "pt") as file:
            pictures = file.get_slice("pictures")[view]
        inside, visible = (small[n][pair].unflatten(0, (views, persons)) for n in ("inside", "visible"))
        return RenderedFrame(cameras, pictures, poses, inside, visible)

    def copies(self, row: int, count: int, generator: torch.Generator) -> list[tuple[Frame, Labels]]:
        """The capture once (`count` is not used, see the class)."""
        capture = self.capture(row)
        return [(as_input(capture, row), as_labels(capture))]


def _all_but_pictures(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys() if name != "pictures"}  # noqa: SIM118


def _starts(counts: Tensor) -> list[int]:
    return [0, *accumulate(counts.tolist())]
