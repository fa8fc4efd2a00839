"""All that is known of a person in one image as numbers: what networks that lift are told, as a vector or by joint."""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.models.lifting.view import ViewPeople

SIGMA_SCALE = 10.0
"""Told uncertainties are a few hundredths of a person's extent."""

EVIDENCE = 7
"""Numbers that `evidence_of` gives of a joint."""


def features_of(joints: int) -> int:
    """How many numbers `told` gives."""
    return 5 * joints + 4


def told(people: ViewPeople) -> Float[Tensor, "persons features"]:
    """All that is known of people as one vector: keypoints, uncertainty, score and whether seen, size, and up."""
    seen = people.seen.to(people.uv.dtype)
    parts = (people.uv.flatten(1), SIGMA_SCALE * people.sigma, people.confidence, seen)
    return torch.cat([*parts, people.size.log()[:, None], people.up], 1)


def evidence_of(people: ViewPeople) -> Float[Tensor, "persons joints 7"]:
    """How uncertain every keypoint is, its score, whether it is seen; how large the person is and where up is."""
    joint = torch.stack([SIGMA_SCALE * people.sigma, people.confidence, people.seen.to(people.uv.dtype)], -1)
    person = torch.cat([people.size.log()[:, None], people.up], 1)
    return torch.cat([joint, person[:, None].expand(*joint.shape[:2], 4)], -1)
