"""Identities: stable while people move, through gaps and permutations, never shared."""

import torch

from dispose.inference.tracking import Memory, TrackingConfig, link
from dispose.scene.frame import Detections, Frame, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT


def scene(walk, number: int, bodies: torch.Tensor, joints: slice = slice(None)) -> tuple[Frame, Prediction]:
    """A frame without detections and a prediction of these bodies."""
    nobody = Detections.from_lists(COCO_17, [[], [], [], []])
    count = len(bodies)
    valid = torch.zeros(count, 17, dtype=torch.bool)
    valid[:, joints] = True
    poses = Poses(COCO_17, bodies * valid[..., None], valid.double(), valid, torch.arange(count))
    members = torch.full((count, 4), ABSENT)
    association = Association(members, torch.ones(count, dtype=torch.float64))
    return Frame(number, walk.rig(), nobody), Prediction(number, association, poses, bodies[:, 0])


def ids(sequence: list[tuple[Frame, Prediction]], config: TrackingConfig | None = None) -> list[list[int]]:
    memory, found = Memory(), []
    for frame, prediction in sequence:
        memory, linked = link(memory, prediction, frame, config)
        found.append(linked.poses.id.tolist())
    return found


def test_people_keep_their_number_in_any_order(walk) -> None:
    sequence = []
    for number in range(30):
        order = [0, 1] if number % 3 else [1, 0]
        sequence.append(scene(walk, number, walk.people_at(number)[order]))
    found = ids(sequence)
    assert all(row == ([1, 2] if found[0] == [1, 2] and n % 3 == 0 else [2, 1]) for n, row in enumerate(found))


def test_a_gap_is_survived_up_to_the_patience(walk) -> None:
    config = TrackingConfig(patience_frames=10)
    short = [scene(walk, n, walk.people_at(n)[:1] if 5 <= n < 12 else walk.people_at(n)) for n in range(20)]
    assert ids(short, config)[-1] == [1, 2]
    long = [scene(walk, n, walk.people_at(0)[:1] if 2 <= n < 20 else walk.people_at(0)) for n in range(25)]
    assert ids(long, config)[-1] == [1, 3]


def test_velocity_tells_crossing_people_apart(walk) -> None:
    body = walk.people_at(0)[0]
    step = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    sequence = []
    for number in range(21):
        left, right = body + (-1000 + 100 * number) * step, body + (1000 - 100 * number) * step
        sequence.append(scene(walk, number, torch.stack([left, right])))
    assert all(row == [1, 2] for row in ids(sequence))


def test_nobody_far_away_inherits_a_number_and_numbers_are_unique(walk) -> None:
    body = walk.people_at(0)[:1]
    far = body + torch.tensor([3000.0, 0, 0], dtype=torch.float64)
    assert ids([scene(walk, 0, body), scene(walk, 1, far), scene(walk, 2, torch.cat([far, body]))]) == [
        [1],
        [2],
        [2, 1],
    ]
    crowd = torch.cat([body, body + 30, body - 30])
    for row in ids([scene(walk, 0, crowd), scene(walk, 1, crowd)]):
        assert len(set(row)) == 3


def test_partial_poses_and_empty_frames(walk) -> None:
    bodies = walk.people_at(0)
    sequence = [
        scene(walk, 0, bodies),
        scene(walk, 1, bodies, slice(0, 2)),
        scene(walk, 2, bodies[:0]),
        scene(walk, 3, bodies, slice(5, 12)),
    ]
    assert ids(sequence) == [[1, 2], [1, 2], [], [1, 2]]


def test_pictures_hold_a_number_where_the_third_dimension_fails(walk) -> None:
    cameras = walk.rig()
    frames = [Frame(n, cameras, walk.detections_at(0)) for n in (0, 1)]
    members = torch.tensor([[0, 1, 0, 1], [1, 0, 1, 0]])
    association = Association(members, torch.ones(2, dtype=torch.float64))
    body = walk.people_at(0)
    invalid = torch.zeros(2, 17, dtype=torch.bool)
    known = Poses(COCO_17, body, torch.ones(2, 17).double(), ~invalid, torch.arange(2))
    unknown = Poses(COCO_17, torch.zeros_like(body), torch.zeros(2, 17).double(), invalid, torch.arange(2))
    nowhere = torch.full((2, 3), torch.nan, dtype=torch.float64)
    swapped = Association(members.flip(0), association.confidence)
    sequence = [
        (frames[0], Prediction(0, association, known, body[:, 0])),
        (frames[1], Prediction(1, swapped, unknown, nowhere)),
    ]
    assert ids(sequence) == [[1, 2], [2, 1]]
