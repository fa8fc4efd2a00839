"""The person of interest: one of several, chosen over the whole clip and not frame by frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dispose.errors import InputError
from dispose.scene.cameras import Cameras
from dispose.scene.results import Prediction
from dispose.tensors import ABSENT

MOST_SEEN, LONGEST, MIDDLE = "most-seen", "longest", "middle"
WAYS = (MOST_SEEN, LONGEST, MIDDLE)

LONG_ENOUGH = 0.25
"""Nearest to the middle can only be who is there for this share of the frames of whoever is there longest."""


@dataclass(frozen=True)
class Chosen:
    """A person's number, and a sentence that says why it is they."""

    person: int
    why: str


def person_of_interest(frames: Sequence[Prediction], way: str, cameras: Cameras | None = None) -> Chosen:
    """Who is seen most (detections in all cameras), longest (frames), nearest the middle, or has the number given.

    The middle is the point nearest to what all cameras look at; without cameras, the middle of everybody's roots.
    Whoever is there for less than `LONG_ENOUGH` of the longest stay is passed over.

    Raises:
        InputError: nobody was found, or there is no such person.
    """
    seen: dict[int, int] = {}
    stay: dict[int, int] = {}
    roots: dict[int, list[torch.Tensor]] = {}
    for frame in frames:
        counts = (frame.association.members != ABSENT).sum(1).tolist()
        for person, count, root in zip(frame.poses.id.tolist(), counts, frame.root, strict=True):
            seen[person], stay[person] = seen.get(person, 0) + count, stay.get(person, 0) + 1
            if bool(torch.isfinite(root).all()):
                roots.setdefault(person, []).append(root)
    if not stay:
        raise InputError(f"--person {way}: nobody was found in any of the {len(frames)} frames.")
    if way not in WAYS:
        return _numbered(stay, way)
    if way == MIDDLE:
        return _nearest(stay, roots, cameras)
    scores, what = (seen, "detections") if way == MOST_SEEN else (stay, "frames")
    person = min(scores, key=lambda one: (-scores[one], one))
    return Chosen(person, f"person {person}, with {scores[person]} {what} ({way} of {len(stay)} people)")


def _numbered(stay: dict[int, int], way: str) -> Chosen:
    """The person of that number."""
    if not way.isascii() or not way.isdigit() or int(way) not in stay:
        people = ", ".join(map(str, sorted(stay)[:20]))
        raise InputError(f"--person {way}: there is no such person; say {', '.join(WAYS)} or one of {people}.")
    return Chosen(int(way), f"person {int(way)}, in {stay[int(way)]} frames")


def _nearest(stay: dict[int, int], roots: dict[int, list[torch.Tensor]], cameras: Cameras | None) -> Chosen:
    """Whose root is nearest to the middle, by the median over their frames, on the floor plan."""
    if not roots:
        raise InputError("--person middle: nobody's root is known; say --person most-seen.")
    everybody = torch.cat([torch.stack(one) for one in roots.values()])
    middle = everybody.median(0).values if cameras is None else looked_at(cameras)
    longest = max(stay.values())
    there = [person for person in roots if stay[person] >= LONG_ENOUGH * longest]
    away = {
        person: float((torch.stack(roots[person]) - middle)[:, :2].norm(dim=-1).median()) for person in there or roots
    }
    person = min(away, key=lambda one: (away[one], one))
    return Chosen(
        person, f"person {person}, {away[person]:.0f} mm from the middle by the median (nearest of {len(away)})"
    )


def looked_at(cameras: Cameras) -> torch.Tensor:
    """The point nearest to the axes of all cameras, mm; the middle of the cameras where these are parallel."""
    axis = cameras.rotation[:, 2]
    across = torch.eye(3, dtype=axis.dtype) - axis[:, :, None] * axis[:, None]
    centre = cameras.centres.mean(0)
    # A little pull to the middle of the cameras: parallel axes meet nowhere.
    held = across.sum(0) + 1e-6 * torch.eye(3, dtype=axis.dtype)
    pull = (across @ (cameras.centres - centre)[..., None])[..., 0].sum(0)
    return centre + torch.linalg.solve(held, pull)
