"""Released pickles become our labels without anything in them being executed, and nobody is lost on the way."""

import collections
import functools
import operator
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dispose.cli import main as cli
from dispose.errors import InputError
from dispose.formats.plain_pickle import load_plain_pickle
from dispose.formats.pseudo_labels import read_pseudo_labels
from dispose.released.pseudo_labels import read_released_labels
from dispose.scene import labels as label_rules
from dispose.scene.frame import Labels
from dispose.tensors import ABSENT

PROTOCOLS = (3, 4, 5)


def dumped(path: Path, value: object, protocol: int = 4) -> Path:
    """A pickle on disk."""
    path.write_bytes(pickle.dumps(value, protocol))
    return path


ARRAYS = [
    np.arange(12.0).reshape(3, 4),
    np.arange(6, dtype=np.int32).reshape(2, 3).T,
    np.zeros((0, 15, 3), np.float32),
    np.array([True, False]),
    np.array(["ab", "c"]),
    np.arange(4, dtype=">f4"),
    np.array(3.5),
    np.arange(24.0).reshape(2, 3, 4)[:, ::2],
]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_are_read_as_they_were(tmp_path: Path, protocol: int):
    value = {
        "text": "ü",
        7: [1, 2.5, None, True, (1, (2, b"\x00\xff")), 10**30],
        np.int64(3): {"scalar": np.float32(1.5), "truth": np.bool_(True)},
        "arrays": ARRAYS,
        "bytes": (b"", b"x"),
    }
    found = load_plain_pickle(dumped(tmp_path / "x.pkl", value, protocol))
    assert isinstance(found, dict)
    arrays = found.pop("arrays")
    assert found == {key: item for key, item in value.items() if key != "arrays"}
    for array, given in zip(ARRAYS, arrays, strict=True):
        np.testing.assert_array_equal(given, array)
        assert given.dtype == array.dtype and given.flags.writeable


def test_both_module_paths_of_numpy_are_known(tmp_path: Path):
    for value in (np.arange(3.0), np.float64(2)):
        new = pickle.dumps(value, 3)
        old = new.replace(b"numpy._core.", b"numpy.core.")
        assert new != old or np.lib.NumpyVersion(np.__version__) < "2.0.0"
        for text in (old, old.replace(b"numpy.core.", b"numpy._core.")):
            (tmp_path / "x.pkl").write_bytes(text)
            np.testing.assert_array_equal(np.asarray(load_plain_pickle(tmp_path / "x.pkl")), value)


class Call:
    """Pickled as the call of a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.parts


class Plain:
    """A class of somebody's."""


def calls(ran: Path) -> dict[str, object]:
    """Pickles that would do something, by what their complaint names."""
    touch = f"open({str(ran)!r}, 'w')"
    return {
        "system": Call(os.system, f"touch {ran}"),
        "eval": Call(eval, touch),
        "exec": Call(exec, touch),
        "getattr": Call(getattr, "", "join"),
        "open": Call(open, str(ran), "w"),
        "partial": functools.partial(print, "x"),
        "attrgetter": operator.attrgetter("x"),
        "OrderedDict": collections.OrderedDict(a=1),
        "_run_code": Call(__import__("runpy")._run_code, touch, {}),
        "load": Call(np.load, str(ran), None, True),
        "fromfile": Call(np.fromfile, str(ran)),
        "apply_along_axis": Call(np.apply_along_axis, len, 0, np.ones(2)),
        "Plain": Plain(),
        "PosixPath": ran,
        "recarray": np.zeros(2).view(np.recarray),
        "object": Call(object),
        "memmap": np.memmap,
    }


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", sorted(calls(Path("x"))))
def test_nothing_is_executed(tmp_path: Path, name: str, protocol: int):
    ran = tmp_path / "ran"
    if name in ("eval", "exec", "open"):
        # pickle writes Python 2's names in old protocols; both are refused.
        protocol = 4
    for value in (calls(ran)[name], {"seq": {0: {"2D": calls(ran)[name]}}}):
        with pytest.raises(InputError) as stop:
            load_plain_pickle(dumped(tmp_path / "x.pkl", value, protocol))
        sentence = str(stop.value)
        assert name in sentence and "x.pkl" in sentence and "\n" not in sentence
        assert "nothing in the file was executed" in sentence
    assert not ran.exists()


def record_of_one(offset: int = 0, kind: str = "f8") -> bytes:
    """A pickled array of one record of eight bytes with one part."""
    part = f"cnumpy\ndtype\n(S'{kind}'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    record = f"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR(I3\nS'|'\nN(S'a'\nt(dS'a'\n({part}I{offset}\ntsI8\nI1\nI0\ntb"
    array = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return f"{array}(I1\n(I1\nt{record}I00\nC\x08AAAAAAAAtb.".encode()


def test_a_record_made_by_hand_is_read(tmp_path: Path):
    (tmp_path / "x.pkl").write_bytes(record_of_one())
    found = load_plain_pickle(tmp_path / "x.pkl")
    assert isinstance(found, np.ndarray) and found["a"].tobytes() == b"AAAAAAAA"


@pytest.mark.parametrize(
    "text",
    [
        # A function of ours whose code is replaced; a state for a function; an attribute of an array.
        b"cnumpy.core.multiarray\n_reconstruct\n(N}X\x08\x00\x00\x00__code__NstbN.",
        b"cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aNsb.",
        b"cnumpy\ndtype\n.",
        # The data type of objects with its flags taken away would make NumPy read numbers as addresses.
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\n"
        b"I1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'AAAAAAAA'\ntb.",
        # Fields that lie outside of the element.
        b"cnumpy\ndtype\n(S'V8'\nI0\nI1\ntR.",
        b"cnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\nt}I8\nI8\nI0\ntb.",
        # A part of a record that lies behind its end, and one of more bytes than there are.
        record_of_one(offset=8),
        record_of_one(kind="f16"),
        # A list that stands alone.
        b"c__builtin__\nlist\n.",
        # More memory than there is.
        b"c__builtin__\nbytearray\n(I99999999999\ntR.",
        b"cnumpy\nndarray\n((I99999999999\nttR0cnumpy.core.multiarray\n_reconstruct\n(NNNtR(I1\n(I99999999999\ntNI00\n"
        b"S''\ntb.",
        b"\x82\x01.",
        b"Pid\n.",
        b"(lp0\n0g0\n.nonsense",
        b"",
        b"hello",
        b"\x80\x05\x95",
    ],
)
def test_crafted_bytes_are_refused_or_harmless(tmp_path: Path, text: bytes):
    (tmp_path / "x.pkl").write_bytes(text)
    try:
        found = load_plain_pickle(tmp_path / "x.pkl")
    except InputError as error:
        assert "x.pkl" in str(error) and "\n" not in str(error)
    else:
        assert found == []
    after = load_plain_pickle(dumped(tmp_path / "y.pkl", np.arange(3), 3))
    np.testing.assert_array_equal(np.asarray(after), [0, 1, 2])


RECORDS = np.dtype([("R", "<f4", (3, 3)), ("n", "i1"), ("name", "U4")])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_of_records_and_of_objects_are_read_as_they_were(tmp_path: Path, protocol: int):
    records = np.zeros((2, 3), RECORDS)
    records["R"] = np.arange(54.0).reshape(2, 3, 3, 3)
    records["n"], records["name"] = np.arange(6).reshape(2, 3), "abc"
    single = np.array({"a": [np.arange(3.0)]}, object)
    objects = np.empty((2, 2), object)
    objects[0, 0], objects[0, 1], objects[1, 0] = [1, 2], np.arange(2), (None, {"x": 1.5})
    defaults = collections.defaultdict(list, a=[np.ones(2)])
    for order in (objects, np.asfortranarray(objects), single, records, defaults):
        found = load_plain_pickle(dumped(tmp_path / "x.pkl", order, protocol))
        assert not isinstance(found, collections.defaultdict)
        assert repr(found) == repr(dict(order) if isinstance(order, dict) else order)
    found = load_plain_pickle(dumped(tmp_path / "x.pkl", np.asfortranarray(records), protocol))
    assert isinstance(found, np.ndarray) and found.dtype == RECORDS
    np.testing.assert_array_equal(found, records)


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64(0, "s"),
        np.zeros(2, [("a", "M8[s]")]),
        np.zeros(2, [("a", "O")]),
        np.zeros(2, "V4"),
        collections.defaultdict(dict),
    ],
)
def test_arrays_of_anything_but_plain_values_are_refused(tmp_path: Path, value: object):
    with pytest.raises(InputError, match=r"holds .*(not plain|without a meaning|plain value)"):
        load_plain_pickle(dumped(tmp_path / "x.pkl", {"a": value}))


def test_what_an_array_of_objects_holds_is_plain_too(tmp_path: Path):
    ran = tmp_path / "ran"
    with pytest.raises(InputError, match="nothing in the file was executed"):
        load_plain_pickle(dumped(tmp_path / "x.pkl", np.array({"a": Call(os.system, f"touch {ran}")}, object)))
    assert not ran.exists()


def test_a_pickle_that_breaks_off_is_refused(tmp_path: Path):
    whole = pickle.dumps({"a": {0: np.arange(1000.0)}}, 4)
    for share in (0.1, 0.5, 0.999):
        (tmp_path / "x.pkl").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="breaks off"):
            load_plain_pickle(tmp_path / "x.pkl")
    with pytest.raises(InputError, match="no such file"):
        load_plain_pickle(tmp_path / "nowhere.pkl")


def view(numbers: list[int], seed: int, lost: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """The entry of a camera."""
    random = np.random.default_rng(seed)
    joints = random.uniform(0.1, 0.9, (len(numbers), 15, 3)) * (1900, 1000, 1)
    joints[:, list(lost)] = 0
    return {"keypoints_xys": joints, "bbox_xywhs": np.zeros((len(numbers), 5)), "person_ids": np.array(numbers)}


def poses(numbers: list[int], joints: int = 15) -> dict[str, np.ndarray]:
    """The 3-D entry, with that many joints per person."""
    table = np.random.default_rng(9).uniform(1, 1700, (len(numbers), 15, 4))
    table[..., 3] = 0.5
    table[:, joints:] = 0
    return {"triangulated_keypoints_xyzs": table, "person_ids": np.array(numbers)}


def content() -> dict[str, dict[int, Any]]:
    """A pickle with everything that can occur."""
    return {
        "160906_band1": {
            3: {"2D": {"00_03": view([4, -1, -1, -1], 0), "00_12": view([7, 4], 1, (0, 5))}, "3D": poses([4])},
            0: {"2D": {"00_03": view([], 2)}, "3D": {"triangulated_keypoints_xyzs": [], "person_ids": []}},
        },
        "160906_ian1": {12: {"2D": {"00_06": view([1, 1], 3)}}},
    }


def test_people_are_matched_and_the_unmatched_all_survive(tmp_path: Path):
    given = content()
    released = read_released_labels(dumped(tmp_path / "x.pkl", given))
    assert released.views == ("00_03", "00_06", "00_12")
    assert [(f.sequence, f.number) for f in released.frames] == [
        ("160906_band1", 0), ("160906_band1", 3), ("160906_ian1", 12),
    ]  # fmt: skip
    labels = released.frames[1].labels
    assert labels.poses.id.tolist() == [4, 7]
    assert labels.poses.valid.sum(-1).tolist() == [15, 0]
    assert labels.unmatched.counts.tolist() == [3, 0, 0]
    band = given["160906_band1"][3]["2D"]
    np.testing.assert_allclose(labels.xy_image[0, 0], band["00_03"]["keypoints_xys"][0, :, :2])
    np.testing.assert_allclose(labels.xy_image[2, 0], band["00_12"]["keypoints_xys"][1, :, :2])
    np.testing.assert_allclose(labels.confidence[2, 1], band["00_12"]["keypoints_xys"][0, :, 2])
    np.testing.assert_allclose(labels.unmatched.xy_image[0, 2], band["00_03"]["keypoints_xys"][3, :, :2])
    assert labels.visible.sum(-1).tolist() == [[15, 0], [0, 0], [13, 13]]
    assert not labels.visible[2, :, [0, 5]].any()
    assert len(released.frames[0].labels.poses.id) == 0
    twice = released.frames[2].labels
    assert twice.unmatched.counts.tolist() == [0, 1, 0] and twice.visible[1, 0].all()
    assert len(released.oddities) == 1 and released.oddities[0].startswith("1 people share their number with another")


def test_two_people_of_one_number_in_3d_stay_two(tmp_path: Path):
    frame = {"2D": {"0": view([2], 0)}, "3D": poses([2, 2, -1])}
    labels = read_released_labels(dumped(tmp_path / "x.pkl", {"a": {0: frame}})).frames[0].labels
    assert labels.poses.id.tolist() == [2, ABSENT, ABSENT] and labels.poses.valid.all()
    assert labels.visible[0].any(-1).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"2D": {"0": {"keypoints_xys": np.zeros((1, 17, 3)), "person_ids": [0]}}}, ["camera 0", "1x17x3"]),
        ({"2D": {"0": {"keypoints_xys": np.zeros((2, 15, 3)), "person_ids": [0]}}}, ["2 people", "1 in person_ids"]),
        ({"2D": {"0": {"keypoints_xys": np.zeros((1, 15, 3))}}}, ["person_ids"]),
        ({"2D": {"0": {"keypoints_xys": "x", "person_ids": [0]}}}, ["no numbers"]),
        ({"2D": [1]}, ["2D", "dictionary"]),
        ({"3D": {"person_ids": []}}, ["triangulated_keypoints_xyzs"]),
        ([], ["dictionary"]),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, frame: object, words: list[str]):
    with pytest.raises(InputError) as stop:
        read_released_labels(dumped(tmp_path / "x.pkl", {"s1": {8: frame}}))
    sentence = str(stop.value)
    assert all(word in sentence for word in ["x.pkl", "'s1'", "frame 8", *words]), sentence


def test_joints_that_are_no_numbers_are_missing_and_counted(tmp_path: Path):
    entry = view([3], 0)
    entry["keypoints_xys"][0, 2] = np.nan
    released = read_released_labels(dumped(tmp_path / "x.pkl", {"a": {0: {"2D": {"0": entry}}}}))
    assert released.oddities == ("1 joints were no numbers and count as missing",)
    assert released.frames[0].labels.visible[0, 0].tolist() == [joint != 2 for joint in range(15)]


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    """One person with 15, one with 11 joints in 3-D, and three strangers in the first view."""
    table = np.concatenate([poses([0])["triangulated_keypoints_xyzs"], poses([1], 11)["triangulated_keypoints_xyzs"]])
    frame = {
        "2D": {"1": view([0, -1, 1, -1, -1], 5), "2": view([1, 0], 6, (3,))},
        "3D": {"triangulated_keypoints_xyzs": table, "person_ids": [0, 1]},
    }
    return read_released_labels(dumped(tmp_path / "x.pkl", {"a": {0: frame}})).frames[0].labels


def test_too_few_joints_are_no_pose(labels: Labels):
    found = label_rules.with_whole_skeletons(labels)
    assert found.poses.valid.sum(-1).tolist() == [15, 0]
    assert not found.poses.xyz_world[1].any() and torch.equal(found.visible, labels.visible)
    assert label_rules.with_whole_skeletons(labels, 11).poses.valid.sum(-1).tolist() == [15, 11]


def test_who_lies_on_a_table_has_no_pose(labels: Labels):
    xyz = labels.poses.xyz_world
    xyz[0, [8, 14], 2] = torch.tensor([100.0, 251.0], dtype=xyz.dtype)
    xyz[1, [8, 14], 2] = torch.tensor([100.0, 9000.0], dtype=xyz.dtype)
    # The second person's right ankle is not known, so its height says nothing.
    assert label_rules.without_raised_ankles(labels).poses.valid.sum(-1).tolist() == [0, 11]


def test_confidence_is_that_of_the_views(labels: Labels):
    found = label_rules.with_view_confidence(labels).poses.confidence
    torch.testing.assert_close(found[0, 5], labels.confidence[:, 0, 5].mean())
    torch.testing.assert_close(found[0, 3], labels.confidence[0, 0, 3])
    assert not found[1, 11:].any()


def test_the_strongest_strangers_stay(labels: Labels):
    mean = labels.unmatched.confidence[0].mean(-1)
    found = label_rules.strongest_unmatched(labels, slots=4).unmatched
    assert found.counts.tolist() == [2, 0]
    assert not found.valid[0, int(mean.argmin())]
    assert label_rules.strongest_unmatched(labels, slots=0).unmatched.counts.tolist() == [0, 0]
    assert torch.equal(label_rules.strongest_unmatched(labels).unmatched.valid, labels.unmatched.valid)


def test_the_command_converts_and_says_what_it_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = dumped(tmp_path / "panoptic_1_pseudo_labels.pkl", content())
    words = ["labels", "convert", str(source), "--out", str(tmp_path / "x.npz"), "--rename", "00_12", "right"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "note: 1 people share" in text and "00_03, 00_06, right" in text
    assert text.count("160906_band1") == 1 and "1 people with at least 12 joints, 0 with fewer, 2 in 2-D only" in text
    store = read_pseudo_labels(tmp_path / "x.npz")
    released = read_released_labels(source)
    for frame in released.frames:
        found = store.at(frame.sequence, frame.number)
        torch.testing.assert_close(found.xy_image, frame.labels.xy_image, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.poses.xyz_world, frame.labels.poses.xyz_world, rtol=0, atol=1e-3)
        assert torch.equal(found.unmatched.valid, frame.labels.unmatched.valid)
    assert cli.main(["labels", "show", str(tmp_path / "x.npz")]) == 0
    assert cli.main(["labels", "convert", str(source), "--out", str(tmp_path / "y.npz"), "--rename", "a", "b"]) == 2
    dumped(source, calls(tmp_path / "ran")["system"])
    capsys.readouterr()
    assert cli.main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("dataset", "camera", "sequence"),
    [("panoptic", "3", "defalta"), ("shelf", "Camera3", "Shelf"), ("mm_or", "camera03", "defalta")],
)
def test_names_become_those_of_the_adapters(tmp_path: Path, dataset: str, camera: str, sequence: str):
    source = dumped(tmp_path / "x.pkl", {"defalta": {7: {"2D": {"3": view([0], 0)}}}})
    words = ["labels", "convert", str(source), "--dataset", dataset, "--out", str(tmp_path / "x.npz")]
    assert cli.main(words) == 0
    store = read_pseudo_labels(tmp_path / "x.npz")
    assert store.views == (camera,) and store.keys == ((sequence, 7),)
