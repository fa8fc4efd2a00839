"""Human3.6M motion (ionescu2014h36m) as motion prediction uses it: one skeleton, root paths, no cameras of their own.

Every clip is placed in the room of Human3.6M's cameras by a rule that needs nothing but its name, so that everybody who
follows it sees the same people (`place_clip`).
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from dispose.datasets.tables.reading import read_columns, require
from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.skeletons.catalog import H36M_17

FLOOR_MM = np.array([1200.0, 1600.0])
"""Half the sides of the floor that the cameras see in full."""

HEADINGS = 16
SEED = 7


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording: whose, doing what, its name; number (50 Hz) and joints of every frame, mm, +Z up."""

    subject: str
    action: str
    source: str
    frame: np.ndarray
    xyz: Float[Tensor, "frames joints 3"]


def read_clips(folder: Path) -> list[Clip]:
    """All recordings of the table ``h36m_motion``, at 5 Hz.

    Raises:
        InputError: a file or a column is missing; the joints are others than `H36M_17`'s.
    """
    path = folder / "meta.json"
    told = Entry.of_json(require(path))
    if told.at("poses").at("joints").value != list(H36M_17.joints):
        raise InputError(f"{path}: its joints are not those of {H36M_17.name}: {', '.join(H36M_17.joints)}.")
    clip, frame, keypoints = read_columns(folder / "poses.npz", ("clip", "source_frame", "kpts"))
    found = []
    for one in told.at("clips").items():
        mine = clip == one.at("clip").whole()
        subject, action, source = (one.at(key).text() for key in ("subject", "action", "source"))
        xyz = torch.from_numpy(keypoints[mine][..., :3].astype(np.float64))
        found.append(Clip(subject, action, source, frame[mine], xyz))
    return found


def place_clip(clip: Clip, middle: Float[Tensor, " 2"], *, seed: int = SEED) -> Float[Tensor, "frames joints 3"]:
    """A clip turned and moved so that its path fits the floor round `middle` (mm), by its name and the seed alone."""
    draw = np.random.default_rng([seed, zlib.crc32(clip.source.encode())])
    path = clip.xyz[:, 0, :2].numpy()
    headings = draw.uniform(0, 2 * np.pi, HEADINGS)
    turns = [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in headings]
    boxes = [((path @ turn.T).min(0), (path @ turn.T).max(0)) for turn in turns]
    excess = [float(((high - low) / 2 - FLOOR_MM).max()) for low, high in boxes]
    fitting = [row for row, over in enumerate(excess) if over <= 0]
    row = fitting[0] if fitting else int(np.argmin(excess))
    low, high = boxes[row]
    free = np.maximum(0.0, FLOOR_MM - (high - low) / 2)
    shift = middle.numpy() + draw.uniform(-1, 1, 2) * free - (low + high) / 2
    placed = clip.xyz.clone()
    placed[..., :2] = clip.xyz[..., :2] @ torch.from_numpy(turns[row]).T + torch.from_numpy(shift)
    return placed
