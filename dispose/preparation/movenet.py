"""People in images by MoveNet's two networks: one finds everybody, the other looks closely at each of them."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float

from dispose.models.movenet.find import find_joints, find_people
from dispose.models.movenet.inputs import Rgb
from dispose.models.movenet.network import MoveNet
from dispose.preparation.detector import DetectorCard, ImagePeople
from dispose.preparation.similarity import best_of_alike, box_around, keypoint_similarity
from dispose.skeletons.catalog import COCO_17

MIRROR = COCO_17.mirror


@dataclass(frozen=True)
class MoveNetSettings:
    """What is looked for, and what is kept.

    Attributes:
        side: long side at which an image is searched for people, px.
        tiles: the image is also searched in so many parts across and down; 1: only as a whole.
        person_score: people of the search with a higher score are looked at closely.
        same_place: searched people more alike than this (OKS) are one, and are those who are known already.
        crop: side of the square around somebody newly found, in longer sides of their box.
        follow: likewise around the keypoints of the frame before.
        looks: how often somebody newly found is looked at, every time where the last look found them.
        mirrored: whether everybody is looked at in a mirror too, and the two answers are averaged.
        joint_score: keypoints of a higher score are kept.
        mean_score: people whose keypoints have a higher mean score are kept.
        same_person: people more alike than this (OKS) in the end are one.
    """

    side: int = 512
    tiles: int = 1
    person_score: float = 0.25
    same_place: float = 0.35
    crop: float = 1.3
    follow: float = 1.4
    looks: int = 2
    mirrored: bool = True
    joint_score: float = 0.1
    mean_score: float = 0.2
    same_person: float = 0.5


LEAST_JOINTS = 5
"""Nobody with fewer keypoints is kept."""

OUTLINE = 0.15
"""Keypoints of a higher score say where somebody is."""

MIRROR_AGREES = 0.1
"""Two looks at a keypoint are averaged where they lie within this share of a square's side; else the surer counts."""


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
        squares = squares_around(box_around(before.keypoints, OUTLINE), use.follow)
        if search or not len(before):
            found = self.search(image)
            known = keypoint_similarity(found.keypoints, before.keypoints).max(1, initial=0) > use.same_place
            new = squares_around(self.outline(found.of(~known)), use.crop)
            for _ in range(1, use.looks):
                looked = find_joints(self.joints, image, new)
                again = squares_around(box_around(looked, OUTLINE), use.crop)
                new = np.where(np.isfinite(again), again, new)
            squares = np.concatenate([squares, new])
        keypoints = self.look(image, squares[np.isfinite(squares).all(-1)])
        return self.kept(keypoints, image)

    def search(self, image: Rgb) -> ImagePeople:
        """Rough people of the whole image and its tiles, each once."""
        use = self.settings
        found = []
        for left, top, part in tiles_of(image, use.tiles):
            some = find_people(self.people, part, use.side)
            moved = some.keypoints + np.array((left, top, 0))
            found.append(ImagePeople(some.boxes + np.array((left, top, left, top)), moved, some.scores))
        everybody = ImagePeople(*(np.concatenate([vars(one)[f.name] for one in found]) for f in fields(ImagePeople)))
        sure = everybody.of(everybody.scores > use.person_score)
        order = np.argsort(-sure.scores, kind="stable").tolist()
        return sure.of(best_of_alike(sure.keypoints, order, use.same_place))

    def outline(self, people: ImagePeople) -> Float[np.ndarray, "people 4"]:
        """Boxes that hold keypoints too."""
        around = box_around(people.keypoints, OUTLINE)
        low = np.fmin(people.boxes[:, :2], around[:, :2])
        return np.concatenate([low, np.fmax(people.boxes[:, 2:], around[:, 2:])], -1)

    def look(self, image: Rgb, squares: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, "people joints 3"]:
        """The keypoints of the one person in each square."""
        found = find_joints(self.joints, image, squares)
        if not self.settings.mirrored:
            return found
        width = image.shape[1]
        turned = squares * (-1, 1, 1) + (width - 1, 0, 0)
        other = find_joints(self.joints, np.ascontiguousarray(image[:, ::-1]), turned)[:, MIRROR]
        other = other * (-1, 1, 1) + (width - 1, 0, 0)
        return averaged(found, other, MIRROR_AGREES * squares[:, 2])

    def kept(self, keypoints: Float[np.ndarray, "people joints 3"], image: Rgb) -> ImagePeople:
        """Those who are sure enough, each once, with the keypoints that are in the image."""
        use = self.settings
        scores = keypoints[..., 2].mean(1)
        height, width = image.shape[:2]
        inside = ((keypoints[..., :2] >= -0.5) & (keypoints[..., :2] <= (width - 0.5, height - 0.5))).all(-1)
        seen = inside & (keypoints[..., 2] > use.joint_score)
        keypoints = np.where(seen[..., None], keypoints, 0.0)
        enough = (scores > use.mean_score) & (seen.sum(1) >= LEAST_JOINTS)
        order = [one for one in np.argsort(-scores, kind="stable").tolist() if enough[one]]
        chosen = best_of_alike(keypoints, order, use.same_person)
        return ImagePeople(box_around(keypoints[chosen], 0.0), keypoints[chosen], scores[chosen].clip(0, 1))


def squares_around(boxes: Float[np.ndarray, "people 4"], scale: float) -> Float[np.ndarray, "people 3"]:
    """Middle x, middle y and side of squares, in longer sides of boxes."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, scale * sides.max(1, keepdims=True)], -1)


def averaged(
    one: Float[np.ndarray, "people joints 3"],
    other: Float[np.ndarray, "people joints 3"],
    apart: Float[np.ndarray, " people"],
) -> Float[np.ndarray, "people joints 3"]:
    """Means of keypoints that lie close together; where they do not, the surer one with half of the difference lost."""
    distance = np.linalg.norm(one[..., :2] - other[..., :2], axis=-1)
    close: Bool[np.ndarray, "people joints"] = distance <= apart[:, None]
    surer = np.where(one[..., 2:] >= other[..., 2:], one, other)
    mean = (one + other) / 2
    surer[..., 2] = mean[..., 2]
    return np.where(close[..., None], mean, surer)


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
