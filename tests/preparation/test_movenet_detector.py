"""MoveNet's two networks put together, with rules in their place: who is looked for, found, and kept once."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dispose.errors import InputError
from dispose.models.movenet.find import MultiplePeople
from dispose.models.movenet.network import MoveNet, MoveNetConfig, TracedMoveNet
from dispose.preparation import detectors, movenet
from dispose.preparation.detector import ImagePeople, nobody
from dispose.preparation.movenet import (
    GREY,
    MoveNetDetector,
    MoveNetSettings,
    agreed,
    are_mixed,
    given_once,
    paint_over,
    squares_around,
    tiles_of,
)
from dispose.preparation.similarity import best_of_alike, box_around, keypoint_similarity
from dispose.skeletons.catalog import COCO_17

IMAGE = np.zeros((400, 600, 3), np.uint8)
BODY = np.stack([np.linspace(-20, 20, 17) * np.tile([1, -1], 9)[:17], np.linspace(-60, 60, 17)], -1)


def person(x: float, y: float, score: float = 0.8) -> np.ndarray:
    """Somebody whose middle is at a place."""
    return np.concatenate([BODY + np.array((x, y)), np.full((17, 1), score)], -1)


class Room:
    """Who is in the image, whom the search misses, how the networks err, and where was looked."""

    def __init__(self, people: list[np.ndarray]) -> None:
        self.people, self.missed, self.bias, self.shown = people, set[int](), 0.0, len(people)
        self.squares: list[np.ndarray] = []

    def search(self, network: object, image: np.ndarray, side: int) -> MultiplePeople:
        """Everybody who is not missed, roughly."""
        some = [one + np.array((3, 3, 0)) for n, one in enumerate(self.people) if n not in self.missed]
        keypoints = np.stack(some) if some else np.zeros((0, 17, 3))
        return MultiplePeople(keypoints, box_around(keypoints), keypoints[..., 2].mean(1))

    def look(self, network: object, image: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """Whoever is nearest to the middle of each square, beside it by the bias of the network."""
        self.squares.append(squares)
        turned = image.strides[1] < 0 or bool(image[0, 0, 0])
        found = []
        for x, y, _ in squares:
            here = [self.mirrored(one) if turned else one for one in self.people[: self.shown]]
            middle = [np.hypot(*(one[:, :2].mean(0) - (x, y))) for one in here]
            found.append(here[int(np.argmin(middle))] + (self.bias, 0, 0))
        return np.stack(found) if found else np.zeros((0, 17, 3))

    def mirrored(self, one: np.ndarray) -> np.ndarray:
        """Somebody in a mirrored image: left is right."""
        return one[COCO_17.mirror] * (-1, 1, 1) + (IMAGE.shape[1] - 1, 0, 0)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """Two people far apart."""
    room = Room([person(150, 200), person(400, 200)])
    monkeypatch.setattr(movenet, "find_people", room.search)
    monkeypatch.setattr(movenet, "find_joints", room.look)
    return room


def detector(**settings: object) -> MoveNetDetector:
    """With networks that nobody asks."""
    small = MoveNet(MoveNetConfig("small", 32, 8, (8,) * 17))
    return MoveNetDetector(small, small, (("net", "sha"),), replace(MoveNetSettings(), **settings))  # type: ignore[arg-type]


MIRRORABLE = np.zeros((400, 600, 3), np.uint8)
MIRRORABLE[:, -1] = 255  # its mirror image begins with white


def test_newcomers_are_found_where_they_are_and_a_networks_bias_goes_in_the_mirror(room: Room):
    room.bias = 1.0
    found = detector().find(MIRRORABLE, nobody(COCO_17), search=True)
    order = np.argsort(found.keypoints[:, 0, 0])
    assert np.allclose(found.keypoints[order][..., :2], np.stack(room.people)[..., :2], atol=1e-9)
    assert (found.keypoints[..., 2] < 0.8).all(), "looks that differ lower the scores"


def test_somebody_known_stays_where_a_search_misses_them_and_others_join(room: Room):
    room.missed = {0}
    before = ImagePeople(np.zeros((1, 4)), person(145, 200)[None], np.array([0.8]))
    found = detector().find(MIRRORABLE, before, search=True)
    assert sorted(found.keypoints[:, :, 0].mean(1).round().tolist()) == [150, 400]


def test_between_searches_nobody_new_is_looked_for(room: Room):
    before = ImagePeople(np.zeros((1, 4)), person(145, 200)[None], np.array([0.8]))
    found = detector().find(MIRRORABLE, before, search=False)
    assert len(found) == 1 and len(room.squares) == 1
    assert np.allclose(room.squares[0][0, :2], person(145, 200)[:, :2].mean(0), atol=25)


def test_a_careful_second_look_takes_back_what_the_network_errs_to_one_side(room: Room):
    room.bias = 1.0
    before = ImagePeople(np.zeros((1, 4)), person(145, 200)[None], np.array([0.8]))
    once = detector().find(MIRRORABLE, before, search=False).keypoints
    twice = detector(careful=1.4).find(MIRRORABLE, before, search=False).keypoints
    assert np.allclose(once[0, :, :2], person(151, 200)[:, :2]) and np.allclose(
        twice[0, :, :2], person(150, 200)[:, :2]
    )


def test_two_who_are_looked_for_and_turn_out_to_be_one_are_one(room: Room):
    room.people = room.people[:1]
    before = ImagePeople(np.zeros((2, 4)), np.stack([person(140, 200), person(190, 200)]), np.full(2, 0.8))
    assert len(detector().find(MIRRORABLE, before, search=False)) == 1


def test_whom_no_look_finds_behind_another_is_where_the_search_saw_them(room: Room):
    room.shown = 1
    found = detector().find(MIRRORABLE, nobody(COCO_17), search=True)
    assert 403 in found.keypoints[:, :, 0].mean(1).round().tolist(), "the search is 3 px beside"


def test_two_who_were_two_stay_two_where_one_is_before_the_other(room: Room):
    room.people = [person(150, 200), person(154, 200)]
    before = ImagePeople(np.zeros((2, 4)), np.stack([person(149, 200), person(155, 200)]), np.full(2, 0.8))
    assert 0.5 < keypoint_similarity(room.people[0][None], room.people[1][None])[0, 0] < 0.85
    assert len(detector().find(MIRRORABLE, before, search=False)) == 2
    assert len(detector(known_person=0.6).find(MIRRORABLE, before, search=False)) == 1


class MixingRoom(Room):
    """A network that gives whoever stands behind the wrists of the one in front, as long as it can see these."""

    def look(self, network: object, image: np.ndarray, squares: np.ndarray) -> np.ndarray:
        """As the others do, and then wrists."""
        found, (behind, front) = super().look(network, image, squares), self.people
        turned = image.strides[1] < 0
        for one in found:
            hidden = front[9, :2].round().astype(int)
            column = image.shape[1] - 1 - hidden[0] if turned else hidden[0]
            painted = image[hidden[1], column].tolist() == list(GREY)
            whose = self.mirrored(behind) if turned else behind
            if np.allclose(one[:9], whose[:9]) and not painted:
                one[[9, 10]] = (self.mirrored(front) if turned else front)[[9, 10]]
        return found


@pytest.mark.parametrize("careful", [0.0, 1.4])
@pytest.mark.parametrize("known", [True, False])
def test_who_stands_behind_another_is_looked_at_with_that_one_painted_over(
    monkeypatch: pytest.MonkeyPatch, known: bool, careful: float
):
    room = MixingRoom([person(150, 200), person(215, 200)])
    monkeypatch.setattr(movenet, "find_people", room.search)
    monkeypatch.setattr(movenet, "find_joints", room.look)
    people = np.stack([person(149, 200), person(214, 200)])
    before = ImagePeople(np.zeros((2, 4)), people, np.full(2, 0.8)) if known else nobody(COCO_17)
    found = detector(careful=careful).find(MIRRORABLE, before, search=not known).keypoints
    order = np.argsort(found[:, 0, 0])
    assert np.allclose(found[order], np.stack(room.people), atol=1e-6)


def test_people_are_mixed_where_a_joint_is_anothers_and_not_where_two_are_near():
    expected = np.stack([person(150, 200), person(215, 200)])
    assert are_mixed(expected, expected).tolist() == [False, False]
    stolen = expected.copy()
    stolen[0, 9, :2] = expected[1, 9, :2]
    assert are_mixed(stolen, expected).tolist() == [True, False]
    assert are_mixed(stolen[:1], expected).tolist() == [True], "of somebody who is not looked for"
    unseen = stolen.copy()
    unseen[0, 9, 2] = 0
    assert not are_mixed(unseen, expected).any()
    unknown = expected.copy()
    unknown[1, 9, 2] = 0
    assert not are_mixed(stolen, unknown).any(), "nobody knows where that joint of the other is"
    near = np.stack([person(150, 200), person(151, 200)])
    assert not are_mixed(near[::-1].copy(), near).any(), "either place is their own"


def test_people_are_painted_over_and_nothing_else():
    image = np.full((400, 600, 3), 200, np.uint8)
    painted = paint_over(image, np.stack([person(150, 200), person(400, 200, 0.0)]), 0.15)
    grey = (painted == GREY).all(-1)
    for x, y, _ in person(150, 200):
        assert grey[round(y), round(x)]
    rows, columns = np.nonzero(grey)
    assert columns.min() >= 115 and columns.max() <= 185 and rows.min() >= 125 and rows.max() <= 275
    broad = person(300, 200)
    broad[movenet.TORSO, :2] = (250, 150), (350, 150), (350, 250), (250, 250)
    assert paint_over(image, broad[None], 0.01)[225, 275].tolist() == list(GREY), "the trunk is filled"
    assert (image == 200).all() and not grey.all() and (painted[~grey] == 200).all()


def test_nobody_is_kept_below_the_mean_score_and_no_joint_outside(room: Room):
    room.people = [person(150, 200, 0.19), person(400, 30)]
    found = detector().find(MIRRORABLE, nobody(COCO_17), search=True)
    assert len(found) == 1 and (found.keypoints[0, :4, 2] == 0).all() and found.keypoints[0, 10, 2] > 0
    assert (found.keypoints[0, :, 1] >= 0).all()


def test_a_joint_at_one_place_goes_to_whom_it_was_expected_of():
    one, other = person(150, 200), person(220, 200)
    expected = np.stack([one, other])
    stolen = one.copy()
    stolen[9] = other[9]
    kept = given_once(np.stack([stolen, other]), expected)
    assert kept[0, 9].tolist() == [0, 0, 0] and np.array_equal(kept[1], other)
    assert np.array_equal(np.delete(kept[0], 9, 0), np.delete(stolen, 9, 0))
    assert np.array_equal(given_once(expected, expected), expected)


def test_looks_that_agree_keep_their_score_and_others_lose_it():
    looks = np.stack([person(100, 100)] * 3)[:, None]
    assert np.allclose(agreed(looks, 0.02), looks[0])
    looks[:, 0, 5, 0] += (-30, 0, 30)
    found = agreed(looks, 0.02)[0]
    assert np.allclose(found[5, :2], person(100, 100)[5, :2]) and found[5, 2] < 0.15 and (found[:5, 2] > 0.79).all()


def test_similarity_is_one_for_the_same_and_falls_with_distance_and_joints_that_are_not_seen_do_not_count():
    people = np.stack([person(100, 100), person(103, 100), person(160, 100)])
    alike = keypoint_similarity(people, people)
    assert np.allclose(np.diag(alike), 1) and alike[0, 1] > 0.7 > 0.1 > alike[0, 2] and np.allclose(alike, alike.T)
    blind = people.copy()
    blind[2, :, 2] = 0
    assert keypoint_similarity(people, blind)[0, 2] == 0
    blind[1, 13:, 0], blind[1, 13:, 2] = 999, 0
    assert 0.6 < keypoint_similarity(people[:1], blind[1:2])[0, 0] < alike[0, 1], "the smaller area is the size"
    assert best_of_alike(people, [1, 0, 2], 0.5) == [1, 2]


def test_squares_hold_everybody_and_tiles_hold_every_pixel_twice():
    people = np.stack([person(150, 200), person(0, 0, 0.0)])
    (x, y, side), nowhere = squares_around(people, 1.0)
    reach = np.abs(people[0, :, :2] - (x, y)).max()
    assert np.isclose(side, 2 * reach) and np.isnan(nowhere[0])
    seen = np.zeros(IMAGE.shape[:2], int)
    for left, top, right, bottom in tiles_of(600, 400, 3):
        assert 0 <= left < right <= 600 and 0 <= top < bottom <= 400
        seen[top:bottom, left:right] += 1
    assert len(tiles_of(600, 400, 3)) == 10 and seen.min() >= 2 and tiles_of(600, 400, 1) == [(0, 0, 600, 400)]


def test_the_card_names_everything_that_the_answers_depend_on():
    card = detector(tiles=2).card
    assert dict(card.settings)["tiles"] == "2" and card.weights == (("net", "sha"),) and card.skeleton == COCO_17


def test_the_networks_run_on_the_device_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card names any but the CPU, where numbers are rounded otherwise; folders made on the CPU are gone on with."""
    tiny = MoveNetConfig("tiny", 64, 8, (8,) * 17, boxes=True)
    monkeypatch.setattr(detectors, "load_movenet", lambda config: MoveNet(tiny))
    there, here = detectors.detector_of(device="meta")(), detectors.detector_of()()
    assert isinstance(there, MoveNetDetector) and isinstance(here, MoveNetDetector)
    for network in (there.people, there.joints):
        assert isinstance(network, MoveNet) and network.device == torch.device("meta") and not network.training
    assert isinstance(here.people, TracedMoveNet) and isinstance(here.joints, TracedMoveNet)
    assert there.card.settings == (*here.card.settings, ("device", "meta"))
    for name in ("rtmpose", "rtmpose_feet", "rtmo"):
        with pytest.raises(InputError, match=f"--device is cuda, but {name} runs on the CPU only; movenet and vitpose"):
            detectors.detector_of(name, device="cuda")
