"""Labels of several recordings as one file: each is finished by itself, and a killed run goes on with the others.

Until the end everything lies in ``.NAME.partial/`` beside the file: of finished recordings the labels, of the one that
was worked on the blocks of frames that were put together. The same command gives the same bytes, killed or not.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dispose.errors import InputError
from dispose.formats.files import parse_json, read_text, replacing, writing
from dispose.formats.folders import STATE, GrowingFolder, lock_folder, remove_leftovers
from dispose.formats.pseudo_labels import LabelledFrame, read_pseudo_labels, write_pseudo_labels
from dispose.inference.readings import Source
from dispose.preparation.labels import LabelSettings, label_frames, read_frames
from dispose.preparation.programme import Grouped
from dispose.preparation.report import SCHEMA, LabelReport, plain_sequence, text_of_report
from dispose.scene.results import Association
from dispose.skeletons.catalog import PANOPTIC_15

ACCOUNT, BLOCKS = "account.json", "blocks"
"""Of a finished recording, written last; and the folder of what is done of one."""


@dataclass(frozen=True, eq=False)
class UnlabelledRecording:
    """One recording: the name of its sequence, the names of its cameras in labels, its frames, and what is made how."""

    name: str
    cameras: tuple[str, ...]
    source: Source
    settings: LabelSettings


def renamed_cameras(place: str, cameras: Sequence[str], renamed: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The names of cameras in labels; `InputError` for one that is not there, and where two get one name."""
    for camera, _ in renamed:
        if camera not in cameras:
            raise InputError(f"--rename {camera}: {place} has no such camera (there is {', '.join(cameras)}).")
    names = tuple(dict(renamed).get(camera, camera) for camera in cameras)
    if len(set(names)) != len(names):
        raise InputError(f"--rename gives two cameras the same name: {', '.join(names)}.")
    return names


@dataclass(frozen=True)
class Prepared:
    """What was written, and the account in words."""

    labels: Path
    report: Path
    text: str


def prepare(out: Path, recordings: Sequence[UnlabelledRecording], provenance: Sequence[tuple[str, str]]) -> Prepared:
    """Make the labels of some recordings and write them, with the account as ``NAME.report.json`` beside.

    Args:
        out: the `.npz`.
        recordings: with cameras of the same names, in the same order.
        provenance: names and values of everything that the labels depend on, for the header.

    Raises:
        InputError: recordings of one name or of different cameras; no frame of one can be read.
    """
    names = [one.name for one in recordings]
    if len(set(names)) != len(names):
        raise InputError(
            f"{out}: two recordings are called {max(names, key=names.count)!r}; give them names (--names)."
        )
    for one in recordings[1:]:
        if one.cameras != recordings[0].cameras:
            raise InputError(
                f"{out}: {one.name} has the cameras {', '.join(one.cameras)}, {names[0]} has "
                f"{', '.join(recordings[0].cameras)}; recordings of different cameras go into files of their own."
            )
    folder = out.parent / f".{out.stem}.partial"
    with lock_folder(folder):
        remove_leftovers(out.parent, below="")
        parts = [_part(folder / f"{row}", one, provenance) for row, one in enumerate(recordings)]
        frames = [frame for part in parts for frame in part.frames()]
        source = {"made by": dict(provenance), "detections": {part.name: part.digest for part in parts}}
        # The account of earlier labels goes first, so that it never stands beside these.
        report = out.with_suffix(".report.json")
        with writing(report):
            report.unlink(missing_ok=True)
        write_pseudo_labels(out, PANOPTIC_15, recordings[0].cameras, frames, source=json.dumps(source))
        with replacing(report) as file:
            json.dump({"schema": SCHEMA, "sequences": [part.plain for part in parts]}, file, indent=1)
            file.write("\n")
        for part in parts:
            # What says that something is done goes first, wherever the removal is killed.
            for name in (ACCOUNT, f"{BLOCKS}/{STATE}"):
                (part.folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return Prepared(out, report, "\n\n".join(part.text for part in parts))


@dataclass(frozen=True, eq=False)
class _Part:
    """The finished labels of one recording, on disk, with its account."""

    folder: Path
    name: str
    digest: str
    plain: object
    text: str

    def frames(self) -> list[LabelledFrame]:
        store = read_pseudo_labels(self.folder / "labels.npz")
        return [LabelledFrame(name, number, store.at(name, number)) for name, number in store.keys]


def _part(folder: Path, recording: UnlabelledRecording, provenance: Sequence[tuple[str, str]]) -> _Part:
    """One recording: as an earlier run on the same detections with the same settings has finished it, or made now."""
    settings = recording.settings
    read = read_frames(recording.name, recording.source, settings.every)
    said = json.dumps([recording.name, recording.cameras, list(provenance), read.digest])
    inputs = hashlib.sha256(said.encode()).hexdigest()
    account = folder / ACCOUNT
    if account.is_file():
        known = parse_json(read_text(account), str(account))
        if isinstance(known, dict) and known.get("inputs") == inputs:
            return _Part(folder, recording.name, read.digest, known["plain"], str(known["text"]))
    made = label_frames(
        recording.name, read.frames, settings, read=read.sentences, keep=_journal(folder / BLOCKS, inputs)
    )
    report = LabelReport((made.report,))
    write_pseudo_labels(folder / "labels.npz", PANOPTIC_15, recording.cameras, made.labels)
    content = {"inputs": inputs, "plain": plain_sequence(made.report), "text": text_of_report(report)}
    with replacing(account) as file:
        json.dump(content, file)
    return _Part(folder, recording.name, read.digest, content["plain"], str(content["text"]))


def _journal(folder: Path, inputs: str) -> Callable[[int, Callable[[], Sequence[Grouped]]], Sequence[Grouped]]:
    """Keeps who is who of every block as it is found, and gives back what a killed run with the same inputs kept."""
    growing = GrowingFolder(folder)
    if growing.about and json.loads(growing.about)["inputs"] != inputs:
        growing.remove()
        growing = GrowingFolder(folder)
    done = json.loads(growing.about)["blocks"] if growing.about else 0
    known = _kept(growing) if done else {}

    def keep(block: int, find: Callable[[], Sequence[Grouped]]) -> Sequence[Grouped]:
        if block < done:
            return known[block]
        found = find()
        members = [
            np.concatenate([np.full((len(one.association), 2), (block, at)), one.association.members.numpy()], 1)
            for at, one in enumerate(found)
        ]
        growing.append_rows([
            ("members", np.concatenate(members).astype(np.int64)),
            ("confidence", np.concatenate([one.association.confidence.double().numpy() for one in found])),
            ("frames", np.array([(block, one.seconds, one.gap) for one in found], dtype=np.float64)),
        ])  # fmt: skip
        growing.commit(json.dumps({"inputs": inputs, "blocks": block + 1}), [])
        return found

    return keep


def _kept(growing: GrowingFolder) -> dict[int, list[Grouped]]:
    """Who is who by block."""
    members, confidence, frames = (np.array(growing.column(n).array()) for n in ("members", "confidence", "frames"))
    found: dict[int, list[Grouped]] = {}
    for block, seconds, gap in frames.tolist():
        mine = found.setdefault(int(block), [])
        rows = (members[:, 0] == int(block)) & (members[:, 1] == len(mine))
        association = Association(torch.from_numpy(members[rows, 2:]), torch.from_numpy(confidence[rows]))
        mine.append(Grouped(association, seconds, gap))
    return found
