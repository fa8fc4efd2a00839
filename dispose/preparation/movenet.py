"""People in images by MoveNet's two networks: one finds everybody, the other looks closely at each of them."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from dispose.models.movenet.find import find_joints, find_people
from dispose.models.movenet.inputs import Rgb
from dispose.models.movenet.network import MoveNet
from dispose.preparation.detector import DetectorCard, ImagePeople
from dispose.preparation.similarity import COCO_SIGMAS, best_of_alike, box_around, keypoint_similarity
from dispose.skeletons.catalog import COCO_17

MIRROR = COCO_17.mirror

Keypoints = Float[np.ndarray, "people 17 3"]
Scores = Float[np.ndarray, " people"]


@dataclass(frozen=True)
class MoveNetSettings:
    """What is looked for, and what is kept.

    Attributes:
        side: long side at which an image is searched for people, px.
        tiles: the image is also searched in so many parts across and down; 1: only as a whole.
        person_score: people of the search with a higher score are looked at closely.
        same_place: searched people more alike than this (OKS) are one, and are those who are known already.
        crop: half a side of the square around somebody who is known, in distances from the mean of their keypoints to
            the farthest.
        crops: likewise of the squares in which newcomers are looked at, in each of them plainly and in a mirror.
        sure: who is known and has a lower mean score, or is less alike to where they were, is looked at in a mirror
            too.
        agreement: keypoints of which several looks differ by this share of a person's size lose most of their score.
        joint_score: keypoints of a higher score are kept.
        mean_score: people whose keypoints have a higher mean score are kept.
        same_person: people more alike than this (OKS) in the end are one.
    """

    side: int = 512
    tiles: int = 1
    person_score: float = 0.15
    same_place: float = 0.35
    crop: float = 1.25
    crops: tuple[float, ...] = (1.0, 1.1, 1.25, 1.5)
    sure: float = 0.5
    agreement: float = 0.02
    joint_score: float = 0.1
    mean_score: float = 0.2
    same_person: float = 0.5


SAME_PERSON, SAME_JOINT = 0.5, 0.7
"""Of people who are less alike than the one, joints more alike than the other are one joint."""

LEAST_REACH_PX = 8.0

LEAST_JOINTS = 5
"""Nobody with fewer keypoints is kept."""

OUTLINE = 0.1
"""Keypoints of a higher score say where somebody is."""


@dataclass(frozen=True, eq=False)
class MoveNetDetector:
    """MoveNet as a detector of COCO's 17 keypoints; runs where its networks are.

    Attributes:
        people: the network for several people.
        joints: the one for one person.
        weights: names of the files of weights and their SHA-256.
        settings: what is looked for, and what is kept.
    """

    people: MoveNet
    joints: MoveNet
    weights: tuple[tuple[str, str], ...]
    settings: MoveNetSettings = MoveNetSettings()

    @property
    def card(self) -> DetectorCard:
        """Names of networks, weights and settings."""
        settings = tuple((one.name, str(vars(self.settings)[one.name])) for one in fields(self.settings))
        return DetectorCard("movenet", COCO_17, self.weights, settings)

    def find(self, image: Rgb, before: ImagePeople, *, search: bool) -> ImagePeople:
        """The people of an image, those of the frame before first looked for where they were."""
        use = self.settings
        expected = before.keypoints[np.isfinite(squares_around(before.keypoints, 1.0)).all(-1)]
        keypoints, sure = self.known(image, expected)
        if search or not len(expected):
            found = self.search(image)
            alike = keypoint_similarity(found, expected).max(1, initial=0)
            new = found[(alike <= use.same_place) & np.isfinite(squares_around(found, 1.0)).all(-1)]
            expected = np.concatenate([expected, new])
            theirs, sure_too = self.newcomers(image, new)
            keypoints, sure = np.concatenate([keypoints, theirs]), np.concatenate([sure, sure_too])
        return self.kept(given_once(keypoints, expected), sure, image)

    def known(self, image: Rgb, expected: Keypoints) -> tuple[Keypoints, Scores]:
        """Keypoints and mean scores of people who were there a frame before, by one look, or two where it is unsure."""
        use = self.settings
        squares = squares_around(expected, use.crop)
        keypoints = find_joints(self.joints, image, squares)
        alike = np.diag(keypoint_similarity(keypoints, expected))
        unsure = np.minimum(alike, keypoints[..., 2].mean(1)) < use.sure
        sure = keypoints[..., 2].mean(1)
        if unsure.any():
            looks = np.stack([keypoints[unsure], self.in_mirror(image, squares[unsure])])
            keypoints[unsure], sure[unsure] = agreed(looks, use.agreement), looks[..., 2].mean((0, 2))
        return keypoints, sure

    def newcomers(self, image: Rgb, rough: Keypoints) -> tuple[Keypoints, Scores]:
        """Keypoints and mean scores of people who are roughly known, by many looks.

        Where the first look finds somebody else, as in crowds, the others are at the rough keypoints.
        """
        use = self.settings
        first = find_joints(self.joints, image, squares_around(rough, use.crop))
        theirs = np.diag(keypoint_similarity(first, rough)) > use.same_place
        theirs &= np.isfinite(squares_around(first, 1.0)).all(-1)
        middle = np.where(theirs[:, None, None], first, rough)
        looks = []
        for crop in use.crops:
            squares = squares_around(middle, crop)
            looks += [find_joints(self.joints, image, squares), self.in_mirror(image, squares)]
        several = np.stack(looks)
        return agreed(several, use.agreement), several[..., 2].mean((0, 2))

    def search(self, image: Rgb) -> Float[np.ndarray, "people 17 3"]:
        """Rough people of the whole image and its tiles, each once, the surest first."""
        use = self.settings
        keypoints, scores = [], []
        for left, top, part in tiles_of(image, use.tiles):
            some = find_people(self.people, part, use.side)
            keypoints.append(some.keypoints + np.array((left, top, 0)))
            scores.append(some.scores)
        everybody, score = np.concatenate(keypoints), np.concatenate(scores)
        order = [one for one in np.argsort(-score, kind="stable").tolist() if score[one] > use.person_score]
        return everybody[best_of_alike(everybody, order, use.same_place)]

    def in_mirror(self, image: Rgb, squares: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, "people 17 3"]:
        """The keypoints of the one person in each square, seen in a mirror and turned back."""
        flip, shift = np.array((-1, 1, 1)), np.array((image.shape[1] - 1, 0, 0))
        mirrored = np.ascontiguousarray(image[:, ::-1])
        return find_joints(self.joints, mirrored, squares * flip + shift)[:, MIRROR] * flip + shift

    def kept(self, keypoints: Keypoints, sure: Scores, image: Rgb) -> ImagePeople:
        """Those who are sure enough, each once, with the keypoints that are in the image."""
        use = self.settings
        height, width = image.shape[:2]
        inside = ((keypoints[..., :2] >= -0.5) & (keypoints[..., :2] <= (width - 0.5, height - 0.5))).all(-1)
        seen = inside & (keypoints[..., 2] > use.joint_score)
        keypoints = np.where(seen[..., None], keypoints, 0.0)
        enough = (sure > use.mean_score) & (seen.sum(1) >= LEAST_JOINTS)
        order = [one for one in np.argsort(-sure, kind="stable").tolist() if enough[one]]
        chosen = best_of_alike(keypoints, order, use.same_person)
        return ImagePeople(box_around(keypoints[chosen], 0.0), keypoints[chosen], sure[chosen].clip(0, 1))


def squares_around(people: Float[np.ndarray, "people joints 3"], scale: float) -> Float[np.ndarray, "people 3"]:
    """Middle x, middle y and side of squares about the mean of somebody's keypoints; not a number where there is none.

    The network for one person prefers whoever is in the middle: a box of two people would show it either of them.
    """
    weight = np.where(people[..., 2:] > OUTLINE, people[..., 2:], 0.0)
    with np.errstate(invalid="ignore"):
        middle = (people[..., :2] * weight).sum(1) / weight.sum(1)
    reach = (np.abs(people[..., :2] - middle[:, None]) * (weight > 0)).max((1, 2), initial=0)
    return np.concatenate([middle, 2 * scale * np.maximum(reach, LEAST_REACH_PX)[:, None]], -1)


def given_once(
    keypoints: Float[np.ndarray, "people joints 3"], expected: Float[np.ndarray, "people joints 3"]
) -> Float[np.ndarray, "people joints 3"]:
    """A joint that two people have at one place goes to whom it was expected of; the other has none.

    Args:
        keypoints: of people.
        expected: where each of them was looked for.
    """
    box = np.nan_to_num(box_around(keypoints))
    spread = 8 * np.maximum((box[:, 2:] - box[:, :2]).prod(-1), 1.0)[:, None] * COCO_SIGMAS**2
    seen = keypoints[..., 2] > OUTLINE
    moved = ((keypoints[..., :2] - expected[..., :2]) ** 2).sum(-1)
    claim = keypoints[..., 2] * np.exp(-moved / spread) * (expected[..., 2] > OUTLINE)
    different = keypoint_similarity(keypoints, keypoints) <= SAME_PERSON
    kept = keypoints.copy()
    for one, other in zip(*np.nonzero(np.triu(different, 1)), strict=True):
        apart = ((keypoints[one, :, :2] - keypoints[other, :, :2]) ** 2).sum(-1)
        shared = seen[one] & seen[other] & (np.exp(-apart / np.maximum(spread[one], spread[other])) > SAME_JOINT)
        loses = np.where(claim[one] < claim[other], one, other)
        for joint in np.flatnonzero(shared):
            kept[loses[joint], joint] = 0.0
    return kept


def agreed(looks: Float[np.ndarray, "looks people joints 3"], share: float) -> Float[np.ndarray, "people joints 3"]:
    """Medians of several looks at the same people; scores fall where the looks differ.

    ``s exp(-(d / (a size))²)``: s the mean score, d the median distance of the looks from their median, a the share.
    """
    place = np.median(looks[..., :2], 0)
    apart = np.median(np.linalg.norm(looks[..., :2] - place, axis=-1), 0)
    size = np.sqrt(np.maximum(np.ptp(place, axis=1).prod(-1), 1.0))[:, None]
    score = looks[..., 2].mean(0) * np.exp(-((apart / (share * size)) ** 2))
    return np.concatenate([place, score[..., None]], -1)


def tiles_of(image: Rgb, count: int) -> list[tuple[int, int, Rgb]]:
    """The whole image, and parts of it that overlap by half: left, top and pixels of each."""
    found = [(0, 0, image)]
    if count < 2:
        return found
    height, width = image.shape[:2]
    tall, wide = -(-2 * height // (count + 1)), -(-2 * width // (count + 1))
    for row in range(count):
        for column in range(count):
            top, left = row * (height - tall) // (count - 1), column * (width - wide) // (count - 1)
            found.append((left, top, image[top : top + tall, left : left + wide]))
    return found
