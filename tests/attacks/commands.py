"""Commands under attack, on small inputs: what they leave when nobody disturbs them, and what a reader makes of it."""

import json
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import torch

from dispose.errors import InputError
from dispose.formats.calibration.pose2sim import write_calibration_toml
from dispose.formats.files import ASIDE, read_text
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.inference.capture import read_capture
from dispose.training.config import ASSOCIATOR
from dispose.zoo.checkpoints import load_associator
from dispose_workbench.results.open import read_results
from dispose_workbench.results.run_folders import read_run_folder
from tests.attacks.killing import NEVER, Ended, Moment, Program
from tests.attacks.targets import write_detections
from tests.inference.conftest import rig
from tests.notebooks.test_notebook_run import write_book
from tests.preparation.conftest import dotted

FRAMES = 4
"""Images of a camera that people are detected in."""

Content = dict[str, object]


@dataclass(frozen=True)
class Work:
    """A command under attack.

    Attributes:
        job: in `tests.attacks.jobs`.
        given: its input; of two, a run on the first has been there before one on the second.
        out: what it writes, below the folder of the attempt.
        read: what a reader makes of it, to be compared; `InputError` where it is refused.
        but: files that say what time it is, or that keep what a killed run has left.
    """

    job: str
    given: tuple[Path | str, ...]
    out: str
    read: Callable[[Path], object]
    but: str = "$^"

    def run(self, running: Program, folder: Path, which: int, when: Moment) -> Ended:
        """Once, on one of its inputs."""
        given = [self.given[which]] if self.given else []
        return running.run(self.job, folder, *given, folder / self.out, when=when)

    def content(self, folder: Path) -> Content:
        """Everything that is there, hidden files too; of clocks the names alone."""
        names = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        kept = {name: path for name, path in names.items() if ASIDE in name or not re.search(self.but, name)}
        return {name: b"" if ASIDE in name else timeless(path) for name, path in kept.items()}


def timeless(path: Path) -> object:
    """The bytes of a file, without what tells the time."""
    if path.suffix == ".ipynb":
        book = json.loads(path.read_text())
        for cell in book["cells"]:
            cell["metadata"].pop("execution", None)
        return book
    if path.name == "run.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in ("seconds", "started")}
    if path.name.endswith(".report.json"):
        return [{**one, "seconds": None} for one in json.loads(path.read_text())["sequences"]]
    if path.suffix == ".ckpt":
        # Equal checkpoints are not always equal files: what is shared in memory is stored once.
        return plain(torch.load(path, weights_only=True))
    return path.read_bytes()


def plain(value: object) -> object:
    """Values that can be compared, of tensors their bytes."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return (value.shape, value.numpy().tobytes()) if isinstance(value, torch.Tensor) else repr(value)


def captures(folder: Path) -> tuple[Path, Path]:
    """Two captures of one name whose people stand elsewhere."""
    for name in ("one", "other"):
        (folder / name / "take").mkdir(parents=True)
        write_detections(folder / name / "take")
    last = sorted((folder / "other" / "take").glob("pose/*/*.json"))[-1]
    last.write_text('{"people": []}')
    return folder / "one" / "take", folder / "other" / "take"


def images(folder: Path) -> Path:
    """A capture of dots."""
    take = folder / "dots"
    for camera in rig().names[:2]:
        place = take / "images" / camera
        place.mkdir(parents=True)
        for number in range(FRAMES):
            cv2.imwrite(str(place / f"{number:04d}.png"), dotted(number, 0))
    write_calibration_toml(take / "calib" / "Calib.toml", rig())
    return take


def poses(folder: Path) -> object:
    return [case.prediction.poses.xyz_world.numpy().tobytes() for case in read_results(folder).cases]


def labels(path: Path) -> object:
    store = read_pseudo_labels(path)
    account = path.with_suffix(".report.json")
    if not account.exists():
        raise InputError(f"{path}: without an account.")
    return [store.at(*key).poses.xyz_world.numpy().tobytes() for key in store.keys], timeless(account)


def detections(folder: Path, capture: Path) -> object:
    """What `dispose predict` would read."""
    found = read_capture(capture, detections=folder)
    return [path.read_bytes() for view in found.views for path in sorted((folder / f"{view.camera}_json").iterdir())]


def weights(folder: Path) -> object:
    return [value.numpy().tobytes() for value in load_associator(folder / ASSOCIATOR).state_dict().values()]


def study(path: Path) -> object:
    """The figures of both seeds; those of one say that they are of one."""
    rows = [json.loads(read_text(one))["rows"] for one in (path, path.with_name("study_lines.json"))]
    if any(row["seeds"] != 2 for one in rows for row in one):
        raise InputError(f"{path}: of one seed.")
    return rows


def table(folder: Path) -> object:
    """What the runs of a sweep have said; whether they are done."""
    rows = json.loads(read_text(folder / "summary.json"))["rows"]
    return [(row["run"], row["status"], row["metrics"]) for row in rows]


def figures(folder: Path) -> object:
    return read_run_folder(folder).metrics


BOOK = ("steps: int = 3", "import json\nopen('metrics.json', 'w').write(json.dumps({'a': steps}))\nprint(steps)")


def work_of(name: str, folder: Path) -> Work:
    """A command with small inputs of its own."""
    if name == "prepare":
        return Work("prepare", captures(folder), "labels.npz", labels)
    if name == "detect":
        take = images(folder)
        return Work("detect", (take,), "pose", partial(detections, capture=take))
    if name == "train":
        return Work("train", (), "run", weights, but="tfevents|hparams.yaml")
    if name == "study":
        return Work("study", (), "out/study.json", study)
    if name == "sweep":
        return Work("sweep", (write_book(folder / "a.ipynb", BOOK),), "out", table, "-failed|summary|log$")
    if name == "notebook":
        return Work("notebook", (write_book(folder / "a.ipynb", BOOK),), "out", figures, "^out-failed")
    return Work(name, captures(folder), "out", poses)


class Attack:
    """A command, what it leaves when nobody kills it, and attempts to kill it."""

    def __init__(self, running: Program, name: str, base: Path) -> None:
        self.running, self.work = running, work_of(name, base)
        self.folder, self.before = base / "attempt", base / "before"
        self.known: list[object] = []
        self.before.mkdir()
        if len(self.work.given) == 2:
            assert self.run(0).status == 0
            self.known.append(self.work.read(self.folder / self.work.out))
            self.folder.rename(self.before)
        started = time.monotonic()
        ended = self.run(-1)
        assert ended.status == 0, ended.said
        self.seconds, self.events = time.monotonic() - started, ended.events
        self.whole = self.work.content(self.folder)
        self.known.append(self.work.read(self.folder / self.work.out))

    def run(self, which: int = -1, *, anew: bool = True, when: Moment = NEVER) -> Ended:
        """The command on one of its inputs, after an earlier run or going on."""
        if anew:
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(self.before, self.folder)
        return self.work.run(self.running, self.folder, which, when)

    def check_whole(self, what: str) -> None:
        """The same command again: it leaves what one leaves that nobody disturbs, and nothing else."""
        ended = self.run(anew=False)
        # A notebook's run that was whole when it was killed is not run again.
        assert ended.status == 0 or "exists already" in ended.said, f"{what}: {ended.said}"
        left = self.work.content(self.folder)
        assert set(left) == set(self.whole), f"{what}: {sorted(set(left) ^ set(self.whole))}"
        other = [name for name in left if left[name] != self.whole[name]]
        assert not other, f"{what}: {other}"

    def kill(self, when: Moment) -> bool:
        """Kill it; what is read then is a whole one or refused, and the next run ends as if nobody had killed it."""
        what, ended = str(when), self.run(when=when)
        if not ended.killed:
            assert ended.status == 0, f"{what}: {ended.said}"
            return False
        with suppress(InputError):
            assert self.work.read(self.folder / self.work.out) in self.known, f"{what}: half is read as whole"
        self.check_whole(what)
        return True
