"""From what cameras could see to what a detector says: noise, gaps, fragments, thefts and inventions.

Every step is one thing that detectors do wrong.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.scene.cameras import Cameras
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT, TensorStruct, cat
from dispose_synthetic.detectors.parameters import DetectorModel
from dispose_synthetic.randomness import Noise, between, choose
from dispose_synthetic.visibility import Sight

# nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles: noise relative to the model's, and how
# easily the joint is found (log-odds).
JOINT_NOISE = (0.7, 0.7, 0.7, 0.75, 0.75, 0.85, 0.85, 1.0, 1.0, 0.8, 0.8, 1.5, 1.5, 1.7, 1.7, 1.5, 1.5)
JOINT_EASE = (1.8, 1.2, 1.2, 1.5, 1.5, 3.5, 3.5, 1.4, 1.4, 0.3, 0.3, 2.6, 2.6, 0.8, 0.8, -0.1, -0.1)
JOINT_BIAS = (0.6, 0.6, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8, 0.8, 0.6, 0.6, 2.0, 2.0, 1.8, 1.8, 1.4, 1.4)
SIDES_TOGETHER = (0.0, 0.2, 0.2, 0.0, 0.0, 0.3, 0.3, 0.1, 0.1, 0.1, 0.1, 0.95, 0.95, 0.85, 0.85, 0.8, 0.8)
"""Correlation between finding a joint and finding its mirror image: hips come together, wrists do not."""
SHARED_ODDS = (0, 0, 0, 0, 0, 0.2, 0.2, 0, 0, 0, 0, 1, 1, 0.9, 0.9, 0.9, 0.9)
"""How far the odds of a joint and its mirror image are evened out: a hip is inferred from the other hip."""
HIDDEN_NOISE = (1.4, 2.2, 6.0)
"""Noise of joints hidden by the own body (or the own head), by somebody else, by furniture, relative."""
HEAD, LEFT_ARM, RIGHT_ARM = (0, 1, 2, 3, 4), (7, 9), (8, 10)
LEFT_LEG, RIGHT_LEG = (13, 15), (14, 16)
LIMBS = (HEAD, LEFT_ARM, RIGHT_ARM, (*LEFT_LEG, *RIGHT_LEG), LEFT_LEG, RIGHT_LEG)
STOLEN = (LEFT_ARM, RIGHT_ARM, LEFT_LEG, RIGHT_LEG, (9,), (10,), HEAD)
PIECES = (
    (11, 12, 13, 14, 15, 16), (13, 14, 15, 16), (5, 7, 9, 11, 13, 15), (6, 8, 10, 12, 14, 16), (0, 1, 2, 3, 4),
    (5, 7, 9), (6, 8, 10), (0, 1, 2, 3, 4, 5, 6), (12, 14, 16), (11, 13, 15), (5, 6, 7, 8, 9, 10), (7, 9, 8, 10),
)  # fmt: skip
"""Groups of joints along which a person is torn."""
CHAINS = ((7, 9), (8, 10), (13, 15), (14, 16))
MISS_IF_HARD = 0.7
ROBBED = 0.6
"""How often a joint that somebody took is missing where it belongs."""
REFERENCE_WIDTH = 640.0
REFERENCE_STATURE_MM = 1700.0


@dataclass(frozen=True, eq=False)
class DraftDetections(TensorStruct):
    """Detections in the making: where, which joints, how wrong (mm at the person), and whose."""

    xy: Float[Tensor, "frames views slots joints 2"]
    visible: Bool[Tensor, "frames views slots joints"]
    error_mm: Float[Tensor, "frames views slots joints"]
    owner: Int[Tensor, "frames views slots joints"]


@dataclass(frozen=True, eq=False)
class Detected(TensorStruct):
    """Padded detections of many frames: keypoints (pixels) and scores, both 0 where not visible, and who they are.

    `valid` are the slots that hold a detection, and `identity` is the person of every slot: `ABSENT` for false people,
    second pieces and empty slots.
    """

    xy_image: Float[Tensor, "frames views slots joints 2"]
    confidence: Float[Tensor, "frames views slots joints"]
    visible: Bool[Tensor, "frames views slots joints"]
    valid: Bool[Tensor, "frames views slots"]
    identity: Int[Tensor, "frames views slots"]


def _wide(value: Tensor, axes: int) -> Tensor:
    """One value per frame, ready to broadcast against `axes` further axes."""
    return value.reshape(-1, *(1,) * axes)


def _mask(groups: tuple[tuple[int, ...], ...]) -> Bool[Tensor, "groups joints"]:
    out = torch.zeros(len(groups), len(COCO_17), dtype=torch.bool)
    for row, group in enumerate(groups):
        out[row, list(group)] = True
    return out


def reported_joints(source: Noise, sight: Sight, model: DetectorModel) -> Bool[Tensor, "frames views persons joints"]:
    """Which joints the detector finds: log-odds by what hides the joint, by size and by the person's luck."""
    shape = sight.depth.shape
    chance = _wide(model.seen, 3).expand(shape).clone()
    for hidden, value in (
        (sight.by_self, model.seen_self),
        (sight.turned_away, model.seen_away),
        (sight.by_other, model.seen_other),
        (sight.by_thing, model.seen_thing),
    ):
        chance = torch.where(hidden, torch.minimum(chance, _wide(value, 3)), chance)
    certain = chance >= 1.0
    odds = torch.logit(chance.clamp(max=0.9999)) + torch.tensor(JOINT_EASE)
    mirrored = (odds + odds[..., COCO_17.mirror]) / 2
    odds = torch.lerp(odds, mirrored, torch.tensor(SHARED_ODDS, dtype=odds.dtype).expand_as(odds))
    height = apparent_height(sight)
    small = (height / _wide(model.smallest_px, 2).clamp(min=1e-3)).log2().clamp(max=4.0)
    luck = _wide(model.quality, 2) * source.normal(shape[:3])
    odds = odds + (luck + 0.8 * (small - 2.0).clamp(max=0.0))[..., None]
    found = (_paired_draws(source, shape) < odds.sigmoid()) | certain
    loss = source.uniform((*shape[:3], len(LIMBS))) < _wide(model.limb_loss, 3)
    found &= ~(loss[..., None] & _mask(LIMBS)).any(-2)
    for inner, outer in CHAINS:
        cut = ~found[..., inner] & (source.uniform(shape[:3]) < _wide(model.chain, 2))
        found[..., outer] &= ~cut
    # Some people are hard for every camera: lying under drapes, dark before dark, in a crowd.
    hard = source.uniform((shape[0], 1, shape[2])) < _wide(model.hard, 2)
    lost = source.uniform(shape[:3]) < torch.where(hard, MISS_IF_HARD, _wide(model.miss, 2))
    lost |= source.uniform(shape[:3]) > (3.0 * small + 1e-3).sigmoid()
    return found & sight.inside & ~lost[..., None]


def _paired_draws(source: Noise, shape: torch.Size) -> Float[Tensor, "frames views persons joints"]:
    """Uniform draws for every joint that agree with those for its mirror image."""
    together = torch.tensor(SIDES_TOGETHER)
    side = torch.minimum(torch.tensor(COCO_17.mirror), torch.arange(shape[-1]))
    shared, own = source.normal(shape)[..., side], source.normal(shape)
    return torch.special.ndtr(together.sqrt() * shared + (1 - together).sqrt() * own)


def apparent_height(sight: Sight) -> Float[Tensor, "frames views persons"]:
    """How tall a standing adult would appear there, in pixels of a 640-wide image."""
    return sight.scale * REFERENCE_STATURE_MM * (REFERENCE_WIDTH / sight.width)[..., None]


def noisy_points(
    source: Noise, sight: Sight, rigs: Cameras, model: DetectorModel
) -> tuple[Float[Tensor, "frames views persons joints 2"], Float[Tensor, "frames views persons joints"]]:
    """Image points with noise and systematic offsets, and the noise's length in mm at the person."""
    frames, views, persons, joints = sight.depth.shape
    scale = sight.scale[..., None]
    pixel = (sight.width / REFERENCE_WIDTH)[..., None, None]
    sigma = torch.hypot(_wide(model.noise_px, 3) * pixel, _wide(model.noise_mm, 3) * scale) * torch.tensor(JOINT_NOISE)
    heavy = source.uniform(sight.depth.shape) < _wide(model.outliers, 3)
    sigma = sigma * torch.where(heavy, 4.0, 1.0)
    by_body = sight.by_self | sight.turned_away
    for hidden, factor in zip((by_body, sight.by_other, sight.by_thing), HIDDEN_NOISE, strict=True):
        sigma = sigma * torch.where(hidden, factor, 1.0)
    # A detector's own idea of a joint: one offset in space for a person, seen alike by all cameras ...
    bias = torch.tensor(JOINT_BIAS)[:, None]
    common = _wide(model.bias_mm, 3) * bias * source.normal((frames, persons, joints, 3))
    turned = (common[:, None, ..., None, :].double() * rigs.rotation[:, :, None, None, :2]).sum(-1).float()
    # ... and one for a person in a view.
    own = _wide(model.view_bias_mm, 4) * bias * source.normal((frames, views, persons, joints, 2))
    body = _wide(model.view_bias_mm, 4) * 0.5 * source.normal((frames, views, persons, 1, 2))
    shift = (turned + own + body) * scale[..., None] + sigma[..., None] * source.normal((*sight.depth.shape, 2))
    return sight.xy_image + shift, (shift.norm(dim=-1) / scale).float()


def _nearest(sight: Sight) -> tuple[Tensor, Tensor]:
    """For everybody in every view the nearest other person in the image, and the distance in mm there."""
    inside = sight.inside.any(-1)
    middle = sight.xy_image[..., 5:13, :].mean(-2)
    gap = (middle[:, :, :, None] - middle[:, :, None]).norm(dim=-1).float()
    persons = gap.shape[-1]
    excluded = torch.eye(persons, dtype=torch.bool) | ~inside[:, :, None] | ~inside[..., None]
    gap = gap.masked_fill(excluded, math.inf) / sight.scale[..., None]
    distance, who = gap.min(-1)
    return who, distance


def steal_and_snap(source: Noise, people: DraftDetections, sight: Sight, model: DetectorModel) -> DraftDetections:
    """Hidden joints put on the person who hides them, and whole limbs taken from a neighbour."""
    shape = people.visible.shape
    snapped = (source.uniform(shape) < _wide(model.snap, 3)) & sight.by_other & people.visible
    who, distance = _nearest(sight)
    close = distance < 600.0
    limb = choose(source, shape[:3], torch.ones(len(STOLEN)))
    stolen = (source.uniform(shape[:3]) < _wide(model.limb_theft, 2)) & close
    moved = stolen[..., None] & _mask(STOLEN)[limb]
    target = torch.where(moved, who[..., None], torch.where(snapped, sight.occluder, people.owner))
    taken = target != people.owner
    theirs = people.visible.gather(2, target)
    takes = taken & theirs
    xy = people.xy.gather(2, target[..., None].expand(*shape, 2))
    robbed = torch.zeros(shape).scatter_reduce(2, target, takes.float(), "amax") > 0
    left = people.visible & ~(robbed & ~takes & (source.uniform(shape) < ROBBED))
    return DraftDetections(
        torch.where(takes[..., None], xy, people.xy), left | takes,
        torch.where(takes, people.error_mm + 200.0, people.error_mm), torch.where(takes, target, people.owner),
    )  # fmt: skip


def swap_sides(source: Noise, people: DraftDetections, model: DetectorModel) -> DraftDetections:
    """Exchange left and right of the whole body, of the arms or of the legs."""
    shape = people.visible.shape[:3]
    whole = source.uniform(shape) < _wide(model.swap_all, 2)
    draws = source.uniform((*shape, 2)) < _wide(model.swap_limb, 3)
    arms, legs = _mask(((7, 8, 9, 10), (11, 12, 13, 14, 15, 16)))
    swap = whole[..., None] | (draws[..., :1] & arms) | (draws[..., 1:] & legs)
    mirror = torch.tensor(COCO_17.mirror)
    source_joint = torch.where(swap, mirror, torch.arange(len(mirror)))
    xy = people.xy.gather(3, source_joint[..., None].expand(*source_joint.shape, 2))
    return DraftDetections(
        xy, people.visible.gather(3, source_joint), people.error_mm.gather(3, source_joint),
        people.owner.gather(3, source_joint),
    )  # fmt: skip


def tear_or_repeat(
    source: Noise, people: DraftDetections, sight: Sight, model: DetectorModel
) -> tuple[DraftDetections, DraftDetections]:
    """Main detections and second ones: the other piece of a torn person, or a poorer repetition."""
    shape = people.visible.shape
    torn = source.uniform(shape[:3]) < _wide(model.fragment, 2)
    repeated = (source.uniform(shape[:3]) < _wide(model.duplicate, 2)) & ~torn
    piece = _mask(PIECES)[choose(source, shape[:3], torch.ones(len(PIECES)))]
    first = people.visible & ~(torn[..., None] & piece)
    kept = source.uniform(shape) < between(source, shape[:3], 0.2, 0.9)[..., None]
    second = people.visible & ((torn[..., None] & piece) | (repeated[..., None] & kept))
    # The second piece often has too little support to be reported.
    weak = torn & (source.uniform(shape[:3]) < 0.4)
    second &= ~weak[..., None]
    jitter = repeated[..., None, None] * 25.0 * sight.scale[..., None, None] * source.normal((*shape, 2))
    swap = (second.sum(-1) > first.sum(-1))[..., None]
    larger = DraftDetections(people.xy, torch.where(swap, second, first), people.error_mm, people.owner)
    smaller = DraftDetections(
        people.xy + jitter, torch.where(swap, first, second), people.error_mm + 25.0 * repeated[..., None],
        torch.full_like(people.owner, ABSENT),
    )  # fmt: skip
    return larger, smaller


def false_people(
    source: Noise,
    ghosts: Float[Tensor, "frames views ghosts joints 3"],
    sight: Sight,
    rigs: Cameras,
    model: DetectorModel,
) -> DraftDetections:
    """People who are not there: plausible shapes anywhere in an image, most of them incomplete."""
    shape = ghosts.shape[:3]
    rate = (_wide(model.false_rate, 2) / max(shape[2], 1)).clamp(max=1.0)
    here = source.uniform(shape) < rate
    typical = sight.scale.median(-1, keepdim=True).values if sight.scale.shape[2] else torch.full((*shape[:2], 1), 0.2)
    scale = typical * torch.exp2(between(source, shape, -1.5, 0.7))
    middle = (source.uniform((*shape, 2)) * rigs.size[:, :, None].float())[..., None, :]
    flat = torch.stack([ghosts[..., 1], -ghosts[..., 2]], dim=-1)
    flat = flat - flat.mean(-2, keepdim=True)
    warp = 1 + 0.15 * source.normal((*shape, 1, 2))
    xy = (middle + flat * warp * scale[..., None, None]).double()
    inside = ((xy >= 0) & (xy <= rigs.size[:, :, None, None] - 1)).all(-1)
    piece = _mask(PIECES)[choose(source, shape, torch.ones(len(PIECES)))]
    part = source.uniform(shape) < 0.2
    kept = source.uniform((*shape, len(COCO_17))) < (0.1 + 0.9 * source.uniform(shape) ** 3)[..., None]
    visible = here[..., None] & inside & torch.where(part[..., None], piece, kept)
    error = torch.full(visible.shape, 60.0)
    return DraftDetections(xy, visible, error, torch.full(visible.shape, ABSENT))


def scores_of(
    source: Noise, part: DraftDetections, sight: Sight, model: DetectorModel
) -> Float[Tensor, "frames views slots joints"]:
    """Scores that fall with the error, and for hidden and invented joints; all 1 for detectors without scores."""
    shape = part.visible.shape
    odds = _wide(model.score_level, 3) + torch.tensor(JOINT_EASE).clamp(max=1.0) * 0.4
    luck = 0.5 * source.normal(shape[:3])[..., None] + 0.5 * source.normal(shape)
    odds = odds + _wide(model.score_spread, 3) * (luck - (part.error_mm / 40.0).clamp(max=3.0) * 0.5)
    if sight.by_self.shape == shape:
        hidden = sight.by_self | sight.by_other | sight.by_thing | sight.turned_away
        odds = odds - 1.2 * _wide(model.score_spread, 3) * hidden
    score = (0.95 * odds.sigmoid()).clamp(min=0.05)
    return torch.where(_wide(model.binary, 3) > 0.5, torch.ones_like(score), score)


def detect(
    source: Noise,
    sight: Sight,
    rigs: Cameras,
    ghosts: Float[Tensor, "frames views ghosts joints 3"],
    model: DetectorModel,
) -> Detected:
    """Run the detection model on what the true cameras see.

    The largest detection of a person in a view carries the person's number; a second piece or a repetition
    carries `ABSENT`, and so does a detection most of whose joints were taken from somebody else.

    Args:
        sight: exact projections and who hides what.
        rigs: the true rigs.
        ghosts: body shapes (mm, upright, facing anywhere) from which false people are made; their number
            bounds the false people per view.
        model: one detector per frame.
    """
    visible = reported_joints(source, sight, model)
    xy, error_mm = noisy_points(source, sight, rigs, model)
    # Every joint belongs at first to its own person.
    owner = torch.arange(visible.shape[2])[:, None].expand(visible.shape)
    people = DraftDetections(xy, visible, error_mm, owner)
    people = swap_sides(source, steal_and_snap(source, people, sight, model), model)
    main, second = tear_or_repeat(source, people, sight, model)
    invented = false_people(source, ghosts, sight, rigs, model)
    return _pack(source, sight, model, (main, second, invented))


def _identities(main: DraftDetections, valid: Tensor) -> Tensor:
    """The person of every main detection: itself where at least half of its joints are its own."""
    persons = torch.arange(main.owner.shape[2])
    own = ((main.owner == persons[:, None]) & main.visible).sum(-1)
    keeps = valid & (2 * own >= main.visible.sum(-1))
    return torch.where(keeps, persons, ABSENT)


def _pack(
    source: Noise, sight: Sight, model: DetectorModel, parts: tuple[DraftDetections, DraftDetections, DraftDetections]
) -> Detected:
    """Put all pieces in one list per view, in random order, without the pieces that are too small."""
    fewest = model.fewest_joints.round()[:, None, None]
    valid = [(part.visible.sum(-1) >= fewest) & part.visible.any(-1) for part in parts]
    no_one = [torch.full_like(v, ABSENT, dtype=torch.long) for v in valid[1:]]
    identity = torch.cat([_identities(parts[0], valid[0]), *no_one], dim=2)
    everything, filled = cat(parts, "slots"), torch.cat(valid, dim=2)
    confidence = torch.cat([scores_of(source, part, sight, model) for part in parts], dim=2)
    order = (torch.rand(filled.shape, generator=source.generator) + 2.0 * ~filled).argsort(-1)
    slots = int(filled.sum(-1).max()) if filled.numel() else 0
    order = order[..., :slots]
    wide = order[..., None].expand(*order.shape, len(COCO_17))
    visible = (everything.visible & filled[..., None]).gather(2, wide)
    xy = everything.xy.gather(2, wide[..., None].expand(*wide.shape, 2)) * visible[..., None]
    return Detected(
        xy, confidence.gather(2, wide) * visible, visible, filled.gather(2, order), identity.gather(2, order)
    )
