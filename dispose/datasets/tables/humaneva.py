"""HumanEva-I (sigal2010humaneva): two people in motion before three cameras, 15 joints by markers, no detections.

Markers are no skeleton: bones vary by 5 to 16 mm. What a detector would say is simulated from the truth, as
`dispose_synthetic.detectors.points` does.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dispose.datasets.tables.reading import Table, poses_of, read_cameras, read_columns, require
from dispose.errors import InputError
from dispose.formats.entry import Entry
from dispose.scene.frame import Detections, Frame, Labels
from dispose.skeletons.catalog import HUMANEVA_15

SUBJECTS = (1, 2)


def read_humaneva(
    folder: Path, *, split: str = "validation", every: int = 1, subjects: tuple[int, ...] = SUBJECTS
) -> Iterator[tuple[Frame, Labels]]:
    """Frames without detections, and their true people, in the order of the table.

    Args:
        folder: ``humaneva`` of the converted tables.
        split: of the source, ``train`` or ``validation``.
        every: one frame of so many of the split is read.
        subjects: whose frames; each has cameras of their own.

    Raises:
        InputError: a file is missing, or the table does not know the split.
    """
    frame, person, clip, keypoints = read_columns(folder / "poses.npz", ("frame", "person_id", "clip", "kpts"))
    clips = list(Entry.of_json(require(folder / "meta.json")).at("clips").items())
    wanted = [row.at("clip").whole() for row in clips if row.at("split").text() == split]
    if not wanted:
        known = sorted({row.at("split").text() for row in clips})
        raise InputError(f"{folder / 'meta.json'}: no clip of split {split!r}; known: {', '.join(known)}")
    rigs = {subject: read_cameras(folder / f"cameras_S{subject}.json") for subject in subjects}
    rows = np.flatnonzero(np.isin(clip, wanted))[::every]
    table = Table(frame, person, keypoints, np.ones(len(frame)), str(folder / "poses.npz"))
    for row in rows[np.isin(person[rows], subjects)]:
        cameras = rigs[int(person[row])]
        nobody = Detections.from_lists(HUMANEVA_15, [[]] * len(cameras))
        seen = torch.zeros(len(cameras), 0, dtype=torch.long)
        labels = Labels.of_detections(seen, poses_of(table.rows(np.array([row])), HUMANEVA_15))
        yield Frame(int(frame[row]), cameras, nobody), labels
