"""The denoiser of the released checkpoints, parameter by parameter; ours is `dispose.models.dispose.denoiser`.

What the released files call its parameters stands in `dispose.zoo.checkpoints`.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dispose.nn.blocks import sinusoidal
from dispose.tensors import TensorStruct
from dispose_kernels.segment import segment_max, segment_mean, segment_softmax, segment_sum

CUE_MARGIN = 1e-6


@dataclass(frozen=True)
class ReleasedDenoiserConfig:
    """Sizes of the network, whose layers are rounds of detections -> tuples -> detections.

    The defaults are those of all four released checkpoints.
    """

    chans: int = 192
    layers: int = 2
    heads: int = 4


@dataclass(frozen=True, eq=False)
class RootGraph(TensorStruct):
    """The candidate hypergraph the released network sees, without the fallback tuples; samples are packed.

    Detections have the features read at them, tuples the released cue in [0, 1]. A membership is of a tuple and a
    detection; the samples of the tuples never decrease.
    """

    detections: Float[Tensor, "detections chans"]
    cue: Float[Tensor, " tuples"]
    tuple_of: Int[Tensor, " incidences"]
    detection_of: Int[Tensor, " incidences"]
    sample: Int[Tensor, " tuples"]
    sample_of_detection: Int[Tensor, " detections"]
    samples: int


class ReleasedDenoiser(nn.Module):
    """Mass on candidate tuples at an integer step in, logits of the clean assignment out (``GCNDenoiser``)."""

    def __init__(self, config: ReleasedDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        chans = config.chans
        self.time = TwoLayers(chans, chans, chans)
        self.cue = CueEmbedding(chans)
        self.detection = nn.Linear(chans, chans)
        self.mass = nn.Linear(1, chans)
        self.modulate = NormFilm(chans)
        self.layers = nn.ModuleList(HypergraphLayer(chans, config.heads) for _ in range(config.layers))
        self.last_norm = nn.LayerNorm(chans)
        self.among_tuples = TupleAttention(chans, config.heads)
        self.head = TupleHead(chans)

    def forward(
        self,
        graph: RootGraph,
        mass: Float[Tensor, " tuples"],
        step: Float[Tensor, " samples"],
        noise_level: Float[Tensor, " samples"],
    ) -> Float[Tensor, " tuples"]:
        """Logits of the clean assignment.

        Args:
            graph: the hypergraph and its evidence.
            mass: feasible mass at this step.
            step: 0 … 999.
            noise_level: ``sqrt(1 - alpha_bar)``: the static evidence fades with it.
        """
        moment = self.time(sinusoidal(step, self.config.chans))
        of_tuple, of_detection = moment[graph.sample], moment[graph.sample_of_detection]
        cue = self.cue(graph.cue) * noise_level[graph.sample, None]
        detections = self.detection(graph.detections) * noise_level[graph.sample_of_detection, None] + of_detection
        weight = self.mass(mass[:, None])
        tuples = self.modulate(weight + of_tuple, cue)
        for layer in self.layers:
            detections, tuples = layer(graph, detections, tuples + weight, of_detection, of_tuple + cue)
        tuples = self.among_tuples(self.last_norm(tuples), graph.sample, graph.samples)
        return self.head(graph, detections, tuples)


class TwoLayers(nn.Module):
    """``outward silu(inward x)``."""

    def __init__(self, inward: int, hidden: int, outward: int) -> None:
        super().__init__()
        self.inward = nn.Linear(inward, hidden)
        self.outward = nn.Linear(hidden, outward)

    def forward(self, x: Float[Tensor, "items inward"]) -> Float[Tensor, "items outward"]:
        """Row by row."""
        return self.outward(nn.functional.silu(self.inward(x)))


class CueEmbedding(nn.Module):
    """The geometric cue as features of its log-odds."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.mlp = TwoLayers(1, chans, chans)

    def forward(self, cue: Float[Tensor, " tuples"]) -> Float[Tensor, "tuples chans"]:
        """`cue` in [0, 1] is clamped away from both ends."""
        return self.mlp(cue.clamp(CUE_MARGIN, 1 - CUE_MARGIN).logit()[:, None])


class NormFilm(nn.Module):
    """``norm(x) (1 + scale) + shift`` with scale and shift from a condition."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(chans)
        self.proj = nn.Linear(chans, 2 * chans)

    def forward(
        self, x: Float[Tensor, "items chans"], condition: Float[Tensor, "items chans"]
    ) -> Float[Tensor, "items chans"]:
        """Shape is kept."""
        scale, shift = self.proj(condition).chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class HypergraphLayer(nn.Module):
    """Detections to tuples and back: attention and maximum over the incident ones, modulated by time and cue."""

    def __init__(self, chans: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.tuple_query = nn.Linear(chans, chans, bias=False)
        self.detection_key = nn.Linear(chans, chans, bias=False)
        self.detection_value = nn.Linear(chans, chans, bias=False)
        self.tuple_out = nn.Linear(2 * chans, chans)
        self.detection_query = nn.Linear(chans, chans, bias=False)
        self.tuple_key = nn.Linear(chans, chans, bias=False)
        self.tuple_value = nn.Linear(chans, chans, bias=False)
        self.detection_out = nn.Linear(2 * chans, chans)
        self.detection_feed_forward = TwoLayers(chans, 4 * chans, chans)
        self.tuple_feed_forward = TwoLayers(chans, 4 * chans, chans)
        self.detection_modulation = nn.Sequential(nn.SiLU(), nn.Linear(chans, 8 * chans))
        self.tuple_modulation = nn.Sequential(nn.SiLU(), nn.Linear(chans, 8 * chans))

    def forward(
        self,
        graph: RootGraph,
        detections: Float[Tensor, "detections chans"],
        tuples: Float[Tensor, "tuples chans"],
        of_detection: Float[Tensor, "detections chans"],
        of_tuple: Float[Tensor, "tuples chans"],
    ) -> tuple[Float[Tensor, "detections chans"], Float[Tensor, "tuples chans"]]:
        """New detections and tuples; `of_detection` and `of_tuple` are their conditions."""
        here = self.detection_modulation(of_detection).chunk(8, -1)
        there = self.tuple_modulation(of_tuple).chunk(8, -1)
        # The node's eight are: as source, as target, ...; the tuple's begin with its part as target.
        source = modulated(detections, here[0], here[1])
        target = modulated(tuples, there[0], there[1])
        gathered = gather(
            self.tuple_query(target), self.detection_key(source), self.detection_value(source),
            graph.tuple_of, graph.detection_of, self.heads,
        )  # fmt: skip
        tuples = tuples + there[4] * self.tuple_out(gathered)
        tuples = tuples + there[7] * self.tuple_feed_forward(modulated(tuples, there[5], there[6]))
        source = modulated(tuples, there[2], there[3])
        target = modulated(detections, here[2], here[3])
        gathered = gather(
            self.detection_query(target), self.tuple_key(source), self.tuple_value(source),
            graph.detection_of, graph.tuple_of, self.heads,
        )  # fmt: skip
        detections = detections + here[4] * self.detection_out(gathered)
        detections = detections + here[7] * self.detection_feed_forward(modulated(detections, here[5], here[6]))
        return detections, tuples


class TupleAttention(nn.Module):
    """Self-attention among all tuples of a sample and a feed-forward block, both normalised after the residual."""

    def __init__(self, chans: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(chans, heads, batch_first=True)
        self.norm1 = nn.LayerNorm(chans)
        self.ff = TwoLayers(chans, 4 * chans, chans)
        self.norm2 = nn.LayerNorm(chans)

    def forward(
        self, x: Float[Tensor, "tuples chans"], sample: Int[Tensor, " tuples"], samples: int
    ) -> Float[Tensor, "tuples chans"]:
        """Samples are attended one by one: what a sample gets does not depend on its neighbours."""
        counts = torch.bincount(sample, minlength=samples).tolist()
        parts = [self.attn(p[None], p[None], p[None], need_weights=False)[0][0] for p in x.split(counts) if len(p)]
        x = self.norm1(x + torch.cat(parts)) if parts else x
        return self.norm2(x + self.ff(x))


class TupleHead(nn.Module):
    """A logit per tuple from its own features and the mean of its members."""

    def __init__(self, chans: int) -> None:
        super().__init__()
        self.member = TwoLayers(chans, chans, chans)
        self.members = TwoLayers(chans, chans, chans)
        self.film_trunk = nn.Sequential(nn.Linear(chans, 2 * chans), nn.SiLU())
        self.film = nn.Linear(2 * chans, 2 * chans)
        self.last = nn.Linear(2 * chans, 1)

    def forward(
        self, graph: RootGraph, detections: Float[Tensor, "detections chans"], tuples: Float[Tensor, "tuples chans"]
    ) -> Float[Tensor, " tuples"]:
        """One logit per tuple."""
        member = self.member(detections)[graph.detection_of]
        pooled = segment_mean(member, graph.tuple_of, len(tuples))
        scale, shift = self.film(self.film_trunk(tuples)).chunk(2, -1)
        together = self.members(pooled * (1 + scale) + shift)
        return self.last(torch.cat([together, tuples], -1))[:, 0]


def modulated(
    x: Float[Tensor, "items chans"], scale: Float[Tensor, "items chans"], shift: Float[Tensor, "items chans"]
) -> Float[Tensor, "items chans"]:
    """Layer norm without weights, then ``x (1 + scale) + shift``."""
    return nn.functional.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


def gather(
    query: Float[Tensor, "targets chans"],
    key: Float[Tensor, "sources chans"],
    value: Float[Tensor, "sources chans"],
    target_of: Int[Tensor, " incidences"],
    source_of: Int[Tensor, " incidences"],
    heads: int,
) -> Float[Tensor, "targets both"]:
    """What every target hears from its sources: their attention-weighted sum beside their element-wise maximum."""
    split = (len(target_of), heads, query.shape[-1] // heads)
    logit = (query[target_of].view(split) * key[source_of].view(split)).sum(-1) / split[-1] ** 0.5
    weight = segment_softmax(logit, target_of, len(query))
    said = value[source_of]
    mean = segment_sum((weight[..., None] * said.view(split)).flatten(1), target_of, len(query))
    return torch.cat([mean, segment_max(said, target_of, len(query))], -1)
