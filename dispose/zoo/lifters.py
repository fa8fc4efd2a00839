"""The table of lifters: by which name every way from one image to poses is asked for, and the weights it comes with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dispose.errors import InputError
from dispose.models.context.network import ContextLift
from dispose.models.diffpose_gmm.model import DiffPoseGmm, lift_with
from dispose.models.diffpose_hypotheses.network import HypothesesNetwork
from dispose.models.diffpose_hypotheses.sampling import QUICK, lifter
from dispose.models.lifting.sight import PeopleInView, PeopleLifter, Picture
from dispose.models.lifting.view import Lift
from dispose.skeletons.catalog import CATALOG, by_name
from dispose.skeletons.skeleton import Skeleton
from dispose.zoo.checkpoints import SHIPPED_CONTEXT, SHIPPED_HYPOTHESES, load_context, load_weights, shipped_weights

HYPOTHESES = 200
"""So many poses of everybody where nobody asks for another number."""


@dataclass(frozen=True)
class NamedLifter:
    """A lifter with weights.

    Attributes:
        name: what it is asked for by.
        title: how figures and pages call it.
        make: the lifter, of a file of weights and of how many poses it is to give of everybody; reads nothing before
            it is called. Raises `InputError` for weights of another kind.
        shipped: the file of its weights in the package.
        several: whether it draws poses that differ; others give one.
        looks: whether it needs the image beside the keypoints.
    """

    name: str
    title: str
    make: Callable[[Path, int], PeopleLifter]
    shipped: str
    several: bool = True
    looks: bool = False


@dataclass(frozen=True, eq=False)
class KeypointsAlone:
    """A lifter that does not look at the image."""

    lift: Lift

    def __call__(self, sight: PeopleInView, image: Picture | None, generator: torch.Generator) -> Tensor:
        """Hypotheses as `LiftSeen` says them."""
        return self.lift(sight.people, generator)


def context(weights: Path, hypotheses: int) -> PeopleLifter:
    """The picture around the keypoints, looked at by a frozen network, then one answer."""
    network = load_context(weights)
    return PeopleLifter(network.skeleton, ContextLift(network))


def informed(path: Path, count: int) -> PeopleLifter:
    """Weights that draw nothing give one pose of everybody, whatever is asked for."""
    network = load_weights(path, DiffPoseGmm)
    draws = network.config.mode.noised or network.config.mode.stochasticity > 0
    skeleton = by_name(network.config.skeleton)
    return PeopleLifter(skeleton, KeypointsAlone(lift_with(network, count if draws else 1)))


def _skeleton_of(joints: tuple[str, ...], path: Path) -> Skeleton:
    """The known skeleton of these joints; `InputError` names the weights where there is none."""
    for skeleton in CATALOG:
        if skeleton.joints == joints:
            return skeleton
    raise InputError(f"{path}: says joints of no known skeleton: {', '.join(joints)}.")


def many_hypotheses(path: Path, hypotheses: int) -> PeopleLifter:
    """As many poses as are asked for, by few steps without noise."""
    network = load_weights(path, HypothesesNetwork)
    lift = lifter(network, replace(QUICK, hypotheses=hypotheses))
    return PeopleLifter(_skeleton_of(network.config.joints, path), KeypointsAlone(lift))


LIFTERS: tuple[NamedLifter, ...] = (
    NamedLifter("context", "Context-Aware PoseFormer", context, SHIPPED_CONTEXT, several=False, looks=True),
    NamedLifter("diffpose-gmm", "DiffPose (Gong et al.)", informed, "diffpose_gmm.safetensors"),
    NamedLifter("diffpose-hypotheses", "DiffPose (Holmquist and Wandt)", many_hypotheses, SHIPPED_HYPOTHESES),
)
"""By name."""


def find_lifter(name: str) -> NamedLifter:
    """The row of a name; `InputError` lists the names where there is none."""
    for one in LIFTERS:
        if one.name == name:
            return one
    raise InputError(f"no lifter named {name!r}; known: {', '.join(one.name for one in LIFTERS)}.")


def lifter_weights(name: str, weights: Path | None = None) -> Path:
    """The file of weights that a lifter is made of: the one that is given, or its own.

    Raises:
        InputError: an unknown name; or none is given, and its own is not in this copy of the project.
    """
    one = find_lifter(name)
    path = weights or shipped_weights(one.shipped)
    if weights is None and not path.is_file():
        raise InputError(f"{path}: the weights of {name} are not in this copy of the project; give some: --weights.")
    return path


def load_lifter(name: str, weights: Path | None = None, hypotheses: int | None = None) -> PeopleLifter:
    """The lifter of a name, with weights from a file or its own.

    Args:
        name: of a row.
        weights: None = its own.
        hypotheses: poses of everybody; None = `HYPOTHESES` where they differ, else 1.

    Raises:
        InputError: an unknown name, weights of another kind, fewer poses than one, or several of a lifter that
            gives one.
    """
    one = find_lifter(name)
    count = (HYPOTHESES if one.several else 1) if hypotheses is None else hypotheses
    if count < 1:
        raise InputError(f"{count} hypotheses are asked for; at least one is needed.")
    if count > 1 and not one.several:
        raise InputError(f"{count} hypotheses are asked for, but {name} gives one pose of everybody.")
    return one.make(lifter_weights(name, weights), count)


def load_keypoint_lifter(name: str) -> PeopleLifter:
    """The lifter of a name with its own weights, for captures without images.

    Raises:
        InputError: an unknown name, one that looks at images, or one that gives a single pose, which says nothing of
            how uncertain it is.
    """
    one = find_lifter(name)
    if one.looks or not one.several:
        why = "looks at images" if one.looks else "gives one pose and does not say how uncertain it is"
        raise InputError(f"{name} {why}; of what one view alone sees a lifter speaks that draws poses by keypoints.")
    return load_lifter(name)
