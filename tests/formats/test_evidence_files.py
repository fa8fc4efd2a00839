"""`evidence.npz`: there and back, nothing executable in it, and no half or foreign file is taken for one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dispose.errors import InputError, ShapeError
from dispose.formats.arrays import write_npz
from dispose.formats.evidence import EVIDENCE, PREDICTIONS, evidence_common, evidence_head, evidence_rows, read_run
from dispose.formats.predictions import by_slot, by_source, write_predictions
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Detections, Frame, Labels, Poses
from dispose.scene.results import Association, FrameResult, Hypotheses, Prediction, Results
from dispose.skeletons.catalog import COCO_17, SHELF_14
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT

NAMES = ("a", "b", "c")


def rig(names: tuple[str, ...] = NAMES) -> Cameras:
    views = len(names)
    random = torch.Generator().manual_seed(1)
    eye = torch.eye(3, dtype=torch.float64).repeat(views, 1, 1)
    shift = torch.randn(views, 3, generator=random, dtype=torch.float64) * 1000
    size = torch.tensor([[640.0, 480.0]], dtype=torch.float64).repeat(views, 1)
    matrix = eye * torch.tensor([500.0, 500.0, 1.0], dtype=torch.float64)
    return Cameras(names, size, matrix, torch.zeros(views, 8, dtype=torch.float64), eye, shift)


def detections(random: torch.Generator, counts: tuple[int, ...] = (2, 0, 3)) -> Detections:
    people = [
        [torch.rand(17, 3, generator=random) * torch.tensor([640.0, 480.0, 1.0]) for _ in range(n)] for n in counts
    ]
    for view in people:
        for person in view:
            person[torch.rand(17, generator=random) < 0.3, 2] = 0
    return Detections.from_lists(COCO_17, people, index=[[5 + 2 * s for s in range(n)] for n in counts])


def poses(skeleton: Skeleton, count: int, random: torch.Generator) -> Poses:
    valid = torch.rand(count, len(skeleton), generator=random) > 0.2
    xyz = torch.randn(count, len(skeleton), 3, generator=random, dtype=torch.float64).round(decimals=3) * 1000
    xyz = torch.where(valid[..., None], xyz, 0.0)
    return Poses(skeleton, xyz, valid.double(), valid, torch.arange(count) + 3)


def hypotheses(random: torch.Generator, tuples: int) -> Hypotheses:
    members = torch.stack([torch.randint(-1, n, (tuples,), generator=random) for n in (2, 0, 3)], 1)
    cost, cue, marginal = torch.rand(3, tuples, generator=random, dtype=torch.float64)
    time = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    return Hypotheses(
        members, cost, cue, marginal, time, torch.rand(3, tuples, generator=random, dtype=torch.float64), dropped=4
    )


def case(number: int, cameras: Cameras) -> FrameResult:
    random = torch.Generator().manual_seed(number)
    frame = Frame(number, cameras, detections(random))
    members = torch.tensor([[0, ABSENT, 2], [1, ABSENT, 0]])
    association = Association(members, torch.tensor([0.5, 0.25], dtype=torch.float64))
    prediction = Prediction(number, association, poses(COCO_17, 2, random), torch.zeros(2, 3, dtype=torch.float64))
    identity = torch.where(frame.detections.valid, torch.randint(-1, 3, (3, 3), generator=random), ABSENT)
    reference = Association(members[:1], association.confidence[:1])
    return FrameResult(
        prediction, frame, hypotheses(random, 6), reference, Labels.of_detections(identity, poses(SHELF_14, 3, random))
    )


def results() -> Results:
    cameras = rig()
    bare = replace(case(9, cameras), hypotheses=None, reference=None, labels=None)
    empty = Detections.from_lists(COCO_17, [[], [], []])
    gone = Prediction(
        12,
        Association(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, dtype=torch.float64)),
        poses(COCO_17, 0, torch.Generator()),
        torch.zeros(0, 3, dtype=torch.float64),
    )
    nobody = FrameResult(gone, Frame(12, cameras, empty))
    return Results("walk", "ours", COCO_17, (case(3, cameras), bare, nobody, case(20, cameras)))


def write_evidence(path: Path, run: Results) -> None:
    head = evidence_head(path.parent / PREDICTIONS, run.name, run.method)
    write_npz(path, [*head, *evidence_common(path, run.cases), *evidence_rows(run.cases, 0)])


def write(folder: Path, run: Results) -> Path:
    found = [by_source(c.prediction, c.detections) for c in run.cases if c.detections is not None]
    write_predictions(folder / PREDICTIONS, run.skeleton, run.cases[0].cameras.names, found)  # type: ignore[union-attr]
    write_evidence(folder / EVIDENCE, run)
    return folder


def tensors(record: object) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(record).items() if isinstance(value, torch.Tensor)}


def test_there_and_back(tmp_path: Path) -> None:
    run = results()
    found = read_run(write(tmp_path, run))
    assert (found.name, found.method, found.skeleton) == ("walk", "ours", COCO_17)
    assert found.notes == ("12 of 20 candidate tuples are kept; the others never had mass and were not cheap.",)
    for a, b in zip(found.cases, run.cases, strict=True):
        assert a.prediction.number == b.prediction.number
        assert torch.equal(a.prediction.association.members, b.prediction.association.members)
        assert_close(tensors(a.cameras), tensors(b.cameras), rtol=0, atol=0)
        for one, other in ((a.detections, b.detections), (a.hypotheses, b.hypotheses), (a.reference, b.reference)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert_close(tensors(one), tensors(other), rtol=1e-3, atol=1e-3, check_dtype=False)
        assert (a.labels is None) == (b.labels is None)
        if a.labels is not None and b.labels is not None:
            assert torch.equal(a.labels.identity, b.labels.identity)
            assert_close(tensors(a.labels.poses), tensors(b.labels.poses), rtol=0, atol=1e-3)


def test_members_by_slot_is_the_inverse_of_by_source() -> None:
    one = case(3, rig())
    assert one.detections is not None
    source = by_source(one.prediction, one.detections)
    assert not torch.equal(source.association.members, one.prediction.association.members)
    back = by_slot(source, one.detections)
    assert torch.equal(back.association.members, one.prediction.association.members)


def test_nothing_in_it_is_an_object(tmp_path: Path) -> None:
    write(tmp_path, results())
    with np.load(tmp_path / EVIDENCE, allow_pickle=False) as archive:
        assert {archive[name].dtype.kind for name in archive.files} <= set("iufUb")
        assert str(archive["schema"]) == "dispose.evidence/1"


def test_a_file_with_an_object_is_refused_unread(tmp_path: Path) -> None:
    path = write(tmp_path, results()) / EVIDENCE
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "sums"}
    arrays["tuple_cost"] = np.array([print], dtype=object)
    np.savez(path, allow_pickle=True, **arrays)
    with pytest.raises(InputError, match=r"evidence\.npz: array .tuple_cost. holds objects"):
        read_run(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path, results()) / EVIDENCE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"evidence\.npz: cannot be read as a whole"):
        read_run(tmp_path)


def spoil(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files if key != "sums"}
        arrays[name] = change(arrays[name])
        np.savez_compressed(path, **arrays)

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("schema", lambda a: np.array("dispose.evidence/9")), "schema is 'dispose.evidence/9', this version"),
        (spoil("camera_matrix", lambda a: a * np.nan), "array 'camera_matrix' has an entry that is not finite"),
        (spoil("camera_names", lambda a: a[:2]), "array 'camera_size' is 3x2, not 2x2"),
        (spoil("tuple_members", lambda a: a + 7), "array 'tuple_members' names a slot that is not there"),
        (spoil("rival_frame", lambda a: a + 9), "array 'rival_frame' points to row 12 of 4"),
        (spoil("detection_frame", lambda a: a[::-1]), "array 'detection_frame' is not in order"),
        (spoil("detection_slot", lambda a: a + 5), "a detection lies in a view or slot that is not there"),
        (spoil("joints", lambda a: a[:5]), "array 'detection_keypoints' is 15x17x3, not 15x5x3"),
        (spoil("tuple_cost", lambda a: a.astype(str)), "array 'tuple_cost' holds <U"),
        (
            spoil("tuple_marginal", lambda a: a * np.nan),
            "array 'tuple_marginal' has an entry that is not finite (row 0",
        ),
        (spoil("tuple_mass", lambda a: a * np.inf), "array 'tuple_mass' has an entry that is not finite"),
        (spoil("tuple_time", lambda a: a[:0]), "array 'tuple_time' names no step"),
        (spoil("joints", lambda a: np.repeat(a[:1], len(a))), "array 'joints' has 'nose' more than once"),
        (spoil("frame", lambda a: a + 1), "holds 4 frames, which are not the predictions' 4"),
        (
            spoil("camera_names", lambda a: np.array(["a", "b", "x"])),
            "has the cameras a, b, x, the predictions a, b, c",
        ),
        (
            spoil("detection_index", lambda a: a + 1),
            "frame 3: person 3 holds detection 5 of camera a, which is not among the 2 detections",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, change: Callable[[Path], None], message: str) -> None:
    path = write(tmp_path, results()) / EVIDENCE
    change(path)
    with pytest.raises(InputError, match=message.replace("(", r"\(").replace("[", r"\[")):
        read_run(tmp_path)


def test_evidence_of_another_run_is_refused(tmp_path: Path) -> None:
    write(tmp_path, results())
    lines = (tmp_path / PREDICTIONS).read_text().replace('"score": 0.5', '"score": 0.4')
    (tmp_path / PREDICTIONS).write_text(lines)
    with pytest.raises(InputError, match=r"belongs to other predictions than .*run `dispose predict` again"):
        read_run(tmp_path)


def test_frames_of_two_rigs_do_not_go_into_one_file(tmp_path: Path) -> None:
    run = results()
    other = replace(rig(), translation=rig().translation + 1)
    moved = replace(run, cases=(*run.cases, case(30, other)))
    write_predictions(tmp_path / PREDICTIONS, COCO_17, NAMES, [])
    with pytest.raises(ShapeError, match="frame 30 has another rig or skeleton than frame 3"):
        write_evidence(tmp_path / EVIDENCE, moved)
    with pytest.raises(ShapeError, match="frame 3 has no cameras and detections to keep"):
        write_evidence(tmp_path / EVIDENCE, Results("", "", COCO_17, (FrameResult(run.cases[0].prediction),)))
    assert not (tmp_path / EVIDENCE).exists()


def test_a_run_of_one_camera_opens(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    frame = Frame(0, rig(("only",)), detections(random, (2,)))
    association = Association(torch.zeros(0, 1, dtype=torch.long), torch.zeros(0, dtype=torch.float64))
    prediction = Prediction(0, association, poses(COCO_17, 0, random), torch.zeros(0, 3, dtype=torch.float64))
    found = read_run(write(tmp_path, Results("one", "ours", COCO_17, (FrameResult(prediction, frame),))))
    assert found.cases[0].cameras is not None and found.cases[0].cameras.names == ("only",)
