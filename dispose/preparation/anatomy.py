"""How long the bones of a recording's people are, by a robust fit to all of its frames, and which joints do not fit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float

from dispose.formats.entry import Entry
from dispose.scene.frame import Poses
from dispose.skeletons.skeleton import Skeleton

FROM_MAD = 1.4826
LEAST_SPREAD, LEAST_OWN = 0.10, 0.06
"""Bones of different people, and of one person in different frames, differ by this at least (standard deviation of the
logarithm): joints are no points, and detectors hold them now here, now there."""

SURE = 0.3
"""Joints that are surer than this take part in the fit."""

FEWEST_LENGTHS = 20
"""A bone that was seen in fewer frames, of everybody or of one person, says nothing of them."""


@dataclass(frozen=True)
class UsualBone:
    """One bone, or it and its mirror image: the middle length, mm, and the standard deviation of its logarithm."""

    mm: float
    spread: float
    count: int = 0


@dataclass(frozen=True)
class Bones:
    """Lengths by the bone's name without sides (``hip-knee``), of everybody and of single people."""

    everybody: Mapping[str, UsualBone] = field(default_factory=dict)
    persons: Mapping[tuple[int, str], UsualBone] = field(default_factory=dict)

    def of(self, person: int, bone: str) -> UsualBone | None:
        """What is known of somebody's bone: their own lengths, or else everybody's."""
        return self.persons.get((person, bone), self.everybody.get(bone))


def bone_names(skeleton: Skeleton) -> list[str]:
    """Names of the bones without sides; the two of a pair have one name."""
    plain = [[end.removeprefix("l_").removeprefix("r_") for end in bone] for bone in skeleton.bones]
    return ["-".join(ends) for ends in plain]


def lengths_of(poses: Poses) -> tuple[Float[np.ndarray, "persons bones"], Bool[np.ndarray, "persons bones"]]:
    """The length of every bone, mm, and whether both ends are known."""
    ends = torch.tensor(poses.skeleton.bone_indices, dtype=torch.long).reshape(-1, 2)
    gap = (poses.xyz_world[:, ends[:, 0]] - poses.xyz_world[:, ends[:, 1]]).norm(dim=-1)
    known = poses.valid[:, ends[:, 0]] & poses.valid[:, ends[:, 1]] & (gap > 1.0)
    return gap.double().numpy(), known.numpy()


def fit_bones(poses: Poses) -> Bones:
    """Medians and spreads of the bones of everybody in all frames; left and right are one bone."""
    persons = poses.id.numpy()
    ends = torch.tensor(poses.skeleton.bone_indices, dtype=torch.long).reshape(-1, 2)
    length, known = lengths_of(poses)
    sure = known & (torch.minimum(poses.confidence[:, ends[:, 0]], poses.confidence[:, ends[:, 1]]) >= SURE).numpy()
    names = np.array(bone_names(poses.skeleton))
    everybody: dict[str, UsualBone] = {}
    single: dict[tuple[int, str], UsualBone] = {}
    for name in dict.fromkeys(names.tolist()):
        mine = sure[:, names == name]
        values, who = length[:, names == name][mine], np.broadcast_to(persons[:, None], mine.shape)[mine]
        if len(values) < FEWEST_LENGTHS:
            continue
        everybody[name] = _fitted(values, LEAST_SPREAD)
        for person in np.unique(who).tolist():
            own = values[who == person]
            if len(own) >= FEWEST_LENGTHS:
                single[person, name] = _fitted(own, LEAST_OWN)
    return Bones(everybody, single)


def _fitted(values: Float[np.ndarray, " lengths"], least: float) -> UsualBone:
    logs = np.log(values)
    middle = float(np.median(logs))
    spread = FROM_MAD * float(np.median(np.abs(logs - middle)))
    return UsualBone(math.exp(middle), max(spread, least), len(values))


def misfits(poses: Poses, bones: Bones, limit: float) -> Bool[np.ndarray, "persons joints"]:
    """Known joints to blame for bones that are `limit` standard deviations off, one joint for each bone.

    That is the end with more such bones, or none that is right; of equal ones the less sure one.
    """
    length, known = lengths_of(poses)
    names, ends = bone_names(poses.skeleton), np.array(poses.skeleton.bone_indices).reshape(-1, 2)
    wrong = np.zeros(length.shape, dtype=bool)
    for row, person in enumerate(poses.id.tolist()):
        for bone in np.flatnonzero(known[row]).tolist():
            fit = bones.of(person, names[bone])
            if fit is not None:
                wrong[row, bone] = abs(math.log(length[row, bone] / fit.mm)) > limit * fit.spread
    touches = (ends[:, :, None] == np.arange(poses.valid.shape[1])).any(1)
    count = wrong.astype(float) @ touches
    share = count / np.maximum(known.astype(float) @ touches, 1.0)
    blame = count + share - 0.1 * poses.confidence.double().numpy()
    found = np.zeros(poses.valid.shape, dtype=bool)
    row, bone = np.nonzero(wrong)
    first = blame[row, ends[bone, 0]] > blame[row, ends[bone, 1]]
    found[row, np.where(first, ends[bone, 0], ends[bone, 1])] = True
    return found


def bones_of_json(entry: Entry) -> Bones:
    """Bones that are given: by name ``{"hip-knee": {"mm": 420, "spread": 0.1}}``, as a report has them."""
    found: dict[str, UsualBone] = {}
    for name, one in entry.entries():
        found[name] = UsualBone(one.at("mm").number(), max(one.at("spread").number(), 1e-3))
    return Bones(found)
