"""Cameras and what they see, adjusted together: Levenberg-Marquardt with the seen things eliminated, robust.

Every seen thing (a joint, a board) has few numbers of its own and is independent of the others given the cameras, so
its block is eliminated by Schur's complement and a step costs a dense system in the cameras alone (Triggs et al. 2000).
A test holds the minimum together with that of scipy's least squares, which has to carry everything seen as unknowns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import pad

from dispose.geometry.rigid import rodrigues
from dispose.scene.cameras import Cameras
from dispose.tensors import TensorStruct

EXTRINSICS, FOCAL, CENTRE, LENS = 6, 7, 9, 11
"""How many numbers of a camera are free: its turn and its place; its focal length as well; its principal point as well;
k1 and k2 as well."""

EXPECTED = (0.05, 0.05, 0.05, 100.0, 100.0, 100.0, 0.02, 10.0, 10.0, 0.03, 0.03)
"""How far a camera's numbers may be expected from what is given: standard deviations (rad, mm, share, pixels)."""

BEHIND = 100.0
"""A thing behind a camera counts as so many times the noise away."""

FINE_ENOUGH = 1e-5
"""Share of the cost below which a step gains nothing."""


@dataclass(frozen=True, eq=False)
class RigObservations(TensorStruct):
    """What the cameras of a rig see of things in the world.

    Attributes:
        xyz_world: where the points of every thing are taken to be, mm.
        xy_image: where they are seen, pixels; means nothing where they are not.
        sigma_px: noise that is expected of a sighting, pixels.
        seen: by which camera.
    """

    xyz_world: Float[Tensor, "things points 3"]
    xy_image: Float[Tensor, "views things points 2"]
    sigma_px: Float[Tensor, "views things points"]
    seen: Bool[Tensor, "views things points"]


Move = Callable[[Float[Tensor, "things points 3"], Float[Tensor, "things numbers"]], Float[Tensor, "things points 3"]]
"""Things moved by their own numbers."""


def move_freely(xyz: Float[Tensor, "things 1 3"], step: Float[Tensor, "things 3"]) -> Float[Tensor, "things 1 3"]:
    """Single points."""
    return xyz + step[:, None]


def move_rigidly(
    xyz: Float[Tensor, "things points 3"], step: Float[Tensor, "things 6"]
) -> Float[Tensor, "things points 3"]:
    """Bodies that keep their shape: turned about their middle, then shifted."""
    middle = xyz.mean(1, keepdim=True)
    return (xyz - middle) @ rodrigues(step[:, :3]).mT + middle + step[:, None, 3:]


def move_cameras(cameras: Cameras, step: Float[Tensor, "views numbers"]) -> Cameras:
    """Cameras turned about their centres, shifted in the world, and with other lenses as far as there are numbers."""
    rotation = rodrigues(step[:, :3]) @ cameras.rotation
    centres = cameras.centres + step[:, 3:6]
    moved = replace(cameras, rotation=rotation, translation=-(rotation @ centres[..., None])[..., 0])
    if step.shape[1] >= FOCAL:
        zoom = pad(step[:, 6:7].exp().expand(-1, 2), (0, 1), value=1.0)
        moved = replace(moved, matrix=cameras.matrix * zoom[:, None])
    if step.shape[1] >= CENTRE:
        moved = replace(moved, matrix=moved.matrix + pad(step[:, 7:9, None], (2, 0, 0, 1)))
    if step.shape[1] >= LENS:
        moved = replace(moved, distortion=cameras.distortion + pad(step[:, 9:11], (0, cameras.distortion.shape[1] - 2)))
    return moved


@dataclass(frozen=True, eq=False)
class Adjusted:
    """The best cameras and things, the cost before and after, and the steps that were taken."""

    cameras: Cameras
    xyz_world: Float[Tensor, "things points 3"]
    before: float
    after: float
    steps: int


@dataclass(frozen=True, eq=False)
class _Now:
    """Where the adjustment is: by how much the cameras have `moved`, and how firmly they are `held`."""

    cameras: Cameras
    xyz: Tensor
    moved: Float[Tensor, "views free"]
    held: Float[Tensor, " free"]


def adjust(
    observations: RigObservations,
    cameras: Cameras,
    *,
    free: int = EXTRINSICS,
    move: Move = move_freely,
    numbers: int = 3,
    scale: float = 2.0,
    repeats: float = 1.0,
    most_steps: int = 60,
) -> Adjusted:
    """The cameras and things that explain the sightings best.

    Minimises Cauchy's ``Σ c² log(1 + (e / cσ)²)`` over the sightings, with `EXPECTED` as a normal prior about the given
    cameras. What no sighting can tell (where the whole is, and how large where things are single points) stays about
    where it was.

    Args:
        observations: what is seen, and where things are to begin with.
        cameras: to begin with.
        free: how many numbers of a camera are adjusted (`EXTRINSICS`, `FOCAL`, `CENTRE`, `LENS`).
        move: how things move.
        numbers: how many numbers of a thing `move` takes.
        scale: c, in units of the expected noise.
        repeats: how many sightings say the same as one: a detector's idea of a joint lasts over frames and cameras.
        most_steps: to try.
    """
    held = repeats * torch.tensor(EXPECTED[:free], dtype=torch.float64) ** -2
    state = _Now(cameras, observations.xyz_world, torch.zeros(len(cameras), free, dtype=torch.float64), held)
    before = cost = _cost(observations, state, scale)
    damping, taken = 1e-4, 0
    for _ in range(most_steps):
        system = _linearise(observations, state, move, numbers, scale)
        gained = 0.0
        while damping < 1e8:
            trial = _step(system, state, move, damping)
            there = _cost(observations, trial, scale)
            if there < cost:
                gained, state, cost, taken, damping = cost - there, trial, there, taken + 1, max(damping / 5, 1e-9)
                break
            damping *= 5
        if gained <= FINE_ENOUGH * cost:
            break
    return Adjusted(state.cameras, state.xyz, before, cost, taken)


def _residual(observations: RigObservations, cameras: Cameras, xyz: Tensor) -> Tensor:
    """Projection less sighting in units of its noise, and `BEHIND` for what lies behind its camera."""
    xy, front = cameras.project(xyz)
    off = (xy - observations.xy_image) / observations.sigma_px[..., None]
    off = torch.where(front[..., None], off, BEHIND)
    return torch.where(observations.seen[..., None], off, 0.0)


def _cost(observations: RigObservations, state: _Now, scale: float) -> float:
    squared = _residual(observations, state.cameras, state.xyz).square().sum(-1)
    cost = (scale**2 * torch.log1p(squared / scale**2)).sum() + (state.held * state.moved**2).sum()
    return float(torch.nan_to_num(cost, nan=torch.inf))


@dataclass(frozen=True, eq=False)
class _Normal:
    """Normal equations in blocks: cameras, things, and between them."""

    cameras: Float[Tensor, "views free free"]
    things: Float[Tensor, "things numbers numbers"]
    between: Float[Tensor, "views things free numbers"]
    of_cameras: Float[Tensor, "views free"]
    of_things: Float[Tensor, "things numbers"]


def _linearise(observations: RigObservations, state: _Now, move: Move, numbers: int, scale: float) -> _Normal:
    views, free = state.moved.shape
    things = len(state.xyz)

    def slope(camera: int | None, thing: int | None) -> Tensor:
        """Derivative by one number of every camera, or of every thing: a sighting depends on one of each."""
        by_camera, by_thing = state.moved.new_zeros(views, free), state.moved.new_zeros(things, numbers)
        with forward_ad.dual_level():
            if camera is not None:
                by_camera = forward_ad.make_dual(by_camera, torch.zeros_like(by_camera).index_fill(1, _at(camera), 1.0))
            if thing is not None:
                by_thing = forward_ad.make_dual(by_thing, torch.zeros_like(by_thing).index_fill(1, _at(thing), 1.0))
            off = _residual(observations, move_cameras(state.cameras, by_camera), move(state.xyz, by_thing))
            slope = forward_ad.unpack_dual(off).tangent
        return torch.zeros_like(observations.xy_image) if slope is None else slope

    of_camera = torch.stack([slope(number, None) for number in range(free)], -1)
    of_thing = torch.stack([slope(None, number) for number in range(numbers)], -1)
    off = _residual(observations, state.cameras, state.xyz)
    weight = 1 / (1 + off.square().sum(-1) / scale**2)
    weighted = of_camera * weight[..., None, None]
    return _Normal(
        torch.einsum("vbkip,vbkiq->vpq", weighted, of_camera) + torch.diag(state.held),
        torch.einsum("vbkid,vbk,vbkie->bde", of_thing, weight, of_thing),
        torch.einsum("vbkip,vbkid->vbpd", weighted, of_thing),
        torch.einsum("vbkip,vbki->vp", weighted, off) + state.held * state.moved,
        torch.einsum("vbkid,vbk,vbki->bd", of_thing, weight, off),
    )


def _at(number: int) -> Tensor:
    return torch.tensor([number])


def _step(system: _Normal, state: _Now, move: Move, damping: float) -> _Now:
    """One step of Levenberg and Marquardt: the things eliminated, the cameras solved for, the things after them."""
    views, free = state.moved.shape
    of_things = _damped(system.things, damping)
    inverse = torch.linalg.inv(of_things)
    through = torch.einsum("vbpd,bde->vbpe", system.between, inverse)
    dense = -torch.einsum("vbpe,ubqe->vpuq", through, system.between)
    diagonal = torch.arange(views)
    dense[diagonal, :, diagonal] += _damped(system.cameras, damping)
    right = torch.einsum("vbpe,be->vp", through, system.of_things) - system.of_cameras
    step = torch.linalg.lstsq(dense.reshape(views * free, -1), right.reshape(-1, 1)).solution.reshape(views, free)
    left = -system.of_things - torch.einsum("vbpd,vp->bd", system.between, step)
    moved = move(state.xyz, torch.einsum("bde,be->bd", inverse, left))
    return _Now(move_cameras(state.cameras, step), moved, state.moved + step, state.held)


def _damped(blocks: Tensor, damping: float) -> Tensor:
    """Blocks with their diagonal that much larger, and never singular."""
    diagonal = torch.diagonal(blocks, dim1=-2, dim2=-1)
    return blocks + torch.diag_embed(damping * diagonal + 1e-12 * diagonal.amax(-1, keepdim=True) + 1e-30)
