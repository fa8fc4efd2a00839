"""The denoiser: from noisy mass on candidate tuples to the mean of the clean assignment."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dispose.association.polytope import CandidateGraph
from dispose.nn.blocks import Modulation, mlp, sinusoidal
from dispose.nn.hypergraph import IncidenceAttention, SetAttention


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the network.

    Attributes:
        detection_features: width of `CandidateGraph.detections`.
        tuple_features: width of `CandidateGraph.tuples`.
        incidence_features: width of `CandidateGraph.incidences`.
        chans: width of every hidden layer.
        layers: rounds of detections -> tuples -> detections -> tuples among themselves.
        heads: attention heads.
        gate_floor: share of the static evidence that stays visible at time 0. The released network lets it fade to
            0 there, so that its last steps judge by the state alone; ours keeps it.
    """

    detection_features: int
    tuple_features: int
    incidence_features: int
    chans: int = 96
    layers: int = 2
    heads: int = 4
    gate_floor: float = 1.0


class Denoiser(nn.Module):
    """Hypergraph attention between detections and tuples, then attention among tuples, every layer.

    The state enters as standardised logarithm of mass beside the mass itself. The output is a logit per tuple;
    projecting it onto the polytope gives the predicted clean mass.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        chans = config.chans
        self.time = mlp([chans, chans, chans])
        self.detection = mlp([config.detection_features, chans, chans])
        self.evidence = mlp([config.tuple_features, chans, chans])
        self.state = mlp([2, chans, chans])
        self.to_tuples = nn.ModuleList()
        self.to_detections = nn.ModuleList()
        self.among_tuples = nn.ModuleList()
        self.modulate = nn.ModuleList()
        for _ in range(config.layers):
            self.to_tuples.append(IncidenceAttention(chans, config.heads, config.incidence_features))
            self.to_detections.append(IncidenceAttention(chans, config.heads, config.incidence_features))
            self.among_tuples.append(SetAttention(chans, config.heads))
            self.modulate.append(Modulation(chans, chans))
        self.last = IncidenceAttention(chans, config.heads, config.incidence_features)
        # No bias at the end: a constant on all logits is a potential, which the projection removes.
        self.head = nn.Sequential(nn.LayerNorm(chans), mlp([chans, chans]), nn.SiLU(), nn.Linear(chans, 1, bias=False))

    def forward(
        self,
        graph: CandidateGraph,
        mass: Float[Tensor, " tuples"],
        time: Float[Tensor, " samples"],
        noise_level: Float[Tensor, " samples"],
    ) -> Float[Tensor, " tuples"]:
        """Logits of the clean assignment.

        Args:
            graph: the hypergraph and its evidence.
            mass: feasible mass at this time.
            time: diffusion time in [0, 1].
            noise_level: ``sqrt(1 - alpha_bar)``, by which the static evidence is gated.
        """
        gate = self.config.gate_floor + (1 - self.config.gate_floor) * noise_level
        moment = self.time(sinusoidal(1000 * time, self.config.chans))
        per_tuple = moment[graph.sample]
        state = torch.stack([(mass.clamp(min=1e-6).log() + 4) / 4, mass.clamp(max=2.0)], dim=1)
        tuples = self.state(state) + per_tuple + gate[graph.sample, None] * self.evidence(graph.tuples)
        sample_of_detection = _sample_of_detection(graph)
        detections = gate[sample_of_detection, None] * self.detection(graph.detections) + moment[sample_of_detection]
        for to_tuples, to_detections, among, modulate in zip(
            self.to_tuples, self.to_detections, self.among_tuples, self.modulate, strict=True
        ):
            tuples = modulate(tuples, per_tuple)
            tuples = to_tuples(tuples, detections, graph.incidences, graph.tuple_of, graph.detection_of)
            detections = to_detections(detections, tuples, graph.incidences, graph.detection_of, graph.tuple_of)
            tuples = among(tuples, graph.sample, graph.samples)
        tuples = self.last(tuples, detections, graph.incidences, graph.tuple_of, graph.detection_of)
        return self.head(tuples)[:, 0]


def _sample_of_detection(graph: CandidateGraph) -> Tensor:
    """Every detection stands alone in some tuple, so its memberships tell its sample."""
    sample = torch.zeros(graph.detections.shape[0], dtype=torch.long, device=graph.sample.device)
    sample[graph.detection_of] = graph.sample[graph.tuple_of]
    return sample
