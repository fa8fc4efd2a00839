"""Pseudo-label files: what is written is what is read, and what does not fit is said in one sentence."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.errors import InputError, OutputError
from dispose.formats.pseudo_labels import LabelledFrame, PseudoLabelStore, read_pseudo_labels, write_pseudo_labels
from dispose.scene.frame import Detections, Labels, Poses
from dispose.skeletons.catalog import COCO_17, PANOPTIC_15

VIEWS = ("00_03", "00_06", "00_12")
JOINTS = len(PANOPTIC_15)


def single(values: torch.Tensor) -> torch.Tensor:
    """What a file keeps of a value."""
    return values.float().double()


def labels_of(generator: torch.Generator, persons: int, strangers: tuple[int, ...]) -> Labels:
    """Random labels: persons with some joints, and a number of unmatched people in every view."""

    def uniform(*shape: int) -> torch.Tensor:
        return single(torch.rand(*shape, generator=generator, dtype=torch.float64))

    views = len(strangers)
    valid = uniform(persons, JOINTS) > 0.3
    visible = uniform(views, persons, JOINTS) > 0.4
    if persons:
        valid[0] = False
    poses = Poses(
        PANOPTIC_15,
        single(torch.where(valid[..., None], uniform(persons, JOINTS, 3) * 4000 - 2000, 0.0)),
        torch.where(valid, uniform(persons, JOINTS), 0.0),
        valid,
        torch.arange(persons) * 3 + 1,
    )
    unmatched = Detections.from_lists(PANOPTIC_15, [[uniform(JOINTS, 3) for _ in range(count)] for count in strangers])
    unmatched = replace(unmatched, score=single(unmatched.score))
    xy = single(torch.where(visible[..., None], uniform(views, persons, JOINTS, 2) * 1900, 0.0))
    return Labels.of_images(poses, xy, torch.where(visible, uniform(views, persons, JOINTS), 0.0), visible, unmatched)


def same(left: Labels, right: Labels) -> None:
    """Every tensor is equal."""
    for a, b in ((left, right), (left.poses, right.poses), (left.unmatched, right.unmatched)):
        for name, value in vars(a).items():
            if isinstance(value, torch.Tensor):
                torch.testing.assert_close(vars(b)[name], value, rtol=0, atol=0, msg=name)


@pytest.fixture
def frames(generator: torch.Generator) -> list[LabelledFrame]:
    """Two recordings, out of order, with an empty frame and one of strangers only."""
    counts = {("b", 3): (2, (0, 2, 1)), ("a", 12): (3, (1, 0, 0)), ("a", 0): (0, (0, 0, 0)), ("b", 0): (0, (2, 0, 3))}
    return [LabelledFrame(*key, labels_of(generator, *what)) for key, what in counts.items()]


@pytest.fixture
def path(tmp_path: Path, frames: list[LabelledFrame]) -> Path:
    """Those frames in a file."""
    path = tmp_path / "labels.npz"
    write_pseudo_labels(path, PANOPTIC_15, VIEWS, frames, source="a test")
    return path


def test_what_is_written_is_read(path: Path, frames: list[LabelledFrame]):
    store = read_pseudo_labels(path)
    assert store.keys == (("a", 0), ("a", 12), ("b", 0), ("b", 3)) and len(store) == 4
    assert store.numbers("b") == (0, 3)
    for frame in frames:
        same(frame.labels, store.at(frame.sequence, frame.number))


def test_a_file_of_nothing(tmp_path: Path):
    write_pseudo_labels(tmp_path / "x.npz", PANOPTIC_15, VIEWS, [])
    assert len(read_pseudo_labels(tmp_path / "x.npz")) == 0


def test_views_are_chosen_by_name(path: Path, frames: list[LabelledFrame]):
    store = read_pseudo_labels(path).select(["00_12", "00_03"])
    for frame in frames:
        found = store.at(frame.sequence, frame.number)
        torch.testing.assert_close(found.xy_image, frame.labels.xy_image[[2, 0]])
        assert found.unmatched.counts.tolist() == frame.labels.unmatched.counts[[2, 0]].tolist()
        same(store.select(["00_03"]).at(*store.keys[1]), read_pseudo_labels(path).select(["00_03"]).at(*store.keys[1]))


def test_masked_entries_are_zero_whatever_they_were(tmp_path: Path, generator: torch.Generator):
    labels = labels_of(generator, 2, (0, 0, 0))
    dirty = replace(labels, xy_image=torch.where(labels.visible[..., None], labels.xy_image, torch.nan))
    write_pseudo_labels(tmp_path / "x.npz", PANOPTIC_15, VIEWS, [LabelledFrame("a", 1, dirty)])
    same(labels, read_pseudo_labels(tmp_path / "x.npz").at("a", 1))


def rewritten(path: Path, **changes: object) -> Path:
    """The file with some arrays changed; None leaves one out; `header` is a record of changes."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, value in changes.items():
        if isinstance(value, dict):
            header = {**json.loads(arrays["header"].tobytes()), **value}
            arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        elif value is None:
            del arrays[name]
        else:
            arrays[name] = np.asarray(value)
    np.savez_compressed(path, **arrays)
    return path


def table(path: Path, name: str) -> np.ndarray:
    """A writable table of a file."""
    with np.load(path) as archive:
        return archive[name].copy()


def refused(path: Path, *words: str) -> None:
    """Reading is refused in one sentence that names the file and these words."""
    with pytest.raises(InputError) as stop:
        read_pseudo_labels(path)
    sentence = str(stop.value)
    assert str(path) in sentence and "\n" not in sentence
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"schema": "dispose.pseudo_labels/2"}, ["dispose.pseudo_labels/2", "dispose.pseudo_labels/1"]),
        ({"skeleton": "coco_17", "joints": list(COCO_17.joints)}, ["coco_17", "panoptic_15"]),
        ({"joints": list(PANOPTIC_15.joints[::-1])}, ["another order"]),
        ({"units": {"image": "px", "world": "cm"}}, ["mm"]),
        ({"views": ["a", "a", "b"]}, ["twice"]),
        ({"views": ["a"]}, ["sighting_view"]),
    ],
)
def test_another_header_is_refused(path: Path, header: dict[str, object], words: list[str]):
    refused(rewritten(path, header=header), *words)


def test_tables_that_do_not_fit_are_refused(path: Path):
    joints = table(path, "person_joints")
    joints[1, 2, 0] = np.nan
    refused(rewritten(path, person_joints=joints), "person_joints", "not finite", "row 1")
    joints[1, 2, 0] = 0
    refused(rewritten(path, person_joints=joints[:-1]), "person_joints", "4x15x4")
    rewritten(path, person_joints=joints)
    sightings = table(path, "sighting_person")
    wrong = sightings.copy()
    wrong[0] = 99
    refused(rewritten(path, sighting_person=wrong), "sighting_person", "99")
    wrong = sightings.copy()
    wrong[np.flatnonzero(sightings >= 0)[0]] = 4
    refused(rewritten(path, sighting_person=wrong), "another frame")
    rewritten(path, sighting_person=sightings)
    views = table(path, "sighting_view")
    views[:] = 0
    refused(rewritten(path, sighting_view=views), "twice in one view")
    refused(rewritten(path, sighting_view=None), "no array 'sighting_view'")


def test_a_file_that_breaks_off_is_refused(path: Path, tmp_path: Path):
    whole = path.read_bytes()
    for share in (0.0, 0.3, 0.95):
        (tmp_path / "cut.npz").write_bytes(whole[: int(len(whole) * share)])
        refused(tmp_path / "cut.npz")
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 255
    (tmp_path / "cut.npz").write_bytes(bytes(broken))
    refused(tmp_path / "cut.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("notes.txt", "nothing")
    refused(tmp_path / "other.npz", "no header")
    refused(tmp_path / "nowhere.npz", "no such file")
    refused(tmp_path)


def test_python_objects_are_never_unpickled(path: Path, tmp_path: Path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (ran,))

    trap = np.empty(1, object)
    trap[0] = Trap()
    refused(rewritten(path, person_id=trap))
    assert not ran.exists()


def test_unknown_places_are_named(path: Path):
    store = read_pseudo_labels(path)
    for ask, word in (
        (lambda: store.at("a", 5), "frame 5"),
        (lambda: store.at("c", 0), "'c'"),
        (lambda: store.select(["00_03", "00_30"]), "00_30"),
    ):
        with pytest.raises(InputError, match=word):
            ask()


def test_only_what_fits_is_written(path: Path, frames: list[LabelledFrame]):
    before = path.read_bytes()
    for views, given, word in (
        (VIEWS[:2], frames, "3 views"),
        (VIEWS, [*frames, frames[0]], "twice"),
    ):
        with pytest.raises(InputError, match=word):
            write_pseudo_labels(path, PANOPTIC_15, views, given)
    with pytest.raises(InputError, match="coco_17"):
        write_pseudo_labels(path, COCO_17, VIEWS, frames)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, frames: list[LabelledFrame]):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_pseudo_labels(tmp_path / "file" / "x.npz", PANOPTIC_15, VIEWS, frames)


def test_the_store_is_a_store(path: Path):
    assert isinstance(read_pseudo_labels(path), PseudoLabelStore)
