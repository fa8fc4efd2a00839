"""The terms of the training objectives by name, what they weigh, and those of the decoder's skeletons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.errors import InputError
from dispose.geometry.image_affine import apply, map_from_input
from dispose.losses.curation import PoseTargets
from dispose.scene.cameras import Cameras
from dispose.tensors import ABSENT, TensorStruct


class Term(NamedTuple):
    """One loss of a step: what curves call it, its value, and what it counts (0: it is only watched)."""

    name: str
    value: Float[Tensor, ""]
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What every loss counts; 0 leaves it out.

    Attributes:
        heatmap: asymmetric error of the backbone's heat maps.
        reprojection: L1 of reprojected joints, original pixels, by the confidence of the 2-D labels.
        reprojection_heatmap: one-sided error of reprojected joints as Gaussians.
        anchor: L1 to triangulated labels, mm, by their confidence.
        consistency: L1 between augmented copies of a frame, mm.
        residual: what triangulation leaves (the smallest singular value) of the joints that were triangulated.
        mass: released error of Stage I's mass.
        latent: released error of its logarithm.
        divergence: ours for both, `projected_divergence`.
        confidence: of the confidences of joints and people.
    """

    heatmap: float = 0.0
    reprojection: float = 0.0
    reprojection_heatmap: float = 0.0
    anchor: float = 0.0
    consistency: float = 0.0
    residual: float = 0.0
    mass: float = 0.0
    latent: float = 0.0
    divergence: float = 0.0
    confidence: float = 0.0


RELEASED_POSE = Weights(
    reprojection=1.0, reprojection_heatmap=100.0, anchor=0.1, consistency=1.0, residual=1e-4, mass=0.5, latent=0.25
)
"""The released recipe of Stage I and II. Its heat-map loss is left out: the backbone is frozen, it is constant."""

WINDOW_SIGMAS = 5.0
"""Half the width of the windows: beyond them a target is below 4e-6 and its square does not count in float32."""

RELEASED_SIGMA = 2.0
"""Heat-map pixels: the Gaussians of the reprojection heat-map loss (the backbone's targets have 3)."""


def weigh(terms: Sequence[Term], weights: Weights) -> tuple[Term, ...]:
    """The terms with their weights.

    Raises:
        InputError: a term that counts was not computed, or none counts.
    """
    if not any(vars(weights).values()):
        raise InputError("no loss weighs anything")
    computed = {term.name for term in terms}
    for name, weight in vars(weights).items():
        if weight and name not in computed:
            raise InputError(f"the loss {name!r} weighs {weight:g} but was not computed")
    return tuple(Term(term.name, term.value, vars(weights)[term.name]) for term in terms)


def total(terms: Sequence[Term]) -> Float[Tensor, ""]:
    """Sum of weight times term; 0 of none."""
    return sum(((term.weight * term.value).double() for term in terms if term.weight), torch.zeros(()).double())


@dataclass(frozen=True, eq=False)
class SampleViews(TensorStruct):
    """How the samples of a batch look at the world: cameras, affines as augmented, and whose copy (`frame`) each is.

    The heat maps have a width and height (`map_size`) and `stride` input pixels per pixel.
    """

    rigs: Cameras
    input_from_image: Float[Tensor, "samples views 2 3"]
    frame: Int[Tensor, " samples"]
    map_size: tuple[int, int]
    stride: float | int = 4


def pose_terms(
    xyz_world: Float[Tensor, "layers persons joints 3"],
    residual: Float[Tensor, "layers persons joints"],
    triangulated: Bool[Tensor, "layers persons joints"],
    targets: PoseTargets,
    rooted: Bool[Tensor, " persons"],
    views: SampleViews,
    *,
    sigma: float = RELEASED_SIGMA,
) -> tuple[Term, ...]:
    """The losses of the decoder's skeletons.

    Args:
        xyz_world: refined joints of every layer, mm.
        residual: of their triangulation.
        triangulated: which of them were.
        targets: curated labels of the same people in the same order.
        rooted: people whose root was found in 3-D. The others were never at any place, so they count nowhere: neither
            in a sum nor in its divisor.
        views: cameras, augmentation and heat maps of the batch.
        sigma: of the Gaussians of reprojected joints, heat-map pixels.
    """
    xyz_world, residual, triangulated = xyz_world[:, rooted], residual[:, rooted], triangulated[:, rooted]
    targets = targets[rooted]
    xy_image, valid = reproject(xyz_world, views.rigs, targets.sample)
    affine = views.input_from_image[targets.sample][:, :, None].to(xy_image.dtype)
    aim = targets.xy_image.to(xy_image.dtype)
    confidence = targets.confidence.to(xy_image.dtype)
    xy_map = map_from_input(apply(affine, xy_image), views.stride)
    aim_map = map_from_input(apply(affine, aim), views.stride)
    from_label, sure = xyz_world - targets.xyz_world.to(xyz_world.dtype), targets.xyz_confidence.to(xyz_world.dtype)
    drawn = reprojection_heatmap_loss(xy_map, valid, aim_map, confidence, size=views.map_size, sigma=sigma)
    return (
        Term("reprojection", weighted_l1(xy_image - aim, torch.where(valid, confidence, 0.0))),
        Term("reprojection_heatmap", drawn),
        Term("anchor", weighted_l1(from_label, sure)),
        Term("consistency", consistency_l1(xyz_world, targets.identity, views.frame[targets.sample])),
        Term("residual", weighted_l1(residual[..., None], triangulated.to(residual.dtype))),
    )


def reproject(
    xyz_world: Float[Tensor, "layers persons joints 3"], rigs: Cameras, sample: Int[Tensor, " persons"]
) -> tuple[Float[Tensor, "layers persons views joints 2"], Bool[Tensor, "layers persons views joints"]]:
    """Every layer's joints in the original images, in the cameras' dtype, and which of these places count.

    A joint counts in front of the camera and at most an image's size outside the image: towards the camera's own
    plane projections run to infinity, and one such joint would outweigh all others of a step.
    """
    layers, persons, joints, _ = xyz_world.shape
    points = xyz_world.to(rigs.matrix.dtype).transpose(0, 1).reshape(persons, layers * joints, 3)
    cameras = rigs[sample]
    xy, front = cameras.project(points)
    views = xy.shape[1]
    xy = xy.view(persons, views, layers, joints, 2).permute(2, 0, 1, 3, 4)
    size = cameras.size[:, :, None]
    near = ((xy > -size) & (xy < 2 * size)).all(-1)
    return xy, front.view(persons, views, layers, joints).permute(2, 0, 1, 3) & near


def consistency_l1(
    xyz_world: Float[Tensor, "layers persons joints 3"],
    identity: Int[Tensor, " persons"],
    frame: Int[Tensor, " persons"],
) -> Float[Tensor, ""]:
    """Mean absolute difference in mm between the same person in several augmented copies of one frame.

    Args:
        xyz_world: joints; augmentation moves images, not the world, so copies should agree.
        identity: the person's number, `ABSENT` if unknown.
        frame: the frame of which the person's sample is a copy.
    """
    same = (identity[:, None] == identity) & (frame[:, None] == frame) & (identity != ABSENT)
    one, other = same.triu(1).nonzero().unbind(-1)
    difference = xyz_world[:, one] - xyz_world[:, other]
    return weighted_l1(difference, torch.ones_like(difference[..., 0]))


def weighted_l1(difference: Float[Tensor, "layers *items axes"], weight: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """``Σ w |d| / (axes Σ w)`` per layer, summed over the decoder's layers; 0 where nothing weighs.

    What has weight 0 enters neither the sum nor its divisor, whatever value it has.
    """
    weight = weight.expand(difference.shape[:-1])
    size = torch.where(weight[..., None] > 0, difference, 0.0).abs().mean(-1)
    return _mean_of_layers(size.flatten(1), weight.flatten(1)).sum()


def _mean_of_layers(value: Float[Tensor, "layers items"], weight: Float[Tensor, "layers items"]) -> Tensor:
    """The weighted mean of every layer, 0 where nothing weighs."""
    total = weight.sum(-1)
    return (weight * value).sum(-1) / torch.where(total > 0, total, 1.0)


def reprojection_heatmap_loss(
    xy_map: Float[Tensor, "layers persons views joints 2"],
    valid: Bool[Tensor, "layers persons views joints"],
    target: Float[Tensor, "persons views joints 2"],
    confidence: Float[Tensor, "persons views joints"],
    *,
    size: tuple[int, int],
    sigma: float,
) -> Float[Tensor, ""]:
    """``Σ w relu(w G(target) - G(predicted))² / (H W Σ w)``, per layer, summed over layers.

    ``G`` are unit Gaussians over the pixels of the map, one per person, joint and view, and ``w`` is the target's
    confidence. Only where the target is higher is there an error, so it is found on a window around the target:
    equal to the sum over the whole map up to the square of what the target is beyond `WINDOW_SIGMAS`.

    Args:
        xy_map: reprojected joints in heat-map pixels.
        valid: those that have a place in the view (in front of its camera).
        target: where they should be, in heat-map pixels.
        confidence: of the targets, in [0, 1]; 0 where there is none.
        size: width and height of the heat maps of this data set.
        sigma: of the Gaussians, in heat-map pixels.
    """
    width, height = size
    chosen = confidence > 0
    aim, share = target[chosen], confidence[chosen]
    reach = math.ceil(WINDOW_SIGMAS * sigma)
    steps = torch.arange(-reach, reach + 1, device=target.device)
    pixels = aim.detach().round()[..., None] + steps.to(aim.dtype)
    limit = torch.tensor([width, height], dtype=aim.dtype, device=aim.device)[:, None]
    # Pixels beyond the map are no error: the Gaussian of the target is 0 there.
    held = (pixels >= 0) & (pixels < limit)
    wanted = torch.where(held, _bell(pixels - aim[..., None], sigma), 0.0)
    counted = chosen & valid
    placed = torch.where(counted[..., None], xy_map, 0.0)[:, chosen]
    found = _bell(pixels - placed[..., None], sigma)
    error = share[:, None, None] * _outer(wanted) - _outer(found)
    energy = error.relu().square().sum((-1, -2))
    weight = torch.where(counted[:, chosen], share, 0.0)
    return (_mean_of_layers(energy, weight) / (width * height)).sum()


def _bell(distance: Float[Tensor, "*items"], sigma: float) -> Float[Tensor, "*items"]:
    return torch.exp(-0.5 * (distance / sigma).square())


def _outer(sides: Float[Tensor, "*items 2 pixels"]) -> Float[Tensor, "*items pixels pixels"]:
    """Two factors along x and y as a window of rows and columns."""
    return sides[..., 1, :, None] * sides[..., 0, None, :]
