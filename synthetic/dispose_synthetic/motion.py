"""People who move as real people did: bodies of all sizes put through captured motion, with the joints of any skeleton.

Body axes as in `dispose_synthetic.people`: +X forward, +Y to the person's left, +Z up.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.datasets.cmu_motion import Motion
from dispose.geometry.rigid import rodrigues, rotation_vector
from dispose_synthetic.randomness import Noise, between

SIZE_SPREADS = (
    (("knee", "ankle", "elbow", "wrist"), 0.08),
    (("spine", "neck_base", "shoulder"), 0.10),
    (("hip",), 0.25),
    (("neck", "skull_base", "head_top", "toe_base", "toe_tip"), 0.08),
)
"""Standard deviation of a segment's length, relative, by the joint at its end; both sides alike."""

CHILDREN, CHILD_SIZES = 0.12, (0.52, 0.85)
"""Share of children, and their size relative to the adults': from about three years on."""

Place = tuple[str, str, tuple[float, float, float]]

_SIDED: tuple[tuple[str, Place], ...] = (
    ("eye", ("skull_base", "head_top", (95.0, 32.0, 95.0))),
    ("ear", ("skull_base", "head_top", (10.0, 75.0, 75.0))),
    ("shoulder", ("l_shoulder", "l_shoulder", (0.0, 0.0, 0.0))),
    ("elbow", ("l_elbow", "l_elbow", (0.0, 0.0, 0.0))),
    ("wrist", ("l_wrist", "l_wrist", (0.0, 0.0, 0.0))),
    ("hip", ("l_hip", "root", (0.0, 0.0, 0.0))),
    ("knee", ("l_knee", "l_knee", (0.0, 0.0, 0.0))),
    ("ankle", ("l_ankle", "l_ankle", (0.0, 0.0, 0.0))),
    ("big_toe", ("l_toe_tip", "l_toe_base", (0.0, -25.0, 0.0))),
    ("small_toe", ("l_toe_tip", "l_toe_base", (-50.0, 40.0, 0.0))),
    ("heel", ("l_ankle", "l_toe_base", (-60.0, 0.0, -60.0))),
)
_MIDDLE: tuple[tuple[str, Place], ...] = (
    ("nose", ("skull_base", "head_top", (115.0, 0.0, 60.0))),
    ("head", ("skull_base", "head_top", (20.0, 0.0, 80.0))),
    ("head_top", ("head_top", "head_top", (0.0, 0.0, 70.0))),
    ("top_head", ("head_top", "head_top", (0.0, 0.0, 70.0))),
    ("bottom_head", ("skull_base", "head_top", (80.0, 0.0, -10.0))),
    ("upper_neck", ("neck", "neck", (0.0, 0.0, 30.0))),
    ("neck", ("neck_base", "neck_base", (0.0, 0.0, 0.0))),
    ("thorax", ("neck_base", "neck_base", (0.0, 0.0, -20.0))),
    ("spine", ("lower_spine", "lower_spine", (0.0, 0.0, 0.0))),
    ("mid_hip", ("hips", "root", (0.0, 0.0, 0.0))),
    ("pelvis", ("hips", "root", (-50.0, 0.0, 20.0))),
)


def _mirrored(place: Place) -> Place:
    at, frame, (x, y, z) = place
    swap = {"l_": "r_"}
    at, frame = (swap.get(name[:2], name[:2]) + name[2:] for name in (at, frame))
    return at, frame, (x, -y, z)


LANDMARKS: dict[str, Place] = {
    **{f"l_{name}": place for name, place in _SIDED},
    **{f"r_{name}": _mirrored(place) for name, place in _SIDED},
    **dict(_MIDDLE),
}
"""Where the joints of skeletons lie on the tree: at which of its joints, in the axes of which bone, how far off (mm).

``hips`` is the middle of both hips. The tree has no face: nose, eyes and ears are those of a mean head.
"""

DEFINITION_MM = 12.0
"""Sets mean different places by one name: standard deviation, per axis, of a person's landmark from ours, mm."""

LOOSE = ("hip", "pelvis", "thorax", "neck", "shoulder", "head", "ear", "nose", "spine")
"""Names with a word of these vary twice as much."""


def resize(source: Noise, motion: Motion, skeleton: Int[Tensor, " people"]) -> Float[Tensor, "people joints 3"]:
    """Rest offsets of bodies like those of the skeletons given, with segments of other lengths, mm."""
    offsets = motion.offsets[skeleton]
    people = len(skeleton)
    factor = torch.ones(people, len(motion.joints))
    for words, spread in SIZE_SPREADS:
        drawn: dict[str, Tensor] = {}
        for column, joint in enumerate(motion.joints):
            word = joint.removeprefix("l_").removeprefix("r_")
            if any(word.endswith(ending) for ending in words):
                if word not in drawn:
                    drawn[word] = (1 + spread * source.normal((people,))).clamp(1 - 2.5 * spread, 1 + 2.5 * spread)
                factor[:, column] = drawn[word]
    child = source.uniform((people, 1)) < CHILDREN
    low, high = CHILD_SIZES
    stature = torch.where(child, between(source, (people, 1), low, high), 1 + 0.06 * source.normal((people, 1)))
    return offsets * (factor * stature.clamp(low, 1.2))[..., None]


def tree_places(
    motion: Motion,
    offsets: Float[Tensor, "people joints 3"],
    rotations: Float[Tensor, "people joints 3"],
    root: Float[Tensor, "people 3"],
) -> tuple[Float[Tensor, "people joints 3"], Float[Tensor, "people joints 3 3"]]:
    """Forward kinematics: places of the tree's joints, mm, and the world rotation of the bone that ends at each.

    ``G_j = G_parent R_j`` and ``x_j = x_parent + G_j o_j``.
    """
    turns = rodrigues(rotations)
    places, frames = [root], [turns[:, 0]]
    for joint, parent in enumerate(motion.parents[1:], 1):
        frames.append(frames[parent] @ turns[:, joint])
        places.append(places[parent] + (frames[joint] @ offsets[:, joint, :, None])[..., 0])
    return torch.stack(places, 1), torch.stack(frames, 1)


def landmarks(
    motion: Motion,
    places: Float[Tensor, "people joints 3"],
    frames: Float[Tensor, "people joints 3 3"],
    shift: Float[Tensor, "people landmarks 3"] | None = None,
) -> Float[Tensor, "people landmarks 3"]:
    """The joints named by `LANDMARKS`, in its order, mm; `shift` moves them in the axes of their bones."""
    left, right = motion.joints.index("l_hip"), motion.joints.index("r_hip")
    hips = (places[:, left] + places[:, right]) / 2
    found = []
    for column, (at, frame, offset) in enumerate(LANDMARKS.values()):
        place = hips if at == "hips" else places[:, motion.joints.index(at)]
        away = places.new_tensor(offset).expand_as(place)
        away = away if shift is None else away + shift[:, column]
        found.append(place + (frames[:, motion.joints.index(frame)] @ away[..., None])[..., 0])
    return torch.stack(found, 1)


def sample_definitions(source: Noise, people: int) -> Float[Tensor, "people landmarks 3"]:
    """How far every landmark of a person lies from ours, mm in the axes of its bone; left and right mirror each other.

    How much sets differ is itself drawn for every person, from not at all to twice `DEFINITION_MM`.
    """
    names = list(LANDMARKS)
    drawn = source.normal((people, len(names), 3))
    spread = torch.tensor([2.0 if any(word in name for word in LOOSE) else 1.0 for name in names])
    for column, name in enumerate(names):
        if name.startswith("r_"):
            drawn[:, column] = drawn[:, names.index("l_" + name[2:])] * torch.tensor([1.0, -1.0, 1.0])
        elif not name.startswith("l_"):
            drawn[:, column, 1] *= 0.2
    much = 2 * source.uniform((people, 1, 1))
    return DEFINITION_MM * much * spread[:, None] * drawn


@dataclass(frozen=True)
class Variety:
    """Postures and bodies beyond those that were captured.

    Attributes:
        exchanged: share of the people whose arms, legs and trunk are each those of another captured instant.
        turned_deg: most, per person, that every bone is turned about a random axis besides (standard deviation).
        tipped: share of the people who lie, lean or tumble: turned as a whole.
        resized: whether bodies are of all sizes, children's too, or those that moved so.
    """

    exchanged: float = 0.5
    turned_deg: float = 12.0
    tipped: float = 0.1
    resized: bool = True


AS_CAPTURED = Variety(exchanged=0.0, turned_deg=0.0, tipped=0.0, resized=False)
"""The people themselves, as they moved."""


LIMB_ROOTS = ("l_shoulder", "r_shoulder", "l_hip", "r_hip")
"""With which the parts of a body begin that are exchanged; what is in none of them is the trunk."""


def part_of_joints(motion: Motion) -> Int[Tensor, " joints"]:
    """Of every joint of the tree the limb that it is in, counted from 1 as in `LIMB_ROOTS`; 0 = trunk."""
    part = [0] * len(motion.joints)
    for joint, parent in enumerate(motion.parents):
        name = motion.joints[joint]
        part[joint] = LIMB_ROOTS.index(name) + 1 if name in LIMB_ROOTS else part[parent] if joint else 0
    return torch.tensor(part)


def vary(
    source: Noise, motion: Motion, frame: Int[Tensor, " people"], variety: Variety
) -> Float[Tensor, "people joints 3"]:
    """Rotation vectors of the bones at captured instants, with limbs of other instants and turned a little."""
    people, part = len(frame), part_of_joints(motion)
    others = (source.uniform((people, len(LIMB_ROOTS) + 1)) * len(motion.root)).long()
    swapped = source.uniform((people, 1)) < variety.exchanged
    whose = torch.where(swapped, others, frame[:, None])[:, part]
    vectors = motion.rotations[whose, torch.arange(len(part))]
    much = torch.deg2rad(variety.turned_deg * source.uniform((people, 1, 1)))
    turns = rodrigues(much * source.normal(vectors.shape)) @ rodrigues(vectors)
    axis = source.normal((people, 3))
    tip = axis / axis.norm(dim=-1, keepdim=True) * between(source, (people, 1), 0.3, 1.8)
    tipped = source.uniform((people, 1)) < variety.tipped
    turns[:, 0] = rodrigues(torch.where(tipped, tip, 0.0)) @ turns[:, 0]
    return rotation_vector(turns)


def sample_moving_people(
    source: Noise, motion: Motion, people: int, variety: Variety | None = None
) -> Float[Tensor, "people landmarks 3"]:
    """Bodies of all sizes in poses of the motion, their hips above the origin, the lowest landmark on the floor."""
    frame = (source.uniform((people,)) * len(motion.root)).long()
    resized = variety is None or variety.resized
    offsets = resize(source, motion, motion.skeleton[frame]) if resized else motion.offsets[motion.skeleton[frame]]
    rotations = motion.rotations[frame] if variety is None else vary(source, motion, frame, variety)
    places, frames = tree_places(motion, offsets, rotations, motion.root[frame])
    xyz = landmarks(motion, places, frames, sample_definitions(source, people))
    hips = xyz[:, list(LANDMARKS).index("mid_hip"), :2]
    down = torch.cat([hips, xyz[..., 2].amin(1, keepdim=True)], 1)
    return xyz - down[:, None]
