"""The candidate graph: detections, candidate tuples, and who belongs to which."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dispose.tensors import ABSENT, TensorStruct
from dispose_kernels.sinkhorn import Marginals, pack


@dataclass(frozen=True, eq=False)
class CandidateGraph(TensorStruct):
    """A hypergraph of one sample, or of several packed one after the other.

    The last tuple of every sample is absent in every view: it takes the mass that nobody claims
    (`dispose.association.polytope`).

    Attributes:
        members: slot of every tuple in every view, `ABSENT` where it leaves a view out.
        detections: features of every detection.
        tuples: features of every tuple.
        incidences: features of every membership.
        cue: geometric score of every tuple in [0, 1].
        tuple_of: tuple of every membership.
        detection_of: detection of every membership.
        sample: sample of every tuple.
        marginals: the polytope.
    """

    members: Int[Tensor, "tuples views"]
    detections: Float[Tensor, "detections detection_features"]
    tuples: Float[Tensor, "tuples tuple_features"]
    incidences: Float[Tensor, "incidences incidence_features"]
    cue: Float[Tensor, " tuples"]
    tuple_of: Int[Tensor, " incidences"]
    detection_of: Int[Tensor, " incidences"]
    sample: Int[Tensor, " tuples"]
    marginals: Marginals

    @property
    def samples(self) -> int:
        """Number of packed samples."""
        return self.marginals.samples


def collate(graphs: Sequence[CandidateGraph]) -> CandidateGraph:
    """Pack several graphs into one; fewer views are padded with `ABSENT`."""
    views = max(graph.members.shape[1] for graph in graphs)
    members, tuple_of, detection_of, sample = [], [], [], []
    tuples = detections = samples = 0
    for graph in graphs:
        members.append(torch.nn.functional.pad(graph.members, (0, views - graph.members.shape[1]), value=ABSENT))
        tuple_of.append(graph.tuple_of + tuples)
        detection_of.append(graph.detection_of + detections)
        sample.append(graph.sample + samples)
        tuples += len(graph.cue)
        detections += len(graph.detections)
        samples += graph.samples
    return CandidateGraph(
        members=torch.cat(members),
        detections=torch.cat([graph.detections for graph in graphs]),
        tuples=torch.cat([graph.tuples for graph in graphs]),
        incidences=torch.cat([graph.incidences for graph in graphs]),
        cue=torch.cat([graph.cue for graph in graphs]),
        tuple_of=torch.cat(tuple_of),
        detection_of=torch.cat(detection_of),
        sample=torch.cat(sample),
        marginals=pack([graph.marginals for graph in graphs]),
    )
