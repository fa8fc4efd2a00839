"""Human3.6M (ionescu2014h36m) as Learnable Triangulation prepares it: one person, four cameras, indoors.

``extra/human36m-multiview-labels-GTbboxes.npy`` and, where there are pictures,
``processed/S9/Directions-1/imageSequence-undistorted/54138969/img_000001.jpg``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from dispose.datasets.layouts.source import FrameKey, Layout, Traits
from dispose.formats.human36m import Human36mLabels, read_human36m_labels
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Poses
from dispose.skeletons.catalog import MPII_17

LABELS = Path("extra") / "human36m-multiview-labels-GTbboxes.npy"

HUMAN36M = Traits(
    name="Human3.6M",
    skeleton=MPII_17,
    views=("54138969", "55011271", "58860488", "60457274"),
    image_size=(1000, 1000),
    input_size=(384, 384),
    space_size_mm=(8000.0, 8000.0, 2000.0),
    space_centre_mm=(0.0, 0.0, 800.0),
    score_threshold=0.2,
)

TRAINING_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")

DRIFTED = (("S9", "Greeting-2"), ("S9", "SittingDown-2"), ("S9", "Waiting-1"))
"""Recordings whose measured joints drift away from the pictures: left out where errors are absolute."""


def open_human36m(
    folder: Path,
    subjects: Sequence[str] = TEST_SUBJECTS,
    *,
    without: Sequence[tuple[str, str]] = (),
    every: int = 1,
    undistorted: bool = True,
) -> Layout:
    """Look through some subjects' instants, in the order of the labels file.

    A sequence is ``SUBJECT/ACTION``. A camera that has no box in a whole sequence is not in its rig (S11's Directions-2
    lacks 54138969); one that lacks some instants has no picture there.

    Args:
        folder: of the data set.
        subjects: whose instants; `TEST_SUBJECTS` are those of the literature.
        without: pairs of subject and action that are left out, as `DRIFTED`.
        every: of all these instants only every so many-th.
        undistorted: pictures without lens distortion, as the release takes them; else the original ones.
    """
    labels = read_human36m_labels(folder / LABELS)
    rows = labels.rows(subjects, without)[::every]
    names = [f"{labels.subjects[s]}/{labels.actions[a]}" for s, a in zip(
        labels.subject[rows].tolist(), labels.action[rows].tolist(), strict=True
    )]  # fmt: skip
    keys = tuple(FrameKey(name, number) for name, number in zip(names, labels.number[rows].tolist(), strict=True))
    rigs = {name: rig_of(labels, name, undistorted=undistorted) for name in dict.fromkeys(names)}
    pictures = "imageSequence-undistorted" if undistorted else "imageSequence"
    place = dict(zip(keys, rows.tolist(), strict=True))
    return Layout(HUMAN36M, keys, rigs, partial(image_path, folder, pictures), partial(people_of, labels, place))


def rig_of(labels: Human36mLabels, sequence: str, *, undistorted: bool) -> Cameras:
    """The cameras that have a box in some instant of a sequence."""
    subject, action = sequence.split("/")
    who = labels.subjects.index(subject)
    mine = (labels.subject == who) & (labels.action == labels.actions.index(action))
    rig = labels.rigs[who].select(views=labels.seen[mine].any(0).nonzero()[:, 0])
    return replace(rig, distortion=torch.zeros_like(rig.distortion)) if undistorted else rig


def image_path(folder: Path, pictures: str, key: FrameKey, camera: str) -> Path:
    """Where the image of a camera lies, or would; files count from 1."""
    return folder / "processed" / key.sequence / pictures / camera / f"img_{key.number + 1:06d}.jpg"


def people_of(labels: Human36mLabels, place: Mapping[FrameKey, int], key: FrameKey) -> Poses:
    """The one person of an instant."""
    xyz = labels.xyz_world[place[key]][None]
    known = torch.ones(xyz.shape[:2], dtype=torch.bool)
    return Poses(MPII_17, xyz, known.double(), known, torch.zeros(1, dtype=torch.long))
