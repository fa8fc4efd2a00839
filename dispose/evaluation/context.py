"""Context-Aware PoseFormer on drawn people before cameras that no training knew: what does the picture add?

The same keypoints are lifted with their own picture, with somebody else's, and with maps that say nothing. The weights
that ship have learned to do without a picture now and then, so the last is an answer from coordinates alone.
"""

import time
from dataclasses import replace

import torch
from torch import Tensor

from dispose.evaluation.reports import Figure, Row
from dispose.metrics.pose import mpjpe, pa_mpjpe
from dispose.models.context.network import ContextNetwork, Levels, PyramidMaps, lift_crops
from dispose_synthetic.human36m_rig import TEST_SUBJECTS
from dispose_synthetic.one_view import OneViewConfig
from dispose_synthetic.randomness import Noise
from dispose_synthetic.renderer.filmed_people import ContextExamples, FilmConfig, film_people, tell

UNSEEN_SEED = 20_261_129
"""Of the people that are scored: training draws from other seeds."""

AT_ONCE = 50
RIGS = (
    ("drawn cameras", OneViewConfig(recording=0.0)),
    ("Human3.6M's cameras of S9 and S11", OneViewConfig(recording=1.0, subjects=TEST_SUBJECTS)),
)
"""No weights have seen either; people are in procedural postures."""


def without_maps(network: ContextNetwork) -> ContextNetwork:
    """The same network, whose maps are all 0."""

    def nothing(maps: PyramidMaps) -> Levels:
        return tuple(torch.zeros_like(level) for level in network.rules.levels(maps))

    blind = ContextNetwork(network.config, replace(network.rules, levels=nothing))
    blind.load_state_dict(network.state_dict())
    return blind.eval()


def exchanged(told: ContextExamples) -> ContextExamples:
    """Everybody with the picture of the next."""
    return replace(told, crops=replace(told.crops, pixels=told.crops.pixels.roll(1, 0)))


@torch.no_grad()
def evaluate_context(network: ContextNetwork, people: int) -> tuple[Row, ...]:
    """Errors about the hips, by cameras and by what is seen; so many people each."""
    rows, blind = [], without_maps(network)
    for title, views in RIGS:
        source = Noise(torch.Generator().manual_seed(UNSEEN_SEED))
        config, found, seconds = FilmConfig(views=views), dict[str, list[Tensor]](), dict[str, float]()
        for first in range(0, people, AT_ONCE):
            told = tell(source, film_people(source, None, min(AT_ONCE, people - first), config), config)
            for method, judged, shown in (
                ("context", network, told),
                ("context, somebody else's picture", network, exchanged(told)),
                ("context, maps of nothing", blind, told),
            ):
                start = time.perf_counter()
                xyz, truth = 1000 * lift_crops(judged, shown.crops), 1000 * told.xyz
                seconds[method] = seconds.get(method, 0.0) + time.perf_counter() - start
                errors = [mpjpe(xyz, truth, told.known), pa_mpjpe(xyz, truth, told.known)]
                found.setdefault(method, []).append(torch.stack(errors, 1))
        for method, parts in found.items():
            mean, aligned = torch.cat(parts).nanmean(0).tolist()
            figures = (Figure("mpjpe_mm", mean), Figure("pa_mpjpe_mm", aligned))
            rows.append(Row(method, title, people, None, figures, seconds[method] / people))
    return tuple(rows)
