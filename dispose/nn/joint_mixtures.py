"""How sure a detector is of where a joint is: Gaussian mixtures fitted to its heat maps, or to repeated detections.

The tool that made the mixtures of Gong's DiffPose was never released; the files that were hold one kernel per joint.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dispose.diffusion.noise import Mixture
from dispose.errors import InputError
from dispose.geometry.image_affine import apply
from dispose.tensors import stack

ROUNDS = 50
FLOOR_OF_PEAK = 0.01
"""Pixels below this share of their map's peak say nothing about where a joint is."""


def fit_mixture(
    points: Float[Tensor, "*batch points dims"],
    weight: Float[Tensor, "*batch points"],
    kernels: int,
    *,
    least: float = 1e-3,
) -> Mixture:
    """The Gaussians without correlations under which weighted points are most probable, by expectation-maximisation.

    Starts at the heaviest point, then always at the one whose weight times squared distance from those taken is the
    largest: nothing is drawn. Kernels come with the most probable one first.

    Args:
        points: in any unit.
        weight: not negative, and positive somewhere.
        kernels: how many; those that no points are left for have weight 0.
        least: smallest standard deviation, same unit; in each round too, so that no kernel shrinks onto one point.

    Raises:
        InputError: fewer than one kernel is asked for.
    """
    if kernels < 1:
        raise InputError(f"{kernels} kernels of a mixture: at least one must be asked for.")
    share = weight / weight.sum(-1, keepdim=True)
    mean = _spread_out(points, share, kernels)
    overall = _moments(points, share[..., None])[1]
    scale = overall.expand(mean.shape).clamp(min=least)
    prior = torch.full_like(mean[..., 0], 1 / kernels)
    for _ in range(ROUNDS if kernels > 1 else 1):
        distance = (points[..., None, :] - mean[..., None, :, :]) / scale[..., None, :, :]
        logit = prior.log()[..., None, :] - 0.5 * distance.square().sum(-1) - scale.log().sum(-1)[..., None, :]
        member = logit.softmax(-1) * share[..., None]
        prior = member.sum(-2)
        mean, scale = _moments(points, member)
        scale = scale.clamp(min=least)
    order = prior.argsort(dim=-1, descending=True, stable=True)
    chosen = order[..., None].expand(mean.shape)
    return Mixture(prior.gather(-1, order), mean.gather(-2, chosen), scale.gather(-2, chosen))


def _moments(points: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
    """Means and standard deviations of points by their shares of every kernel."""
    part = member / member.sum(-2, keepdim=True).clamp(min=1e-12)
    mean = part.mT @ points
    square = (part[..., None] * (points[..., None, :] - mean[..., None, :, :]).square()).sum(-3)
    return mean, square.sqrt()


def _spread_out(points: Tensor, share: Tensor, kernels: int) -> Tensor:
    """Points to start at."""
    chosen = share.argmax(-1)
    found, nearest = [], torch.full_like(share, torch.inf)
    for _ in range(kernels):
        found.append(torch.take_along_dim(points, chosen[..., None, None], -2))
        nearest = torch.minimum(nearest, (points - found[-1]).square().sum(-1))
        chosen = (share * nearest).argmax(-1)
    return torch.cat(found, -2)


def mixture_of_heatmaps(
    heatmaps: Float[Tensor, "frames joints height width"],
    image_from_map: Float[Tensor, "frames 2 3"],
    kernels: int = 1,
) -> Mixture:
    """A mixture per joint from what a detector's heat maps say, in pixels of the image; pixel centres at integers.

    Values below `FLOOR_OF_PEAK` of a map's largest are taken for background; a map pixel is the smallest deviation.

    Raises:
        InputError: a value is no number, or a map is empty (nothing in it is above 0).
    """
    frames, joints, height, width = heatmaps.shape
    if not bool(torch.isfinite(heatmaps).all()):
        frame, joint = _first(~torch.isfinite(heatmaps).flatten(2).all(-1))
        raise InputError(f"frame {frame}, joint {joint}: the heat map has a value that is no number.")
    flat = heatmaps.flatten(2).double()
    peak = flat.amax(-1, keepdim=True)
    if not bool((peak > 0).all()):
        frame, joint = _first(peak[..., 0] <= 0)
        most = float(peak[frame, joint, 0])
        raise InputError(f"frame {frame}, joint {joint}: the heat map is empty, its largest value is {most:g}.")
    weight = torch.where(flat > FLOOR_OF_PEAK * peak, flat, 0.0)
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    grid = torch.stack([x, y], -1).view(1, -1, 2).expand(joints, -1, 2)
    # Frame by frame: every pixel has a share in every kernel.
    each = [fit_mixture(grid, one, kernels, least=0.5) for one in weight]
    found = stack(each)
    affine = image_from_map.double()[:, None, None].expand(frames, joints, 1, 2, 3)
    # A turned map would need correlations; of the turned Gaussian its widths along the image's axes are kept.
    spread = (affine[..., :2].square() @ found.scale.square()[..., None])[..., 0].sqrt()
    return Mixture(found.weight, apply(affine, found.mean), spread)


def mixture_of_detections(
    xy_image: Float[Tensor, "frames joints repeats 2"],
    score: Float[Tensor, "frames joints repeats"],
    kernels: int = 1,
    *,
    least_px: float = 1.0,
) -> Mixture:
    """A mixture per joint from what several detectors, or one on several copies of an image, say; pixels.

    Args:
        xy_image: the detections of one joint of one person.
        score: how much each counts; 0 where there is none.
        kernels: of every mixture.
        least_px: smallest standard deviation: detectors that agree are not certain.

    Raises:
        InputError: a detection that counts is no number, or a joint has none.
    """
    there = score > 0
    odd = there & ~(torch.isfinite(xy_image).all(-1) & torch.isfinite(score))
    if bool(odd.any()) or bool(torch.isnan(score).any()):
        frame, joint = _first((odd | torch.isnan(score)).any(-1))
        raise InputError(f"frame {frame}, joint {joint}: a detection or its score is no number.")
    if not bool(there.any(-1).all()):
        frame, joint = _first(~there.any(-1))
        raise InputError(f"frame {frame}, joint {joint}: no detection of it has a score above 0.")
    xy = torch.where(there[..., None], xy_image, 0.0).double()
    return fit_mixture(xy, score.double() * there, kernels, least=least_px)


def _first(odd: Tensor) -> tuple[int, int]:
    frame, joint = odd.nonzero()[0].tolist()
    return frame, joint
