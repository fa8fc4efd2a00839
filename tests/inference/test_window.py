"""Who is who decided with the frames before and after."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.cli.main import main
from dispose.datasets.samples import sample_folder
from dispose.formats.predictions import read_predictions
from dispose.inference import window
from dispose.inference.readings import Source, Summary
from dispose.inference.run import Kept, Progress, after_the_last, each_alone, in_windows, run
from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.inference.window import (
    FEWEST_FRAMES,
    PASSES,
    FrameBlock,
    Ways,
    decide_again,
    decide_in_memory,
    expect_people,
    expected_between,
    follow,
    frames_around,
    keep_weighed,
    margin_of,
    reach_of,
)
from dispose.metrics.association import PairCounts, count_pairs
from dispose.scene.frame import Frame
from dispose.scene.labels import association_of_identities
from dispose.scene.results import Association, AssociationResult, FrameResult, Hypotheses, reconstruct_each
from dispose.tensors import ABSENT
from dispose.zoo import load_associator
from dispose_synthetic.detectors.parameters import DETECTORS
from dispose_synthetic.rigs import sample_rigs
from dispose_synthetic.sequences import SequenceConfig, sample_sequence
from dispose_workbench.results.open import read_results

FRAMES = 12
MIDDLE = 6
TRACKING = TrackingConfig()
RECONSTRUCT = reconstruct_each(reconstruct_frame)


@pytest.fixture(scope="module")
def sequence():
    """Two cameras before people who cross a small room."""
    generator = torch.Generator().manual_seed(4325)
    (rig,) = sample_rigs(generator, 1, 2)
    config = SequenceConfig(rate_hz=25.0, room_mm=600.0, walkers=0.5, detector=DETECTORS[3])
    return sample_sequence(generator, FRAMES, 7, replace(rig, names=("a", "b")), config)


@pytest.fixture(scope="module")
def told(sequence):
    """The answers of the labels."""
    results = []
    for frame, labels in sequence:
        association = association_of_identities(labels.identity)
        results.append(FrameResult(reconstruct_frame(frame, association), frame, labels=labels))
    return results


def around(places: Sequence[float | None], row: int) -> Ways:
    """One person of one joint along x, at these places in successive frames, gone where there is none; without one."""
    others = [other for other in range(len(places)) if other != row]
    xyz = torch.zeros(len(others), 1, 1, 3, dtype=torch.float64)
    xyz[:, 0, 0, 0] = torch.tensor([places[other] or 0.0 for other in others])
    return Ways(torch.tensor(others), xyz, torch.tensor([[[places[other] is not None]] for other in others]))


def test_people_are_expected_on_the_line_through_the_frames_around():
    xyz, valid = expected_between(around([0.0, 10.0, 20.0, 30.0, 40.0], 2), 2)
    assert valid.all() and float(xyz[0, 0, 0]) == pytest.approx(20.0)
    # Near frames count more: 1 / 1 against 1 / 2.
    xyz, _ = expected_between(around([30.0, 0.0, 99.0, 0.0, 30.0], 2), 2)
    assert 5.0 < float(xyz[0, 0, 0]) < 12.0


def test_one_wrong_frame_bends_no_line():
    straight = [100.0 * row for row in range(11)]
    wrong = [*straight[:4], 1400.0, *straight[5:]]
    assert float(expected_between(around(wrong, 5), 5)[0][0, 0, 0]) == pytest.approx(500.0, abs=15.0)


def test_the_line_is_that_of_weighted_least_squares_in_four_turns():
    """By NumPy: near frames count more, a joint 60 mm off the line half; the speed is held back by 0.4."""
    places = np.array([-150.0, 40.0, 95.0, 0.0, 190.0, 330.0, 260.0])
    time, kept = np.arange(7.0) - 3, np.arange(7) != 3
    share, robust = 1 / np.abs(time[kept]), np.ones(6)
    for _ in range(4):
        root = np.sqrt(share * robust)
        rows = np.stack([root, root * time[kept]], 1)
        system = np.concatenate([rows, [[0.0, 0.4**0.5]]])
        (middle, speed), *_ = np.linalg.lstsq(system, np.append(root * places[kept], 0.0), rcond=None)
        robust = 1 / (1 + ((places[kept] - middle - speed * time[kept]) / 60.0) ** 2)
    xyz, _ = expected_between(around(places.tolist(), 3), 3)
    assert float(xyz[0, 0, 0]) == pytest.approx(middle)


def test_who_comes_is_expected_from_one_side_and_of_one_frame_nobody():
    xyz, valid = expected_between(around([None, None, None, 30.0, 40.0], 2), 2)
    assert valid.all() and float(xyz[0, 0, 0]) == pytest.approx(300 / 11, abs=0.02), (
        "not 20: two frames tell little of a speed"
    )
    _, valid = expected_between(around([None, None, None, 30.0, None], 2), 2)
    assert FEWEST_FRAMES == 2 and not valid.any()


def test_frames_within_reach_and_the_next_ones_say_who_is_expected_never_the_frame_itself(told):
    def numbers(row: int, reach: int, step: int = 1) -> list[int]:
        results = [replace(one, prediction=replace(one.prediction, number=step * n)) for n, one in enumerate(told)]
        return [one.prediction.number for one in frames_around(results, row, reach)]

    assert numbers(MIDDLE, 2) == [4, 5, 7, 8]
    assert numbers(0, 3) == [1, 2, 3] and numbers(FRAMES - 1, 1) == [10]
    # Of frames that lie apart only the next ones are near.
    assert numbers(MIDDLE, 4, step=5) == [25, 35] and numbers(MIDDLE, 5, step=3) == [15, 21]
    assert numbers(MIDDLE, 6, step=3) == [12, 15, 21, 24]


def test_who_is_expected_depends_on_the_frames_around_alone(told):
    reach = reach_of(TRACKING)
    row = reach + 1
    whole = expect_people(told, row, TRACKING)
    part = expect_people(told[1:], reach, TRACKING)
    nobody = replace(told[row].prediction, poses=told[row].prediction.poses.select(persons=[]))
    alone = expect_people([*told[:row], replace(told[row], prediction=nobody), *told[row + 1 :]], row, TRACKING)
    assert len(whole.cameras) == 3 and whole.cameras.names[-1] == "frames around"
    for other in (part, alone):
        assert torch.equal(whole.detections.xy_image, other.detections.xy_image)
    lone = expect_people(told[row : row + 1], 0, TRACKING)
    assert lone is told[row].frame


def test_a_window_is_so_many_seconds_and_one_frame_at_least():
    assert [reach_of(TrackingConfig(rate)) for rate in (60.0, 25.0, 1.0)] == [12, 5, 1]
    assert margin_of(TrackingConfig(30.0), 16) == PASSES and margin_of(TrackingConfig(100.0), 16) == 2 * PASSES


def test_everybody_is_followed_through_the_frames(told, sequence):
    ways, who = follow(told, TRACKING), dict[int, set[int]]()
    assert ways.number.tolist() == list(range(FRAMES))
    for row, (result, (_, labels)) in enumerate(zip(told, sequence, strict=True)):
        association, poses = result.prediction.association, result.prediction.poses
        for members, xyz, valid in zip(association.members, poses.xyz_world, poses.valid, strict=True):
            there = [p for p in range(ways.valid.shape[1]) if torch.equal(ways.xyz_world[row, p], xyz.double())]
            if valid.any():
                (person,) = there
                assert torch.equal(ways.valid[row, person], valid)
                who.setdefault(person, set()).add(int(labels.identity[0, members[0]]))
    assert len(who) >= 4 and sum(len(people) == 1 for people in who.values()) >= len(who) - 1


def test_an_exchange_in_one_frame_is_put_right_by_the_frames_around(told, sequence):
    associator = load_associator()
    frame, labels = sequence[MIDDLE]
    members = told[MIDDLE].prediction.association.members.clone()
    rows = (members != ABSENT).all(1).nonzero()[:2, 0]
    members[rows, 1] = members[rows.flip(0), 1]
    wrong = replace(told[MIDDLE].prediction.association, members=members)
    assert count_pairs(wrong, labels.identity).f1 < 0.9
    around = [*told[:MIDDLE], FrameResult(reconstruct_frame(frame, wrong), frame), *told[MIDDLE + 1 :]]
    block = FrameBlock([], around, [False] * len(around))
    (found,) = decide_again(iter([block]), associator.associate, RECONSTRUCT, TRACKING)
    alone, after = PairCounts(), PairCounts()
    for result, (one, truth) in zip(found.results, sequence, strict=True):
        after += count_pairs(result.prediction.association, truth.identity)
        alone += count_pairs(associator(one), truth.identity)
    again = found.results[MIDDLE].prediction.association
    assert count_pairs(again, labels.identity).f1 > 0.95
    assert after.f1 > alone.f1 + 0.02
    # Groups are of real detections, two at least.
    assert all(one.prediction.association.members.shape[1] == 2 for one in found.results)
    assert all((one.prediction.association.members != ABSENT).sum(1).ge(2).all() for one in found.results)


def test_where_nothing_around_has_changed_nothing_is_asked_again(told):
    def nobody(_):
        raise AssertionError("asked again")

    assert decide_in_memory([], nobody, RECONSTRUCT, TRACKING) == []
    settled = FrameBlock([], told[:4], [True] * 4), FrameBlock([], told[4:], [True] * 8)
    again = list(decide_again(iter(settled), nobody, RECONSTRUCT, TRACKING))
    assert [one.results for one in again] == [told[:4], told[4:]]
    changed = FrameBlock([], told[4:], [True, False, *[True] * 6])
    with pytest.raises(AssertionError, match="asked again"):
        list(decide_again(iter([settled[0], changed]), nobody, RECONSTRUCT, TRACKING))


def test_a_block_is_asked_again_for_what_changed_behind_it_and_knows_all_within_reach(told, monkeypatch):
    known = []

    def answer(before, results, after, *_):
        known.append((len(before), len(after)))
        return list(results)

    monkeypatch.setattr(window, "_answer_again", answer)
    pairs = [FrameBlock([], told[n : n + 2], [False] * 2) for n in range(0, FRAMES, 2)]
    list(decide_again(iter(pairs), lambda frames: [], RECONSTRUCT, TRACKING))
    assert known == [(0, 6), (2, 6), (4, 6), (6, 4), (6, 2), (6, 0)]
    known.clear()
    blocks = FrameBlock([], told[:4], [True] * 4), FrameBlock([], told[4:], [True, False, *[True] * 6])
    next(decide_again(iter(blocks), lambda frames: [], RECONSTRUCT, TRACKING))
    assert known == [(0, 6)]


def test_a_frame_is_settled_where_its_groups_are_what_they_were(told, monkeypatch):
    """Not where as many are there, but others; in whatever order they are listed."""

    def grouped(result, members):
        association = replace(result.prediction.association, members=members)
        return replace(result, prediction=replace(result.prediction, association=association))

    def answer(_, results, *__):
        same, other, turned = (result.prediction.association.members for result in results)
        return [grouped(results[0], same), grouped(results[1], other.roll(1, 1)), grouped(results[2], turned.flip(0))]

    monkeypatch.setattr(window, "_answer_again", answer)
    block = FrameBlock([], told[:3], [False] * 3)
    (found,) = decide_again(iter([block]), lambda frames: [], RECONSTRUCT, TRACKING)
    assert list(found.settled) == [True, False, True]


def test_tuples_of_the_second_opinion_and_of_the_truth_are_kept(sequence):
    """Where nothing speaks for them; not those of the truth where detections are not those that it knows."""
    members = torch.cartesian_prod(torch.arange(8), torch.arange(8))
    cost = (members[:, 0] - members[:, 1]).abs().double()
    nothing = torch.zeros(64, dtype=torch.float64)
    weighed = Hypotheses(members, cost, -cost, nothing, torch.zeros(1), nothing[None])
    one, other, true = (Association(torch.tensor([pair]), torch.ones(1).double()) for pair in ([0, 7], [7, 0], [1, 6]))
    frame, labels = sequence[0]
    identity = torch.full((2, 8), ABSENT)
    identity[0, 1] = identity[1, 6] = 3
    labels = replace(labels, identity=identity)

    def kept(second, labels, frame=None):
        left = keep_weighed(AssociationResult(one, weighed, frame), second, labels)
        assert left is not None
        rows = left.members.tolist()
        return [pair in rows for pair in ([0, 7], [7, 0], [1, 6])]

    assert kept(None, None) == [True, False, False]
    assert kept(other, None) == [True, True, False]
    assert kept(None, labels) == [True, False, True]
    assert kept(other, labels, frame) == [True, True, False]
    assert true.members.tolist() == association_of_identities(identity).members.tolist()


def by_greedy(frames):
    return [AssociationResult(greedy_agglomerative(frame, gate_mm=150.0)) for frame in frames]


def test_an_answer_does_not_depend_on_which_frames_are_computed_together(sequence):
    said = []
    for batch in (1, 5, FRAMES):
        sink = Kept()
        run(Source.of(sequence), by_greedy, RECONSTRUCT, sink, batch=batch, decide=in_windows)
        said.append([one.prediction.association.members.tolist() for one in sink.results])
    assert said[0] == said[1] == said[2]


class HalfDone(Kept):
    """A sink in which an earlier run has left some frames."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self.progress = progress

    def resume(self) -> Progress:
        return self.progress


def test_a_run_that_goes_on_says_the_same(sequence):
    """Windows are longer than the blocks here; frames before those to come are answered again, not written again."""

    batch = 4
    assert reach_of(TRACKING) > batch

    class Watched(Kept):
        def __init__(self) -> None:
            super().__init__()
            self.after = list[Progress]()

        def add(self, results, progress) -> None:
            super().add(results, progress)
            self.after.append(progress)

    whole = Watched()
    run(Source.of(sequence), by_greedy, RECONSTRUCT, whole, batch=batch, decide=in_windows)
    assert [one.prediction.number for one in whole.results] == list(range(FRAMES))
    alone = Kept()
    run(Source.of(sequence), by_greedy, RECONSTRUCT, alone, batch=batch, decide=each_alone)
    said = [[one.prediction.association.members.tolist() for one in sink.results] for sink in (whole, alone)]
    assert said[0] != said[1]
    for progress in whole.after:
        done = progress.summary.frames
        rest = HalfDone(progress)
        run(Source.of(sequence), by_greedy, RECONSTRUCT, rest, batch=batch, decide=in_windows)
        assert len(rest.results) == FRAMES - done
        for one, other in zip(rest.results, whole.results[done:], strict=True):
            assert one.prediction.number == other.prediction.number
            assert torch.equal(one.prediction.association.members, other.prediction.association.members)
            assert torch.equal(one.prediction.poses.xyz_world, other.prediction.poses.xyz_world)
            assert torch.equal(one.prediction.poses.id, other.prediction.poses.id)


WAYS = [(each_alone, (2, 3), range(2, 4)), (after_the_last, (2,), range(2, 16)), (in_windows, (2, 3), range(10))]


@pytest.mark.parametrize(("decide", "alone", "expected"), WAYS, ids=["alone", "after", "windows"])
def test_what_is_known_travels_also_into_a_run_that_goes_on(walk, decide, alone, expected):
    """Somebody who is found in some frames, and in others only where expected.

    Of the frames before, one is enough. In windows two of four to either side have to show them, frames to 6, and once
    more, to 9: frame 8 hears of frame 2 by two passes, so a run that goes on there answers those again.
    """
    found, members = walk.detections_at(0), torch.tensor([[0, 1, 0, 1]])
    frames, batch = [Frame(number, walk.rig(), found) for number in range(16)], 4

    def associate(asked):
        answers = []
        for frame in asked:
            views = len(frame.cameras)
            kept = members[: int(frame.number in alone or views > 4)]
            kept = torch.cat([kept, torch.zeros(len(kept), views - 4, dtype=torch.long)], 1)
            answers.append(AssociationResult(Association(kept, torch.ones(len(kept), dtype=torch.float64))))
        return answers

    def answers_after(progress: Progress) -> dict[int, tuple[list[list[int]], list[int]]]:
        sink = HalfDone(progress)
        run(Source.of(frames), associate, RECONSTRUCT, sink, batch=batch, decide=decide)
        predictions = [one.prediction for one in sink.results]
        return {one.number: (one.association.members.tolist(), one.poses.id.tolist()) for one in predictions}

    memory = Memory(config=TrackingConfig(20.0))
    whole = answers_after(Progress(memory=memory))
    assert reach_of(memory.config) == batch and list(whole) == list(range(16))
    assert [number for number, (groups, _) in whole.items() if groups] == list(expected)
    for done in (4, 8, 12):
        # Nobody moves: after whatever frame, the memory is that of the first, but for its number.
        association = Association(members, torch.ones(1, dtype=torch.float64))
        after, _ = link(memory, reconstruct_frame(frames[0], association), frames[0])
        assert after.tracks is not None
        after = replace(after, tracks=replace(after.tracks, number=torch.tensor([min(done, expected.stop) - 1])))
        rest = answers_after(Progress(Summary(frames=done), after))
        assert rest == {number: whole[number] for number in range(done, 16)}


def test_the_command_decides_in_windows(tmp_path, capsys):
    command = [
        "predict",
        str(sample_folder("crossing")),
        "--frames",
        "0:5",
        "--out",
        str(tmp_path / "window"),
    ]
    assert main([*command, "--window"]) == 0
    saved = read_predictions(tmp_path / "window" / "predictions.jsonl")
    assert len(saved.frames) == 5 and saved.method == "ours, frames around"
    assert read_results(tmp_path / "window").method == "ours, frames around"
    assert str(np.load(tmp_path / "window" / "predictions.npz")["method"]) == "ours, frames around"
    assert main([*command, "--window", "--past"]) == 2
    assert main([*command, "--window", "--from-pictures"]) == 2
    said = capsys.readouterr().err
    assert "leave --past out" in said and "people in images" in said
