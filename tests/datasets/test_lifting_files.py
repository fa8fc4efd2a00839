"""Human3.6M in single views: one people, read from every form in which it circulates, and foreign files refused."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dispose.datasets.human36m_choice import CAMERAS, CHOICES, RAW_ROWS, choice_of, read_hard_subset
from dispose.datasets.human36m_views import DETECTIONS, HARD_LIST, LABELS, MIXTURES, read_human36m_views
from dispose.datasets.joint_mixtures import write_joint_mixtures
from dispose.datasets.labelled_people import LabelledPeople, pixels_of_screen, screen_of_pixels
from dispose.datasets.tables.human36m_h5 import read_human36m_h5
from dispose.datasets.tables.human36m_pickles import read_context_pickle
from dispose.datasets.tables.videopose3d import read_videopose3d_views
from dispose.diffusion.noise import Mixture
from dispose.errors import InputError
from dispose.skeletons.catalog import COCO_17, H36M_17, MPI_INF_3DHP_17, MPII_16, MPII_17
from dispose_synthetic.human36m_rig import human36m_rig
from tests.datasets.lifting_files import (
    FRAMES,
    H5_ROW,
    PEAKS,
    Recording,
    context_entries,
    h5_rows,
    pickled,
    recordings,
    write_npz,
)

h5py = pytest.importorskip("h5py")
ALL = choice_of("test_all")


@pytest.fixture(scope="module")
def some() -> list[Recording]:
    return recordings()


def write_h5(path: Path, rows: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file["dataset/testset"], file["dataset/trainset"] = rows, rows[:0]
    return path


def check_people(people: LabelledPeople, some: list[Recording], *, frames: int = FRAMES) -> None:
    """Everybody's joints are where they were made, and their keypoints where OpenCV's lens shows these."""
    assert len(people) == len(some) * 4 * frames and people.left_out == 0
    for row in range(len(people)):
        one = next(o for o in some if o.subject == people.names.subjects[people.subject[row]])
        view = one.rig.centres.sub(people.cameras.centres[row]).norm(dim=-1).argmin()
        frame = int(people.number[row])
        torch.testing.assert_close(
            people.xyz_camera[row], one.xyz_camera[view, frame, list(RAW_ROWS)], atol=2e-3, rtol=0
        )
        seen = people.seen[row].numpy()
        joints = [H36M_17.joints.index(people.names.keypoints.joints[k]) for k in np.flatnonzero(seen)]
        np.testing.assert_allclose(people.xy_image[row, seen], one.projected[view, frame, joints], atol=0.02)
        assert people.action_names[row] == one.name.split(" ")[0]


def test_places_of_all_views_are_read(some: list[Recording], tmp_path: Path) -> None:
    path = write_npz(tmp_path, some)
    people = read_videopose3d_views(tmp_path / "data_3d_h36m.npz", path, human36m_rig, ALL)
    check_people(people, some)
    assert people.mixture is None and not people.sigma_px.any()
    again, _ = people.cameras[torch.arange(8)].project(
        people.cameras_world(8) if False else torch.zeros(8, 1, 3).double()
    )
    assert again.shape == (8, 1, 1, 2)


@pytest.mark.parametrize("screen", [False, True])
def test_mixtures_tell_their_mean_and_deviation(some: list[Recording], tmp_path: Path, screen: bool) -> None:
    path = write_npz(tmp_path, some, mixtures=True, screen=screen)
    people = read_videopose3d_views(tmp_path / "data_3d_h36m.npz", path, human36m_rig, ALL)
    check_people(people, some)
    # Parts 6 px to either side, deviations 8 and 4: variances 100 and 16. The part without weight does not count.
    expected = torch.full(people.sigma_px.shape, 58.0**0.5).double()
    torch.testing.assert_close(people.sigma_px, expected, atol=0.02, rtol=0)
    assert people.mixture is not None
    torch.testing.assert_close(people.mixture[0, 0, :, 0], torch.tensor([0.5, 0.5, 0.0]).double())
    torch.testing.assert_close(people.mixture[0, 0, :, 3:], torch.tensor([[8.0, 4], [8, 4], [0, 0]]).double())
    assert people.converted(COCO_17).mixture is None


def test_mixtures_that_we_write_are_read(some: list[Recording], tmp_path: Path) -> None:
    write_npz(tmp_path, some)
    mean = torch.from_numpy(some[0].pixels[:, :, list(RAW_ROWS), None])
    parts = Mixture(torch.ones(mean.shape[:-1]).double(), mean, torch.full_like(mean, 3.0))
    each = [Mixture(parts.weight[v], parts.mean[v], parts.scale[v]) for v in range(4)]
    write_joint_mixtures(tmp_path / "m.npz", {("S9", "Walking 1"): each}, H36M_17)
    people = read_videopose3d_views(tmp_path / "data_3d_h36m.npz", tmp_path / "m.npz", human36m_rig, ALL)
    check_people(people, some[:1])
    torch.testing.assert_close(people.sigma_px, torch.full_like(people.sigma_px, 3.0))


def test_pickled_labels_are_read(some: list[Recording], tmp_path: Path) -> None:
    path = pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    found = read_context_pickle(path, ALL)
    check_people(found.people, some)
    assert found.pictures[0] == "S9_54138969_000001.jpg" and found.box[3].tolist() == [10, 20, 300, 403]
    torch.testing.assert_close(found.people.cameras.distortion[0, 0], some[0].rig.distortion[0])
    assert read_context_pickle(path, choice_of("test")).people.number.tolist() == [0] * 8


def test_raw_joint_sixteen_is_the_neck(some: list[Recording], tmp_path: Path) -> None:
    """What Context-Aware PoseFormer takes for joint 8 lies where joint 13 does, and is called the neck."""
    path = pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    people = read_context_pickle(path, ALL).people
    neck = people.xyz_camera[:, people.names.skeleton.index("neck")]
    torch.testing.assert_close(neck[:FRAMES], some[0].xyz_camera[0, :, 13], atol=1e-6, rtol=0)
    spine = people.xyz_camera[:, people.names.skeleton.index("spine")]
    torch.testing.assert_close(spine[:FRAMES], some[0].xyz_camera[0, :, 12], atol=1e-6, rtol=0)


def test_heat_map_rows_are_read(some: list[Recording], tmp_path: Path) -> None:
    found = read_human36m_h5(write_h5(tmp_path / "H36M_dataset_x.h5", h5_rows(some)), human36m_rig, ALL)
    people = found.people
    assert people.names.keypoints == MPII_16 and len(people) == 72
    assert people.number[:3].tolist() == [3, 7, 11]
    for row in (0, 17, 60):
        one, view, frame = some[row // 36], row % 36 // FRAMES, row % FRAMES
        torch.testing.assert_close(
            people.xyz_camera[row], one.xyz_camera[view, frame, list(RAW_ROWS)], atol=2e-3, rtol=0
        )
        xyz = one.raw[frame, list(PEAKS)]
        shown = one.rig.project(1000 * torch.from_numpy(xyz))[0][view]
        torch.testing.assert_close(people.xy_image[row, :4], shown, atol=0.02, rtol=0)
    maps = found.heatmaps(torch.tensor([5, 2, 5]))
    assert maps.shape == (3, 16, 64, 64) and maps[:, 0, 0, 0].tolist() == [5, 2, 5]


def test_index_seven_of_mpii_is_no_spine() -> None:
    assert MPII_16.joints[7] == "neck" and "spine" not in MPII_16.joints
    assert MPII_16.joints[8] == "upper_neck" and MPII_17.joints[7] == "spine"


def test_joints_go_by_their_names_and_come_back(some: list[Recording], tmp_path: Path) -> None:
    path = pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    people = read_context_pickle(path, ALL).people
    for other, lost in ((MPII_17, ()), (MPII_16, ("spine", "nose")), (MPI_INF_3DHP_17, ("nose",)), (COCO_17, None)):
        there = people.converted(other)
        back = there.converted(H36M_17)
        shared = [j for j, name in enumerate(H36M_17.joints) if name in other.joints]
        if lost is not None:
            assert {H36M_17.joints[j] for j in range(17)} - set(other.joints) == set(lost)
        assert torch.equal(back.xyz_camera[:, shared], people.xyz_camera[:, shared])
        assert torch.equal(back.xy_image[:, shared], people.xy_image[:, shared])
        assert bool(back.seen[:, shared].all()) and bool(back.known[:, shared].all())
    ears = people.converted(COCO_17)
    assert not ears.seen[:, COCO_17.index("l_ear")].any() and not ears.known[:, COCO_17.index("l_ear")].any()


def test_joints_are_told_from_their_root(some: list[Recording], tmp_path: Path) -> None:
    path = pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    about = read_context_pickle(path, ALL).people.about_root()
    assert not about[:, 0].any()
    given = some[0].xyz_camera[0, 0]
    torch.testing.assert_close(about[0, 3], given[3] - given[0])


def test_screen_coordinates_come_back() -> None:
    size = torch.tensor([[1000.0, 1002.0], [1920.0, 1080.0]])
    corners = torch.tensor([[0.0, 0.0], [1920.0, 1080.0]])
    screen = screen_of_pixels(corners, size)
    torch.testing.assert_close(screen, torch.tensor([[-1.0, -1.002], [1.0, 0.5625]]))
    torch.testing.assert_close(pixels_of_screen(screen, size), corners)


def test_what_is_no_number_is_not_seen_and_people_without_a_root_are_counted(
    some: list[Recording], tmp_path: Path
) -> None:
    entries = context_entries(some)
    entries[0]["joints_2d_cpn"][4] = np.nan
    entries[1]["joints_3d"][5] = np.nan
    entries[2]["joints_3d"][0] = np.nan
    entries[3]["joints_2d_cpn"][:] = np.nan
    found = read_context_pickle(pickled(tmp_path / "h36m_validation.pkl", entries), ALL)
    people = found.people
    assert people.left_out == 2 and len(people) == 70 and len(found.pictures) == 70
    assert people.number[:3].tolist() == [0, 1, 4] and people.row[:3].tolist() == [0, 1, 4]
    assert (~people.seen).nonzero().tolist() == [[0, 4]] and (~people.known).nonzero().tolist() == [[1, 5]]
    entries[4]["joints_3d"][1] = np.nan
    hips = read_context_pickle(pickled(tmp_path / "h36m_validation.pkl", entries), ALL).people.converted(COCO_17)
    assert hips.known.any(1)[:4].tolist() == [True, True, False, True]
    assert not people.xy_image[0, 4].any() and not people.xyz_camera[1, 5].any()
    assert found.pictures[2] == "S9_54138969_000005.jpg"


def test_choices_take_the_published_frames(some: list[Recording], tmp_path: Path) -> None:
    assert [(c.name, c.every, c.hard, len(c.subjects)) for c in CHOICES] == [
        ("train", 4, False, 5), ("test", 64, False, 2), ("test_all", 1, False, 2), ("hard", 1, True, 2),
    ]  # fmt: skip
    assert choice_of("train").subjects == ("S1", "S5", "S6", "S7", "S8") and choice_of("hard").subjects == ("S9", "S11")
    assert choice_of("test").frames("S9", "Walking 1", CAMERAS[0], 130) == [0, 64, 128]
    write_npz(tmp_path, some)
    (tmp_path / HARD_LIST).write_text("/S9/Walking 1.55011271/3.jpg\n/S11/TakingPhoto.60457274/9.jpg\n")
    people, path = read_human36m_views(tmp_path, human36m_rig, choice_of("hard"))
    assert path.name == "data_2d_h36m_cpn_ft_h36m_dbb.npz"
    assert people.number.tolist() == [2, 8] and people.action_names == ("Walking", "Photo")
    centres = torch.stack([some[0].rig.centres[1], some[1].rig.centres[3]])
    torch.testing.assert_close(people.cameras.centres[:, 0], centres)
    rows = np.concatenate([h5_rows(some)] * 3)
    write_h5(tmp_path / "H36M_dataset_x.h5", rows)
    test, path = read_human36m_views(tmp_path, human36m_rig, choice_of("test"))
    assert path.suffix == ".h5" and test.row.tolist() == list(range(0, 216, 16))
    assert test.number.tolist() == [int(rows["frame_orig"][r]) for r in test.row]
    hard, _ = read_human36m_views(tmp_path, human36m_rig, choice_of("hard"))
    assert hard.row.tolist() == [n for n in range(216) if n % 72 % 3 == 0]


def test_the_first_file_that_is_there_is_read(some: list[Recording], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the files .*gmm.*h36m_validation"):
        read_human36m_views(tmp_path, human36m_rig, ALL)
    write_npz(tmp_path, some)
    write_npz(tmp_path, some, mixtures=True)
    pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    read = {
        source.pattern: read_human36m_views(tmp_path, human36m_rig, ALL, [source])[1].name
        for source in (MIXTURES, LABELS, DETECTIONS)
    }
    assert list(read.values()) == [
        "data_2d_h36m_cpn_ft_h36m_dbb_gmm.npz", "h36m_validation.pkl", "data_2d_h36m_cpn_ft_h36m_dbb.npz",
    ]  # fmt: skip


class Command:
    """What a pickle from elsewhere may be."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("executed"),))


def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "h36m_validation.pkl"
    path.write_bytes(pickle.dumps([Command()]))
    with pytest.raises(InputError, match="nothing in the file was executed"):
        read_context_pickle(path, ALL)
    assert not (tmp_path / "executed").exists()


def change(entries: list[dict[str, Any]], number: int, **fields: Any) -> list[dict[str, Any]]:
    entries[number].update(fields)
    return entries


BAD_ENTRIES: dict[str, tuple[Callable[[list[dict[str, Any]]], Any], str]] = {
    "no list": (lambda e: {"a": 1}, "holds dict, a list"),
    "a number": (lambda e: change(e, 2, subject="S9"), "entry 2: 'subject' is str"),
    "no action": (lambda e: change(e, 0, action=17), "action goes from 12 to 17, there are 2 to 16"),
    "no camera": (lambda e: change(e, 3, camera_id=4), "camera_id goes from 0 to 4, there are 0 to 3"),
    "joints": (
        lambda e: change(e, 5, joints_3d=np.zeros((16, 3))),
        r"entry 5: 'joints_3d' is \[16, 3\], not \[17, 3\]",
    ),
    "no lens": (lambda e: change(e, 1, camera={}), r"entry 1: its camera does not consist of the numbers R \(9\)"),
    "few numbers": (lambda e: change(e, 1, camera=e[1]["camera"] | {"k": [0.1]}), "entry 1: its camera"),
    "no rotation": (lambda e: change(e, 4, camera=e[4]["camera"] | {"R": np.ones((3, 3))}), "entry 4: camera 5"),
    "of nobody": (lambda e: [entry | {"subject": 1} for entry in e], "no picture is of the choice 'test_all'"),
}


@pytest.mark.parametrize("name", sorted(BAD_ENTRIES))
def test_foreign_pickles_are_refused(some: list[Recording], tmp_path: Path, name: str) -> None:
    damage, sentence = BAD_ENTRIES[name]
    path = pickled(tmp_path / "h36m_validation.pkl", damage(context_entries(some)))
    with pytest.raises(InputError, match=sentence) as stop:
        read_context_pickle(path, ALL)
    assert "\n" not in str(stop.value)


def test_ambiguous_frames_need_a_file_that_marks_them(some: list[Recording], tmp_path: Path) -> None:
    pickled(tmp_path / "h36m_validation.pkl", context_entries(some))
    with pytest.raises(InputError, match="does not say which frames are ambiguous"):
        read_human36m_views(tmp_path, human36m_rig, choice_of("hard"), [LABELS])
    path = write_npz(tmp_path, some)
    with pytest.raises(InputError, match="needs the file framelist_h36m_hard_subset"):
        read_videopose3d_views(tmp_path / "data_3d_h36m.npz", path, human36m_rig, choice_of("hard"))
    (tmp_path / HARD_LIST).write_text("/S9/Walking 1.55011271/3.jpg\nS9 Walking\n")
    with pytest.raises(InputError, match="line 2 is no /SUBJECT"):
        read_hard_subset(tmp_path / HARD_LIST)


def test_foreign_tables_are_refused(some: list[Recording], tmp_path: Path) -> None:
    rows = h5_rows(some)
    names = list(H5_ROW.names or ())
    path = tmp_path / "H36M_dataset_x.h5"

    def refused(sentence: str) -> None:
        with pytest.raises(InputError, match=sentence) as stop:
            read_human36m_h5(path, human36m_rig, ALL)
        assert "\n" not in str(stop.value)

    refused("no such file")
    path.write_bytes(b"no HDF5")
    refused("is no whole HDF5 file")
    with h5py.File(path, "w") as file:
        file["other"] = np.zeros(3)
    refused(r"no table dataset/testset in it \(there is other\)")
    with h5py.File(path, "w") as file:
        file["dataset/testset/deeper"] = rows
    refused("no table dataset/testset")
    write_h5(path, rows[[name for name in names if name != "cam"]])
    refused("column 'cam' of testset is missing")
    wrong = np.zeros(3, [(n, "<f4", (51,)) if n == "gt_3d" else (n, rows.dtype[n]) for n in names])
    write_h5(path, wrong)
    refused(r"column 'gt_3d' of testset is \[51\], \[3, 17\] is expected")
    for field, value, sentence in (
        ("cam", "123", "'123' is no camera"), ("action", "Dancing", "'Dancing' is no action"),
        ("subject", "S1", "no row of testset is of the choice"), ("gt_2d", 7.0, r"row \d+: gt_2d and"),
    ):  # fmt: skip
        changed = rows.copy()
        changed[field] = value
        write_h5(path, changed)
        refused(sentence)


def test_foreign_mixtures_are_refused(some: list[Recording], tmp_path: Path) -> None:
    path = write_npz(tmp_path, some, mixtures=True)
    tree = {"S9": {"Walking 1": [np.zeros((FRAMES, 17, 3, 4))] * 4}}
    np.savez(path, positions_2d=np.array(tree, object))
    with pytest.raises(InputError, match=r"camera 54138969: keypoints are \[9, 17, 3, 4\], not \[frames, 17, 3, 5\]"):
        read_videopose3d_views(tmp_path / "data_3d_h36m.npz", path, human36m_rig, ALL)
    np.savez(path, positions_2d=np.array({"S9": {"Dancing": tree["S9"]["Walking 1"]}}, object))
    with pytest.raises(InputError, match="nobody in it"):
        read_videopose3d_views(tmp_path / "data_3d_h36m.npz", path, human36m_rig, ALL)
