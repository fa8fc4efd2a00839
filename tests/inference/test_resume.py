"""A run that is killed goes on where it was, with the same bytes at the end; long runs need no more memory."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.cli import predict
from dispose.cli.main import main
from dispose.errors import InputError, OutputError
from dispose.formats.files import ASIDE
from dispose.formats.folders import lock_folder
from dispose.formats.predictions import read_predictions
from dispose.inference import capture
from dispose.inference.capture import read_capture, source_of
from dispose.inference.readings import Reading, Source
from dispose.inference.results_folder import PARTIAL, RunFiles, results_folder
from dispose.inference.run import ended_early, in_windows, results_of
from dispose.inference.run import run as run_frames
from dispose.scene.results import associate_each, reconstruct_each

RUN = """
import os, resource, signal, sys, threading, time
import torch
from dataclasses import replace
from pathlib import Path
from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.datasets.samples import sample_folder
from dispose.inference.capture import read_capture, read_frame
from dispose.inference.readings import Loss, Reading, Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run
from dispose.scene.results import AssociationResult, reconstruct_each

out, log, frames, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
every = int(sys.argv[5])  # in one of so many frames somebody is
capture = read_capture(sample_folder("crossing"))
readings = [read_frame(capture, number) for number in capture.numbers]
seen = readings[0].frame.detections
empty = replace(readings[0].frame, detections=replace(seen, valid=torch.zeros_like(seen.valid)))
readings.append(replace(readings[0], frame=empty))
found = [greedy_agglomerative(reading.frame) for reading in readings]
places = [reconstruct_frame(one.frame, two) for one, two in zip(readings, found, strict=True)]
name = capture.cameras.names[0]

def place(number):
    if number % every:
        return -1
    # Forth and back, so that people stay who they are.
    count = len(readings) - 1
    there = number // every % (2 * count)
    return min(there, 2 * count - 1 - there)

def read(number):
    reading = readings[place(number)]
    return replace(reading, frame=replace(reading.frame, number=number), missing=(Loss(name, number, "no file"),))

def associate(block):
    with open(log, "a") as file:
        file.write("".join(f"{frame.number}\\n" for frame in block))
    return [AssociationResult(found[place(frame.number)]) for frame in block]

def reconstruct(frame, association):
    return replace(places[place(frame.number)], number=frame.number)

start = time.perf_counter()
if seconds:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
with results_folder(out, RunFiles("crossing", "greedy")) as sink:
    run(Source(range(frames), read), associate, reconstruct_each(reconstruct), sink, batch=8)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def attempt(out: Path, log: Path, frames: int, seconds: float, every: int = 1) -> list[float] | None:
    """Seconds and MiB of a run that came to its end; None for one that was killed."""
    command = [sys.executable, "-c", RUN, str(out), str(log), str(frames), str(seconds), str(every)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, -9), done.stderr
    return [float(word) for word in done.stdout.split()] if done.returncode == 0 else None


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frames_done(out: Path) -> int:
    state = out / PARTIAL / "state.npz"
    if not state.is_file():
        return 0
    return json.loads(json.loads(str(np.load(state)["state"]))["about"])["summary"]["frames"]


def kill_and_go_on(tmp_path: Path, kills: int, frames: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished = attempt(whole, tmp_path / "whole.log", frames, 0)
    assert finished is not None
    moments, killed = random.Random(kills), 0
    for number in range(3 * kills):
        log, done = tmp_path / f"{number}.log", frames_done(broken)
        # The remaining part of the run takes its share of the time.
        rest = finished[0] * (1 - done / frames)
        again = attempt(broken, log, frames, moments.uniform(0.01, rest) if killed < kills else 0)
        killed += again is None
        if log.exists() and done < frames:
            assert int(log.read_text().split()[0]) == done, "what is done is not computed again"
        if again is not None:
            break
    assert killed >= min(kills, 2)
    assert content(broken) == content(whole) and not (broken / PARTIAL).exists()


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "trc").mkdir()
    left = [tmp_path / f"{ASIDE}4194305-x2_7abcd.jsonl", tmp_path / "trc" / f"{ASIDE}4194305-abcdefgh.trc"]
    # Somebody is writing the first of these.
    kept = [tmp_path / f"{ASIDE}{os.getpid()}-abcdefgh.npz", tmp_path / ".mine.jsonl", tmp_path / "trc" / ".b.trc"]
    for path in (*left, *kept):
        path.write_text("")
    with results_folder(tmp_path, RunFiles("a[1]", "greedy")):
        assert not any(path.exists() for path in left) and all(path.exists() for path in kept)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, 3, 240)


@pytest.mark.slow
def test_a_run_killed_many_times_goes_on(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, 20, 1200)


@pytest.mark.slow
@pytest.mark.parametrize(("frames", "every"), [(20_000, 1), (100_000, 8)])
def test_long_runs_need_no_more_memory(frames: int, every: int, tmp_path: Path, capsys) -> None:
    """The final write included; people in every frame, or in every eighth."""
    short = attempt(tmp_path / "short", tmp_path / "log", 1_000, 0, every)
    long = attempt(tmp_path / "long", tmp_path / "log", frames, 0, every)
    assert short is not None and long is not None
    with capsys.disabled():
        print(f"\n{frames} frames: {long[1]:.0f} MiB in {long[0]:.0f} s; 1000 frames: {short[1]:.0f} MiB")
    assert long[1] - short[1] < 100


def go(folder: Path, out: Path, *options: str, batch: int = 2) -> int:
    command = ["predict", str(folder), "--associator", "greedy", "--batch", str(batch), "--out", str(out)]
    return main([*command, *options])


def die(folder: Path, out: Path, number: int, *options: str, batch: int = 2) -> None:
    """The command, until it reads the frame of a number."""
    read = capture.read_frame

    def read_until_it_dies(*capture_and_number) -> Reading:
        if capture_and_number[1] == number:
            raise InputError("it died")
        return read(*capture_and_number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capture, "read_frame", read_until_it_dies)
        assert go(folder, out, *options, batch=batch) == 2
    assert not (out / "predictions.jsonl").exists()


@pytest.fixture
def unfinished(capture_folder, tmp_path: Path) -> Path:
    """A run of the command that died after two frames of six."""
    die(capture_folder.path, tmp_path / "out", 3)
    assert frames_done(tmp_path / "out") == 2
    return tmp_path / "out"


def test_a_run_in_windows_by_a_classic_associator_goes_on(capture_folder, tmp_path: Path, monkeypatch) -> None:
    """Windows of one frame to either side."""
    asked: list[int] = []

    def watched(blocks_from, methods, progress, batch):
        asked.append(progress.summary.frames)
        return in_windows(blocks_from, methods, progress, batch)

    monkeypatch.setattr(predict, "in_windows", watched)
    options, out = ("--window", "--rate-hz", "5"), tmp_path / "out"
    die(capture_folder.path, out, 5, *options, batch=1)
    done = frames_done(out)
    assert done in (2, 3)
    assert go(capture_folder.path, out, *options, batch=1) == 0
    assert go(capture_folder.path, tmp_path / "whole", *options, batch=1) == 0
    assert asked == [0, done, 0]
    assert content(out) == content(tmp_path / "whole")


def test_a_bad_frame_costs_nothing_that_is_done(unfinished: Path, capture_folder, tmp_path: Path) -> None:
    assert len(read_predictions(unfinished / PARTIAL / "predictions.jsonl").frames) == 2
    assert go(capture_folder.path, unfinished) == 0
    assert go(capture_folder.path, tmp_path / "whole") == 0
    assert content(unfinished) == content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--frames", "0:5"), r"whose frames was 0-5 \(6\), now it is 0-4 \(5\)"),
        (("--no-evidence",), "whose evidence was kept, now it is not kept"),
        (("--associator", "svt"), "whose associator was greedy, now it is svt"),
        (("--triangulator", "ransac"), r"whose triangulator was rays, rays\.safetensors \(\w{12}\), now it is ransac"),
        (("--batch", "3"), "whose batch was 2, now it is 3"),
    ],
)
def test_another_run_does_not_go_on(unfinished: Path, capture_folder, capsys, options, sentence: str) -> None:
    assert go(capture_folder.path, unfinished, *options) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "holds an unfinished run (2 frames done)" in said
    assert "give the same command as then to go on with it, or remove" in said
    assert re.search(sentence, said), said
    assert frames_done(unfinished) == 2


def test_of_two_runs_into_one_folder_the_second_is_refused(capture_folder, tmp_path: Path, capsys) -> None:
    with lock_folder(tmp_path / "out"):
        assert go(capture_folder.path, tmp_path / "out") == 2
    assert "another run is writing into this folder" in capsys.readouterr().err


def test_a_source_that_ends_early_leaves_what_was_found(capture_folder, tmp_path: Path) -> None:
    whole = source_of(read_capture(capture_folder.path))
    cut = Source(whole.numbers, lambda number: whole.read(number) if number < 5 else None)
    with results_folder(tmp_path / "cut", RunFiles("walk", "greedy")) as sink:
        progress = run_frames(
            cut, associate_each(greedy_agglomerative), reconstruct_each(reconstruct_frame), sink, batch=2
        )
    assert [frame.number for frame in read_predictions(tmp_path / "cut" / "predictions.jsonl").frames] == [
        0,
        1,
        2,
        3,
        4,
    ]
    (sentence,) = ended_early(cut, progress)
    assert "after 5 of 6 frames" in sentence and ended_early(whole, progress) != ()


def test_who_answers_sees_no_labels_and_blocks_do_not_matter(capture_folder) -> None:
    source = source_of(read_capture(capture_folder.path))
    answers = [
        results_of(source, associate_each(greedy_agglomerative), reconstruct_each(reconstruct_frame), batch=batch)
        for batch in (1, 4, 16)
    ]
    for one, *others in zip(*answers, strict=True):
        for other in others:
            assert one.prediction.poses.id.tolist() == other.prediction.poses.id.tolist()
            assert (one.prediction.poses.xyz_world == other.prediction.poses.xyz_world).all()


def test_a_full_disk_keeps_the_frames_that_are_done(capture_folder, tmp_path: Path, capsys, monkeypatch) -> None:
    from dispose.formats import folders

    commits: list[int] = []
    commit = folders.GrowingFolder.commit

    def full(self, about, arrays) -> None:
        commits.append(1)
        if len(commits) == 2:
            raise OutputError(f"{self.folder}: cannot be written (No space left on device).")
        commit(self, about, arrays)

    with monkeypatch.context() as patch:
        patch.setattr(folders.GrowingFolder, "commit", full)
        assert go(capture_folder.path, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "No space left on device); the 2 frames that are done are kept in" in said and said.count("\n") == 1
    assert "and the same command goes on with them" in said
    assert len(read_predictions(tmp_path / "out" / PARTIAL / "predictions.jsonl").frames) == 2
    assert go(capture_folder.path, tmp_path / "out") == 0
    with pytest.raises(InputError):
        read_predictions(tmp_path / "out" / PARTIAL / "predictions.jsonl")
