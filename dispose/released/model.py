"""The released model, with every choice of its authors that ours makes differently.

What differs: integer peaks, ten at most; map pixel = input pixel / 4 without the half pixel
(`map_from_input`); candidates within 64 px; a polytope of capacity ten met by two or four sweeps; the state is the
mass, not the latent; greedy decoding; triangulation by Plücker rows in millimetres and single precision; confidence
from the heat map at aligned corners. The choices of Stage II stand in `dispose.released.key_maps`, its network in
`dispose.models`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from dispose.association.cues import incidences
from dispose.association.decode import greedy
from dispose.association.polytope import sweep_projection
from dispose.diffusion.parameterisations import predict_clean
from dispose.diffusion.samplers import Process, final, log_of_mass, reverse_process
from dispose.diffusion.schedules import rounded_times
from dispose.geometry import image_affine
from dispose.models.dispose.decoder import Decoder, Refined
from dispose.models.dispose.sampling import NoiseConfig
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.nn.heatmaps import Features, integer_peaks
from dispose.nn.projective_attention import ProjectiveAttention
from dispose.released.candidates import (
    RELEASED_ALPHA,
    ReleasedCandidates,
    RootPoints,
    released_candidates,
    released_logits,
    released_marginals,
)
from dispose.released.denoiser import ReleasedDenoiser, ReleasedDenoiserConfig, RootGraph
from dispose.released.key_maps import LEGACY_RULES, released_decoder_config
from dispose.scene.cameras import Cameras, perspective_only
from dispose.scene.frame import Frame, ImageBatch, Poses
from dispose.scene.results import Association, Prediction
from dispose.skeletons.catalog import PANOPTIC_15
from dispose.skeletons.skeleton import Skeleton
from dispose.tensors import ABSENT, TensorStruct

CAPACITY = 10
"""People per frame, and peaks per view."""

MATCHER_THRESHOLD = 0.001
"""Mass times cue above which a tuple may become a person."""

STRIDE = 4
LAST_STEP = 999
LOGIT_LIMIT = 30.0


@dataclass(frozen=True)
class ReleasedConfig:
    """What distinguishes the four released models.

    Each was trained on images of one data set at one size (others work too, less well), takes root peaks above a
    threshold for people, and has a workspace (mm). `alpha` is added to a tuple's logit per view that does not see it;
    it changes only the truncated projection.
    """

    dataset: str
    input_size: tuple[int, int]
    score_threshold: float
    room_centre: tuple[float, float, float]
    room_size: tuple[float, float, float]
    alpha: float = RELEASED_ALPHA
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    denoiser: ReleasedDenoiserConfig = field(default_factory=ReleasedDenoiserConfig)


RELEASED = (
    ReleasedConfig("panoptic", (960, 512), 0.2, (0.0, -500.0, 800.0), (8000.0, 8000.0, 2000.0)),
    ReleasedConfig("shelf", (800, 608), 0.2, (450.0, -320.0, 800.0), (8000.0, 8000.0, 2000.0)),
    ReleasedConfig("campus", (800, 640), 0.2, (3000.0, 4500.0, 1000.0), (12000.0, 12000.0, 2000.0)),
    ReleasedConfig("mm_or", (768, 576), 0.15, (-500.0, 0.0, 1000.0), (5000.0, 6000.0, 2000.0)),
)
"""The released models."""


@dataclass(frozen=True, eq=False)
class RootPeaks(TensorStruct):
    """The root peaks of one frame, in original pixels with their cameras, and in heat-map pixels."""

    points: RootPoints
    xy_map: Float[Tensor, "views slots 2"]


@dataclass(frozen=True, eq=False)
class Found(TensorStruct):
    """What Stage I makes of them.

    Attributes:
        candidates: the tuples and their cues.
        mass: sampled mass of every tuple.
        members: the slot of every person in every view, `ABSENT` where they are not seen; the best tuple first.
        xyz_world: the person's root, mm.
        confidence: ``sqrt(mass * cue * heat)``; 0 where the release has NaN because the mean heat is negative.
    """

    candidates: ReleasedCandidates
    mass: Float[Tensor, " tuples"]
    members: Int[Tensor, "persons views"]
    xyz_world: Float[Tensor, "persons 3"]
    confidence: Float[Tensor, " persons"]


class ReleasedDisPose(nn.Module):
    """Images of one instant in, skeletons of all people out, as the released checkpoints do it.

    At most ten root peaks per view (the highest) and ten people per frame, the best first. The release gives no
    confidence per joint: every joint has its person's, and joints that fewer than two views see keep their place from
    the layer before. People without confidence (no heat at their root) are left out.
    """

    skeleton: Skeleton = PANOPTIC_15

    def __init__(self, config: ReleasedConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone)
        self.proj_attn = ProjectiveAttention(config.denoiser.chans, inward=config.backbone.deconv_chans)
        self.denoiser = ReleasedDenoiser(config.denoiser)
        self.decoder = Decoder(released_decoder_config(config.room_centre, config.room_size), rules=LEGACY_RULES)

    def forward(self, frame: Frame) -> Prediction:
        """Everybody in one frame; `association` speaks of the frame's root peaks, highest first."""
        return self.predict([frame])[0]

    @torch.no_grad()
    def predict(self, frames: Sequence[Frame]) -> list[Prediction]:
        """Everybody in several frames as one batch of Stage II, which mixes the samples up (`key_maps.legacy_rows`).

        Raises:
            ShapeError: the images have not one size, or one that is no multiple of 32.
        """
        batch = ImageBatch.of(frames).to(self.decoder.joint_embedding.weight.device)
        views = batch.images.present.shape[1]
        features = self.backbone(batch.images.pixels.flatten(0, 1))
        found = []
        for sample, frame in enumerate(frames):
            there = batch.images.present[sample].nonzero()[:, 0]
            rows = sample * views + there
            own = Features(*(part[rows] for part in (features.heatmaps, *features.pyramid)))
            cameras = frame.cameras.to("cpu").select(views=there)
            found.append(self.associate(own, cameras, batch.images.input_from_image[sample, there].cpu()))
        refined = self.refine(features, batch, found)
        people = [len(one.xyz_world) for one in found]
        poses = refined.last.double().cpu().split(people)
        return [prediction_of(frame, one, xyz) for frame, one, xyz in zip(frames, found, poses, strict=True)]

    def associate(self, features: Features, cameras: Cameras, input_from_image: Float[Tensor, "views 2 3"]) -> Found:
        """Stage I on the feature maps of one frame's images."""
        root = self.skeleton.index(self.skeleton.root_of[0])
        heatmaps = features.heatmaps[:, root].cpu()
        seen = find_peaks(heatmaps, cameras, input_from_image, self.config.score_threshold)
        candidates = released_candidates(seen.points)
        if int(seen.points.valid.any(1).sum()) < 2:
            empty = torch.zeros(0, dtype=torch.float64)
            nobody = torch.zeros_like(candidates.cue), candidates.members[:0]
            return Found(candidates, *nobody, empty.reshape(0, 3), empty)
        graph = root_graph(read_roots(self.proj_attn, features, seen), candidates, seen.points.valid)
        return find_people(self.denoiser, graph, candidates, seen, self.config.alpha, heatmaps, input_from_image)

    def refine(self, features: Features, batch: ImageBatch, found: Sequence[Found]) -> Refined:
        """Stage II from the roots of every sample's people."""
        device = features.fine.device
        sample = torch.cat([torch.full((len(one.xyz_world),), s) for s, one in enumerate(found)])
        roots = torch.cat([one.xyz_world for one in found])
        return self.decoder(
            features,
            batch.cameras,
            batch.images.input_from_image,
            batch.images.input_size,
            roots.float().to(device),
            sample.to(device),
            has_image=batch.images.present,
        )


def prediction_of(frame: Frame, found: Found, xyz_world: Float[Tensor, "persons joints 3"]) -> Prediction:
    """The people of a frame who have a confidence."""
    kept = found.confidence > 0
    there = frame.require_images().present.cpu()
    members = torch.full((int(kept.sum()), len(there)), ABSENT)
    members[:, there] = found.members[kept]
    sure = found.confidence[kept].clamp(max=1)
    joints = xyz_world[kept].shape[:2]
    poses = Poses(
        ReleasedDisPose.skeleton,
        xyz_world[kept],
        sure[:, None].expand(joints).clone(),
        torch.ones(joints, dtype=torch.bool),
        torch.arange(len(members)),
    )
    return Prediction(frame.number, Association(members, sure), poses, found.xyz_world[kept])


def find_peaks(
    heatmaps: Float[Tensor, "views height width"],
    cameras: Cameras,
    input_from_image: Float[Tensor, "views 2 3"],
    threshold: float,
) -> RootPeaks:
    """The ten highest root peaks of every view, whole pixels of the heat map."""
    peaks = integer_peaks(heatmaps[:, None], CAPACITY, threshold)
    xy_map, score, valid = peaks.xy_map[:, 0].double(), peaks.score[:, 0].double(), peaks.valid[:, 0]
    image_from_input = image_affine.invert(input_from_image.double())
    xy = image_affine.apply(image_from_input[:, None], input_from_map(xy_map))
    return RootPeaks(RootPoints(cameras, xy, score, valid), xy_map)


def map_from_input(xy_input: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """Heat-map pixels as the release has them: a quarter of the input's, which is 3/8 of a map pixel off the centre."""
    return xy_input / STRIDE


def input_from_map(xy_map: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """The inverse of `map_from_input`."""
    return xy_map * STRIDE


def find_people(
    denoiser: ReleasedDenoiser,
    graph: RootGraph,
    candidates: ReleasedCandidates,
    seen: RootPeaks,
    alpha: float,
    heatmaps: Float[Tensor, "views height width"],
    input_from_image: Float[Tensor, "views 2 3"],
) -> Found:
    """Stage I from the candidate graph on: sample, decode, triangulate, ask the heat maps of the root."""
    points = seen.points
    mass = sample_mass(denoiser, graph, candidates.members, points.valid, alpha)
    members, score = decode(mass, candidates)
    xyz = triangulate(points, members)
    heat = heat_of(xyz, heatmaps, points.cameras, input_from_image)
    return Found(candidates, mass, members, xyz, (score * heat.clamp(min=0)).sqrt())


def read_roots(
    attention: ProjectiveAttention, features: Features, seen: RootPeaks
) -> Float[Tensor, "detections chans"]:
    """What the feature maps of a frame hold at its peaks, view by view."""
    view = seen.points.valid.nonzero()[:, 0]
    height, width = features.heatmaps.shape[-2:]
    # Pixel over size, without the half pixel: half a pixel up and left on every level.
    reference = (seen.xy_map[seen.points.valid] / torch.tensor([width, height], dtype=torch.float64)).float()
    device = features.fine.device
    return attention(features.pyramid, view.to(device), reference.to(device))


def root_graph(
    detections: Float[Tensor, "detections chans"], candidates: ReleasedCandidates, valid: Bool[Tensor, "views slots"]
) -> RootGraph:
    """The graph of one frame as the denoiser wants it, on the device of the detections' features."""
    table = incidences(candidates.members, valid)
    nothing = torch.zeros(len(detections), dtype=torch.long)
    graph = RootGraph(
        detections, candidates.cue.float(), table.tuple_of, table.detection, torch.zeros_like(candidates.members[:, 0]),
        nothing, 1,
    )  # fmt: skip
    return graph.to(detections.device)


def project(
    members: Int[Tensor, "tuples views"], valid: Bool[Tensor, "views slots"], alpha: float, sweeps: int
) -> Callable[[Float[Tensor, " tuples"]], Float[Tensor, " tuples"]]:
    """The truncated projection onto the released polytope, for a frame's tuples without the fallback."""
    marginals = released_marginals(members, valid, capacity=CAPACITY)

    def onto(latent: Tensor) -> Tensor:
        return sweep_projection(released_logits(latent, members, alpha), marginals, sweeps)[:-1]

    return onto


def sample_mass(
    denoiser: ReleasedDenoiser,
    graph: RootGraph,
    members: Int[Tensor, "tuples views"],
    valid: Bool[Tensor, "views slots"],
    alpha: float,
) -> Float[Tensor, " tuples"]:
    """Ten deterministic steps from the zero latent, each through two sweeps; the end through four."""
    two, four = (project(members, valid, alpha, sweeps) for sweeps in (2, 4))

    def denoise(mass: Tensor, time: float) -> Tensor:
        if time == 0:
            return mass  # the release stops at the state it reached, its denoiser is not asked there
        level = torch.full((1,), (1 - NoiseConfig().signal(time)) ** 0.5, device=graph.cue.device)
        step = torch.full_like(level, round(LAST_STEP * time))
        with torch.no_grad():
            logits = denoiser(graph, mass.float().to(graph.cue.device), step, level)
        return two(logits.cpu().double().clamp(-LOGIT_LIMIT, LOGIT_LIMIT))

    process = Process(
        denoise, two, predict_clean(lambda mass: log_of_mass(mass, mass)), NoiseConfig().signal, observe=log_of_mass
    )
    start = torch.zeros(len(members), dtype=torch.float64)
    last = final(reverse_process(process, start, rounded_times())).mass
    return four(log_of_mass(last, last))


def decode(
    mass: Float[Tensor, " tuples"], candidates: ReleasedCandidates
) -> tuple[Int[Tensor, "persons views"], Float[Tensor, " persons"]]:
    """The best ten disjoint tuples of at least two members, taken greedily by mass times cue, and that score."""
    score = mass.clamp(min=0) * candidates.cue.clamp(min=0)
    several = (candidates.members != ABSENT).sum(1) >= 2
    chosen = greedy(torch.where(several, score - MATCHER_THRESHOLD, -1.0), candidates.members).nonzero()[:, 0]
    best = chosen[torch.argsort(score[chosen], descending=True, stable=True)][:CAPACITY]
    return candidates.members[best], score[best]


def triangulate(points: RootPoints, members: Int[Tensor, "persons views"]) -> Float[Tensor, "persons 3"]:
    """Roots (mm) from the score-weighted Plücker rows ``[d]x X - d x C = 0``, in millimetres about the world's origin.

    The least singular vector of an unscaled system: in other units or about another origin it is another point. And
    in single precision, as released, whose rounding moves a root by some tenths of a millimetre.
    """
    view = torch.arange(members.shape[1])
    slot = members.clamp(min=0)
    there = members != ABSENT
    cameras = points.cameras.to(torch.float32)
    weight = torch.where(there, points.score.float()[view, slot], 0.0)
    xy = torch.where(there[..., None], points.xy_image.float()[view, slot], 0.0)
    direction = _single_precision_rays(cameras, xy)
    moment = torch.linalg.cross(direction, points.cameras.centres.float().expand_as(direction))
    skew = torch.linalg.cross(direction[..., None, :], torch.eye(3).expand(*direction.shape, 3)).mT
    rows = torch.cat([skew, -moment[..., None]], -1) * weight[..., None, None]
    solution = torch.linalg.svd(rows.flatten(1, 2), full_matrices=False).Vh[:, -1]
    return (solution[:, :3] / solution[:, 3:]).double()


def _single_precision_rays(
    cameras: Cameras, xy_image: Float[Tensor, "persons views 2"]
) -> Float[Tensor, "persons views 3"]:
    """Unit world directions after five undistorting iterations, by way of undistorted pixels."""
    k1, k2, p1, p2, k3, k4, k5, k6 = perspective_only(cameras).distortion.unbind(-1)
    focal, middle = cameras.matrix[:, [0, 1], [0, 1]], cameras.matrix[:, :2, 2]
    start = (xy_image - middle) / focal
    x, y = start.unbind(-1)
    for _ in range(5):
        r2 = x * x + y * y
        inverse = (1 + k4 * r2 + k5 * r2 * r2 + k6 * r2**3) / (1 + k1 * r2 + k2 * r2 * r2 + k3 * r2**3)
        along = 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        down = p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        x, y = (start[..., 0] - along) * inverse, (start[..., 1] - down) * inverse
    pixel = torch.stack([x, y], -1) * focal + middle
    homogeneous = torch.cat([pixel, torch.ones_like(pixel[..., :1])], -1)
    back = torch.linalg.inv(cameras.matrix)
    xyz = torch.einsum("vab,pvb->pva", back, homogeneous)
    xyz = torch.cat([xyz[..., :2] / xyz[..., 2:], torch.ones_like(xyz[..., :1])], -1)
    world = torch.einsum("vba,pvb->pva", cameras.rotation, xyz)
    return world / world.norm(dim=-1, keepdim=True)


def heat_of(
    xyz_world: Float[Tensor, "persons 3"],
    heatmaps: Float[Tensor, "views height width"],
    cameras: Cameras,
    input_from_image: Float[Tensor, "views 2 3"],
) -> Float[Tensor, " persons"]:
    """Mean over all views of the root's heat map where the points are seen; 0 outside an image, aligned corners."""
    xy, front = cameras.project(xyz_world)
    inside = ((xy >= 0) & (xy < cameras.size[:, None])).all(-1) & front
    xy_map = map_from_input(image_affine.apply(input_from_image.double()[:, None], xy))
    height, width = heatmaps.shape[-2:]
    grid = (2 * xy_map / torch.tensor([width - 1.0, height - 1.0], dtype=torch.float64) - 1).clamp(-1.1, 1.1)
    read = nn.functional.grid_sample(heatmaps[:, None].double(), grid[:, None], align_corners=True)[:, 0, 0]
    return (read * inside).mean(0)
