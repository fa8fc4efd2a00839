"""`dispose smooth`: joints of finished results by all of their frames."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from dispose.errors import InputError
from dispose.formats.evidence import PEOPLE, PREDICTIONS
from dispose.formats.files import lock_folder, write_npz
from dispose.formats.person_table import PersonTable, prediction_names, prediction_rows, with_covariances
from dispose.formats.predictions import read_predictions, write_predictions
from dispose.formats.trc import write_trcs
from dispose.inference.smoothing import smooth_people
from dispose.options import PathOption, Positive, require_folder


@dataclass(frozen=True)
class SmoothCommand:
    """Joints over time: what the frames before and after say, weighed by how sure each frame is of a joint.

    RESULTS is a folder of `dispose predict`. Who is who stays as it is; joints that a frame does not know are filled
    where the frames round it do. Written are predictions.jsonl, predictions.npz and TRC files.
    """

    results: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RESULTS")]
    """Folder of finished results."""
    rate_hz: Positive
    """Frames per second: how far people move between two frames. With a wrong one joints get worse."""
    out: PathOption = None
    """Folder for the smoothed ones (default: RESULTS with -smooth behind its name)."""

    def run(self) -> int:
        """Read, smooth, write."""
        source = self.results
        if not (source / PREDICTIONS).is_file():
            raise InputError(f"{source}: holds no {PREDICTIONS}; name a folder of `dispose predict`.")
        folder = require_folder(self.out or source.with_name(f"{source.resolve().name}-smooth"))
        if folder.resolve() == source.resolve():
            raise InputError(f"--out {folder} is RESULTS itself; what each frame says would be lost.")
        saved = read_predictions(source / PREDICTIONS)
        if (source / PEOPLE).is_file():
            saved = with_covariances(source / PEOPLE, saved)
        frames = smooth_people(saved, self.rate_hz)
        table = dict(prediction_rows(frames, len(saved.cameras), len(saved.skeleton)))
        numbers = np.array([frame.number for frame in frames], dtype=np.int64)
        joints, who, when = (np.asarray(table[name]) for name in ("joints", "id", "frame"))
        with lock_folder(folder):
            write_predictions(folder / PREDICTIONS, saved.skeleton, saved.cameras, frames)
            write_npz(folder / PEOPLE, [*prediction_names(saved.skeleton, saved.cameras), *table.items()])
            people = PersonTable(saved.skeleton, numbers, when, who, joints)
            written = write_trcs(folder / "trc", source.resolve().name, people, self.rate_hz)
        before, after = (sum(int(one.poses.valid.sum()) for one in some) for some in (saved.frames, frames))
        print(f"{len(people.people)} people in {len(frames)} frames; joints known: {before} before, {after} now.")
        for path in (folder / PREDICTIONS, folder / PEOPLE, *written):
            print(f"wrote {path}")
        return 0
