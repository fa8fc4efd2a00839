"""Acclaim's files, small ones made here: axes, units, turns against SciPy, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dispose.datasets.cmu_motion import BONES, read_motion
from dispose.errors import InputError
from dispose.formats.asf_amc import euler, read_amc, read_asf
from dispose_synthetic.motion import tree_places

PARENT = {
    "lhipjoint": "root", "lfemur": "lhipjoint", "ltibia": "lfemur", "lfoot": "ltibia", "ltoes": "lfoot",
    "rhipjoint": "root", "rfemur": "rhipjoint", "rtibia": "rfemur", "rfoot": "rtibia", "rtoes": "rfoot",
    "lowerback": "root", "upperback": "lowerback", "thorax": "upperback", "lowerneck": "thorax",
    "upperneck": "lowerneck", "head": "upperneck", "lclavicle": "thorax", "lhumerus": "lclavicle",
    "lradius": "lhumerus", "rclavicle": "thorax", "rhumerus": "rclavicle", "rradius": "rhumerus",
}  # fmt: skip


def write_asf(path: Path, *, axis: str = "0 0 20  XYZ", drop: str = "", order: str = "XYZ") -> None:
    """A skeleton whose every bone is two units long and points down, the left thigh's axes turned."""
    lines = [":version 1.10", ":units", "  length 0.45", "  angle deg", ":root", f"   axis {order}", ":bonedata"]
    for number, name in enumerate(PARENT):
        if name == drop:
            continue
        lines += ["  begin", f"     id {number}", f"     name {name}", "     direction 0 -1 0", "     length 2"]
        lines += [f"     axis {axis if name == 'lfemur' else '0 0 0 XYZ'}"]
        lines += ["    dof rx ry rz", "    limits (-160.0 20.0)", "           (-70.0 70.0)"] if name == "lfemur" else []
        lines += ["    dof rx"] if name == "ltibia" else []
        lines += ["  end"]
    lines += [":hierarchy", "  begin"]
    for parent in dict.fromkeys(PARENT.values()):
        lines.append(
            f"    {parent} " + " ".join(child for child, of in PARENT.items() if of == parent and child != drop)
        )
    path.write_text("\n".join([*lines, "  end"]))


def write_amc(path: Path, frames: list[str]) -> None:
    path.write_text("\n".join(["#!OML:ASF", ":FULLY-SPECIFIED", ":DEGREES", *frames]))


FRAME = ["root 1 2 3 10 20 30", "lfemur 15 -25 35", "ltibia 40"]


def test_places_are_those_of_the_format_computed_with_scipy(tmp_path):
    write_asf(tmp_path / "07.asf")
    write_amc(tmp_path / "07_01.amc", ["1", *FRAME])
    motion = read_motion(tmp_path)
    places, _ = tree_places(motion, motion.offsets[motion.skeleton], motion.rotations, motion.root)
    unit = 25.4 / 0.45
    root = Rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    axes = Rotation.from_euler("xyz", [0, 0, 20], degrees=True)
    thigh = root * axes * Rotation.from_euler("xyz", [15, -25, 35], degrees=True) * axes.inv()
    shank = thigh * Rotation.from_euler("xyz", [40, 0, 0], degrees=True)
    down = np.array([0, -2 * unit, 0])
    ankle = np.array([1, 2, 3]) * unit + root.apply(down) + thigh.apply(down) + shank.apply(down)
    # The file's z is forward, its x to the left, its y up.
    wanted = ankle[[2, 0, 1]]
    assert places[0, motion.joints.index("l_ankle")].tolist() == pytest.approx(wanted.tolist(), abs=1e-2)
    assert [joint for joint, _ in BONES] == list(motion.joints)
    assert motion.parents[motion.joints.index("r_wrist")] == motion.joints.index("r_elbow")


def test_one_frame_in_six_of_every_motion_and_person(tmp_path):
    for name in ("01", "02"):
        (tmp_path / name).mkdir()
        write_asf(tmp_path / name / f"{name}.asf")
        for take in (1, 2):
            write_amc(
                tmp_path / name / f"{name}_{take:02d}.amc", [line for k in range(13) for line in (str(k + 1), *FRAME)]
            )
    motion = read_motion(tmp_path)
    assert motion.clip.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert motion.skeleton.tolist() == [0] * 6 + [1] * 6 and motion.offsets.shape == (2, 23, 3)


def test_turns_go_about_x_first():
    wanted = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    assert torch.allclose(euler(torch.tensor([10.0, 20.0, 30.0], dtype=torch.float64)), torch.tensor(wanted))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": "ZYX"}, r"root: axis is ZYX; only XYZ is read"),
        ({"axis": "0 0 x XYZ"}, r"0 0 x where numbers should be"),
        ({"axis": "0 0 0 ZXY"}, r"bone lfemur: the axis order is ZXY"),
        ({"drop": "head"}, r"has no bone head, which CMU's skeletons have"),
        ({"drop": "lhipjoint"}, r"bone lfemur hangs on nothing"),
    ],
)
def test_what_is_no_skeleton_is_said_in_a_sentence(tmp_path, change, message):
    write_asf(tmp_path / "07.asf", **change)
    write_amc(tmp_path / "07_01.amc", ["1", *FRAME])
    with pytest.raises(InputError, match=message):
        read_motion(tmp_path)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (["1", "tail 3"], r"line 5: the skeleton has no bone tail"),
        (["1", "ltibia 3 4"], r"line 5: 2 angles of ltibia, 1 in the skeleton"),
        (["1", "ltibia nan"], r"line 5: nan where numbers should be"),
        ([], r"has no frames"),
    ],
)
def test_what_is_no_motion_is_said_in_a_sentence(tmp_path, frames, message):
    write_asf(tmp_path / "07.asf")
    write_amc(tmp_path / "07_01.amc", frames)
    with pytest.raises(InputError, match=message):
        read_amc(tmp_path / "07_01.amc", read_asf(tmp_path / "07.asf"))


def test_a_skeleton_without_motion_is_named(tmp_path):
    write_asf(tmp_path / "07.asf")
    with pytest.raises(InputError, match=r"07\.asf: has no motion 07_\*\.amc beside it"):
        read_motion(tmp_path)
