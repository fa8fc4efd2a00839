"""OpenSim opens every TRC: people whose last marker is unknown, who are away, who come late, who are seen once."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispose.cli.main import main
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
