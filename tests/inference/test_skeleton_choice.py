"""Which skeleton a detector used: each among those of its width, on drawn people and on real ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.detections.people import DetectionView
from dispose.inference.first_look import settle_detections
from dispose.inference.skeleton_choice import KNOWN, RARE, choose_skeleton, disorder, fit_of, limb_asymmetry
from dispose.models.rays.body_axes import template_of
from dispose.skeletons.catalog import (
    BODY_25,
    BODY_25B,
    COCO_17,
    COCO_WHOLEBODY_133,
    CROWDPOSE_14,
    H36M_17,
    HALPE_26,
    MPII_16,
    SHELF_14,
    body_of,
)
from dispose.skeletons.skeleton import Skeleton, conversion_between, convert_joints

SIZE = (1920.0, 1080.0)


def drawn(skeleton: Skeleton, people: int = 30, seed: int = 0) -> list[Tensor]:
    """Standing people with some noise of their joints, seen from around; faces and hands lie about the head."""
    generator = torch.Generator().manual_seed(seed)
    body = body_of(skeleton)
    named = dict(zip(body.joints, template_of(body.joints).points, strict=True))
    points = torch.stack([named.get(joint, torch.tensor([60.0, 0.0, 600.0])).double() for joint in skeleton.joints])
    found = []
    for _ in range(people):
        angle = 6.28 * torch.rand((), generator=generator).double()
        moved = points + 40 * torch.randn(points.shape, generator=generator).double()
        across = moved[:, 0] * angle.cos() + moved[:, 1] * angle.sin()
        xy = torch.stack([600 + 0.4 * across, 500 - 0.4 * moved[:, 2]], -1)
        found.append(torch.cat([xy, torch.full((len(points), 1), 0.8).double()], -1))
    return found


@pytest.mark.parametrize("skeleton", KNOWN, ids=lambda one: one.name)
def test_every_skeleton_is_told_from_those_of_its_width(skeleton: Skeleton) -> None:
    chosen, note = choose_skeleton("x", drawn(skeleton))
    assert chosen == skeleton
    others = [one for one in KNOWN if len(one) == len(skeleton) and one != skeleton]
    assert (note is None) == (skeleton not in RARE and all(one in RARE for one in others))


def test_an_order_that_no_skeleton_has_is_asked_about() -> None:
    orders = {
        COCO_17: [(7 * k) % 17 for k in range(17)],
        MPII_16: [(5 * k) % 16 for k in range(16)],
        HALPE_26: [(9 * k) % 26 for k in range(26)],
        SHELF_14: [(3 * k) % 14 for k in range(14)],
    }
    for skeleton, order in orders.items():
        with pytest.raises(InputError, match=rf"{len(skeleton)} joints, .* do not fit .*say which \(--skeleton \w+\)"):
            choose_skeleton("x", [one[order] for one in drawn(skeleton)])


def test_few_people_are_asked_about_where_detectors_have_several_skeletons() -> None:
    assert choose_skeleton("x", drawn(COCO_17, 2)) == (COCO_17, None)
    with pytest.raises(InputError, match=r"fits body_25 or body_25b, too few people .* \(--skeleton body_25\)"):
        choose_skeleton("x", drawn(BODY_25B, 2))
    with pytest.raises(InputError, match=r"14 joints, which fits shelf_14 or crowdpose_14 or aic_14, too few"):
        choose_skeleton("x", drawn(CROWDPOSE_14, 4))


def test_a_fit_is_measured_as_it_says() -> None:
    person = torch.zeros(1, 17, 3, dtype=torch.float64)
    places = {"nose": (0, 0), "l_shoulder": (-10, 20), "r_shoulder": (10, 20), "l_hip": (-6, 60), "r_hip": (6, 60),
              "l_knee": (-6, 90), "r_knee": (6, 120), "l_ankle": (-6, 80), "r_ankle": (6, 130)}  # fmt: skip
    for joint, (x, y) in places.items():
        person[0, COCO_17.index(joint)] = torch.tensor([x, y, 1.0])
    # Thighs of 30 and 60, shanks of 10 and 10, sides of the trunk of equal length.
    assert limb_asymmetry(COCO_17, person) == pytest.approx((30 / 90 + 0 + 0) / 3)
    # Knees at 105, ankles at 105 in the mean: the last of four steps does not lead down.
    assert disorder(COCO_17, person) == pytest.approx(1 / 4)
    # No scale and no place matter.
    moved = person.clone()
    moved[..., :2] = 7.5 * person[..., :2] + 300
    assert fit_of(COCO_17, moved).misfit == pytest.approx(fit_of(COCO_17, person).misfit)
    assert fit_of(COCO_17, torch.zeros(3, 17, 3)).misfit == float("inf")


def view_of(people: Sequence[Tensor], camera: str = "cam1", **how) -> DetectionView:
    lists = [one.flatten().tolist() for one in people]
    return DetectionView(camera, {0: Path("0.json")}, lambda number, place: lists, **how)


def test_what_was_told_goes_before_limbs_and_is_doubted_aloud() -> None:
    views, notes = settle_detections("x", [view_of(drawn(CROWDPOSE_14))], [SIZE], SHELF_14)
    assert views[0].skeleton == SHELF_14
    (note,) = notes
    assert note.startswith("skeleton shelf_14 as told, but people hardly fit it") and "crowdpose_14 would fit" in note
    assert settle_detections("x", [view_of(drawn(CROWDPOSE_14))], [SIZE], CROWDPOSE_14)[1] == ()
    with pytest.raises(
        InputError, match=r"people have 14 joints, but the skeleton coco_17 has 17; leave --skeleton out"
    ):
        settle_detections("x", [view_of(drawn(CROWDPOSE_14))], [SIZE], COCO_17)
    said = [view_of(drawn(SHELF_14), skeleton=SHELF_14), view_of(drawn(CROWDPOSE_14), "b", skeleton=CROWDPOSE_14)]
    with pytest.raises(InputError, match="skeleton is shelf_14 and crowdpose_14, by the files' own names"):
        settle_detections("x", said, [SIZE, SIZE], None)
    views, notes = settle_detections("x", [view_of(drawn(COCO_WHOLEBODY_133))], [SIZE], None)
    assert notes == ("skeleton coco_wholebody_133: of its 133 joints the 23 of the body are read (coco_23).",)


def scaled(factor: float, people: Sequence[Tensor]) -> list[Tensor]:
    return [one * torch.tensor([factor, factor, 1.0]) for one in people]


def test_what_is_wrong_with_everybody_is_refused_with_the_likely_factor() -> None:
    people = drawn(COCO_17)
    percent = [one * torch.tensor([1.0, 1.0, 100.0]) for one in people]
    with pytest.raises(
        InputError, match=r"0\.json: camera b, frame 0: scores .* reach 80 .* probably 100 times too large"
    ):
        settle_detections("x", [view_of(people), view_of(percent, "b")], [SIZE, SIZE], None)
    for factor, said in ((3.0, r"2\.667 times as large \(5120 x 2880\)"), (4.0, r"4 times as large")):
        with pytest.raises(InputError, match=rf"100 % of the people of camera cam1 lie outside .* at least {said}"):
            settle_detections("x", [view_of(scaled(factor, people))], [SIZE], None)
    with pytest.raises(InputError, match="or in another unit"):
        settle_detections("x", [view_of(scaled(1000.0, people))], [SIZE], None)
    few = [*people, *scaled(3.0, people[:4])]
    _, notes = settle_detections("x", [view_of(few)], [SIZE], None)
    assert notes == ("camera cam1: 12 % of its people lie outside the calibrated image of 1920 x 1080 pixels; is it of "
                     "another size?",)  # fmt: skip


def test_shares_of_the_image_become_pixels_and_that_is_said() -> None:
    people = drawn(COCO_17)
    shares = [one / torch.tensor([*SIZE, 1.0]) for one in people]
    views, notes = settle_detections("x", [view_of(shares)], [SIZE], None)
    assert notes == ("camera cam1: coordinates are shares of the image, taken times 1920 x 1080.",)
    torch.testing.assert_close(torch.stack(views[0].read(0, SIZE).keypoints), torch.stack(people))


def test_single_odd_values_among_shares_are_no_pixels() -> None:
    shares = [one / torch.tensor([*SIZE, 1.0]) for one in drawn(COCO_17)]
    shares[0][5, 0], shares[1][6, 1] = 512.0, 1e300
    views, notes = settle_detections("x", [view_of(shares)], [SIZE], None)
    assert views[0].normalized and "coordinates are shares" in notes[0]
    pixels = drawn(COCO_17)
    pixels[0][:, :2] = 0.5
    assert not settle_detections("x", [view_of(pixels)], [SIZE], None)[0][0].normalized


def test_scores_that_reach_six_are_not_called_a_hundred_times_too_large() -> None:
    people = [one * torch.tensor([1.0, 1.0, 5.0]) for one in drawn(COCO_17)]
    with pytest.raises(InputError, match=r"scores of this camera reach 4 .* in another unit"):
        settle_detections("x", [view_of(people)], [SIZE], None)


def test_joints_of_four_values_are_said_so() -> None:
    rows = [[[0.5, 0.5, -0.1, 0.9]] * 33]
    view = DetectionView("cam1", {0: Path("0.json")}, lambda number, place: rows)
    with pytest.raises(
        InputError, match=r"x: joints have 4 values each .*0\.json: camera cam1, frame 0, person 0: \[0\.5"
    ):
        settle_detections("x", [view], [SIZE], None)


def test_joints_at_the_origin_do_not_count_for_a_skeleton() -> None:
    people = drawn(COCO_17)
    for one in people:
        one[9:11, :2] = 0.0
    assert settle_detections("x", [view_of(people)], [SIZE], None)[0][0].skeleton == COCO_17


def test_y_before_x_is_asked_about() -> None:
    """MoveNet's order; who lies or was filmed by a turned camera is told by naming the skeleton."""
    exchanged = [one[:, [1, 0, 2]] for one in drawn(COCO_17)]
    with pytest.raises(
        InputError, match=r"x: \d+ % of the steps .* with x and y exchanged 0 % would: .*--skeleton coco_17"
    ):
        choose_skeleton("x", exchanged)
    assert settle_detections("x", [view_of(exchanged)], [SIZE], COCO_17)[0][0].skeleton == COCO_17


def test_somebody_is_looked_for_in_all_frames_before_nobody_is_said() -> None:
    one = [person.flatten().tolist() for person in drawn(COCO_17, 1)]
    files = {number: Path(f"{number}.json") for number in range(500)}
    view = DetectionView("cam1", files, lambda number, place: one if number == 487 else [{}, None, []])
    views, _ = settle_detections("x", [view], [SIZE], None)
    assert views[0].skeleton == COCO_17
    with pytest.raises(InputError, match="nobody is detected in any frame, so choose the skeleton with --skeleton"):
        settle_detections("x", [DetectionView("cam1", files, lambda number, place: [{}])], [SIZE], None)


def brought(people: Tensor, source: Skeleton, target: Skeleton) -> Tensor:
    """People in another skeleton's joints; what has no part in it is not seen."""
    seen = people[..., 2] > 0
    xy, score, there = convert_joints(people[..., :2], people[..., 2], seen, conversion_between(source, target))
    return torch.cat([xy * there[..., None], (score * there)[..., None]], -1)


def test_real_detections_in_every_skeleton(shared_data: Path) -> None:
    """Where the detector's joints make most of a skeleton, that skeleton is chosen, whatever else has its width."""
    sets = [
        (BODY_25, shared_data / "shelf" / "detections.npz"),
        (COCO_17, shared_data / "mvor" / "detections_openpose.npz"),
        (COCO_17, shared_data / "mvor" / "detections_rtpose.npz"),
        (BODY_25B, shared_data / "pose2sim" / "detections_multi.npz"),
    ]
    tried = 0
    for source, path in sets:
        people = torch.from_numpy(np.load(path)["kpts"]).double().nan_to_num()
        some = people[torch.randperm(len(people), generator=torch.Generator().manual_seed(3))[:40]]
        for target in KNOWN:
            table = brought(some, source, target)
            if float((table[..., 2] > 0).any(0).double().mean()) > 0.7:
                tried += 1
                assert choose_skeleton(str(path), list(table))[0] == target, (path, target.name)
    assert tried > 50 and H36M_17 in KNOWN


EMPTY_PERSON = "left out: people without a single keypoint"
CASES = {
    "nan_joint": ("not seen: joints with a value that is no number", 1,
                  "cam2_000004.json: camera cam2, frame 4, person 0, joint l_ear: x is nan"),
    "nan_person": (EMPTY_PERSON, 1, "cam2_000004.json: camera cam2, frame 4, person 2: no joint of use"),
    "empty_person_object": (EMPTY_PERSON, 1, "cam3_000002.json: camera cam3, frame 2, person 0: no keypoints"),
    "score_above": ("scores outside [0, 1], taken as 0 or 1", 216,
                    "cam1_000000.json: camera cam1, frame 0, person 0, joint nose: score is 1.12"),
    "mmpose_json": None,
    "wholebody133": None,
    "crowdpose14": None,
}  # fmt: skip
SKELETONS = {"crowdpose14": "crowdpose_14", "wholebody133": "coco_23"}


@pytest.mark.parametrize("case", CASES)
def test_the_cases_from_public_reports(shared_data: Path, tmp_path: Path, capsys, case: str) -> None:
    """Six frames, two people, what was odd counted and named: by `check` as by `predict`, and in the header."""
    from dispose.cli.main import main

    folder = shared_data / "cases" / case
    assert main(["predict", str(folder), "--out", str(tmp_path / "out")]) == 0
    predicted = capsys.readouterr().out
    assert "6 frames read, 36 detections." in predicted and "2 people:\n  id 1: 6 frames\n  id 2: 6 frames" in predicted
    header, *frames = (json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines())
    assert header["skeleton"] == SKELETONS.get(case, "coco_17") and len(frames) == 6
    main(["check", str(folder), "--out", str(tmp_path / "check")])
    checked = capsys.readouterr().out
    expected = CASES[case]
    for sentence in header["read"]:
        assert sentence in predicted and sentence in checked
    assert len(header["read"]) == (1 if expected is None else 2)
    if expected is not None:
        kind, count, place = expected
        assert header["read"][1].startswith(f"{kind}") and f": {count} (the first: {folder}" in header["read"][1]
        assert place in header["read"][1]
    if case == "empty_person_object":
        # The empty person stands first in the list: the others keep their places.
        assert sorted(person["members"]["cam3"] for person in frames[2]["persons"]) == [1, 2]


@pytest.mark.parametrize(
    ("third", "said"),
    [
        (["0.9"], r"its first joint is .*'0\.9'\); a joint is two numbers and a score above 0"),
        (
            [0.0],
            r"2 people are listed, but none has a joint of use \(the first: 0\.json: camera cam1, frame 0, person 0",
        ),
        ([-4.0, -3.0, 2.0], r"0\.json: camera cam1, frame 0: half of this camera's scores are below -3.*logits"),
    ],
    ids=["texts", "zeros", "logits"],
)
def test_scores_that_are_none_are_named_before_the_first_frame(third: list[object], said: str) -> None:
    listed = [person.flatten().tolist() for person in drawn(COCO_17, 2)]
    people = [[third[at // 3 % len(third)] if at % 3 == 2 else v for at, v in enumerate(one)] for one in listed]
    view = DetectionView("cam1", {0: Path("0.json")}, lambda number, place: people)
    with pytest.raises(InputError, match=said):
        settle_detections("x", [view], [SIZE], None)
