"""What a group's keypoints tell about how far each of them can be trusted, without any image.

Of every keypoint: its score, where it lies in its image, how the views that see the joint agree on it, and how it goes
with the same person's other joints. Lengths are in units of the start's inlier bound, a share of the person's apparent
size, so that neither the image's size nor the distance matters. Nothing depends on the order of the views.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.packing import GroupKeypoints, apparent_size, inlier_bound
from dispose.geometry.pinhole import normalize_points
from dispose.geometry.triangulation import rotate, triangulate_robust
from dispose.geometry.triangulation.sights import Sights, refine
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import TensorStruct

STATISTICS = (
    "score", "mean score of the person in the view", "score of the joint in its best view",
    "distance from the image's border, in sizes of the person", "size of the person, in sizes of the image",
    "views that see the joint", "only two views see it", "joints that the view sees",
    "residual of the robust start", "residual when the view is left out", "residuals of the others without the view",
    "how far the joint moves when the view is left out", "residuals of the view's other joints",
    "difference of residual from the neighbours' in the view", "distance from the mirror joint's projection",
    "longest bone at the joint", "angle to the most different ray",
)  # fmt: skip
"""What `KeypointStatistics.values` holds, in order."""

NAMES = (
    "nose", "l_eye", "r_eye", "l_ear", "r_ear", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow",
    "l_wrist", "r_wrist", "l_hip", "r_hip", "l_knee", "r_knee", "l_ankle", "r_ankle", "neck", "mid_hip", "spine",
)  # fmt: skip
"""Joints that are told apart; all others are one more, unnamed."""

UNNAMED = len(NAMES)
NARROWER = 3.0
"""By how much the start's inlier bound is narrower than the usual one: about what detectors scatter. Exchanged knees
lie within the usual one, and a start in the middle between them would say nothing."""

STEPS = 4
"""Gauss-Newton steps with which the robust triangulation goes on without a view."""

NEAREST_MM = 100.0
"""Depths below this are taken for it."""

FARTHEST = 50.0
"""Residuals beyond so many inlier bounds, and those behind a camera, are taken for it."""

LONGEST_MM = 3000.0


@dataclass(frozen=True, eq=False)
class KeypointStatistics(TensorStruct):
    """The keypoints of some persons before equally many views, as weights are found from them.

    Attributes:
        name: of every joint its place in `NAMES`, `UNNAMED` for others.
        neighbour: 1 where a bone joins two joints.
        values: `STATISTICS`; 0 where a joint is not seen.
        seen: which keypoints there are.
        xy: keypoints in undistorted normalised coordinates; 0 where not seen.
        focal_px: of every view.
        bound_px: the unit of lengths in every view: a share of the person's apparent size.
        rotation: of every view's camera from the world.
        translation: likewise, mm.
        start: joints by robust triangulation, mm; the person's middle where fewer than two views see them.
    """

    name: Int[Tensor, "persons joints"]
    neighbour: Float[Tensor, "persons joints neighbours"]
    values: Float[Tensor, "persons views joints statistics"]
    seen: Bool[Tensor, "persons views joints"]
    xy: Float[Tensor, "persons views joints 2"]
    focal_px: Float[Tensor, "persons views"]
    bound_px: Float[Tensor, "persons views"]
    rotation: Float[Tensor, "persons views 3 3"]
    translation: Float[Tensor, "persons views 3"]
    start: Float[Tensor, "persons joints 3"]

    @property
    def known(self) -> Bool[Tensor, "persons joints"]:
        """Which joints two views see."""
        return self.seen.sum(1) >= 2

    def residual(
        self, xyz_world: Float[Tensor, "persons joints 3"]
    ) -> tuple[Float[Tensor, "persons views joints 2"], Float[Tensor, "persons views joints"]]:
        """Projected less seen places in inlier bounds, 0 where not seen, and the depths of the joints, mm."""
        camera = rotate(self.rotation[:, :, None], xyz_world[:, None]) + self.translation[:, :, None]
        depth = camera[..., 2].clamp(min=NEAREST_MM)
        scale = (self.focal_px / self.bound_px)[:, :, None, None]
        miss = (camera[..., :2] / depth[..., None] - self.xy) * scale
        return torch.where(self.seen[..., None], miss, 0.0), depth


def names_of(skeleton: Skeleton) -> Int[Tensor, " joints"]:
    """The joints of a skeleton as places in `NAMES`."""
    return torch.tensor([NAMES.index(joint) if joint in NAMES else UNNAMED for joint in skeleton.joints])


def neighbours_of(skeleton: Skeleton) -> Float[Tensor, "joints joints"]:
    """1 where a bone joins two joints."""
    table = torch.zeros(len(skeleton), len(skeleton))
    for one, other in skeleton.bone_indices:
        table[one, other] = table[other, one] = 1.0
    return table


def keypoint_statistics(evidence: GroupKeypoints) -> KeypointStatistics:
    """The statistics of the keypoints of some groups."""
    cameras, seen, skeleton = evidence.cameras, evidence.seen, evidence.packed.skeleton
    xy = normalize_points(evidence.xy_image, cameras.matrix[:, :, None], cameras.lens[:, :, None])
    bound = inlier_bound(evidence) / NARROWER
    points = triangulate_robust(
        evidence.xy_image.transpose(1, 2),
        evidence.confidence.transpose(1, 2),
        cameras.matrix[:, None],
        cameras.lens[:, None],
        cameras.rotation[:, None],
        cameras.translation[:, None],
        threshold_px=bound[:, None],
    )
    known = torch.isfinite(points.xyz_world)
    middle = torch.where(known, points.xyz_world, 0.0).sum(1) / known.sum(1).clamp(min=1)
    persons, _, joints = seen.shape
    bare = KeypointStatistics(
        names_of(skeleton).to(xy.device).expand(persons, joints),
        neighbours_of(skeleton).to(xy).expand(persons, joints, joints),
        xy.new_zeros(*seen.shape, 0),
        seen,
        torch.where(seen[..., None], xy, 0.0),
        (cameras.matrix[..., 0, 0] + cameras.matrix[..., 1, 1]) / 2,
        bound,
        cameras.rotation,
        cameras.translation,
        torch.where(known, points.xyz_world, middle[:, None]),
    )
    columns = [*_appearance(evidence), *_agreement(evidence, bare), *_body(bare, skeleton)]
    values = torch.stack([torch.where(seen, column, 0.0) for column in columns], dim=-1)
    return replace(bare, values=values.float())


def _appearance(evidence: GroupKeypoints) -> list[Float[Tensor, "persons views joints"]]:
    """What every view says for itself, and how many views there are: the first eight statistics."""
    score, seen = evidence.confidence, evidence.seen
    size = apparent_size(evidence).clamp(min=1.0)
    image = evidence.cameras.size[:, :, None]
    border = torch.minimum(evidence.xy_image + 0.5, image - 0.5 - evidence.xy_image).amin(-1)
    count = seen.sum(1, keepdim=True).expand(seen.shape)
    mean = score.sum(-1) / seen.sum(-1).clamp(min=1)
    return [
        score,
        mean[..., None].expand(seen.shape),
        score.amax(1, keepdim=True).expand(seen.shape),
        (border / size[..., None]).clamp(-1.0, 1.0),
        (size / image[..., 0].amax(-1)).log()[..., None].expand(seen.shape) / 2,
        count / 5.0,
        (count == 2).to(score.dtype),
        seen.to(score.dtype).mean(-1, keepdim=True).expand(seen.shape),
    ]


def _agreement(evidence: GroupKeypoints, bare: KeypointStatistics) -> list[Float[Tensor, "persons views joints"]]:
    """How the views agree on every joint: with all of them, and with each left out."""
    miss, depth = bare.residual(bare.start)
    own, others, moved = _without_view(evidence, bare)
    # In mm the bound is as far as it reaches at the joint's depth.
    reach = bare.bound_px[..., None] * depth / bare.focal_px[..., None]
    return [squashed(miss.norm(dim=-1)), squashed(own), squashed(others), squashed(moved / reach)]


def _without_view(
    evidence: GroupKeypoints, bare: KeypointStatistics
) -> tuple[Float[Tensor, "persons views joints"], ...]:
    """Residuals of a view and of the others (their mean) when it is left out, inlier bounds, and the way moved, mm.

    The robust triangulation goes on from the start without the view. 1, 1 and 0 where no two views are left.
    """
    views = evidence.seen.shape[1]
    keep = 1.0 - torch.eye(views, dtype=bare.xy.dtype, device=bare.xy.device)
    sights = Sights(
        bare.xy.transpose(1, 2)[:, None].expand(-1, views, -1, -1, -1),
        evidence.confidence.transpose(1, 2)[:, None] * keep[:, None],
        bare.focal_px[:, None, None],
        bare.rotation[:, None, None],
        bare.translation[:, None, None],
        bare.bound_px[:, None, None].expand(-1, views, bare.xy.shape[2], -1),
    )
    place = refine(bare.start[:, None].expand(-1, views, -1, -1), sights, STEPS)
    each = torch.stack([bare.residual(place[:, left])[0].norm(dim=-1) for left in range(views)], dim=1)
    own = torch.diagonal(each, dim1=1, dim2=2).movedim(-1, 1)
    others = (each.sum(2) - own) / (bare.seen.sum(1, keepdim=True) - 1).clamp(min=1)
    moved = (place - bare.start[:, None]).norm(dim=-1)
    left = bare.seen.sum(1, keepdim=True) - bare.seen.int() >= 2
    return torch.where(left, own, 1.0), torch.where(left, others, 1.0), torch.where(left, moved, 0.0)


def _body(bare: KeypointStatistics, skeleton: Skeleton) -> list[Float[Tensor, "persons views joints"]]:
    """How every keypoint goes with the same person's others."""
    miss, _ = bare.residual(bare.start)
    seen, size = bare.seen.to(miss.dtype), miss.norm(dim=-1)
    others = (size.sum(-1, keepdim=True) - size) / (seen.sum(-1, keepdim=True) - 1).clamp(min=1)
    mirror = bare.start[:, skeleton.mirror]
    crossed = torch.where(
        bare.known[:, skeleton.mirror][:, None] & bare.seen, bare.residual(mirror)[0].norm(dim=-1), 1.0
    )
    joined = bare.neighbour * (bare.known[:, :, None] & bare.known[:, None])
    length = (bare.start[:, :, None] - bare.start[:, None]).norm(dim=-1)
    longest = (joined * length).amax(-1).clamp(max=LONGEST_MM) / 1000.0
    return [
        squashed(others),
        squashed(bone_misfit(bare, miss)),
        squashed(crossed),
        longest[:, None].expand(size.shape),
        _spread(bare),
    ]


def bone_misfit(
    bare: KeypointStatistics, miss: Float[Tensor, "persons views joints 2"]
) -> Float[Tensor, "persons views joints"]:
    """How much a keypoint's residual differs from its neighbours' in the same view, in the mean, inlier bounds."""
    seen = bare.seen.to(miss.dtype)
    both = bare.neighbour[:, None] * seen[..., None] * seen[..., None, :]
    apart = (miss[..., :, None, :] - miss[..., None, :, :]).norm(dim=-1)
    return (both * apart).sum(-1) / both.sum(-1).clamp(min=1)


def _spread(bare: KeypointStatistics) -> Float[Tensor, "persons views joints"]:
    """1 less the smallest cosine between a keypoint's ray and those of the other views that see the joint."""
    ray = torch.cat([bare.xy, torch.ones_like(bare.xy[..., :1])], dim=-1)
    ray = rotate(bare.rotation.mT[:, :, None], ray / ray.norm(dim=-1, keepdim=True))
    cosine = torch.einsum("pvjk,pujk->pvuj", ray, ray)
    return 1.0 - torch.where(bare.seen[:, None], cosine, 1.0).amin(2)


def squashed(residual: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """A residual in inlier bounds on a scale that tells small ones apart: about -2 for none, 0 for a third of one."""
    bounded = torch.nan_to_num(residual, nan=FARTHEST, posinf=FARTHEST).clamp(max=FARTHEST)
    return ((bounded + 0.02) * 3.0).log() / 1.5
