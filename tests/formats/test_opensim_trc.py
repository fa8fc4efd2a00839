"""OpenSim opens every TRC: people whose last marker is unknown, who are away, who come late, who are seen once."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispose.cli.main import main
from dispose.formats.arrays import GrownColumn
from dispose.formats.marker_names import MARKER_NAMES, pose2sim_names
from dispose.formats.person_table import PersonTable
from dispose.formats.trc import write_trcs
from dispose.skeletons.catalog import BODY_25, BODY_25B, CATALOG, COCO_17, HALPE_26, MPII_16
from tests.formats.opensim_reader import read_by_opensim

# The markers of Pose2Sim 0.10's models: OpenSim_Setup/Markers_Body25.xml, …Body25b.xml, …Coco17.xml, …Halpe26.xml.
LIMBS = {f"{side}{part}" for side in "LR" for part in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")}
FEET = {f"{side}{part}" for side in "LR" for part in ("BigToe", "SmallToe", "Heel")}
MODELS = {
    BODY_25: {*LIMBS, *FEET, "Nose", "Neck", "CHip"},
    BODY_25B: {*LIMBS, *FEET, "Nose", "Neck", "Head"},
    HALPE_26: {*LIMBS, *FEET, "Nose", "Neck", "Head", "Hip"},
    COCO_17: {*LIMBS, "Nose"},  # that model's neck is no keypoint of COCO's
    MPII_16: {*LIMBS, "Neck", "Head", "CHip"},
}


@pytest.mark.parametrize("skeleton", MODELS, ids=lambda skeleton: skeleton.name)
def test_markers_are_those_of_pose2sims_models(skeleton) -> None:
    names = pose2sim_names(skeleton)
    assert MODELS[skeleton] <= set(names)
    known = {"Head": "head_top", "Neck": "upper_neck" if skeleton == BODY_25B else "neck", "Nose": "nose",
             "Hip": "mid_hip", "CHip": "mid_hip", "RAnkle": "r_ankle", "LBigToe": "l_big_toe"}  # fmt: skip
    for marker, joint in known.items():
        assert (marker in names) == (marker in MODELS[skeleton])
        assert marker not in names or skeleton.joints[names.index(marker)] == joint


@pytest.mark.parametrize("skeleton", CATALOG, ids=lambda skeleton: skeleton.name)
def test_every_marker_has_a_name_of_its_own(skeleton) -> None:
    for names in MARKER_NAMES.values():
        assert len(set(names(skeleton))) == len(skeleton)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_opensim_reads_people_who_come_and_go(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("trc")
    there = data.draw(st.lists(st.booleans(), min_size=1, max_size=9).filter(any))
    seed = data.draw(st.integers(0, 999))
    random = np.random.default_rng(seed)
    numbers = 4 + np.arange(len(there))
    joints = random.normal(0, 2000, (sum(there), 17, 4))
    joints[random.random((sum(there), 17)) < 0.4] = np.nan
    joints[:, data.draw(st.sampled_from([(), (0,), (16,), tuple(range(17))]))] = np.nan
    table = PersonTable(COCO_17, numbers, numbers[there], np.full(sum(there), 7), joints)
    (path,) = write_trcs(folder, "walk", table, 30.0)
    names, read = read_by_opensim(path)
    first, last = np.flatnonzero(there)[[0, -1]]
    wanted = np.full((len(there), 17, 3), np.nan)
    wanted[there] = joints[..., :3]
    assert names == list(pose2sim_names(COCO_17))
    np.testing.assert_allclose(read, wanted[first : last + 1][..., (1, 2, 0)] / 1000, atol=1e-6)


@pytest.mark.parametrize("case", ["trc_last_marker_unknown", "trc_person_absent"])
def test_cases_of_users(shared_data: Path, tmp_path: Path, case: str) -> None:
    assert main(["predict", str(shared_data / "cases" / case), "--out", str(tmp_path), "--no-evidence"]) == 0
    frames = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()[1:]]
    paths = sorted((tmp_path / "trc").iterdir())
    assert len(paths) == 2
    for path in paths:
        lines = path.read_text().split("\n")[4:-1]
        assert all(line.endswith("\t") and line.count("\t") == 53 for line in lines[1:]) and lines[0].endswith("Z17\t")
        names, read = read_by_opensim(path)
        assert {"RAnkle", "LHip", "Nose"} <= set(names)
        person = int(path.stem.rpartition("P")[2])
        rows = [one["joints"] for frame in frames for one in frame["persons"] if one["id"] == person]
        wanted = np.array(rows, dtype=float)[..., (1, 2, 0)] / 1000
        np.testing.assert_allclose(read, wanted, atol=1e-6)


class Counted(np.ndarray):
    """Numbers that count how many of them are looked at."""

    looked = 0

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> object:
        Counted.looked += sum(one.size for one in inputs if isinstance(one, np.ndarray))
        return getattr(ufunc, method)(*map(plainly, inputs), **options)

    def __array_function__(self, function: object, types: object, given: tuple, options: dict) -> object:
        Counted.looked += self.size
        return super().__array_function__(function, types, given, options)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Any:
        found = self.view(np.ndarray)[key]
        Counted.looked += found.size
        return found


def plainly(value: object) -> object:
    return value.view(np.ndarray) if isinstance(value, Counted) else value


def looked_at(folder: Path, people: int, each: int = 12) -> float:
    """Numbers looked at, and bytes written, for a row of a table in which one person comes after the other."""
    rows = np.arange(people * each)
    columns = (rows, rows, rows // each, np.random.default_rng(0).normal(0, 1, (len(rows), 17, 4)))
    Counted.looked = 0
    paths = write_trcs(folder, "walk", PersonTable(COCO_17, *(one.view(Counted) for one in columns)), 30.0)
    assert len(paths) == people
    return (Counted.looked + sum(path.stat().st_size for path in paths)) / len(rows)


def test_who_comes_and_goes_costs_no_more_for_everybody_who_came_before(tmp_path: Path) -> None:
    """Time grows with the rows, and not with people times frames: counted in numbers and bytes, not by a clock."""
    few, many = looked_at(tmp_path / "few", 5), looked_at(tmp_path / "many", 80)
    assert many < 1.1 * few, f"{few:.0f} a row for 5 people, {many:.0f} for 80"


def in_memory(path: Path) -> int:
    """KiB of a mapped file that memory holds."""
    parts = re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    return sum(int(found[1]) for part in parts if str(path) in part and (found := re.search(r"Rss: +(\d+)", part)))


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_what_was_written_does_not_stay_in_memory(tmp_path: Path) -> None:
    """The columns of a long run are mapped: of what a person's file was made from, nothing is held."""
    path, rows = tmp_path / "joints", np.arange(4000)
    np.zeros((len(rows), 17, 4)).tofile(path)
    joints = GrownColumn(path, "<f8", (len(rows), 17, 4)).array()
    assert joints.sum() == 0 and in_memory(path) > 2000
    PersonTable(COCO_17, rows, rows, rows // 100, joints).clip(3, 300, 400)
    assert in_memory(path) < 200
