"""People in images by MoveNet's two networks: one finds everybody, the other looks closely at each of them."""

from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Bool, Float

from dispose.models.movenet.find import Rgb, find_joints, find_people
from dispose.models.movenet.network import MoveNet, TracedMoveNet
from dispose.preparation.detector import DetectorCard, ImagePeople, where_it_runs
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
        follow: side of the square in which somebody is looked at who is known, in longer sides of the box around their
            keypoints.
        careful: likewise of a second look at everybody who is known, in a mirror; 0: one look is enough.
        crops: half a side of the squares in which newcomers are looked at, plainly and in a mirror, in distances from
            the mean of their keypoints to the farthest.
        agreement, known_agreement: keypoints of which several looks differ by this share of a person's size lose most
            of their score, of newcomers and of those who are known.
        paint_width: of the limbs of people who are painted over, as a share of their size.
        joint_score: keypoints of a higher score are kept.
        mean_score: people whose keypoints have a higher mean score are kept.
        same_person, known_person: people more alike than this (OKS) in the end are one; who were two a frame before.
    """

    side: int = 512
    tiles: int = 1
    person_score: float = 0.15
    same_place: float = 0.35
    follow: float = 1.2
    careful: float = 0.0
    crops: tuple[float, ...] = (1.0, 1.1, 1.25, 1.5)
    agreement: float = 0.015
    known_agreement: float = 0.1
    paint_width: float = 0.15
    joint_score: float = 0.1
    mean_score: float = 0.2
    same_person: float = 0.5
    known_person: float = 0.85


SAME_PERSON, SAME_JOINT = 0.5, 0.7
"""Of people who are less alike than the one, joints more alike than the other are one joint."""

DOUBTFUL = 0.12
"""The score of a keypoint on which looks do not agree: it is there, and counts for little."""

TORSO = list(COCO_17.indices(("l_shoulder", "r_shoulder", "r_hip", "l_hip")))
FACE = list(COCO_17.indices(("nose", "l_eye", "r_eye", "l_ear", "r_ear")))
GREY = (127, 127, 127)
"""People are painted over with it. In black the network sees limbs."""

LEAST_REACH_PX = 8.0
FIRST_LOOK = 1.25

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

    people: MoveNet | TracedMoveNet
    joints: MoveNet | TracedMoveNet
    weights: tuple[tuple[str, str], ...]
    settings: MoveNetSettings = MoveNetSettings()

    @property
    def card(self) -> DetectorCard:
        """Names of networks, weights and settings."""
        settings = tuple((one.name, str(vars(self.settings)[one.name])) for one in fields(self.settings))
        return DetectorCard("movenet", COCO_17, self.weights, (*settings, *where_it_runs(self.people.device)))

    def find(self, image: Rgb, before: ImagePeople, *, search: bool) -> ImagePeople:
        """The people of an image, those of the frame before first looked for where they were."""
        use = self.settings
        keypoints, sure = self.known(image, before.keypoints)
        known = len(keypoints)
        if search or not len(keypoints):
            found = self.search(image)
            alike = keypoint_similarity(found, before.keypoints).max(1, initial=0)
            theirs, sure_too = self.newcomers(image, found[alike <= use.same_place], keypoints)
            keypoints, sure = np.concatenate([keypoints, theirs]), np.concatenate([sure, sure_too])
        limits = np.full((len(keypoints), len(keypoints)), use.same_person)
        limits[:known, :known] = use.known_person
        return self.kept(keypoints, sure, limits, image)

    def known(self, image: Rgb, expected: Keypoints) -> tuple[Keypoints, Scores]:
        """Keypoints and mean scores of people who were there a frame before."""
        use = self.settings
        boxes = box_around(expected, OUTLINE)
        there = np.isfinite(boxes).all(-1)
        expected, boxes = expected[there], boxes[there]
        looks = [self.among_others(image, expected, squares_of(boxes, use.follow), mirrored=False)]
        if use.careful and len(boxes):
            looks.append(self.among_others(image, expected, squares_of(boxes, use.careful), mirrored=True))
        several = np.stack(looks)
        return agreed(several, use.known_agreement), several[..., 2].mean((0, 2))

    def among_others(
        self, image: Rgb, expected: Keypoints, squares: Float[np.ndarray, "people 3"], *, mirrored: bool
    ) -> Keypoints:
        """The keypoints of people who are expected where they are.

        The network answers for two who overlap with joints of both. Whoever has a joint of another is looked at again
        with the others painted over; the answer is the more alike of the two to what was expected.
        """
        look = self.in_mirror if mirrored else self.plainly
        keypoints = look(image, squares)
        mixed = are_mixed(keypoints, expected)
        there = np.where(mixed[:, None, None], expected, keypoints)
        for one in np.flatnonzero(mixed).tolist():
            alone = paint_over(image, np.delete(there, one, 0), self.settings.paint_width)
            both = np.concatenate([keypoints[one : one + 1], look(alone, squares[one : one + 1])])
            keypoints[one] = both[int(keypoint_similarity(both, expected[one : one + 1])[:, 0].argmax())]
        return keypoints

    def newcomers(
        self, image: Rgb, rough: Keypoints, known: Float[np.ndarray, "known 17 3"]
    ) -> tuple[Keypoints, Scores]:
        """Keypoints and mean scores of people who are roughly known, by many looks.

        Where the first look finds somebody else, as in crowds, the others are at the rough keypoints, with everybody
        else painted over; where all do, the rough keypoints are the answer.
        """
        use = self.settings
        rough = rough[np.isfinite(squares_around(rough, 1.0)).all(-1)]
        if not len(rough):
            return rough, np.zeros(0)
        everybody = np.concatenate([rough, known])
        first = self.plainly(image, squares_around(rough, FIRST_LOOK))
        theirs = np.diag(keypoint_similarity(first, rough)) > use.same_place
        theirs &= np.isfinite(squares_around(first, 1.0)).all(-1) & ~are_mixed(first, everybody)
        middle = np.where(theirs[:, None, None], first, rough)
        looks = np.zeros((2 * len(use.crops), *rough.shape))
        for one, alone in enumerate(theirs.tolist()):
            seen = image if alone else paint_over(image, np.delete(everybody, one, 0), use.paint_width)
            for place, crop in enumerate(use.crops):
                square = squares_around(middle[one : one + 1], crop)
                looks[2 * place, one] = self.plainly(seen, square)[0]
                looks[2 * place + 1, one] = self.in_mirror(seen, square)[0]
        keypoints, sure = given_once(agreed(looks, use.agreement), rough), looks[..., 2].mean((0, 2))
        others = are_others(keypoints, everybody)
        return np.where(others[:, None, None], rough, keypoints), np.where(others, rough[..., 2].mean(1), sure)

    def search(self, image: Rgb) -> Float[np.ndarray, "people 17 3"]:
        """Rough people of the whole image and its tiles, each once, the surest first."""
        use = self.settings
        keypoints, scores = [], []
        for left, top, right, bottom in tiles_of(image.shape[1], image.shape[0], use.tiles):
            some = find_people(self.people, image[top:bottom, left:right], use.side)
            keypoints.append(some.keypoints + np.array((left, top, 0)))
            scores.append(some.scores)
        everybody, score = np.concatenate(keypoints), np.concatenate(scores)
        order = [one for one in np.argsort(-score, kind="stable").tolist() if score[one] > use.person_score]
        return everybody[best_of_alike(everybody, order, use.same_place)]

    def plainly(self, image: Rgb, squares: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, "people 17 3"]:
        """The keypoints of the one person in each square."""
        return find_joints(self.joints, image, squares)

    def in_mirror(self, image: Rgb, squares: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, "people 17 3"]:
        """The keypoints of the one person in each square, seen in a mirror and turned back."""
        flip, shift = np.array((-1, 1, 1)), np.array((image.shape[1] - 1, 0, 0))
        mirrored = np.ascontiguousarray(image[:, ::-1])
        return find_joints(self.joints, mirrored, squares * flip + shift)[:, MIRROR] * flip + shift

    def kept(
        self, keypoints: Keypoints, sure: Scores, limits: Float[np.ndarray, "people people"], image: Rgb
    ) -> ImagePeople:
        """Those who are sure enough, each once, with the keypoints that are in the image."""
        use = self.settings
        height, width = image.shape[:2]
        inside = ((keypoints[..., :2] >= -0.5) & (keypoints[..., :2] <= (width - 0.5, height - 0.5))).all(-1)
        seen = inside & (keypoints[..., 2] > use.joint_score)
        keypoints = np.where(seen[..., None], keypoints, 0.0)
        enough = (sure > use.mean_score) & (seen.sum(1) >= LEAST_JOINTS)
        order = [one for one in np.argsort(-sure, kind="stable").tolist() if enough[one]]
        chosen = best_of_alike(keypoints, order, limits)
        return ImagePeople(box_around(keypoints[chosen], 0.0), keypoints[chosen], sure[chosen].clip(0, 1))


def squares_of(boxes: Float[np.ndarray, "people 4"], scale: float) -> Float[np.ndarray, "people 3"]:
    """Middle x, middle y and side of squares about boxes, in their longer sides."""
    sides = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True), LEAST_REACH_PX)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, scale * sides], -1)


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


def are_others(
    keypoints: Float[np.ndarray, "people joints 3"], expected: Float[np.ndarray, "expected joints 3"]
) -> Bool[np.ndarray, " people"]:
    """Whether people are more alike to whom somebody else was expected to be than to themselves.

    Expected are first these people, in their order, then whoever else is there.
    """
    alike = keypoint_similarity(keypoints, expected)
    own = np.diag(alike).copy()
    np.fill_diagonal(alike, 0.0)
    return alike.max(1, initial=0) > np.maximum(own, SAME_PERSON)


def are_mixed(
    keypoints: Float[np.ndarray, "people joints 3"], expected: Float[np.ndarray, "expected joints 3"]
) -> Bool[np.ndarray, " people"]:
    """Whether a joint of somebody is where another's was expected, and not where their own was.

    Expected are first these people, in their order, then whoever else is there.
    """
    box = np.nan_to_num(box_around(expected))
    spread = 8 * np.maximum((box[:, 2:] - box[:, :2]).prod(-1), 1.0)[:, None] * COCO_SIGMAS**2
    squared = ((keypoints[:, None, :, :2] - expected[None, :, :, :2]) ** 2).sum(-1)
    seen = (keypoints[:, None, :, 2] > OUTLINE) & (expected[None, :, :, 2] > OUTLINE)
    at = seen & (np.exp(-squared / spread) > SAME_JOINT)
    own = np.diagonal(at).T
    others = at & ~np.eye(*at.shape[:2], dtype=bool)[..., None]
    return (others.any(1) & ~own).any(-1)


def paint_over(image: Rgb, people: Keypoints, share: float) -> Rgb:
    """A copy of an image in which limbs, trunks and heads of people are painted over with grey.

    Args:
        image: RGB.
        people: in its pixels.
        share: width of limbs as a share of somebody's size, the root of the area of the box around them.
    """
    painted = image.copy()
    for one in people:
        seen, at = one[:, 2] > OUTLINE, one[:, :2].round().astype(np.int32)
        if not seen.any():
            continue
        width = max(round(share * float(np.sqrt(np.ptp(one[seen, :2], axis=0).prod()))), 1)
        for a, b in COCO_17.bone_indices:
            if seen[a] and seen[b]:
                cv2.line(painted, at[a].tolist(), at[b].tolist(), GREY, width)
        if seen[TORSO].all():
            cv2.fillConvexPoly(painted, cv2.convexHull(at[TORSO]), GREY)
        if seen[FACE].any():
            head = at[FACE][seen[FACE]].mean(0).round().astype(int)
            cv2.circle(painted, head.tolist(), width, GREY, cv2.FILLED)
    return painted


def agreed(looks: Float[np.ndarray, "looks people joints 3"], share: float) -> Float[np.ndarray, "people joints 3"]:
    """Medians of several looks at the same people; scores fall where the looks differ.

    ``s exp(-(d / (a size))²)``: s the mean score, d the median distance of the looks from their median, a the share;
    not below `DOUBTFUL`, where the looks themselves say more.
    """
    place = np.median(looks[..., :2], 0)
    apart = np.median(np.linalg.norm(looks[..., :2] - place, axis=-1), 0)
    size = np.sqrt(np.maximum(np.ptp(place, axis=1).prod(-1), 1.0))[:, None]
    mean = looks[..., 2].mean(0)
    score = np.maximum(mean * np.exp(-((apart / (share * size)) ** 2)), np.minimum(mean, DOUBTFUL))
    return np.concatenate([place, score[..., None]], -1)


def tiles_of(width: int, height: int, count: int) -> list[tuple[int, int, int, int]]:
    """The whole image, and so many parts of it across and down that overlap by half: left, top, right, bottom."""
    found = [(0, 0, width, height)]
    if count < 2:
        return found
    wide, tall = -(-2 * width // (count + 1)), -(-2 * height // (count + 1))
    for row in range(count):
        for column in range(count):
            left, top = column * (width - wide) // (count - 1), row * (height - tall) // (count - 1)
            found.append((left, top, left + wide, top + tall))
    return found
