"""From rays to joints with covariances: a transformer that says how far every ray and every habit of bodies is trusted.

In every round each ray gets a precision across itself, and each joint a place where the body expects it with a
precision of its own; the joint moves to the point that fits both best (a 3x3 system). The inverse of the system, times
what training found the scale to be, is its covariance: many good rays make a point, one ray a long thin ellipsoid.
The idea of learning triangulation from rays of synthetic motion alone is RUMPL's (2026); the network is our own.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from dispose.geometry.triangulation import solve_symmetric
from dispose.geometry.uncertainty import expected_error
from dispose.models.rays.body_axes import JOINT_NAMES
from dispose.models.rays.sightings import BodyRays
from dispose.nn.blocks import AttentionBlock, mlp
from dispose.tensors import TensorStruct

STATIC_FEATURES, MOVING_FEATURES, JOINT_FEATURES = 9, 10, 6
MOST_M = 0.15
"""A joint whose expected error is larger than this is not said, metres."""

PRIOR_M = 0.15
"""How far a body's expectation is off before training, metres."""

MOST_VIEWS = 8
"""More cameras than training has are claimed for as these."""


@dataclass(frozen=True)
class RaysConfig:
    """Sizes of the network.

    Attributes:
        chans: width of a joint's token.
        ray_chans: width of a ray's.
        rounds: how often rays are looked at.
        layers: transformer blocks in every round.
        heads: of their attention.
    """

    chans: int = 96
    ray_chans: int = 48
    rounds: int = 3
    layers: int = 2
    heads: int = 4


@dataclass(frozen=True, eq=False)
class BodyEstimate(TensorStruct):
    """Joints in a person's axes.

    Attributes:
        xyz: places, metres.
        covariance: of a Student-t distribution's core (`DEGREES_OF_FREEDOM`), m².
        weight: how far every ray is trusted: its precision, relative to a keypoint good to 2 % of the person's size.
    """

    xyz: Float[Tensor, "persons joints 3"]
    covariance: Float[Tensor, "persons joints 3 3"]
    weight: Float[Tensor, "persons views joints"]

    @property
    def said(self) -> Bool[Tensor, "persons joints"]:
        """Joints that are known well enough to be said."""
        return expected_error(self.covariance) <= MOST_M


def start_at_zero(layer: nn.Linear) -> nn.Linear:
    """The layer with weights of 0: before training it says nothing."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Round(nn.Module):
    """One look at the rays from where the joints are thought to be."""

    def __init__(self, config: RaysConfig) -> None:
        super().__init__()
        chans, narrow = config.chans, config.ray_chans
        self.ray = mlp([STATIC_FEATURES + MOVING_FEATURES + narrow, narrow, narrow])
        self.kind = nn.Embedding(len(JOINT_NAMES) + 1, narrow)
        self.in_view = nn.Linear(2 * narrow, narrow)
        self.together = mlp([2 * narrow, narrow, narrow])
        self.vote = nn.Linear(narrow, 1)
        self.gather = nn.Linear(2 * narrow + JOINT_FEATURES, chans)
        self.blocks = nn.ModuleList(AttentionBlock(chans, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(chans)
        self.back = nn.Linear(chans, narrow)
        self.trust = nn.Sequential(nn.Linear(narrow, narrow), nn.SiLU(), start_at_zero(nn.Linear(narrow, 1)))
        self.expect = start_at_zero(nn.Linear(chans, 6))

    def forward(
        self,
        joints: Float[Tensor, "persons joints chans"],
        xyz: Float[Tensor, "persons joints 3"],
        rays: BodyRays,
        static: Float[Tensor, "persons views joints features"],
    ) -> tuple[Tensor, BodyEstimate]:
        """The joints' tokens, and where they are now."""
        foot = _foot(rays, xyz)
        seen = rays.seen[..., None].float()
        kind = self.kind(rays.kind).expand(*rays.seen.shape, -1)
        token = self.ray(torch.cat([static, _moving(rays, xyz, foot), kind], -1)) * seen
        of_view = token.sum(2) / seen.sum(2).clamp(min=1)
        context = self.in_view(torch.cat([of_view, of_view.sum(1, keepdim=True).expand_as(of_view)], -1))
        token = self.together(torch.cat([token, context[:, :, None].expand_as(token)], -1)) * seen
        # A softmax over views of which one may be the only one, or none.
        vote = torch.where(rays.seen[..., None], self.vote(token), -1e4).softmax(1) * seen
        pooled = torch.cat([(vote * token).sum(1), token.sum(1) / seen.sum(1).clamp(min=1)], -1)
        joints = joints + self.gather(torch.cat([pooled, _told_of_joints(rays, xyz)], -1))
        for block in self.blocks:
            joints = block(joints)
        told = self.norm(joints)
        trust = self.trust(torch.nn.functional.silu(token + self.back(told)[:, None]))[..., 0]
        expected = self.expect(told)
        return joints, settle(xyz, foot, rays, trust, expected)


class RayNetwork(nn.Module):
    """People's joints from their rays, with covariances, and how probable it is that a person is right.

    Attributes:
        claim: what claimed standard deviations are times the distribution's, so that a Gaussian's intervals hold the
            truth as often as they say; training sets it at its end.
        by_views: by what they are multiplied further, by the number of cameras that see the person; the last is of
            `MOST_VIEWS` and more. Two rays nearly always agree, and what the network says of them is too cautious.
            What is known, and who is right, is judged without.
    """

    claim: Tensor
    by_views: Tensor

    def __init__(self, config: RaysConfig | None = None) -> None:
        super().__init__()
        self.config = config or RaysConfig()
        self.kind = nn.Embedding(len(JOINT_NAMES) + 1, self.config.chans)
        self.rounds = nn.ModuleList(Round(self.config) for _ in range(self.config.rounds))
        self.spread = start_at_zero(nn.Linear(self.config.chans, 1))
        self.right = mlp([self.config.chans + 3, self.config.chans, 1])
        self.register_buffer("claim", torch.ones(()))
        self.register_buffer("by_views", torch.ones(MOST_VIEWS))

    def forward(self, rays: BodyRays) -> tuple[list[BodyEstimate], Float[Tensor, " persons"]]:
        """An estimate per round, the last one the answer, and the log-odds that people are right."""
        joints = self.kind(rays.kind).expand(*rays.start.shape[:2], -1)
        static = _static(rays)
        xyz, found = rays.start, list[BodyEstimate]()
        for one in self.rounds:
            joints, estimate = one(joints, xyz, rays, static)
            scale = self.spread(joints).clamp(-4, 4).exp()
            found.append(BodyEstimate(estimate.xyz, estimate.covariance * scale[..., None] ** 2, estimate.weight))
            xyz = estimate.xyz
        return found, self.doubt(joints, found[-1].covariance.detach() * self.claim**2)

    def doubt(
        self, joints: Float[Tensor, "persons joints chans"], covariance: Float[Tensor, "persons joints 3 3"]
    ) -> Float[Tensor, " persons"]:
        """Log-odds that the joints that are said are right in the mean: by what is claimed of them, and the tokens."""
        error = expected_error(covariance).float()
        said = (error <= MOST_M).float()
        count = said.sum(1, keepdim=True).clamp(min=1)
        mean = (said[..., None] * joints).sum(1) / count
        claimed = ((said * error).sum(1, keepdim=True) / count).clamp(min=1e-3).log()
        squared = ((said * error.square()).sum(1, keepdim=True) / count).clamp(min=1e-6).log()
        return self.right(torch.cat([mean, claimed, squared, said.mean(1, keepdim=True)], -1))[:, 0]


def _foot(rays: BodyRays, xyz: Float[Tensor, "persons joints 3"]) -> Float[Tensor, "persons views joints 3"]:
    """From every joint straight to each of its rays, metres."""
    offset = rays.centre[:, :, None] - xyz[:, None]
    return offset - rays.direction * (rays.direction * offset).sum(-1, keepdim=True)


def _static(rays: BodyRays) -> Float[Tensor, "persons views joints features"]:
    """What is told of rays whatever the joints' places."""
    seen = rays.seen.float()
    joints = seen.shape[2]
    share = seen.mean(2, keepdim=True)
    mean = rays.confidence.sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1)
    views = seen.sum(1, keepdim=True)
    values = (
        rays.confidence,
        mean.expand_as(seen),
        share.expand_as(seen),
        rays.border,
        rays.inlier.float(),
        rays.error.log1p(),
        views.expand_as(seen) / 4,
        (rays.metres_per_px * 500).clamp(min=1e-3).log()[..., None].expand_as(seen),
        (rays.size_px / 200).clamp(min=1e-3).log()[..., None].expand(*seen.shape[:2], joints),
    )
    return torch.stack(values, -1) * seen[..., None]


def _moving(rays: BodyRays, xyz: Tensor, foot: Tensor) -> Float[Tensor, "persons views joints features"]:
    """What a ray says of where a joint is thought to be: how far it passes, and in which direction."""
    length = foot.norm(dim=-1, keepdim=True)
    size = (rays.size_px * rays.metres_per_px).clamp(min=0.05)[:, :, None, None]
    near = foot / (0.05 + length)
    reach = ((xyz[:, None] - rays.centre[:, :, None]) * rays.direction).sum(-1, keepdim=True)
    parts = (near, rays.direction, (length / 0.02).log1p(), (length / (0.02 * size)).log1p(), reach / 5, reach.sign())
    return torch.cat(parts, -1)


def _told_of_joints(rays: BodyRays, xyz: Tensor) -> Float[Tensor, "persons joints features"]:
    """Where joints are thought to be, and from how much."""
    seen = rays.seen.float().sum(1)[..., None]
    agreed = rays.inlier.float().sum(1)[..., None]
    return torch.cat([xyz.clamp(-3, 3), rays.robust.float()[..., None], seen / 4, agreed / 4], -1)


def settle(
    xyz: Float[Tensor, "persons joints 3"],
    foot: Float[Tensor, "persons views joints 3"],
    rays: BodyRays,
    trust: Float[Tensor, "persons views joints"],
    expected: Float[Tensor, "persons joints 6"],
) -> BodyEstimate:
    """The point that fits the trusted rays and the body's expectation best, and the inverse of the system's matrix."""
    # A keypoint that is off by 2 % of the person's size: what trust of 0 means.
    usual = 0.02 * (rays.size_px * rays.metres_per_px).clamp(min=0.05)[:, :, None]
    weight = (2 * trust.clamp(-6, 3)).exp() * rays.seen
    # Doubles: across a good ray the system is ten orders of magnitude stiffer than along it.
    precision = (weight / usual**2).double()
    direction = torch.nn.functional.normalize(rays.direction.double(), dim=-1)
    across = torch.eye(3, dtype=direction.dtype, device=foot.device) - direction[..., :, None] * direction[..., None, :]
    matrix = (precision[..., None, None] * across).sum(1)
    pull = (precision[..., None] * foot).sum(1)
    own = (2 * expected[..., 3:].double().clamp(-4, 4)).exp() / PRIOR_M**2
    matrix = matrix + torch.diag_embed(own)
    step = solve_symmetric(matrix, pull + own * 0.3 * expected[..., :3])
    return BodyEstimate(xyz + step.float(), inverse_symmetric(matrix), weight)


def inverse_symmetric(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """The inverse of symmetric positive definite 3x3 matrices, column by column."""
    eye = torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand_as(matrix)
    return torch.stack([solve_symmetric(matrix, eye[..., k]) for k in range(3)], -1)
