"""Training examples kept on disk, chunk by chunk, so that a run that was stopped goes on where it was.

A chunk is a function of the recipe and its number alone. It is written under a temporary name and renamed, so a
chunk that exists is complete.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from dispose.association.cues import incidences
from dispose.association.graph import CandidateGraph
from dispose.association.polytope import feasible_marginals
from dispose.association.viewpoint import Viewpoints
from dispose.tensors import ABSENT, TensorStruct


@dataclass(frozen=True, eq=False)
class GraphExample(TensorStruct):
    """A candidate graph of one frame and the clean assignment on its tuples."""

    graph: CandidateGraph
    truth: Float[Tensor, " tuples"]


@dataclass(frozen=True, eq=False)
class PlacementExamples(TensorStruct):
    """Detections and where their bodies truly are, in their viewpoints' axes.

    Attributes:
        seen: the detections.
        xyz: true joints in the viewpoint's axes, mm, from the camera centre.
        known: which true joints are known.
    """

    seen: Viewpoints
    xyz: Float[Tensor, "detections joints 3"]
    known: Bool[Tensor, "detections joints"]

    def rows(self, index: Tensor) -> "PlacementExamples":
        """Some of the detections."""
        seen = Viewpoints(**{name: value[index] for name, value in vars(self.seen).items()})
        return PlacementExamples(seen, self.xyz[index], self.known[index])

    def mirrored(self, which: Bool[Tensor, " detections"], mirror: Sequence[int]) -> "PlacementExamples":
        """The same with some of the people seen in a mirror: left and right swap, x changes its sign.

        Args:
            which: the people to mirror.
            mirror: for every joint its mirror partner (`Skeleton.mirror`).
        """
        flip = torch.ones(len(which), 1, 1)
        flip[which] = -1.0
        sign = torch.cat([flip, torch.ones_like(flip)], dim=2)

        def swapped(values: Tensor) -> Tensor:
            rows = which.reshape(-1, *(1,) * (values.ndim - 1))
            return torch.where(rows, values[:, list(mirror)], values)

        seen = replace(
            self.seen,
            xy=swapped(self.seen.xy) * sign,
            visible=swapped(self.seen.visible),
            confidence=swapped(self.seen.confidence),
        )
        return PlacementExamples(seen, swapped(self.xyz) * torch.cat([sign, sign[..., 1:]], dim=2), swapped(self.known))


def save_placements(path: Path, examples: PlacementExamples) -> None:
    """Write one chunk of detections."""
    tensors = {f"seen.{name}": value.contiguous() for name, value in vars(examples.seen).items()}
    _save(path, {**tensors, "xyz": examples.xyz.contiguous(), "known": examples.known.contiguous()})


def load_placements(paths: Sequence[Path]) -> PlacementExamples:
    """All detections of some chunks."""
    chunks = [load_file(path) for path in paths]
    joined = {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}
    seen = Viewpoints(**{name[5:]: value for name, value in joined.items() if name.startswith("seen.")})
    return PlacementExamples(seen, joined["xyz"], joined["known"])


def save_graphs(path: Path, examples: Sequence[GraphExample]) -> None:
    """Write one chunk of graphs; what follows from the members is left out."""
    views = max((example.graph.members.shape[1] for example in examples), default=1)
    graphs = [example.graph for example in examples]
    pads = [torch.nn.functional.pad(g.members, (0, views - g.members.shape[1]), value=ABSENT) for g in graphs]
    tensors = {
        "views": torch.tensor([g.members.shape[1] for g in graphs]),
        "tuples_of": torch.tensor([len(g.cue) for g in graphs]),
        "detections_of": torch.tensor([len(g.detections) for g in graphs]),
        "incidences_of": torch.tensor([len(g.tuple_of) for g in graphs]),
        "members": torch.cat(pads).to(torch.int16) if pads else torch.zeros(0, 1, dtype=torch.int16),
    }
    for name in ("tuples", "detections", "incidences", "cue"):
        tensors[name] = torch.cat([vars(g)[name] for g in graphs]) if graphs else torch.zeros(0)
    tensors["truth"] = torch.cat([example.truth for example in examples]) if graphs else torch.zeros(0)
    _save(path, tensors)


def load_graphs(path: Path) -> list[GraphExample]:
    """The graphs of one chunk."""
    stored = load_file(path)
    if not len(stored["views"]):
        return []
    tuples, detections, rows = (stored[f"{n}_of"].tolist() for n in ("tuples", "detections", "incidences"))
    parts = zip(
        stored["views"].tolist(),
        stored["members"].long().split(tuples),
        stored["tuples"].split(tuples),
        stored["cue"].split(tuples),
        stored["truth"].split(tuples),
        stored["detections"].split(detections),
        stored["incidences"].split(rows),
        strict=True,
    )
    return [_example(*part) for part in parts]


def _example(
    views: int, padded: Tensor, tuples: Tensor, cue: Tensor, truth: Tensor, detections: Tensor, incidence: Tensor
) -> GraphExample:
    """Rebuild what follows from the members: memberships and the polytope (every detection has a singleton)."""
    members = padded[:, :views].contiguous()
    valid = torch.zeros(views, int(members.max()) + 1, dtype=torch.bool)
    row, view = (members != ABSENT).nonzero(as_tuple=True)
    valid[view, members[row, view]] = True
    table = incidences(members, valid)
    graph = CandidateGraph(
        members=members,
        detections=detections,
        tuples=tuples,
        incidences=incidence,
        cue=cue,
        tuple_of=table.tuple_of,
        detection_of=table.detection,
        sample=torch.zeros(len(members), dtype=torch.long),
        marginals=feasible_marginals(members[:-1], valid),
    )
    return GraphExample(graph, truth)


def _save(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    save_file(tensors, temporary)
    os.replace(temporary, path)
