"""Adapters on the real tables: counts that are known, labels that keep their promises, files that are broken."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dispose.datasets.tables.humaneva import read_humaneva
from dispose.datasets.tables.mvor import SCORED_JOINTS, UPPER_BODY, read_mvor
from dispose.datasets.tables.panoptic import Simulation, read_panoptic_mini
from dispose.datasets.tables.reading import read_cameras, read_columns, read_detections, without_repeats
from dispose.datasets.tables.shelf import LABEL_GATE, read_shelf
from dispose.errors import InputError
from dispose.scene.frame import Frame, Labels
from dispose.skeletons.catalog import COCO_17, HUMANEVA_15, MVOR_10, SHELF_14
from dispose.tensors import ABSENT


def assert_one_to_one(frame: Frame, labels: Labels) -> None:
    detections = frame.detections
    assert labels.identity.shape == detections.valid.shape
    assert (labels.identity[~detections.valid] == ABSENT).all()
    for row in labels.identity:
        known = row[row != ABSENT]
        assert len(known.unique()) == len(known)
    assert len(labels.poses.id.unique()) == len(labels.poses.id)
    assert torch.isfinite(detections.xy_image).all() and (detections.xy_image[~detections.visible] == 0).all()
    assert ((detections.confidence >= 0) & (detections.confidence <= 1)).all()


def test_shelf(shared_data: Path) -> None:
    shelf = read_shelf(shared_data / "shelf")
    scenes = list(shelf)
    assert len(scenes) == len(shelf) == 200
    assert [frame.number for frame, _ in scenes] == [*range(300, 450), *range(500, 550)]
    assert sum(len(labels.poses.id) for _, labels in scenes) == 304
    for frame, labels in scenes[::10]:
        assert_one_to_one(frame, labels)
        assert frame.detections.skeleton == COCO_17 and labels.poses.skeleton == SHELF_14
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        elbow, true_elbow = COCO_17.index("l_elbow"), SHELF_14.index("l_elbow")
        for view, slot in (labels.identity != ABSENT).nonzero().tolist():
            person = labels.poses.id.tolist().index(int(labels.identity[view, slot]))
            size = (xy[view, person].amax(0) - xy[view, person].amin(0)).norm()
            if frame.detections.visible[view, slot, elbow]:
                gap = (frame.detections.xy_image[view, slot, elbow] - xy[view, person, true_elbow]).norm()
                assert gap < 2 * LABEL_GATE * size


def test_humaneva(shared_data: Path) -> None:
    every = list(read_humaneva(shared_data / "humaneva", every=100))
    assert len(every) == 34  # of 3,369
    frame, labels = every[0]
    assert len(frame.cameras) == 3 and frame.detections.skeleton == labels.poses.skeleton == HUMANEVA_15
    assert not frame.detections.valid.any() and labels.poses.valid.all()
    # Everybody is in every picture, before the cameras of their own session.
    for frame, labels in every:
        xy, front = frame.cameras.project(labels.poses.xyz_world)
        assert front.all() and frame.cameras.inside(xy).all()
    first, last = every[0][0].cameras, every[-1][0].cameras
    assert not torch.equal(first.matrix, last.matrix)
    pelvis, hips = HUMANEVA_15.index("pelvis"), list(HUMANEVA_15.indices(("l_hip", "r_hip")))
    behind = labels.poses.xyz_world[0, hips].mean(0) - labels.poses.xyz_world[0, pelvis]
    assert 40 < float(behind.norm()) < 60
    alone = list(read_humaneva(shared_data / "humaneva", split="train", every=100, subjects=(2,)))
    assert {int(labels.poses.id) for _, labels in alone} == {2} and len(alone) == 17


def test_an_unknown_split_of_humaneva_is_answered_with_the_known_ones(shared_data: Path) -> None:
    with pytest.raises(InputError, match="'test'; known: train, validation"):
        next(read_humaneva(shared_data / "humaneva", split="test"))


@pytest.mark.parametrize(("detector", "people"), [("rtpose", 575), ("openpose", 505)])
def test_mvor(shared_data: Path, detector: str, people: int) -> None:
    mvor = read_mvor(shared_data / "mvor", detector, joints=UPPER_BODY)
    scenes = list(mvor)
    assert len(scenes) == 387
    assert sum(len(labels.poses.id) for _, labels in scenes) == 473
    seen_twice = 0
    for frame, labels in scenes:
        assert_one_to_one(frame, labels)
        known = labels.identity[labels.identity != ABSENT]
        seen_twice += int((known.unique(return_counts=True)[1] >= 2).sum())
        legs = [j for j in range(17) if COCO_17.joints[j] not in UPPER_BODY]
        assert not frame.detections.visible[..., legs].any()
    assert seen_twice == people
    assert set(SCORED_JOINTS) < set(MVOR_10.joints)
    assert len(list(read_mvor(shared_data / "mvor", detector, days=(1,)))) == 57


def test_repeats_are_left_out_and_nothing_else(shared_data: Path) -> None:
    path = shared_data / "mvor" / "detections_openpose.npz"
    table, distinct = read_detections(path), without_repeats(read_detections(path))
    assert (len(table), len(distinct)) == (2284, 1781)
    assert len(without_repeats(distinct)) == len(distinct)
    for number in range(0, 387, 20):
        people = np.nan_to_num(table.at(number).keypoints, nan=-1.0).reshape(len(table.at(number)), -1)
        ours = np.nan_to_num(distinct.at(number).keypoints, nan=-1.0).reshape(len(distinct.at(number)), -1)
        assert {row.tobytes() for row in people} == {row.tobytes() for row in ours}


def test_mvor_ground_truth_projects_onto_its_detections(shared_data: Path) -> None:
    gaps = []
    for frame, labels in read_mvor(shared_data / "mvor", "rtpose", days=(1,)):
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        joint, true_joint = COCO_17.index("l_shoulder"), MVOR_10.index("l_shoulder")
        for view, slot in (labels.identity != ABSENT).nonzero().tolist():
            person = (labels.poses.id == labels.identity[view, slot]).nonzero()
            if len(person) and frame.detections.visible[view, slot, joint]:
                true = xy[view, int(person[0, 0]), true_joint]
                gaps.append((frame.detections.xy_image[view, slot, joint] - true).norm())
    assert len(gaps) > 50 and float(torch.stack(gaps).median()) < 12.0


def test_panoptic_simulation(shared_data: Path) -> None:
    folder = shared_data / "panoptic_mini"
    exact = list(read_panoptic_mini(folder, simulation=Simulation(0.0, 0.0)))
    assert len(exact) == 20 and exact[0][0].cameras.names == ("00_03", "00_06", "00_12", "00_13", "00_23")
    for frame, labels in exact:
        assert_one_to_one(frame, labels)
        xy, _ = frame.cameras.project(labels.poses.xyz_world)
        for view, slot in (labels.identity != ABSENT).nonzero().tolist():
            person = labels.poses.id.tolist().index(int(labels.identity[view, slot]))
            visible = frame.detections.visible[view, slot]
            torch.testing.assert_close(frame.detections.xy_image[view, slot, visible], xy[view, person, visible])
    noisy, again = (list(read_panoptic_mini(folder, simulation=Simulation(seed=4))) for _ in range(2))
    for (one, _), (other, _) in zip(noisy, again, strict=True):
        assert torch.equal(one.detections.xy_image, other.detections.xy_image)
    left, all_of_them = (sum(int(f.detections.visible.sum()) for f, _ in scenes) for scenes in (noisy, exact))
    assert left / all_of_them == pytest.approx(0.8, abs=0.02)
    assert len(read_panoptic_mini(folder, views=("00_00", "00_30")).cameras) == 2
    with pytest.raises(InputError, match="00_99"):
        read_panoptic_mini(folder, views=("00_99",))


def test_broken_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.npz"):
        read_columns(tmp_path / "nothing.npz", ("frame",))
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(InputError, match=r"torn\.npz"):
        read_columns(tmp_path / "torn.npz", ("frame",))
    np.savez(tmp_path / "odd.npz", frame=np.zeros(3), view=np.zeros(2))
    with pytest.raises(InputError, match="2 rows in column 'view'"):
        read_columns(tmp_path / "odd.npz", ("frame", "view"))
    with pytest.raises(InputError, match="'kpts'"):
        read_columns(tmp_path / "odd.npz", ("frame", "kpts"))
    (tmp_path / "cameras.json").write_text(json.dumps({"views": [{"name": "a"}]}))
    with pytest.raises(InputError, match=r"cameras\.json"):
        read_cameras(tmp_path / "cameras.json")
