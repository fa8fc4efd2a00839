"""Folders that a process writes: what counts, what goes, what is marked, and that it happens in this order."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dispose.errors import InputError
from dispose.formats import folders
from dispose.formats.detections.manifest import DetectionsManifest
from dispose.formats.detections.read import open_detections
from dispose.formats.files import ASIDE, machine, remove_other_people, replacing, visible
from dispose.formats.folders import (
    MARK,
    STATE,
    GrowingFolder,
    lock_folder,
    publishing,
    refuse_unfinished,
    remove_leftovers,
    watch,
)
from dispose.preparation.detecting import detections_folder
from dispose.skeletons.catalog import COCO_17
from dispose.training.shards import claim


def grown(folder: Path) -> GrowingFolder:
    """A folder with one committed block."""
    growing = GrowingFolder(folder)
    growing.append_text("lines", "one\n")
    growing.append_rows([("numbers", np.arange(3))])
    growing.commit("about", [])
    return growing


def test_only_what_was_committed_is_there_after_a_kill(tmp_path: Path) -> None:
    killed = grown(tmp_path / "run")
    killed.append_text("lines", "two\n")
    killed.append_rows([("numbers", np.arange(2))])
    killed.append_text("stranger", "that no commit knows")
    again = GrowingFolder(tmp_path / "run")
    assert (tmp_path / "run" / "lines").read_text() == "one\n"
    assert again.column("numbers").array().tolist() == [0, 1, 2]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"lines", "numbers", STATE}


def test_a_block_that_was_not_committed_is_no_run(tmp_path: Path) -> None:
    GrowingFolder(tmp_path / "run").append_text("lines", "one\n")
    assert GrowingFolder(tmp_path / "run").about == "" and not (tmp_path / "run").exists()


def test_what_lacks_bytes_is_refused(tmp_path: Path) -> None:
    grown(tmp_path / "run")
    (tmp_path / "run" / "lines").write_text("o")
    with pytest.raises(InputError, match="has 1 of the 4 bytes"):
        GrowingFolder(tmp_path / "run")


def test_what_somebody_changed_is_no_run_to_go_on_with(tmp_path: Path) -> None:
    grown(tmp_path / "run")
    (tmp_path / "run" / "lines").write_text("two\n")
    with pytest.raises(InputError, match="lines: has other bytes than an unfinished run wrote there; remove"):
        GrowingFolder(tmp_path / "run")
    again = grown(tmp_path / "other")
    again.append_text("lines", "two\n")
    again.commit("about", [])
    assert GrowingFolder(tmp_path / "other").about == "about"
    (tmp_path / "other" / "lines").write_text("one\ntwo\nthree, that no commit knows\n")
    GrowingFolder(tmp_path / "other")
    assert (tmp_path / "other" / "lines").read_text() == "one\ntwo\n"


def test_blocks_without_bytes_count(tmp_path: Path) -> None:
    """Frames in which nobody is."""
    GrowingFolder(tmp_path / "run").commit("two frames", [])
    assert GrowingFolder(tmp_path / "run").about == GrowingFolder(tmp_path / "run").about == "two frames"


def test_the_state_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a killed removal leaves a run that says it is whole."""
    growing, there = grown(tmp_path / "run"), []
    monkeypatch.setattr(folders.shutil, "rmtree", lambda *_, **__: there.append((tmp_path / "run" / STATE).exists()))
    growing.remove()
    assert there == [False]


def test_a_file_that_is_not_finished_leaves_nothing_and_a_finished_one_is_like_any_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="enough"), replacing(tmp_path / "a.txt") as file:
        file.write("half")
        raise ValueError("enough")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "plain.txt").touch()
    with replacing(tmp_path / "a.txt"):
        (aside,) = tmp_path.glob(f"{ASIDE}*")
        assert aside not in visible(tmp_path.iterdir())
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_other_peoples_files_go_and_files_of_others_stay(tmp_path: Path) -> None:
    for name in ("take[1]_P1.trc", "take[1]_P2.trc", "take[1]_P2_part3.trc", "take[1]_P2_mine.trc", "take1_P2.trc"):
        (tmp_path / name).touch()
    remove_other_people(tmp_path, "take[1]", ".trc", [tmp_path / "take[1]_P1.trc"])
    assert {path.name for path in tmp_path.iterdir()} == {"take[1]_P1.trc", "take[1]_P2_mine.trc", "take1_P2.trc"}


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getpid()):
        (tmp_path / f"{ASIDE}{process}-x.json").touch()
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [f"{ASIDE}{os.getpid()}-x.json"]
    shutil.copy(tmp_path / f"{ASIDE}{os.getpid()}-x.json", tmp_path / f"{ASIDE}{dead.pid}-y.json")
    with lock_folder(tmp_path):
        assert len(list(tmp_path.iterdir())) == 1


def test_writers_of_other_machines_are_alive_for_a_day(tmp_path: Path) -> None:
    """Their processes have numbers that nobody here has; a folder that two machines share is written by both."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [f"{ASIDE}{dead.pid}@{where}-x.json" for where in ("another", "gone", machine())]
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / names[1], (0, 0))
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == names[:1]
    with replacing(tmp_path / "a.txt"):
        assert len(list(tmp_path.glob(f"{ASIDE}{os.getpid()}@{machine()}-*"))) == 1


def test_files_that_are_replaced_while_they_are_read_are_said(tmp_path: Path) -> None:
    for place in ("new", "run"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "predictions.jsonl").touch()
    require_same = watch(tmp_path / "run")
    require_same()
    with publishing(tmp_path / "run"):
        with pytest.raises(InputError, match="are being written"):
            require_same()
        (tmp_path / "new" / "predictions.jsonl").replace(tmp_path / "run" / "predictions.jsonl")
    with pytest.raises(InputError, match="were replaced while they were read"):
        require_same()


def test_a_lock_is_that_of_the_true_folder_and_ends(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with lock_folder(tmp_path / "run"), pytest.raises(InputError, match="another run"), lock_folder(tmp_path / "link"):
        pass
    with lock_folder(tmp_path / "link"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"link"}


def test_the_mark_stands_while_files_are_replaced_and_after_what_broke_off(tmp_path: Path) -> None:
    with publishing(tmp_path), pytest.raises(InputError, match="its files are being written"):
        refuse_unfinished(tmp_path)
    refuse_unfinished(tmp_path)
    with pytest.raises(ValueError, match="broke"), publishing(tmp_path):
        raise ValueError("broke off")
    assert (tmp_path / MARK).exists()
    with pytest.raises(InputError, match="when a run was killed"):
        refuse_unfinished(tmp_path)


def test_detections_that_are_not_finished_are_no_detections(tmp_path: Path) -> None:
    manifest = DetectionsManifest("dots", COCO_17, (), (), ())
    with detections_folder(tmp_path / "pose", manifest), pytest.raises(InputError, match="are being written"):
        open_detections(tmp_path / "pose")
    with pytest.raises(InputError, match="holds no detections"):
        open_detections(tmp_path / "pose")


def test_a_folder_belongs_to_one_recipe(tmp_path: Path) -> None:
    claim(tmp_path, "one")
    claim(tmp_path, "one")
    with pytest.raises(InputError, match="run of another recipe"):
        claim(tmp_path, "two")


def test_what_lies_behind_a_link_is_not_removed(tmp_path: Path) -> None:
    """Whatever no commit knows is removed from a folder of ours; a link in its place leads to somebody's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    (tmp_path / "run").symlink_to(tmp_path / "mine")
    with pytest.raises(InputError, match="leads to another folder"):
        GrowingFolder(tmp_path / "run")
    grown(tmp_path / "other")
    (tmp_path / "other" / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "other" / "folder").mkdir()
    (tmp_path / "other" / "folder" / "stray").touch()
    GrowingFolder(tmp_path / "other")
    assert {path.name for path in (tmp_path / "other").iterdir()} == {"lines", "numbers", STATE}
    assert (tmp_path / "mine" / "letter.txt").exists()
