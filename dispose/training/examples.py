"""From synthetic scenes to training examples: the only place where labels meet the associator."""

from dataclasses import replace
from pathlib import Path

import torch

from dispose.association.packing import pack_detections
from dispose.association.targets import true_tuples
from dispose.association.viewpoint import viewpoints
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.placement import PlacementNet
from dispose.scene.frame import Frame, Labels
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT
from dispose.training.config import SyntheticRecipe
from dispose.training.shards import GraphExample, PlacementExamples, save_graphs, save_placements
from dispose.zoo.checkpoints import load_weights
from dispose_synthetic.scenes import sample_scenes

VALIDATION_CHUNK = 1_000_000
"""Chunk numbers from here on are never trained on."""

FACELESS = 10
"""One frame in so many comes from a detector that knows no eyes and ears."""


def scenes_of_chunk(recipe: SyntheticRecipe, chunk: int, frames: int | None = None) -> list[tuple[Frame, Labels]]:
    """The frames of a chunk: a function of the recipe's seed and the chunk's number."""
    generator = torch.Generator().manual_seed(recipe.seed * 10_000_019 + chunk)
    scenes = sample_scenes(generator, frames or recipe.frames_per_chunk, recipe.scenes)
    return [(without_face(frame) if frame.number % FACELESS == 0 else frame, labels) for frame, labels in scenes]


def without_face(frame: Frame) -> Frame:
    """The frame as a detector without eyes and ears would give it (Panoptic's, Shelf's, Human3.6M's joints)."""
    found = frame.detections
    visible = found.visible.clone()
    visible[..., COCO_17.indices(("l_eye", "r_eye", "l_ear", "r_ear"))] = False
    xy = torch.where(visible[..., None], found.xy_image, 0.0)
    confidence = torch.where(visible, found.confidence, 0.0)
    return replace(frame, detections=replace(found, xy_image=xy, visible=visible, confidence=confidence))


def placement_examples(frame: Frame, labels: Labels) -> PlacementExamples:
    """The frame's labelled detections with at least one visible joint, and their true joints."""
    seen = viewpoints(pack_detections([frame]))
    identity = labels.identity[frame.detections.valid]
    person = (identity[:, None] == labels.poses.id[None]).float()
    rows = ((identity != ABSENT) & person.any(1) & seen.visible.any(1)).nonzero()[:, 0]
    who = person[rows].argmax(1)
    xyz = (labels.poses.xyz_world[who] - seen.centre[rows][:, None]) @ seen.axes[rows].mT
    packed = PlacementExamples(seen, torch.zeros(len(seen), *xyz.shape[1:]), seen.visible).rows(rows)
    return PlacementExamples(packed.seen.to(torch.float32), xyz.float(), labels.poses.valid[who])


def graph_example(associator: Associator, frame: Frame, labels: Labels) -> GraphExample | None:
    """The frame's candidate graph and its clean assignment, or None where there is nothing to associate."""
    problem = associator.problem(frame)
    if problem is None:
        return None
    truth = true_tuples(problem.members[:-1], problem.cost[:-1], labels.identity)
    total = float(problem.graph.marginals.target.sum()) / len(frame.cameras)
    return GraphExample(problem.graph, torch.cat([truth, truth.new_full((1,), total) - truth.sum()]))


def build_placement_chunk(recipe: SyntheticRecipe, chunk: int, path: Path) -> None:
    """Write the detections of one chunk."""
    parts = [placement_examples(*scene) for scene in scenes_of_chunk(recipe, chunk)]
    joined = {k: torch.cat([vars(p.seen)[k] for p in parts]) for k in vars(parts[0].seen)}
    seen = type(parts[0].seen)(**joined)
    save_placements(
        path, PlacementExamples(seen, torch.cat([p.xyz for p in parts]), torch.cat([p.known for p in parts]))
    )


def build_graph_chunk(recipe: SyntheticRecipe, chunk: int, path: Path, *, placement: Path) -> None:
    """Write the candidate graphs of one chunk, with the trained depth network stored at `placement`."""
    associator = Associator(recipe.model)
    associator.placement.load_state_dict(load_weights(placement, PlacementNet).state_dict())
    examples = []
    for scene in scenes_of_chunk(recipe, chunk):
        example = graph_example(associator, *scene)
        if example is not None and len(example.truth) <= recipe.denoiser.most_tuples:
            examples.append(example)
    save_graphs(path, examples)
