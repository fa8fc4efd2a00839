"""People as what cameras are calibrated by: who is who, their joints in space, and how far cameras miss them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from tqdm import tqdm

from dispose.association.packing import GroupKeypoints, gather_groups, inlier_bound
from dispose.association.reconstruct import triangulate_keypoints
from dispose.errors import InputError
from dispose.inference.calibration.bundle import RigObservations
from dispose.inference.run import SECONDS_BEFORE_A_BAR
from dispose.scene.cameras import Cameras
from dispose.scene.frame import Frame, stack_rigs
from dispose.scene.results import Associate, Association
from dispose.tensors import TensorStruct

BATCH = 16
USUAL_SHARE = (0.02, 0.7)
"""Noise of a detector and of the cameras so far, as a share of how far a keypoint may lie from its joint (`bound_of`):
it is told by the sightings themselves, within these bounds."""

MEDIAN_PER_SIGMA = 1.1774
"""Median length of a normal error in the plane, in standard deviations."""

LEAST_SURE = 0.05
"""Scores below count as this much, since a sighting's variance is taken to go with one over its score."""

MOST_JOINTS = 4000
"""Joints that are adjusted with the cameras; of more, every so-manieth."""

PLACE_SHARE = 0.06
"""Two places are two that are so far from each other, as a share of a body's extent: about 100 mm."""

FEWEST_PLACES = 100
"""Joints must have been in so many places, or nothing holds the cameras; a body that stands still has about fifteen."""


@dataclass(frozen=True, eq=False)
class PlacedPeople(TensorStruct):
    """Groups of some frames with their joints in space, by one rig.

    Attributes:
        groups: who is who.
        xyz_world: joints, mm; NaN where fewer than two cameras see them.
        error_px: how far every camera's sighting of a joint lies from it, pixels without the lens; NaN where there is
            none, infinite behind the camera.
        inlier: sightings that agree with the others.
    """

    groups: GroupKeypoints
    xyz_world: Float[Tensor, "persons joints 3"]
    error_px: Float[Tensor, "persons joints views"]
    inlier: Bool[Tensor, "persons joints views"]

    @property
    def known(self) -> Bool[Tensor, "persons joints views"]:
        """Sightings of joints whose place is known."""
        return ~self.error_px.isnan()


def associate_people(frames: Sequence[Frame], cameras: Cameras, associate: Associate, title: str) -> GroupKeypoints:
    """Who is who in some frames, as these cameras have it; a progress bar over two seconds."""
    seen = [replace(frame, cameras=cameras) for frame in frames]
    found: list[Association] = []
    blocks = [seen[first : first + BATCH] for first in range(0, len(seen), BATCH)]
    for some in tqdm(blocks, unit="block", desc=title, delay=SECONDS_BEFORE_A_BAR, mininterval=0.5, leave=None):
        found += [one.association for one in associate(some)]
    return gather_groups(seen, found)


def seen_by(groups: GroupKeypoints, cameras: Cameras) -> GroupKeypoints:
    """The same groups before other cameras."""
    frames = len(groups.packed.cameras.size)
    return replace(groups, packed=replace(groups.packed, cameras=stack_rigs([cameras] * frames)))


def place_people(groups: GroupKeypoints) -> PlacedPeople:
    """Everybody's joints by robust triangulation."""
    points = triangulate_keypoints(groups)
    return PlacedPeople(groups, points.xyz_world, points.error_px, points.inlier)


def observations_of(people: PlacedPeople, views: Sequence[int]) -> RigObservations:
    """The joints that at least two of some cameras see, as single points."""
    groups, chosen = people.groups, list(views)
    seen = groups.seen.transpose(1, 2)[..., chosen]
    rows = ((seen.sum(-1) >= 2) & torch.isfinite(people.xyz_world).all(-1)).nonzero()
    rows = rows[:: -(-len(rows) // MOST_JOINTS) or 1].unbind(1)
    noise = noise_share(people) * inlier_bound(groups)[rows[0]][:, chosen]
    sure = groups.confidence.transpose(1, 2)[rows][:, chosen].clamp(min=LEAST_SURE)
    xy = groups.xy_image.transpose(1, 2)[rows][:, chosen]
    return RigObservations(
        people.xyz_world[rows][:, None],
        xy.transpose(0, 1)[:, :, None],
        (noise / sure.sqrt()).T[..., None],
        seen[rows].T[..., None],
    )


def noise_share(people: PlacedPeople) -> float:
    """How much sightings scatter, as a share of their bounds: by the median over all of them."""
    share = people.error_px / inlier_bound(people.groups)[:, None]
    known = share[people.known & torch.isfinite(share)]
    low, high = USUAL_SHARE
    return min(max(float(known.median()) / MEDIAN_PER_SIGMA, low), high) if len(known) else high


def place_size(people: PlacedPeople) -> float:
    """How far apart two places are (`PLACE_SHARE`), in units of the calibration; 0 where nobody is placed."""
    known = torch.isfinite(people.xyz_world).all(-1, keepdim=True)
    low = torch.where(known, people.xyz_world, torch.inf).amin(1)
    high = torch.where(known, people.xyz_world, -torch.inf).amax(1)
    extent = (high - low).norm(dim=-1)[2 * known[..., 0].sum(1) >= known.shape[1]]
    return PLACE_SHARE * float(extent.median()) if len(extent) else 0.0


def places_of(xyz_world: Float[Tensor, "joints 3"], apart: float) -> int:
    """In how many places, so far apart, joints were; no more than `FEWEST_PLACES` are counted."""
    points = xyz_world[torch.isfinite(xyz_world).all(-1)].numpy()
    chosen = points[:0]
    for point in points:
        if not len(chosen) or float(np.square(chosen - point).sum(-1).min()) > apart**2:
            chosen = np.concatenate([chosen, point[None]])
        if len(chosen) == FEWEST_PLACES:
            break
    return len(chosen)


@dataclass(frozen=True)
class LeftCamera:
    """A camera that people do not connect with the others, and in how many places it shares joints with them."""

    view: int
    places: int

    @property
    def why(self) -> str:
        """What it lacks."""
        if self.places >= FEWEST_PLACES:
            return "shares people with some cameras, but not with those that most share people with"
        return f"sees joints that another camera sees too in {self.places} places, {FEWEST_PLACES} are needed"


def connected_views(
    people: PlacedPeople, names: Sequence[str], *, agreeing: bool = True
) -> tuple[list[int], list[LeftCamera]]:
    """The largest set of cameras that people connect, and which are left as they were.

    Two cameras are connected that see the same joints in `FEWEST_PLACES` places, and agree on them; not `agreeing`, the
    knocked camera that no other agrees with is connected too, by who is who alone.

    Raises:
        InputError: no two cameras are connected; the sentence says what lacks.
    """
    agreed, apart = people.inlier if agreeing else people.known, place_size(people)
    joined = {
        (a, b): places_of(people.xyz_world[agreed[..., a] & agreed[..., b]], apart)
        for a, b in combinations(range(len(names)), 2)
    }
    parts = [[view] for view in range(len(names))]
    for (a, b), places in joined.items():
        one, other = (next(part for part in parts if view in part) for view in (a, b))
        if places >= FEWEST_PLACES and one is not other:
            parts.remove(other)
            one += other
    kept = max(parts, key=len)
    if len(kept) < 2:
        raise InputError(_nothing_holds(people, names, joined))
    left = []
    for view in range(len(names)):
        if view not in kept:
            left.append(LeftCamera(view, max(places for pair, places in joined.items() if view in pair)))
    return sorted(kept), left


def _nothing_holds(people: PlacedPeople, names: Sequence[str], joined: Mapping[tuple[int, int], int]) -> str:
    """Why no camera can be adjusted, in one sentence."""
    frames = len(people.groups.packed.number)
    (a, b), most = max(joined.items(), key=lambda pair: pair[1])
    if not most:
        return f"nobody is seen by two cameras at once in the {frames} frames looked at: nothing says where they are."
    return (
        f"people stand still, or all in one place: in {frames} frames the joints that cameras {names[a]} and "
        f"{names[b]} agree on are in {most} places that are told apart, and {FEWEST_PLACES} are needed; "
        "let somebody walk through the room."
    )
