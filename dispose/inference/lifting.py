"""An image or a video of one camera in, poses of everybody in it out: the single-view side of `dispose predict`."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dispose.errors import InputError
from dispose.formats.arrays import write_npz
from dispose.formats.detections.people import DamagedFrameError
from dispose.formats.files import replacing
from dispose.formats.folders import GrowingFolder, lock_folder
from dispose.formats.lifted import (
    ARRAYS,
    IMAGE_FILE,
    VIDEO_FILE,
    LiftedFrame,
    LiftedHeader,
    frame_text,
    header_of,
    header_text,
    image_text,
    lifted_names,
    lifted_rows,
)
from dispose.inference.one_camera import OneCamera
from dispose.inference.results_folder import PARTIAL
from dispose.models.lifting.sight import FEWEST_JOINTS, PeopleLifter, lift_people, one_view_each, sight_of
from dispose.skeletons.skeleton import conversion_between, convert_joints

SECONDS_BEFORE_A_BAR = 2.0
FEWEST_IN_COMMON = 6
"""So many of its joints a lifter must at least find in a detector's skeleton."""

SEEDS_APART = 1_000_003
"""Frames of runs with neighbouring seeds draw other numbers."""


@dataclass(frozen=True, eq=False)
class Lifting:
    """What lifts the frames of one camera: the lifter, how it is told, and whom it is asked about."""

    camera: OneCamera
    lifter: PeopleLifter
    looks: bool
    seed: int
    person: int | None = None

    def __post_init__(self) -> None:
        known = self.lifter.skeleton.joints
        common = [c for c in conversion_between(self.camera.skeleton, self.lifter.skeleton).choices if c]
        if len(common) < FEWEST_IN_COMMON:
            raise InputError(
                f"the keypoints' skeleton {self.camera.skeleton.name} has {len(common)} of the {len(known)} joints "
                f"that the model knows ({', '.join(known)}); at least {FEWEST_IN_COMMON} are needed."
            )

    def frame(self, number: int) -> tuple[LiftedFrame | None, tuple[str, ...]]:
        """The people of a frame, and sentences about what was left out; None where nobody is left.

        The same numbers are drawn whatever other frames there are.

        Raises:
            InputError: half of somebody's keypoints or more lie outside the image; `person` is not in an image.
        """
        width, height = self.camera.lens.cameras.size[0].tolist()
        people, where = self.camera.found.read(number, (width, height)), self.camera.found.where(number)
        odd = tuple(str(one) for one in people.odd)
        rows = [row for row, index in enumerate(people.index) if self.person in (None, index)]
        if not rows:
            if not self.camera.video:
                if self.person is None:
                    why = "; ".join(one.rstrip(".") for one in odd)
                    raise InputError(f"{where}: nobody has keypoints that can be used{': ' * bool(odd)}{why}.")
                there = ", ".join(map(str, people.index)) or "nobody"
                raise InputError(f"{where}: there is no person {self.person} with keypoints (there is {there}).")
            return None, odd
        who = torch.tensor([people.index[row] for row in rows])
        table = torch.stack([people.keypoints[row] for row in rows])
        conversion = conversion_between(self.camera.skeleton, self.lifter.skeleton)
        xy, score, seen = convert_joints(table[..., :2], table[..., 2], table[..., 2] > 0, conversion)
        cameras = one_view_each(self.camera.lens.cameras, torch.zeros_like(who))
        outside = seen & ~cameras.inside(xy[:, None])[:, 0]
        self._refuse_strangers(outside, seen, [f"{where}, person {index}" for index in who.tolist()])
        seen = seen & ~outside
        kept = (seen.sum(1) >= FEWEST_JOINTS).nonzero()[:, 0]
        few, off = len(rows) - len(kept), int(outside.sum())
        notes = [*odd, *([f"{off} keypoints outside the image are taken as not seen."] if off else [])]
        notes += [f"{few} people with fewer than {FEWEST_JOINTS} keypoints are left out."] if few else []
        if not len(kept):
            return None, tuple(notes)
        joints, upright = self.lifter.skeleton.joints, self.camera.lens.upright
        sight = sight_of(joints, cameras[kept], xy[kept], score[kept], seen[kept], upright=upright)
        image = self.camera.pictures.read(number) if self.looks else None
        generator = torch.Generator().manual_seed(self.seed * SEEDS_APART + number)
        placed = lift_people(self.lifter, sight, image, generator)
        said = torch.where(seen, score, 0.0)[kept]
        return LiftedFrame(number, who[kept], sight.xy_image, said, seen[kept], placed), tuple(notes)

    def _refuse_strangers(self, outside: Tensor, seen: Tensor, people: Sequence[str]) -> None:
        """Raise `InputError` for a person of whom half or more lies outside the image."""
        for who, off, there in zip(people, outside.sum(1).tolist(), seen.sum(1).tolist(), strict=True):
            if off and 2 * off >= there:
                width, height = (int(x) for x in self.camera.lens.cameras.size[0])
                raise InputError(
                    f"{who}: {off} of {there} keypoints lie outside the image of {width} x {height} pixels: "
                    "are they of another image, or of another size of it?"
                )


def lift_image(lifting: Lifting, header: LiftedHeader, folder: Path) -> tuple[LiftedFrame, tuple[str, ...]]:
    """Lift the people of an image and write them into a folder.

    Raises:
        InputError: nobody in it has enough keypoints.
    """
    number = lifting.camera.numbers[0]
    frame, notes = lifting.frame(number)
    if frame is None:
        where = lifting.camera.found.where(number)
        raise InputError(f"{where}: nobody has the {FEWEST_JOINTS} keypoints inside the image that a pose takes.")
    with _writing(folder) as growing:
        growing.append_text(IMAGE_FILE, image_text(header, frame))
        growing.append_rows(lifted_rows(frame))
        _finish(growing, folder, header, IMAGE_FILE)
    return frame, notes


def lift_video(
    lifting: Lifting, header: LiftedHeader, folder: Path, numbers: Sequence[int]
) -> tuple[int, tuple[str, ...]]:
    """Lift the people of a video frame by frame into a folder, from where an earlier run was killed.

    Returns:
        How many people in all frames together, and what was left out.

    Raises:
        InputError: the folder holds an unfinished run of something else; nobody is found in any frame.
    """
    given = json.dumps([header_of(header), list(numbers)])
    with _writing(folder) as growing:
        begun = {"given": given, "done": 0, "frames": 0, "people": 0, "notes": []}
        about = json.loads(growing.about) if growing.about else begun
        if about["given"] != given:
            raise InputError(
                f"{folder}: holds an unfinished run of other inputs; give the same command as then to go on with it, "
                f"or remove {growing.folder} to begin anew."
            )
        for number in tqdm(numbers[about["done"] :], unit="frame", desc="lift", delay=SECONDS_BEFORE_A_BAR, leave=None):
            try:
                frame, notes = lifting.frame(number)
            except DamagedFrameError as error:
                frame, notes = None, (str(error),)
            if frame is not None:
                growing.append_text(VIDEO_FILE, frame_text(frame))
                growing.append_rows(lifted_rows(frame))
                about["people"] += len(frame)
                about["frames"] += 1
            about["done"] += 1
            about["notes"] += [f"frame {number}: {note}" for note in notes]
            growing.commit(json.dumps(about), [])
        if about["people"]:
            _finish(growing, folder, header, VIDEO_FILE, header_text(header, about["frames"]))
        else:
            growing.remove()
            raise InputError(f"{header.keypoints}: nobody in any frame has the keypoints that a pose takes.")
    return about["people"], tuple(about["notes"])


@contextmanager
def _writing(folder: Path) -> Iterator[GrowingFolder]:
    """What grows in a folder that nobody else writes into."""
    with lock_folder(folder):
        yield GrowingFolder(folder / PARTIAL)


def _finish(growing: GrowingFolder, folder: Path, header: LiftedHeader, name: str, first: str = "") -> None:
    """Make the files of what has grown behind a `first` line; those of an earlier run of the other kind go."""
    for old in (IMAGE_FILE, VIDEO_FILE):
        if old != name:
            (folder / old).unlink(missing_ok=True)
    with replacing(folder / name) as file, open(growing.folder / name, encoding="utf-8", newline="\n") as lines:
        file.write(first)
        shutil.copyfileobj(lines, file, 1 << 20)
    columns = [(column, growing.column(column)) for column in growing.names]
    write_npz(folder / ARRAYS, [*lifted_names(header), *columns])
    growing.remove()
