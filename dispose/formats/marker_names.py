"""What markers are called in files for OpenSim and Pose2Sim (``RHip``), and here (``r_hip``)."""

import re
from collections.abc import Callable, Sequence

from dispose.skeletons.catalog import CATALOG
from dispose.skeletons.skeleton import Skeleton

MarkerNames = Callable[[Skeleton], tuple[str, ...]]
"""What the markers of a skeleton are called, in its order: `pose2sim_names` or `our_names`."""

POSE2SIM = {"head_top": "Head", "top_head": "Head", "upper_neck": "Neck", "bottom_head": "Neck", "mid_hip": "Hip"}
"""Names in Pose2Sim's models (its skeletons.py and OpenSim_Setup/Markers_*.xml) that do not follow from ours."""

CHIP = ("body_25", "mpii_16", "mpii_17", "openpose_18")
"""Skeletons whose middle of the hips those models call ``CHip``."""


def pose2sim_names(skeleton: Skeleton) -> tuple[str, ...]:
    """``RAnkle``, ``LHip``, ``Neck``: the markers of Pose2Sim's model for this skeleton.

    A joint whose usual name is another joint's is called after ours: MPII's upper neck is ``UpperNeck``.
    """
    plain = [camel(joint) for joint in skeleton.joints]
    names: list[str] = []
    for joint, own in zip(skeleton.joints, plain, strict=True):
        usual = "CHip" if joint == "mid_hip" and skeleton.name in CHIP else POSE2SIM.get(joint, own)
        names.append(own if usual != own and (usual in plain or usual in names) else usual)
    return tuple(names)


def our_names(skeleton: Skeleton) -> tuple[str, ...]:
    """The joints' own names."""
    return skeleton.joints


def camel(joint: str) -> str:
    """``l_big_toe`` as ``LBigToe``; a name that is not of our kind stays."""
    return "".join(word.capitalize() for word in joint.split("_")) if re.fullmatch(r"[a-z\d_]+", joint) else joint


MARKER_NAMES = {"pose2sim": pose2sim_names, "ours": our_names}
"""The two ways by the word that users choose one with."""


def joints_of_markers(markers: Sequence[str]) -> tuple[str, ...]:
    """Our names of markers.

    Markers that are exactly those of a catalogue's skeleton are its joints; else every one that is called as in
    OpenSim gets the name that the catalogue has for it, where no other marker is called so, and the others keep theirs.
    """
    for skeleton in CATALOG:
        if pose2sim_names(skeleton) == tuple(markers):
            return skeleton.joints
    known = {joint for skeleton in CATALOG for joint in skeleton.joints}
    ours = [name if name in known else our_name(name) for name in markers]
    return tuple(
        mine if mine in known and ours.count(mine) == 1 else name for mine, name in zip(ours, markers, strict=True)
    )


def our_name(marker: str) -> str:
    """``LBigToe`` as ``l_big_toe``, ``Nose`` as ``nose``; OpenSim's ``Head`` and ``Hip`` are the top and the middle."""
    words = re.findall(r"[A-Z](?=[A-Z][a-z])|[A-Z]?[a-z]+|\d+|[A-Z]+", marker)
    name = "_".join(word.lower() for word in words)
    return {"hip": "mid_hip", "c_hip": "mid_hip", "head": "head_top"}.get(name, name)


def skeleton_of_joints(names: tuple[str, ...]) -> Skeleton:
    """The catalogue's skeleton of these joints, or one with the bones of the first that has most of them."""
    for known in CATALOG:
        if known.joints == names:
            return known
    nearest = max(CATALOG, key=lambda known: sum(a in names and b in names for a, b in known.bones))
    bones = tuple((a, b) for a, b in nearest.bones if a in names and b in names)
    if not bones or not set(nearest.root_of) <= set(names):
        return Skeleton("trc", names, bones)
    return Skeleton("trc", names, bones, nearest.root_of)
