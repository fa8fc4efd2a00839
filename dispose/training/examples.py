"""From synthetic scenes to what the associator learns from: the only place where labels meet it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dispose.association.cues import incidences
from dispose.association.packing import pack_detections
from dispose.association.polytope import CandidateGraph, collate, feasible_marginals, true_tuples
from dispose.association.viewpoint import Viewpoints, viewpoints
from dispose.models.dispose.associator import Associator
from dispose.models.dispose.placement import PlacementNet
from dispose.models.dispose.sampling import Problem
from dispose.scene.frame import Frame, Labels
from dispose.skeletons.catalog import COCO_17
from dispose.tensors import ABSENT, TensorStruct, cat
from dispose.training.config import AssociatorRecipe
from dispose.training.shards import Shards, save_shard
from dispose.training.task import uniform
from dispose.zoo.checkpoints import load_weights
from dispose_synthetic.joint_poor import JOINT_POOR, report_joints
from dispose_synthetic.scenes import sample_scenes

VALIDATION_CHUNK = 1_000_000
"""Chunk numbers from here on are never trained on."""

FACELESS = 10
"""One frame in so many comes from a detector that knows no eyes and ears."""

FEW_JOINTS = 6
"""One frame in so many comes from a detector of few joints, every kind in turn."""


@dataclass(frozen=True, eq=False)
class PlacementExamples(TensorStruct):
    """Detections and their true joints in their viewpoints' axes, mm from the camera centre; `known`: of these."""

    seen: Viewpoints
    xyz: Float[Tensor, "detections joints 3"]
    known: Bool[Tensor, "detections joints"]


@dataclass(frozen=True, eq=False)
class GraphExample(TensorStruct):
    """A frame's candidates with their features and cue, and the clean assignment on them (`truth`).

    What follows from the members (`ABSENT` where a tuple leaves a view out) is left out.
    """

    members: Int[Tensor, "tuples views"]
    detections: Float[Tensor, "detections detection_features"]
    tuples: Float[Tensor, "tuples tuple_features"]
    incidences: Float[Tensor, "incidences incidence_features"]
    cue: Float[Tensor, " tuples"]
    truth: Float[Tensor, " tuples"]

    def graph(self) -> CandidateGraph:
        """With the memberships and the polytope, which follow from the members: every detection has a singleton."""
        members = self.members
        valid = torch.zeros(members.shape[1], int(members.max()) + 1, dtype=torch.bool)
        row, view = (members != ABSENT).nonzero(as_tuple=True)
        valid[view, members[row, view]] = True
        table = incidences(members, valid)
        return CandidateGraph(
            members=members,
            detections=self.detections,
            tuples=self.tuples,
            incidences=self.incidences,
            cue=self.cue,
            tuple_of=table.tuple_of,
            detection_of=table.detection,
            sample=torch.zeros(len(members), dtype=torch.long),
            marginals=feasible_marginals(members[:-1], valid),
        )


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """Some graphs packed into one, their clean assignment, and a seed per graph for its time and noise."""

    graph: CandidateGraph
    truth: Float[Tensor, " tuples"]
    seeds: tuple[int, ...]


def no_placements() -> PlacementExamples:
    """Of nobody."""
    joints = len(COCO_17)
    unseen = torch.zeros(0, joints, dtype=torch.bool)
    one, each, xy = torch.zeros(0), torch.zeros(0, joints), torch.zeros(0, joints, 2)
    seen = Viewpoints(torch.zeros(0, 3), torch.zeros(0, 3, 3), xy, one, one, unseen, each, one)
    return PlacementExamples(seen, torch.zeros(0, joints, 3), unseen)


def no_graph() -> GraphExample:
    """Of nobody."""
    members, table, one = torch.zeros(0, 1, dtype=torch.long), torch.zeros(0, 1), torch.zeros(0)
    return GraphExample(members, table, table, table, one, one)


class PlacementSource:
    """The detections of some shards, half of the people of a batch seen in a mirror."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._examples = cat(Shards(paths, no_placements()).read_all(), "detections")

    @property
    def groups(self) -> Sequence[int]:
        """One: any detections are learned from together."""
        return [0] * len(self._examples.xyz)

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> PlacementExamples:
        """Some of the detections."""
        return mirror(self._examples.select(detections=rows), uniform(torch.tensor(seeds)) < 0.5)


class GraphSource:
    """The candidate graphs of some shards."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._shards = Shards(paths, no_graph())

    @property
    def groups(self) -> Sequence[int]:
        """One: any graphs are learned from together."""
        return [0] * len(self._shards)

    def batch(self, rows: Sequence[int], seeds: Sequence[int]) -> GraphBatch:
        """Some of the graphs."""
        examples = [self._shards[row] for row in rows]
        packed = collate([example.graph() for example in examples])
        return GraphBatch(packed, torch.cat([example.truth for example in examples]), tuple(seeds))


def mirror(examples: PlacementExamples, which: Bool[Tensor, " detections"]) -> PlacementExamples:
    """The same with some of the people seen in a mirror: left and right swap, x changes its sign."""
    flip = torch.where(which, -1.0, 1.0)[:, None, None]
    sign = torch.cat([flip, torch.ones_like(flip)], dim=2)

    def swap(values: Tensor) -> Tensor:
        rows = which.reshape(-1, *(1,) * (values.ndim - 1))
        return torch.where(rows, values[:, list(COCO_17.mirror)], values)

    seen = examples.seen
    seen = replace(seen, xy=swap(seen.xy) * sign, visible=swap(seen.visible), confidence=swap(seen.confidence))
    return PlacementExamples(seen, swap(examples.xyz) * torch.cat([sign, sign[..., 1:]], dim=2), swap(examples.known))


def scenes_of_chunk(recipe: AssociatorRecipe, chunk: int, frames: int | None = None) -> list[tuple[Frame, Labels]]:
    """The frames of a chunk: a function of the recipe's seed and the chunk's number."""
    generator = torch.Generator().manual_seed(recipe.seed * 10_000_019 + chunk)
    scenes = sample_scenes(generator, frames or recipe.frames_per_chunk, recipe.scenes)
    return [as_detected(*scene, generator) for scene in scenes]


def as_detected(frame: Frame, labels: Labels, generator: torch.Generator) -> tuple[Frame, Labels]:
    """What one of several kinds of detectors reports of a frame, by the frame's number."""
    if frame.number % FACELESS == 0:
        return without_face(frame), labels
    if frame.number % FEW_JOINTS == 1:
        return report_joints(frame, labels, JOINT_POOR[frame.number // FEW_JOINTS % len(JOINT_POOR)], generator)
    return frame, labels


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
    return PlacementExamples(seen[rows].to(torch.float32), xyz.float(), labels.poses.valid[who])


def graph_example(associator: Associator, frame: Frame, labels: Labels) -> GraphExample | None:
    """The frame's candidate graph and its clean assignment, or None where there is nothing to associate."""
    problem = associator.problem(frame)
    if problem is None:
        return None
    graph = problem.graph
    truth = clean_assignment(problem, labels.identity)
    return GraphExample(graph.members, graph.detections, graph.tuples, graph.incidences, graph.cue, truth)


def clean_assignment(problem: Problem, identity: Int[Tensor, "views slots"]) -> Float[Tensor, " tuples"]:
    """The true assignment on a problem's tuples; the tuple that is absent everywhere takes what is left."""
    members, cost = problem.members.cpu(), problem.cost.cpu()
    truth = true_tuples(members[:-1], cost[:-1], identity)
    total = float(problem.graph.marginals.target.sum()) / members.shape[1]
    return torch.cat([truth, truth.new_full((1,), total) - truth.sum()])


def build_placement_chunk(recipe: AssociatorRecipe, chunk: int, path: Path) -> None:
    """Write the detections of one chunk."""
    save_shard(path, [cat([placement_examples(*scene) for scene in scenes_of_chunk(recipe, chunk)], "detections")])


def build_graph_chunk(recipe: AssociatorRecipe, chunk: int, path: Path, *, placement: Path) -> None:
    """Write the candidate graphs of one chunk, with the trained depth network stored at `placement`."""
    associator = Associator(recipe.model)
    associator.placement.load_state_dict(load_weights(placement, PlacementNet).state_dict())
    examples = [graph_example(associator, *scene) for scene in scenes_of_chunk(recipe, chunk)]
    most = recipe.denoiser.most_tuples
    save_shard(path, [example for example in examples if example is not None and len(example.truth) <= most])
