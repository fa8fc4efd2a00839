"""The systems of this project: one table, from which commands take their names.

A further system is one row: its network and the record that builds it (stored by `dispose.zoo.checkpoints`), the tasks
that train it, its recipes and its protocols. Nothing of a system is imported before it is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dispose.recipes.orders import TrainingOrder


@dataclass(frozen=True)
class Parts:
    """What a system is made of: the class of its network, the record that builds it, what is trained, in this order."""

    network: type
    config: type
    tasks: tuple[type, ...]


@dataclass(frozen=True)
class Recipes:
    """Some recipes, and what imports the function that trains by one of them and returns the path of the weights."""

    names: tuple[str, ...]
    train: "Callable[[], Callable[[TrainingOrder], Path]]"


@dataclass(frozen=True)
class System:
    """A row of the table: its name, what imports its parts, what trains it, and the protocols that score it."""

    name: str
    parts: Callable[[], Parts]
    recipes: tuple[Recipes, ...]
    protocols: tuple[str, ...]


def recipe_names() -> tuple[str, ...]:
    """Of all systems, in the order of the table."""
    return tuple(name for system in SYSTEMS for recipes in system.recipes for name in recipes.names)


def protocol_names() -> tuple[str, ...]:
    """Of all systems, in the order of the table."""
    return tuple(name for system in SYSTEMS for name in system.protocols)


def system_of(name: str) -> System:
    """The system that a recipe or a protocol is of, or the one of that name."""
    for system in SYSTEMS:
        if name in (system.name, *system.protocols, *(one for recipes in system.recipes for one in recipes.names)):
            return system
    raise KeyError(name)


def train(order: "TrainingOrder") -> Path:
    """Train by a recipe; the path of the weights."""
    # Not by `system_of`: a data set's name is a recipe of one system and a protocol of another.
    return next(some for system in SYSTEMS for some in system.recipes if order.recipe in some.names).train()(order)


def _associator() -> Parts:
    from dispose.models.dispose.associator import Associator, AssociatorConfig
    from dispose.training.associator import DenoiserTask, PlacementTask

    return Parts(Associator, AssociatorConfig, (PlacementTask, DenoiserTask))


def _dispose() -> Parts:
    from dispose.models.dispose.model import DisPose, DisPoseConfig
    from dispose.training.stages import BackboneTask, PoseTask

    return Parts(DisPose, DisPoseConfig, (BackboneTask, PoseTask))


def _rays() -> Parts:
    from dispose.models.rays.network import RayNetwork, RaysConfig
    from dispose.training.rays import RaysTask

    return Parts(RayNetwork, RaysConfig, (RaysTask,))


def _read_from_rays() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import rays

    return rays.train


def _algebraic_detections() -> Parts:
    from dispose.models.triangulation.detections import DetectionWeights, DetectionWeightsConfig
    from dispose.training.detection_weights import DetectionWeightsTask

    return Parts(DetectionWeights, DetectionWeightsConfig, (DetectionWeightsTask,))


def _weighed() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import algebraic_detections

    return algebraic_detections.train


def _context() -> Parts:
    from dispose.models.context.network import ContextConfig, ContextNetwork
    from dispose.training.context import ContextTask, HeatTask

    return Parts(ContextNetwork, ContextConfig, (HeatTask, ContextTask))


def _with_context() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import context

    return context.train


def _drawn() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import synthetic

    return synthetic.train


def _adapted() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import adapt

    return adapt.train


def _datasets() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import datasets

    return datasets.train


def _own_images() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import capture

    return capture.train


def _algebraic() -> Parts:
    from dispose.models.triangulation.algebraic import Algebraic, AlgebraicConfig
    from dispose.training.triangulation import AlgebraicTask

    return Parts(Algebraic, AlgebraicConfig, (AlgebraicTask,))


def _volumetric() -> Parts:
    from dispose.models.triangulation.volumetric import Volumetric, VolumetricConfig
    from dispose.training.triangulation import VolumetricTask

    return Parts(Volumetric, VolumetricConfig, (VolumetricTask,))


def _one_person() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import triangulation

    return triangulation.train


def _diffpose_gmm() -> Parts:
    from dispose.models.diffpose_gmm.model import DiffPoseGmm, DiffPoseGmmConfig
    from dispose.training.diffpose_gmm import RefinerTask
    from dispose.training.lifting import LifterTask

    return Parts(DiffPoseGmm, DiffPoseGmmConfig, (LifterTask, RefinerTask))


def _informed() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import diffpose_gmm

    return diffpose_gmm.train


CONTEXT_RECIPES = (
    "context", "context_smoke", "context_published", "context_published_true_boxes", "context_published_48",
    "context_published_48_true_boxes",
)  # fmt: skip


def _hypotheses() -> Parts:
    from dispose.models.diffpose_hypotheses.network import HypothesesConfig, HypothesesNetwork
    from dispose.training.hypotheses import HypothesesTask

    return Parts(HypothesesNetwork, HypothesesConfig, (HypothesesTask,))


def _lifted_to_many() -> "Callable[[TrainingOrder], Path]":
    from dispose.recipes import diffpose_hypotheses

    return diffpose_hypotheses.train


SYSTEMS = (
    System(
        "associator",
        _associator,
        (Recipes(("synthetic", "smoke"), _drawn), Recipes(("adapt",), _adapted)),
        (
            "shelf",
            "mvor",
            "mvor_rtpose",
            "mvor_openpose",
            "mvor_openpose_distinct",
            "mvor_openpose_ms",
            "panoptic_mini",
            "doubt",
        ),
    ),
    System(
        "dispose",
        _dispose,
        (
            Recipes(("toy_images", "toy_smoke"), _drawn),
            Recipes(("panoptic", "shelf", "campus", "mm_or"), _datasets),
            Recipes(("capture",), _own_images),
        ),
        ("toy_images", "panoptic_images", "shelf_images", "campus_images", "mm_or_images"),
    ),
    System(
        "algebraic",
        _algebraic,
        (Recipes(("algebraic", "toy_algebraic", "toy_algebraic_smoke"), _one_person),),
        ("toy_people", "human36m_people"),
    ),
    System(
        "volumetric", _volumetric, (Recipes(("volumetric", "toy_volumetric", "toy_volumetric_smoke"), _one_person),), ()
    ),
    System("rays", _rays, (Recipes(("rays", "rays_smoke"), _read_from_rays),), ()),
    System(
        "algebraic_detections",
        _algebraic_detections,
        (Recipes(("algebraic_detections", "algebraic_detections_smoke"), _weighed),),
        (),
    ),
    System(
        "diffpose-gmm",
        _diffpose_gmm,
        (Recipes(("diffpose-gmm", "diffpose-gmm_smoke", "diffpose-gmm_published"), _informed),),
        (),
    ),
    System("context", _context, (Recipes(CONTEXT_RECIPES, _with_context),), ("toy_context",)),
    System(
        "diffpose-hypotheses",
        _hypotheses,
        (Recipes(("diffpose-hypotheses", "diffpose-hypotheses-full", "diffpose-hypotheses_smoke"), _lifted_to_many),),
        (),
    ),
)
"""`associator`: who is who among 2-D people. `dispose`: people in images. `rays`: where every joint of a person is.

`algebraic_detections`: how far each keypoint of a group can be trusted, and so where its person's joints are.
`algebraic` and `volumetric`: one person cut out of several images (Learnable Triangulation).
`context`: one person cut out of one image, with 2-D joints (Context-Aware PoseFormer).
`diffpose-hypotheses`: many poses that a person may have whom one camera sees (DiffPose of Holmquist and Wandt).
"""
