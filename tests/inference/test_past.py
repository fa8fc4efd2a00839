"""The people of the last frames as one more view."""

from dataclasses import replace

import pytest
import torch

from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.formats.evidence import read_run
from dispose.formats.predictions import read_predictions
from dispose.inference.expected import forget_view, imagined_camera
from dispose.inference.past import MOST_FRAMES, associate_after, with_past
from dispose.inference.tracking import Memory, link
from dispose.metrics.association import PairCounts, count_pairs
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Hypotheses
from dispose.tensors import ABSENT
from dispose.zoo import load_associator
from dispose_synthetic.detectors.parameters import TOP_DOWN
from dispose_synthetic.joint_poor import TRUNK, only, report_joints
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence


@pytest.fixture(scope="module")
def associator():
    return load_associator()


@pytest.fixture(scope="module")
def sequence():
    """Two cameras that look along nearly one line at people who stand close; soon their trunks alone are detected."""
    generator = torch.Generator().manual_seed(777)
    (rig,) = sample_rigs(generator, 1, 2)
    rig = replace(rig, names=("a", "b"))
    config = SequenceConfig(room_mm=800.0, walkers=0.4, seconds_per_crossing=3.0, detector=TOP_DOWN)
    scenes = sample_sequence(generator, 10, 6, rig, config)
    return scenes[:2] + [report_joints(*scene, only(*TRUNK), generator) for scene in scenes[2:]]


@pytest.fixture(scope="module")
def remembered(associator, sequence):
    """Everybody as they were in the first two frames, by the labels."""
    memory = Memory()
    for frame, labels in sequence[:2]:
        association = association_of_identities(labels.identity)
        memory, _ = link(memory, associator.reconstruct_frame(frame, association), frame)
    return memory


def test_the_view_of_the_past_holds_who_is_remembered_where_they_are_expected(remembered, sequence):
    frame = sequence[2][0]
    extended = with_past(frame, remembered)
    assert extended.cameras.names == ("a", "b", "the past") and len(extended.cameras) == 3
    past = extended.detections.select(views=[2])
    people = int(past.valid.sum())
    assert people == len(remembered.tracks.id) > 2
    expected = remembered.tracks.xyz_world + remembered.tracks.velocity[:, None]
    xy, _ = extended.cameras.project(expected)
    seen = past.visible[0, :people]
    assert torch.equal(seen, remembered.tracks.valid)
    torch.testing.assert_close(past.xy_image[0, :people][seen], xy[2][seen])
    # What was there is there still.
    slots = frame.detections.valid.shape[1]
    for name in ("xy_image", "visible", "valid", "confidence"):
        before, after = vars(frame.detections)[name], vars(extended.detections)[name]
        assert torch.equal(before.to(after.dtype), after[:2, :slots])


def test_who_has_just_jumped_is_expected_where_they_are_believed_to_be(remembered, sequence):
    tracks = remembered.tracks
    moved = replace(remembered, tracks=replace(tracks, believed_world=tracks.believed_world + 200.0))
    extended = with_past(sequence[2][0], moved)
    xy, _ = extended.cameras.project(tracks.xyz_world + 200.0 + tracks.velocity[:, None])
    past = extended.detections.select(views=[2])
    seen = past.visible[0, : len(tracks.id)]
    torch.testing.assert_close(past.xy_image[0, : len(tracks.id)][seen], xy[2][seen])


def test_who_was_not_found_for_long_is_not_expected(remembered, sequence):
    frame = sequence[2][0]
    late = replace(frame, number=int(remembered.tracks.number.max()) + MOST_FRAMES + 1)
    assert with_past(late, remembered) is late and with_past(frame, Memory()) is frame


def test_the_imagined_camera_looks_across_the_rays_of_the_real_ones():
    generator = torch.Generator().manual_seed(0)
    for rig in sample_rigs(generator, 5, 2):
        middle = torch.tensor([100.0, -50.0, 900.0], dtype=torch.float64)
        camera = imagined_camera(rig, middle)
        xy, front = camera.project(middle[None])
        torch.testing.assert_close(xy[0, 0], torch.full((2,), 999.5, dtype=torch.float64))
        assert bool(front.all())
        here, there = (camera.centres - middle)[0, :2], (rig.centres - middle)[:, :2]
        cosine = (here * there).sum(-1) / here.norm() / there.norm(dim=-1)
        assert (cosine.abs() < 0.95).all()


def test_the_imagined_camera_is_no_second_place(associator, remembered, sequence):
    """Two real cameras at one place, of a stacked rig: the past does not make their agreement a trial."""
    frame = sequence[2][0]
    alike = frame.select(views=[0, 0])
    cameras = replace(alike.cameras, names=("a", "b"), present=torch.ones(2, dtype=torch.bool))
    found = associate_after(associator.associate, replace(alike, cameras=cameras), remembered)
    assert len(found.association) > 0 and (found.association.confidence <= 0.5).all()


def test_without_the_past_tuples_are_summed():
    members = torch.tensor([[0, 1, ABSENT], [0, 1, 2], [0, ABSENT, 2], [ABSENT, ABSENT, 1]])
    mass = torch.tensor([[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
    weighed = Hypotheses(members, torch.tensor([5.0, 3.0, 2.0, 0.0]), torch.tensor([0.2, 0.4, 0.1, 0.3]), mass[0],
                         torch.zeros(1), mass)  # fmt: skip
    left = forget_view(weighed, 2)
    assert left.members.tolist() == [[0, ABSENT], [0, 1]]
    assert left.marginal.tolist() == pytest.approx([0.3, 0.3]) and left.mass[0].tolist() == pytest.approx([0.3, 0.3])
    assert left.cost.tolist() == [2.0, 3.0] and left.cue.tolist() == pytest.approx([0.1, 0.4])
    certain = forget_view(replace(weighed, mass=4 * mass, marginal=4 * mass[0]), 2)
    assert certain.mass.max() == 1 and certain.marginal.max() == 1


def test_groups_are_of_real_detections_and_better_for_the_past(associator, remembered, sequence):
    alone, after, memory = PairCounts(), PairCounts(), remembered
    for frame, labels in sequence[2:]:
        found = associate_after(associator.associate, frame, memory)
        members = found.association.members
        assert members.shape[1] == 2 and ((members != ABSENT).sum(1) >= 2).all()
        assert found.hypotheses is None or found.hypotheses.members.shape[1] == 2
        memory, _ = link(memory, associator.reconstruct_frame(frame, found.association), frame)
        after += count_pairs(found.association, labels.identity)
        alone += count_pairs(associator(frame), labels.identity)
    assert after.f1 > alone.f1 + 0.1


def test_the_command_takes_the_past_along(tmp_path, capsys):
    command = ["predict", str(sample_folder("crossing")), "--frames", "0:6", "--out"]
    assert main([*command, str(tmp_path / "past"), "--past"]) == 0
    saved = read_predictions(tmp_path / "past" / "predictions.jsonl")
    assert len(saved.frames) == 6 and saved.method == "ours, frames before"
    assert read_run(tmp_path / "past").method == "ours, frames before"
    assert main([*command, str(tmp_path / "no"), "--past", "--associator", "greedy"]) == 2
    assert "decides every frame by itself" in capsys.readouterr().err
