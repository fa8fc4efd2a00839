"""Identities: stable while people move, through gaps and permutations, never shared."""

from dataclasses import replace

import torch

from dispose.inference.tracking import Memory, TrackingConfig, Tracks, link, nobody_is_followed
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
    config = TrackingConfig(rate_hz=30.0, patience_s=10 / 30)
    short = [scene(walk, n, walk.people_at(n)[:1] if 5 <= n < 12 else walk.people_at(n)) for n in range(20)]
    assert ids(short, config)[-1] == [1, 2]
    long = [scene(walk, n, walk.people_at(0)[:1] if 2 <= n < 20 else walk.people_at(0)) for n in range(25)]
    assert ids(long, config)[-1] == [1, 3]


def test_limits_are_seconds_whatever_the_rate(walk) -> None:
    """Gone for a second: the same person at 12.5, 60 and 120 frames per second; gone for two: somebody new."""
    body = walk.people_at(0)[:1]
    for rate_hz in (12.5, 60.0, 120.0):
        config = TrackingConfig(rate_hz)
        for seconds, expected in ((1.0, 1), (2.0, 2)):
            back = round(seconds * rate_hz)
            sequence = [scene(walk, 0, body), scene(walk, back - 1, body[:0]), scene(walk, back, body)]
            assert ids(sequence, config)[-1] == [expected]
            # Likewise where nobody looked in between.
            assert ids([sequence[0], sequence[-1]], config)[-1] == [expected]


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


def seen_scene(walk, number: int, bodies: torch.Tensor, slots: list[int], shift: float = 0.0) -> tuple:
    """A prediction of bodies wherever they are, made of the detections of the first frame in these slots.

    Every detection is moved to the right by a share of the diagonal of its box.
    """
    found = walk.detections_at(0)
    size = (found.xy_image.amax(2) - found.xy_image.amin(2)).norm(dim=-1)
    right = torch.stack([shift * size, 0 * size], -1)
    found = replace(found, xy_image=found.xy_image + right[:, :, None])
    # The odd cameras list the second person first.
    members = torch.stack([torch.tensor(slots), 1 - torch.tensor(slots)] * 2, 1)
    known = torch.ones(len(bodies), 17, dtype=torch.bool)
    poses = Poses(COCO_17, bodies, known.double(), known, torch.arange(len(bodies)))
    association = Association(members, torch.ones(len(bodies), dtype=torch.float64))
    return Frame(number, walk.rig(), found), Prediction(number, association, poses, bodies[:, 0])


def near_each_other(walk) -> tuple[torch.Tensor, torch.Tensor]:
    """Two bodies 300 mm apart, and where they are a frame later: each nearer to where the other was."""
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    body = walk.people_at(0)[0]
    return torch.stack([body, body + 300 * x]), torch.stack([body + 200 * x, body + 100 * x])


def test_people_stay_who_they_are_in_the_images_where_space_hardly_tells(walk) -> None:
    """Space asks for a swap (100 + 100 mm instead of 200 + 200); keypoints that did not move are worth half a gate."""
    before, after = near_each_other(walk)
    sequence = [seen_scene(walk, 0, before, [0, 1]), seen_scene(walk, 1, after, [0, 1])]
    assert ids(sequence) == [[1, 2], [1, 2]]
    assert ids(sequence, TrackingConfig(image_share=0.0)) == [[1, 2], [2, 1]]
    # 200 of 500 mm more against two shares: below 0.2 the images do not outweigh the distance any more.
    assert ids(sequence, TrackingConfig(image_share=0.21)) == [[1, 2], [1, 2]]
    assert ids(sequence, TrackingConfig(image_share=0.19)) == [[1, 2], [2, 1]]


def test_keypoints_that_moved_by_a_twentieth_of_the_persons_size_are_half_as_near(walk) -> None:
    """Space asks for a swap by 0.4 of a gate; two shares of 0.5 outweigh it while keypoints are nearer than 0.4.

    ``1 / (1 + (m / 0.05)²)`` is 0.41 at a movement of 0.060 and 0.39 at 0.0625.
    """
    before, after = near_each_other(walk)
    for shift, expected in ((0.060, [1, 2]), (0.0625, [2, 1])):
        sequence = [seen_scene(walk, 0, before, [0, 1]), seen_scene(walk, 1, after, [0, 1], shift)]
        assert ids(sequence, TrackingConfig(image_share=0.5))[1] == expected
    # As it stands keypoints are worth three times as much: they decide down to 0.133, where they moved by 0.127.
    for shift, expected in ((0.115, [1, 2]), (0.130, [2, 1])):
        sequence = [seen_scene(walk, 0, before, [0, 1]), seen_scene(walk, 1, after, [0, 1], shift)]
        assert ids(sequence)[1] == expected


def test_who_is_found_far_away_and_hardly_moved_in_the_images_is_who_they_were(walk) -> None:
    """Triangulation can fail by metres; ``1 / (1 + (m / 0.05)²)`` is 0.30 at a movement of 0.076."""
    body = walk.people_at(0)
    away = body + torch.tensor([900.0, 0, 0], dtype=torch.float64)
    for shift, expected in ((0.075, [1, 2]), (0.078, [3, 4])):
        assert ids([seen_scene(walk, 0, body, [0, 1]), seen_scene(walk, 1, away, [0, 1], shift)])[1] == expected


def test_who_is_long_gone_is_not_nearer_for_that(walk) -> None:
    """300 mm from a track of this moment, 500 from one that is long gone, whose gate has grown to 1,500."""
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    body = walk.people_at(0)[0]
    gone, here = body, body + 800 * x
    sequence = [scene(walk, 0, torch.stack([gone, here])), *(scene(walk, n, here[None]) for n in range(1, 20))]
    assert ids([*sequence, scene(walk, 20, (body + 500 * x)[None])])[-1] == [2]
    # Where nobody else is there, they are still who was there.
    assert ids([*sequence, scene(walk, 20, torch.stack([body + 700 * x, body - 500 * x]))])[-1] == [2, 1]


def test_a_newcomer_pushes_nobody_off_their_own_track(walk) -> None:
    """Three people in a row, 450 mm apart, and one more before the first: all keep their numbers.

    Were newcomers free of charge, everybody would be matched one further, at 450 of 500 mm each.
    """
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    row = torch.stack([walk.people_at(0)[0] + 450 * k * x for k in range(4)])
    # The last is gone, so that only a chain of moves gives the newcomer a track.
    assert ids([scene(walk, 0, row[1:]), scene(walk, 1, row[:3])]) == [[1, 2, 3], [4, 1, 2]]


def remembered(sequence: list[tuple[Frame, Prediction]]) -> list[Tracks]:
    """What is known of everybody after every frame."""
    memory, found = Memory(), []
    for frame, prediction in sequence:
        memory, _ = link(memory, prediction, frame)
        assert memory.tracks is not None
        found.append(memory.tracks)
    return found


def test_the_velocity_is_the_mean_of_what_it_was_and_of_the_last_movement(walk) -> None:
    """At 100 mm a frame: 0, then 50, 75 and, over a gap of two frames, 87.5."""
    body, step = walk.people_at(0)[:1], torch.tensor([100.0, -40, 0], dtype=torch.float64)
    tracks = remembered([scene(walk, n, body + n * step) for n in (0, 1, 2, 4)])
    for found, share in zip(tracks, (0, 0.5, 0.75, 0.875), strict=True):
        torch.testing.assert_close(found.velocity[0], share * step)


def test_a_joint_that_is_not_seen_moves_along_with_its_body(walk) -> None:
    body, step = walk.people_at(0)[:1], torch.tensor([30.0, 20, 0], dtype=torch.float64)
    tracks = remembered([scene(walk, 0, body), scene(walk, 1, body + step, slice(0, 12))])
    torch.testing.assert_close(tracks[1].xyz_world, body + step)
    assert tracks[1].valid.all()


def test_the_gate_grows_with_every_frame_without_the_person_up_to_its_limit(walk) -> None:
    """500 mm after one frame, 560 after two, and after many no more than the limit."""
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)

    def is_known(elapsed: int, far: float) -> bool:
        config = TrackingConfig(30.0, 500.0, 1800.0, 700.0, patience_s=4.0)
        return ids([scene(walk, 0, body), scene(walk, elapsed, body + far * x)], config)[1] == [1]

    for elapsed, gate in ((1, 500), (2, 560), (4, 680), (5, 700), (50, 700)):
        assert is_known(elapsed, gate - 1) and not is_known(elapsed, gate + 1)


def test_the_velocity_counts_for_five_frames_of_a_gap(walk) -> None:
    """Somebody of velocity 60 mm a frame (steps of 80) who is lost is expected 300 mm on, however long it takes."""
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)
    config = TrackingConfig(gate_mm=100.0, gate_growth_mm_s=0.0)
    start = [scene(walk, n, body + 80 * n * x) for n in range(3)]
    for elapsed, ahead in ((1, 60), (3, 180), (5, 300), (20, 300)):
        for off, expected in ((-99, 1), (99, 1), (-101, 2), (101, 2)):
            last = scene(walk, 2 + elapsed, body + (160 + ahead + off) * x)
            assert ids([*start, last], config)[-1] == [expected]


def test_somebody_is_waited_for_as_long_as_the_patience_lasts(walk) -> None:
    body, nobody = walk.people_at(0)[:1], walk.people_at(0)[:0]
    for patience, expected in ((4, 1), (3, 2)):
        sequence = [scene(walk, n, body if n in (0, 5) else nobody) for n in range(6)]
        config = TrackingConfig(rate_hz=30.0, patience_s=patience / 30)
        assert ids(sequence, config)[-1] == ids([sequence[0], sequence[-1]], config)[-1] == [expected]


def test_it_is_said_where_no_two_frames_are_near_enough_to_follow_anybody() -> None:
    config = TrackingConfig(rate_hz=30.0)
    (said,) = nobody_is_followed((4500, 9348), config)
    assert "4848 numbers apart" in said and "161.6 s" in said and "1.5 s" in said and "--rate-hz" in said
    assert nobody_is_followed((0, 47, 94), config)
    for numbers in ((), (7,), (0, 46, 92), (0, 100, 101, 200)):
        assert nobody_is_followed(numbers, config) == ()
    assert nobody_is_followed((4500, 9348), TrackingConfig(rate_hz=30.0, patience_s=200.0)) == ()


def test_who_jumps_further_than_people_do_is_believed_where_they_were_expected(walk) -> None:
    """Found 20 mm off for a while; 101 mm, above five times that, is a jump, and 99 mm is none."""
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)
    usual = [scene(walk, 0, body), scene(walk, 1, body + 20 * x)]
    # Velocity 10 mm a frame: expected at 30.
    for far, jumps, believed in ((30 + 101, 1, 30.0), (30 + 99, 0, 129.0)):
        last = remembered([*usual, scene(walk, 2, body + far * x)])[-1]
        assert last.jumps.tolist() == [jumps]
        torch.testing.assert_close(last.believed_world, body + believed * x)
        torch.testing.assert_close(last.xyz_world, body + float(far) * x)
        torch.testing.assert_close(last.velocity[0], (10.0 if jumps else 5 + 109 / 2) * x)


def test_nobody_jumps_by_less_than_fifty_millimetres_or_before_anything_is_known(walk) -> None:
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)
    still = [scene(walk, n, body) for n in range(3)]
    for far, jumps in ((49, 0), (51, 1)):
        assert remembered([*still, scene(walk, 3, body + far * x)])[-1].jumps.tolist() == [jumps]
    assert remembered([still[0], scene(walk, 1, body + 400 * x)])[-1].jumps.tolist() == [0]


def test_who_stays_where_they_jumped_to_is_believed_there(walk) -> None:
    """From the next frame on; and who jumps on and on is believed after three jumps."""
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)
    still = [scene(walk, n, body) for n in range(3)]
    stays = remembered([*still, scene(walk, 3, body + 300 * x), scene(walk, 4, body + 300 * x)])
    assert [int(tracks.jumps[0]) for tracks in stays] == [0, 0, 0, 1, 0]
    torch.testing.assert_close(stays[3].believed_world, body)
    torch.testing.assert_close(stays[4].believed_world, body + 300 * x)
    # Somebody else stands still, so that the usual distance stays what it was.
    both = torch.cat([body, walk.people_at(0)[1:]])
    steps = [both + 300 * ((n + 1) % 2) * torch.tensor([[[1.0]], [[0.0]]]) * x for n in range(4)]
    still = [scene(walk, n, both) for n in range(3)]
    restless = remembered([*still, *(scene(walk, 3 + n, bodies) for n, bodies in enumerate(steps))])
    assert [int(tracks.jumps[0]) for tracks in restless[3:6]] == [1, 2, 3]
    assert int(restless[6].jumps[0]) == 0


def test_the_usual_distance_is_a_running_mean_of_the_medians(walk) -> None:
    body, x = walk.people_at(0), torch.tensor([1.0, 0, 0], dtype=torch.float64)
    memory, usual = Memory(), []
    for number, far in enumerate((0, 20, 20, 20)):
        frame, prediction = scene(walk, number, body + far * x)
        memory, _ = link(memory, prediction, frame)
        usual.append(memory.usual_mm)
    # 20 mm off; then standing where 10 mm further was expected; then 5.
    assert usual == [None, 20.0, 0.8 * 20 + 0.2 * 10, 0.8 * 18 + 0.2 * 5]


def test_who_is_there_is_taken_before_who_is_long_gone(walk) -> None:
    """600 mm from a track whose gate has grown to 1,500 costs 0.9 + 0.1 600 / 1500, as much as 470 of the first 500."""
    x = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    gone = walk.people_at(0)[0]
    for far, expected in ((465, 2), (475, 1)):
        here = gone + (600 + far) * x
        sequence = [scene(walk, 0, torch.stack([gone, here])), *(scene(walk, n, here[None]) for n in range(1, 20))]
        assert ids([*sequence, scene(walk, 20, (gone + 600 * x)[None])])[-1] == [expected]


def test_who_is_nowhere_in_space_has_to_be_near_in_the_images(walk) -> None:
    """``1 / (1 + (m / 0.05)²)`` is 0.1 at a movement of 0.15; one keypoint alone has no size to compare with."""
    body = walk.people_at(0)

    def unplaced(scene: tuple[Frame, Prediction]) -> tuple[Frame, Prediction]:
        frame, prediction = scene
        poses = replace(prediction.poses, valid=torch.zeros_like(prediction.poses.valid))
        return frame, replace(prediction, poses=poses)

    for shift, expected in ((0.145, [1, 2]), (0.155, [3, 4])):
        sequence = [seen_scene(walk, 0, body, [0, 1]), unplaced(seen_scene(walk, 1, body, [0, 1], shift))]
        assert ids(sequence)[1] == expected
    both = [seen_scene(walk, 0, body, [0, 1]), unplaced(seen_scene(walk, 1, body, [0, 1]))]
    noses = [
        (
            replace(
                frame, detections=replace(frame.detections, visible=frame.detections.visible & (torch.arange(17) < 1))
            ),
            p,
        )
        for frame, p in both
    ]
    assert ids(noses) == [[1, 2], [1, 2]]


def test_who_has_no_joint_in_common_is_compared_by_the_middle_of_those_there_are(walk) -> None:
    """The left side in one frame, the right one in the next."""
    body, x = walk.people_at(0)[:1], torch.tensor([1.0, 0, 0], dtype=torch.float64)
    left, right = slice(1, 17, 2), slice(2, 17, 2)
    between = body[0, left].mean(0) - body[0, right].mean(0)
    for far, expected in ((499, 1), (501, 2)):
        assert ids([scene(walk, 0, body, left), scene(walk, 1, body + between + far * x, right)])[1] == [expected]


def test_nobody_is_followed_from_one_rig_into_another(walk) -> None:
    body = walk.people_at(0)[:1]
    frame, prediction = scene(walk, 1, body)
    members = torch.full((1, 3), ABSENT)
    fewer = replace(prediction, association=replace(prediction.association, members=members))
    assert ids([scene(walk, 0, body), (frame.select(views=[0, 1, 2]), fewer)]) == [[1], [2]]


def test_the_usual_distance_is_that_of_a_frame_whatever_the_gap(walk) -> None:
    body, x = walk.people_at(0), torch.tensor([1.0, 0, 0], dtype=torch.float64)
    memory = Memory()
    for number, far in ((0, 0), (4, 40)):
        frame, prediction = scene(walk, number, body + far * x)
        memory, _ = link(memory, prediction, frame)
    assert memory.usual_mm == 10.0


def test_times_become_frames_by_rounding_one_at_least() -> None:
    assert TrackingConfig(25.0).patience_frames == 38 and TrackingConfig(0.1).patience_frames == 1
    assert TrackingConfig(30.0).velocity_frames == 5.0 and TrackingConfig(0.1).velocity_frames == 1.0
