"""People as an animated ``.glb`` (glTF 2.0), what Blender and browsers open: metres, y up, facing +z.

Every person is a tree of nodes that turn and move, the skin of a body of thin bones, and one animation for all plays
their frames. Time 0 is the first frame of anybody; who is not there yet, or not any more, has the size 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

import dispose
from dispose.formats.exports.glb import GlbWriter
from dispose.scene.colours import PALETTE
from dispose.scene.motion import BLOCK, BodyMotion
from dispose.tensors import ABSENT

METRES = 0.001
THICKNESS, LEAST_MM, MOST_MM = 0.1, 8.0, 35.0
"""Half the width of a bone: a share of its length, and its bounds."""


@dataclass(frozen=True, eq=False)
class Actor:
    """A person to animate: what they are called, their joints' names, their motion, and the time of its first frame
    (seconds).
    """

    person: int
    names: tuple[str, ...]
    motion: BodyMotion
    start: float


def write_gltf(path: Path, actors: Iterable[Actor], rate_hz: float) -> None:
    """Write people, one after the other as they come. Raises `OutputError` for more than the format can hold."""
    writer = GlbWriter(path)
    channels: list[dict[str, object]] = []
    samplers: list[dict[str, object]] = []
    roots = []
    for actor in actors:
        first, root = add_body(writer, actor)
        roots.append(root)
        for node, track, times, values, way in tracks_of(writer, actor, first, root, rate_hz):
            samplers.append({"input": times, "output": values, "interpolation": way})
            channels.append({"sampler": len(samplers) - 1, "target": {"node": node, "path": track}})
    if channels:
        writer.add("animations", {"name": "people", "channels": channels, "samplers": samplers})
    writer.add("scenes", {"name": path.stem, "nodes": roots})
    writer.save({"asset": {"version": "2.0", "generator": f"dispose {dispose.__version__}"}, "scene": 0})


def add_body(writer: GlbWriter, actor: Actor) -> tuple[int, int]:
    """A person's nodes, skin and mesh at rest; the node of the first joint, and the one above all."""
    motion, tree = actor.motion, actor.motion.tree
    first = len(writer.parts.get("nodes", []))
    for joint, name in enumerate(actor.names):
        entry: dict[str, object] = {"name": name, "translation": (motion.offset[joint] * METRES).tolist()}
        children = [first + child for child in tree.children(joint)]
        writer.add("nodes", {**entry, "children": children} if children else entry)
    rest = rest_places(motion) * METRES
    back = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    back[:, 3, :3] = -rest  # columns one after the other
    joints = list(range(first, first + len(rest)))
    bind = writer.array(back.reshape(-1, 16))
    skin = writer.add("skins", {"joints": joints, "skeleton": first, "inverseBindMatrices": bind})
    body = writer.add("nodes", {"name": f"P{actor.person} body", "mesh": add_mesh(writer, actor, rest), "skin": skin})
    return first, writer.add("nodes", {"name": f"P{actor.person}", "children": [first, body]})


def add_mesh(writer: GlbWriter, actor: Actor, rest: Float[np.ndarray, "joints 3"]) -> int:
    """A thin octahedron per bone in the person's colour, each moved by the joint that the bone begins at."""
    corners, bones = bone_corners(actor.motion, rest)
    edges = corners[:, 1:] - corners[:, :1]
    normal = np.cross(edges[:, 0], edges[:, 1])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    joints = np.zeros((len(bones), 4), np.uint16)
    joints[:, 0] = bones
    weights = np.zeros((len(bones), 4), np.float32)
    weights[:, 0] = 1
    attributes = {
        "POSITION": writer.array(corners.reshape(-1, 3).astype(np.float32), bounds=True),
        "NORMAL": writer.array(normal.repeat(3, 0).astype(np.float32)),
        "JOINTS_0": writer.array(joints.repeat(3, 0)),
        "WEIGHTS_0": writer.array(weights.repeat(3, 0)),
    }
    colour = PALETTE[actor.person % len(PALETTE)]
    linear = [(int(colour[at : at + 2], 16) / 255) ** 2.2 for at in (1, 3, 5)]
    paint = {"baseColorFactor": [*linear, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    material = writer.add("materials", {"name": f"P{actor.person}", "pbrMetallicRoughness": paint})
    return writer.add(
        "meshes", {"name": f"P{actor.person}", "primitives": [{"attributes": attributes, "material": material}]}
    )


def rest_places(motion: BodyMotion) -> Float[np.ndarray, "joints 3"]:
    """Where the joints are at rest, mm; the root at 0."""
    rest = motion.offset.copy()
    for joint, parent in enumerate(motion.tree.parents):
        if parent != ABSENT:
            rest[joint] += rest[parent]
    return rest


def bone_corners(
    motion: BodyMotion, rest: Float[np.ndarray, "joints 3"]
) -> tuple[Float[np.ndarray, "triangles 3 3"], list[int]]:
    """The triangles of all bones at rest, m, and the joint that carries each."""
    triangles, owners = [], []
    for joint, parent in enumerate(motion.tree.parents):
        along = rest[joint] - rest[parent]
        length = float(np.linalg.norm(along))
        if parent == ABSENT or length == 0:
            continue
        side = np.cross(along, np.eye(3)[np.abs(along).argmin()])
        side /= np.linalg.norm(side)
        radius = float(np.clip(THICKNESS * length, LEAST_MM * METRES, MOST_MM * METRES))
        waist, up = rest[parent] + 0.2 * along, np.cross(along, side) / length
        ring = [waist + radius * way for way in (side, up, -side, -up)]
        for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
            triangles += [np.stack([rest[parent], other, one]), np.stack([rest[joint], one, other])]
            owners += [parent, parent]
    return np.array(triangles).reshape(-1, 3, 3), owners


def tracks_of(
    writer: GlbWriter, actor: Actor, first: int, root: int, rate_hz: float
) -> list[tuple[int, str, int, int, str]]:
    """Node, what moves, accessors of times and values, and how to go between them, of all tracks of a person."""
    motion, tree = actor.motion, actor.motion.tree
    frames, joints = motion.xyz.shape[:2]
    turning = [joint for joint in range(joints) if tree.children(joint)]
    times = writer.array((actor.start + np.arange(frames) / rate_hz).astype(np.float32)[:, None], bounds=True)
    moves = writer.tracks(joints, frames, 3, lambda room: _fill_moves(motion, room))
    turns = writer.tracks(len(turning), frames, 4, lambda room: _fill_turns(motion, turning, room))
    found = [(first + joint, "translation", times, moves[joint], "LINEAR") for joint in range(joints)]
    found += [(first + joint, "rotation", times, turn, "LINEAR") for joint, turn in zip(turning, turns, strict=True)]
    end = actor.start + (frames - 0.5) / rate_hz
    moments = [(0.0, 0.0)] if actor.start > 0 else []
    moments += [(actor.start, 1.0), (end, 0.0)]
    when, size = (np.array(column, np.float32)[:, None] for column in zip(*moments, strict=True))
    return [*found, (root, "scale", writer.array(when, bounds=True), writer.array(size.repeat(3, 1)), "STEP")]


def _fill_moves(motion: BodyMotion, room: Float[np.ndarray, "joints frames 3"]) -> None:
    for start in range(0, room.shape[1], BLOCK):
        room[:, start : start + BLOCK] = motion.poses(start, start + BLOCK).translation.swapaxes(0, 1) * METRES


def _fill_turns(motion: BodyMotion, turning: list[int], room: Float[np.ndarray, "joints frames 4"]) -> None:
    """Quaternions x y z w, each with the sign that is nearest to the one before it."""
    last = np.tile([0.0, 0, 0, 1], (len(turning), 1))
    for start in range(0, room.shape[1], BLOCK):
        turn = motion.poses(start, start + BLOCK).rotation[:, turning]
        count = len(turn)
        turns = Rotation.from_matrix(turn.reshape(-1, 3, 3)).as_quat().reshape(count, len(turning), 4)
        chain = np.concatenate([last[None], turns])
        flips = np.where((chain[1:] * chain[:-1]).sum(-1) < 0, -1.0, 1.0).cumprod(0)
        turns *= flips[..., None]
        room[:, start : start + BLOCK] = turns.swapaxes(0, 1)
        last = turns[-1]
