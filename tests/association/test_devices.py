"""Results are on the device of the inputs: nothing on the way makes a tensor without saying where."""

import sys

import pytest
import torch
from torch.overrides import TorchFunctionMode

from dispose.association.completion import CompletionConfig
from dispose.baselines.greedy_agglomerative import greedy_agglomerative
from dispose.baselines.incremental_hungarian import incremental_hungarian
from dispose.baselines.integer_programme import integer_programme
from dispose.baselines.svt import svt
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.models.dispose.sampling import SamplerConfig
from dispose.scene.results import prune_hypotheses
from dispose_synthetic.scenes import SceneConfig, sample_scenes

FACTORIES = {
    torch.zeros, torch.ones, torch.full, torch.empty, torch.eye, torch.arange, torch.linspace, torch.rand, torch.randn,
    torch.randint, torch.randperm, torch.tensor, torch.triu_indices, torch.tril_indices,
}  # fmt: skip
ON_THE_CPU = ("signal", "of_tuple")
"""Functions that make a tensor for the sake of Python's numbers: a signal fraction, the rows of a tuple of names."""


class Placeless(TorchFunctionMode):
    """Notes where a tensor is made without a device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in FACTORIES and kwargs.get("device") is None and kwargs.get("generator") is None:
            frame = sys._getframe(1)
            module, name = frame.f_globals["__name__"], frame.f_code.co_name
            if module.startswith(("dispose", __name__)) and name not in ON_THE_CPU:
                self.found.append(f"{module}.{name}:{frame.f_lineno} {func.__name__}")
        return func(*args, **kwargs)


@pytest.fixture(scope="module")
def frames():
    scenes = sample_scenes(torch.Generator().manual_seed(5), 3, SceneConfig(views=(3, 4), persons=(2, 4)))
    return [frame for frame, _ in scenes]


def test_the_associator_says_where_its_tensors_are(frames):
    torch.manual_seed(0)
    config = AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)
    associator = Associator(config).eval().requires_grad_(False)
    anywhere = CompletionConfig(anchors=4, sigma_mm=1e4, spread_mm=1e6)
    with Placeless() as watch:
        found = associator.associate(frames, sampler=SamplerConfig(steps=2))
        associator.reconstruct(frames, [result.association for result in found], completion=anywhere)
        for result in found:
            assert result.hypotheses is not None
            prune_hypotheses(result.hypotheses)
    assert watch.found == []


@pytest.mark.parametrize("associate", [greedy_agglomerative, incremental_hungarian, integer_programme, svt])
def test_classic_associators_say_where_their_tensors_are(associate, frames):
    with Placeless() as watch:
        for frame in frames:
            associate(frame)
    assert watch.found == []


def test_the_watch_sees_a_tensor_without_a_device():
    with Placeless() as watch:
        torch.zeros(2)
        torch.zeros(2, device="cpu")
    assert len(watch.found) == 1
