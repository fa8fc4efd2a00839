"""Results under attack: two writers of one folder, and no room before anything begins; kills are in test_kills."""

import os
import shutil
from pathlib import Path

import pytest

from dispose.cli import export, smooth
from dispose.cli.main import main
from dispose.cli.smooth import SmoothCommand
from dispose.errors import InputError
from dispose.formats import evidence, folders
from dispose.formats.evidence import EVIDENCE
from dispose.formats.folders import MARK, lock_folder
from dispose.formats.predictions import read_predictions
from dispose.formats.saved_run import open_run
from dispose.formats.seen import open_seen
from dispose.inference import results_folder
from dispose_workbench.results.open import read_results
from tests.attacks.commands import captures as two_captures


def predict(capture: Path, out: Path) -> int:
    return main(["predict", str(capture), "--associator", "greedy", "--batch", "2", "--out", str(out)])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two captures of one name whose people stand elsewhere."""
    return two_captures(tmp_path_factory.mktemp("captures"))


def test_no_room_is_said_before_anything_is_computed(
    captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = folders.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert predict(captures[0], tmp_path / "out") == 2
    assert "1 MiB are free there, 16 are needed" in capsys.readouterr().err


WRITERS = (
    ["predict", "CAPTURE", "--associator", "greedy", "--out", "OUT"],
    ["smooth", "RUN", "--rate-hz", "30", "--out", "OUT"],
    ["export", "RUN", "--rate-hz", "30", "--to", "csv", "--out", "OUT"],
    ["predict", "CAPTURE", "--associator", "greedy", "--no-evidence", "--out", "OUT"],
)


def spelled(out: Path) -> list[Path]:
    """One folder by eleven names."""
    link, deep = out.parent / "link", out.parent / "deep" / "link"
    link.symlink_to(out)
    deep.parent.mkdir()
    deep.symlink_to(out.parent)
    up = out.parent / "deep" / ".." / out.name
    return [out, link, up, deep / out.name, Path(os.path.relpath(out)), Path(os.path.relpath(link)),
            out / ".", out / ".." / out.name, deep / "link", deep / "deep" / "link" / out.name,
            Path(os.path.relpath(up))]  # fmt: skip


def test_two_writers_of_one_folder(
    captures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four commands, eleven names of the folder: 44 times the second is refused, and changes nothing."""
    run, out = tmp_path / "run", tmp_path / "out"
    assert predict(captures[0], run) == 0 == predict(captures[0], out)
    before, refused = content(out), 0
    with lock_folder(out):
        for name in spelled(out):
            for command in WRITERS:
                words = {"CAPTURE": str(captures[1]), "RUN": str(run), "OUT": str(name)}
                status = main([words.get(word, word) for word in command])
                said = capsys.readouterr().err
                assert status == 2 and "another run is writing into this folder" in said, (name, command, said)
                refused += 1
    assert refused == 44
    assert content(out) == before


def test_what_cannot_be_written_is_not_called_another_run(captures: tuple[Path, Path], capsys) -> None:
    assert predict(captures[0], Path("/proc/x")) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_an_export_that_breaks_off_is_marked_and_needs_room(
    captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    run, command = tmp_path / "run", ["export", str(tmp_path / "run"), "--rate-hz", "30", "--to", "csv"]
    assert predict(captures[0], run) == 0

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setitem(export.WRITERS, "csv", stop)
        assert main(command) == 130
    assert (run / "export" / MARK).exists()
    assert main(command) == 0
    assert not (run / "export" / MARK).exists()
    usage = folders.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(folders.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    assert main(command) == 2
    assert "1 MiB are free there" in capsys.readouterr().err


def test_a_folder_marked_as_unfinished_is_refused(captures: tuple[Path, Path], tmp_path: Path) -> None:
    assert predict(captures[0], tmp_path / "out") == 0
    (tmp_path / "out" / MARK).touch()
    with pytest.raises(InputError, match="killed"):
        read_results(tmp_path / "out")
    assert main(["smooth", str(tmp_path / "out"), "--rate-hz", "30"]) == 2
    assert main(["export", str(tmp_path / "out"), "--rate-hz", "30", "--to", "csv"]) == 2


def test_what_breaks_off_while_it_is_published_is_no_result(
    captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `predict` over an earlier run, whose tables are gone before anything new is there, and of `smooth`."""
    run, out = tmp_path / "run", tmp_path / "out"
    assert predict(captures[0], run) == 0 == predict(captures[0], out)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results_folder, "replacing", stop)
    monkeypatch.setattr(SmoothCommand, "write", stop)
    assert predict(captures[1], out) == 130
    assert not (out / "predictions.npz").exists() and not (out / "evidence.npz").exists()
    assert main(["smooth", str(run), "--rate-hz", "30", "--out", str(tmp_path / "smooth")]) == 130
    for folder in (out, tmp_path / "smooth"):
        with pytest.raises(InputError, match="when a run was killed"):
            read_results(folder)


def test_what_another_run_saw_is_not_put_to_these_people(
    captures: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor by who opened the people before the other run's files came."""
    run, other = tmp_path / "run", tmp_path / "other"
    assert predict(captures[0], run) == 0 == predict(captures[1], other)
    with open_run(run) as saved:
        assert saved.digest is not None
        with pytest.raises(InputError, match="other predictions"), open_seen(other / EVIDENCE, saved.digest):
            pass
    (other / EVIDENCE).replace(run / EVIDENCE)
    capsys.readouterr()
    for kind in ("csv", "coco", "pose2sim", "mp4"):
        assert main(["export", str(run), "--rate-hz", "30", "--to", kind]) == 2
        assert "belongs to other predictions" in capsys.readouterr().err


def test_results_that_are_replaced_while_they_are_read_are_refused(
    captures: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a run that begins and ends between two of a reader's files; even one that says the same."""
    run = tmp_path / "run"
    assert predict(captures[0], run) == 0

    def then_replaced(path: Path) -> object:
        saved = read_predictions(path)
        shutil.copy(path, tmp_path / "new")
        (tmp_path / "new").replace(path)
        return saved

    for place in (evidence, smooth):
        monkeypatch.setattr(place, "read_predictions", then_replaced)
    with pytest.raises(InputError, match="were replaced while they were read"):
        read_results(run)
    assert main(["smooth", str(run), "--rate-hz", "30", "--no-picture"]) == 2
    assert "were replaced while they were read" in capsys.readouterr().err
