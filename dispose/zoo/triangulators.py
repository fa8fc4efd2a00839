"""The table of triangulators: by which name every way from a group's keypoints to its joints is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dispose.association.reconstruct import Triangulate, dlt, ransac, reconstruct, robust
from dispose.errors import InputError
from dispose.models.dispose.associator import Associator
from dispose.models.rays.estimate import triangulate_rays
from dispose.models.triangulation.algebraic import Algebraic
from dispose.models.triangulation.detections import DetectionWeights, algebraic, hybrid
from dispose.models.triangulation.people import PlacePeople, place_by_cubes, place_by_heatmaps
from dispose.scene.results import Reconstruct
from dispose.zoo.checkpoints import (
    SHIPPED_DETECTION_WEIGHTS,
    SHIPPED_RAYS,
    load_detection_weights,
    load_person_network,
    load_rays,
    read_metadata,
    shipped_weights,
)

DEFAULT_TRIANGULATOR = "rays"
"""The best by `dispose evaluate triangulators`."""


@dataclass(frozen=True)
class NamedTriangulator:
    """A way to triangulate the joints of groups.

    Attributes:
        name: what it is asked for by.
        title: how tables and pages call it.
        make: the function, of a file of weights or of those that come with the package; reads nothing before it is
            called. Raises `InputError` for weights of another kind.
        shipped: the file of its weights in the package; empty where it has none.
        one_view: whether it says itself where a joint is that one view sees; for others the rest of the body does
            (`dispose.association.completion`).
    """

    name: str
    title: str
    make: Callable[[Path | None], Triangulate]
    shipped: str = ""
    one_view: bool = False


def rays(weights: Path | None) -> Triangulate:
    """Rays weighed by a network, joined with what it expects of bodies (decision 0053)."""
    return partial(triangulate_rays, load_rays(weights))


TRIANGULATORS = (
    NamedTriangulator("dlt", "DLT", lambda _: dlt),
    NamedTriangulator("robust", "robust", lambda _: robust),
    NamedTriangulator("ransac", "RANSAC", lambda _: ransac),
    NamedTriangulator(
        "algebraic", "algebraic", lambda path: algebraic(load_detection_weights(path)), SHIPPED_DETECTION_WEIGHTS
    ),
    NamedTriangulator("hybrid", "hybrid", lambda path: hybrid(load_detection_weights(path)), SHIPPED_DETECTION_WEIGHTS),
    NamedTriangulator("rays", "rays", rays, SHIPPED_RAYS, one_view=True),
)
"""From the plainest on."""

TRIANGULATOR_NAMES = tuple(one.name for one in TRIANGULATORS)

LOOK_AT_PICTURES = ("algebraic", "volumetric")
"""Triangulators that have a form which looks at the pictures around people (`load_picture_triangulator`)."""

EVERY_NAME = (*TRIANGULATOR_NAMES, "volumetric")
"""Of all triangulators, the one that takes no keypoints included."""


def find_triangulator(name: str) -> NamedTriangulator:
    """The row of a name; `InputError` lists the names where there is none."""
    for one in TRIANGULATORS:
        if one.name == name:
            return one
    if name in EVERY_NAME:
        raise InputError(f"the triangulator {name} takes no keypoints: it looks at the pictures of a capture.")
    raise InputError(f"no triangulator named {name!r}; known: {', '.join(TRIANGULATOR_NAMES)}")


def load_triangulator(name: str, weights: Path | None = None) -> Triangulate:
    """The triangulator of a name, with weights from a file or its own.

    Raises `InputError` for an unknown name, and for weights where the triangulator has none.
    """
    one = find_triangulator(name)
    if weights is not None and not one.shipped:
        raise InputError(f"{weights}: the triangulator {name} has no weights.")
    return one.make(weights)


def weights_of(name: str, weights: Path | None = None) -> Path | None:
    """The file of the weights that a triangulator is made of; None where it has none."""
    if weights is not None:
        return weights
    one = find_triangulator(name)
    return shipped_weights(one.shipped) if one.shipped else None


def load_reconstruction(
    name: str = DEFAULT_TRIANGULATOR, weights: Path | None = None, *, associator: Associator | None = None
) -> Reconstruct:
    """From groups to people by the triangulator of a name, with weights from a file or its own.

    Where it does not say itself what one view sees, an associator's depth network does.

    Raises `InputError` as `load_triangulator` does.
    """
    triangulate = load_triangulator(name, weights)
    if associator is None or find_triangulator(name).one_view:
        return partial(reconstruct, triangulate=triangulate)
    return partial(associator.reconstruct, triangulate=triangulate)


def looks_at_pictures(name: str, weights: Path | None = None) -> bool:
    """Whether a triangulator of these weights looks at pictures: volumetric always, algebraic by what its weights are.

    Raises `InputError` for weights that cannot be read.
    """
    if name not in LOOK_AT_PICTURES:
        return False
    return name not in TRIANGULATOR_NAMES or (
        weights is not None and read_metadata(weights)[0] != DetectionWeights.__name__
    )


def load_picture_triangulator(name: str, weights: Path | None, device: str = "cpu") -> PlacePeople:
    """The form of a triangulator that looks at the pictures around people, on a device.

    Raises `InputError` where it has none, for weights of another kind, and where none are named: none ship.
    """
    if name not in LOOK_AT_PICTURES:
        raise InputError(f"the triangulator {name} takes keypoints, and there are none in pictures.")
    network = load_person_network(weights, "--triangulator-weights").to(device)
    kind = "algebraic" if isinstance(network, Algebraic) else "volumetric"
    if name != kind:
        raise InputError(f"{weights}: holds weights of {kind} triangulation, and the triangulator asked for is {name}.")
    return partial(place_by_heatmaps if isinstance(network, Algebraic) else place_by_cubes, network)
