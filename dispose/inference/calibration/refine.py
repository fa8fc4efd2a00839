"""Extrinsics, and lenses on request, refined by the people that cameras see; held-out frames judge the result.

Round by round: who is who as the cameras stand, joints by robust triangulation, cameras and joints adjusted together.
The first rounds forgive much, since some groups are wrong while the cameras are; the last one is as strict as the
detector is good. What the people cannot tell, where the rig is and how large, stays as it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.rigid import rotation_vector
from dispose.inference.calibration.bundle import EXTRINSICS, adjust
from dispose.inference.calibration.people import (
    LeftCamera,
    PlacedPeople,
    associate_people,
    connected_views,
    observations_of,
    place_people,
)
from dispose.inference.calibration.world import carry_cameras, onto_rig
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame
from dispose.scene.results import Associate
from dispose.tensors import TensorStruct

STRETCHES = 12
"""A capture is cut into so many stretches of time, of which every third is held out."""

FEWEST_FRAMES = 12
FORGIVING = (4.0, 3.0, 2.4)
"""Cauchy's scale of every round, in units of the noise so far; the last is repeated."""

REPEATS = 50.0
"""Sightings that say no more than one: the joints of a body and the frames about an instant are wrong together."""

MOST_ROUNDS = 4
STILL_DEG, STILL_MM = 0.05, 3.0
"""Cameras that a round moves by less are where they belong."""

KEPT_SIGHTINGS = 0.98
"""A rig that explains fewer of the sightings than this share is worse, whatever the others' errors."""


def split_frames(count: int) -> tuple[list[int], list[int]]:
    """Which of so many frames in order are adjusted by, and which judge: whole stretches of time.

    Neighbouring frames show the same pose; a frame next to one that was learned from would judge nothing.

    Raises:
        InputError: there are fewer than `FEWEST_FRAMES`.
    """
    if count < FEWEST_FRAMES:
        raise InputError(f"{count} frames are too few to refine cameras and to judge them: {FEWEST_FRAMES} are needed.")
    stretch = [k * STRETCHES // count for k in range(count)]
    return [k for k in range(count) if stretch[k] % 3 != 1], [k for k in range(count) if stretch[k] % 3 == 1]


@dataclass(frozen=True, eq=False)
class RigErrors(TensorStruct):
    """How far cameras miss the joints that all of them place together, pixels without the lens, by camera and in all.

    NaN where a camera sees nobody whom another sees; `agreeing` counts sightings that agree with the others.
    """

    median_px: Float[Tensor, " views"]
    p90_px: Float[Tensor, " views"]
    agreeing: Float[Tensor, " views"]
    whole_px: Float[Tensor, ""]

    @staticmethod
    def of(people: PlacedPeople, views: Sequence[int]) -> "RigErrors":
        """The errors; those `views` count for the whole."""
        error, known = people.error_px.flatten(0, 1), people.known.flatten(0, 1)
        medians, tails = [], []
        for view in range(error.shape[1]):
            mine = error[known[:, view], view].sort().values
            medians.append(mine[len(mine) // 2] if len(mine) else error.new_tensor(torch.nan))
            tails.append(mine[len(mine) * 9 // 10] if len(mine) else error.new_tensor(torch.nan))
        chosen = list(views)
        whole = error[:, chosen][known[:, chosen]].sort().values
        middle = whole[len(whole) // 2] if len(whole) else error.new_tensor(torch.nan)
        return RigErrors(torch.stack(medians), torch.stack(tails), people.inlier.sum((0, 1)).double(), middle)


@dataclass(frozen=True, eq=False)
class Refinement:
    """A rig before and after, and what held-out frames say of it.

    Attributes:
        given: the cameras as they were.
        found: the refined ones; those that are `left` as they were.
        views: which were adjusted.
        left: which were not, and why.
        rounds: how often people were associated anew.
        before: held-out errors of the given cameras, of the people as they see them.
        after: the same of the refined ones.
        people: of the frames that were adjusted by, as the refined cameras see them.
        judged_before: of the held-out frames, as the given cameras see them.
        judged_after: as the refined ones do.
    """

    given: Cameras
    found: Cameras
    views: tuple[int, ...]
    left: tuple[LeftCamera, ...]
    rounds: int
    before: RigErrors
    after: RigErrors
    people: PlacedPeople
    judged_before: PlacedPeople
    judged_after: PlacedPeople

    @property
    def worse(self) -> tuple[str, ...]:
        """What is worse on held-out frames, a sentence each; empty for a rig that may take the place of the given."""
        found = []
        if not float(self.after.whole_px) < float(self.before.whole_px):
            found.append(f"in all {float(self.before.whole_px):.2f} px become {float(self.after.whole_px):.2f}")
        for view in self.views:
            before, after = float(self.before.median_px[view]), float(self.after.median_px[view])
            if not after <= before:
                found.append(f"camera {self.given.names[view]}: {before:.2f} px become {after:.2f}")
        fewer, were = float(self.after.agreeing.sum()), float(self.before.agreeing.sum())
        if fewer < KEPT_SIGHTINGS * were:
            found.append(f"{fewer:.0f} sightings agree instead of {were:.0f}")
        return tuple(found)


def refine_rig(
    frames: Sequence[Frame], held: Sequence[Frame], associate: Associate, *, free: int = EXTRINSICS
) -> Refinement:
    """Refine the cameras of some frames by the people in them, and judge them by others.

    Args:
        frames: to adjust by, at least one; their cameras are the given ones.
        held: to judge by.
        associate: who is who.
        free: how many numbers of a camera are adjusted (`dispose.inference.calibration.bundle`).

    Raises:
        InputError: people do not connect two cameras, or are all in one place.
    """
    given = cameras = frames[0].cameras
    people = place_people(associate_people(frames, cameras, associate, "who is who"))
    views, left = connected_views(people, cameras.names, agreeing=False)
    rounds = 0
    while rounds < MOST_ROUNDS:
        scale = FORGIVING[min(rounds, len(FORGIVING) - 1)]
        before = cameras
        cameras = adjust_views(people, cameras, views, free, scale)
        people = place_people(associate_people(frames, cameras, associate, f"round {rounds + 1}: who is who"))
        rounds += 1
        if rounds >= len(FORGIVING) and _still(before, cameras):
            break
        if rounds < len(FORGIVING):
            # Cameras that were too wrong to share people at first may share them now.
            views, left = connected_views(people, cameras.names, agreeing=rounds == len(FORGIVING) - 1)
    own = associate_people(held, given, associate, "held out: as it was")
    new = associate_people(held, cameras, associate, "held out: refined")
    judged_before, judged_after = place_people(own), place_people(new)
    # Cameras that are left count too: the others may not be better at their cost.
    before_px, after_px = (RigErrors.of(judged, range(len(given))) for judged in (judged_before, judged_after))
    return Refinement(
        given, cameras, tuple(views), tuple(left), rounds, before_px, after_px, people, judged_before, judged_after
    )


def adjust_views(people: PlacedPeople, cameras: Cameras, views: Sequence[int], free: int, scale: float) -> Cameras:
    """Some cameras adjusted to the people that they see together, where the rig was; the others stay."""
    chosen = list(views)
    some = cameras.select(views=chosen)
    found = adjust(observations_of(people, chosen), some, free=free, scale=scale, repeats=REPEATS).cameras
    return with_views(cameras, chosen, carry_cameras(found, onto_rig(found, some)))


def with_views(cameras: Cameras, views: Sequence[int], some: Cameras) -> Cameras:
    """The rig with some of its cameras exchanged."""
    rows = torch.tensor(list(views))
    return replace(
        cameras,
        matrix=cameras.matrix.index_copy(0, rows, some.matrix),
        distortion=cameras.distortion.index_copy(0, rows, some.distortion),
        rotation=cameras.rotation.index_copy(0, rows, some.rotation),
        translation=cameras.translation.index_copy(0, rows, some.translation),
    )


def moved_by(given: Cameras, found: Cameras) -> tuple[Float[Tensor, " views"], Float[Tensor, " views"]]:
    """By how much cameras moved, mm, and turned, degrees."""
    angle = rotation_vector(found.rotation @ given.rotation.mT).norm(dim=-1)
    return (found.centres - given.centres).norm(dim=-1), torch.rad2deg(angle)


def _still(before: Cameras, after: Cameras) -> bool:
    mm, degrees = moved_by(before, after)
    return bool((mm <= STILL_MM).all() and (degrees <= STILL_DEG).all())
