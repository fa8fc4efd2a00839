"""The backbone is the network of the released weights: their names and shapes, strides, taps and precision."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dispose.errors import InputError, ShapeError
from dispose.nn.backbones import LAPTOP, Backbone, BackboneConfig, load_torchvision_trunk
from dispose.zoo.checkpoints import released_name

TINY = BackboneConfig(depth=18, width=8, deconv_chans=16, joints=5)


@pytest.fixture
def tiny(generator: torch.Generator) -> Backbone:
    """A small backbone whose heat maps are not all but zero, with running statistics of its own."""
    torch.manual_seed(0)
    backbone = Backbone(TINY)
    nn.init.normal_(backbone.heatmaps.weight, std=0.3, generator=generator)
    backbone(torch.randn(4, 3, 64, 96, generator=generator))
    return backbone.eval()


def torchvision_shapes(depth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's ResNet of width 64, from its architecture's table (no running counters)."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)}

    def norm(name: str, chans: int) -> None:
        shapes.update({f"{name}.{key}": (chans,) for key in ("weight", "bias", "running_mean", "running_var")})

    norm("bn1", 64)
    inward = 64
    for stage, count in enumerate((2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)):
        width = 64 * 2**stage
        outward = width if depth == 18 else 4 * width
        kernels = ((width, 3), (width, 3)) if depth == 18 else ((width, 1), (width, 3), (outward, 1))
        for block in range(count):
            name, into = f"layer{stage + 1}.{block}", inward
            for k, (chans, size) in enumerate(kernels, 1):
                shapes[f"{name}.conv{k}.weight"] = (chans, into, size, size)
                norm(f"{name}.bn{k}", chans)
                into = chans
            if block == 0 and (stage > 0 or depth == 50):
                shapes[f"{name}.downsample.0.weight"] = (outward, inward, 1, 1)
                norm(f"{name}.downsample.1", outward)
            inward = outward
    return {**shapes, "fc.weight": (1000, inward), "fc.bias": (1000,)}


def released(backbone: Backbone) -> dict[str, Tensor]:
    """Its tensors under the names of the released files."""
    return {released_name(name): value for name, value in backbone.state_dict().items()}


def renamed(name: str) -> str:
    """torchvision's name as the released files have it."""
    for old, new in [("conv1.", "0."), ("bn1.", "1."), *((f"layer{k}.", f"{k + 3}.") for k in (1, 2, 3, 4))]:
        if name.startswith(old):
            return f"backbone.{new}{name.removeprefix(old)}"
    return name


@pytest.mark.parametrize("depth", [18, 50])
def test_the_trunk_takes_exactly_the_tensors_of_torchvision(depth: int):
    backbone = Backbone(BackboneConfig(depth=depth))
    state = {name: torch.full(shape, 0.5) for name, shape in torchvision_shapes(depth).items()}
    load_torchvision_trunk(backbone, state)
    own = released(backbone)
    for name, value in state.items():
        if not name.startswith("fc."):
            assert_close(own[renamed(name)], value)
    counted = {name for name in own if name.endswith("num_batches_tracked")}
    trunk = {name for name in own if name.startswith("backbone.")} - counted
    assert trunk == {renamed(name) for name in state if not name.startswith("fc.")}


def test_released_network_has_the_released_names_and_size():
    backbone = Backbone(BackboneConfig())
    shapes = {name: tuple(value.shape) for name, value in released(backbone).items()}
    assert shapes["backbone.0.weight"] == (64, 3, 7, 7)
    assert shapes["backbone.4.0.conv1.weight"] == (64, 64, 1, 1)
    assert shapes["backbone.4.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["backbone.6.5.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["deconv_layers.0.weight"] == (2048, 256, 4, 4)
    assert shapes["deconv_layers.7.running_mean"] == (256,)
    assert shapes["final_layer.weight"] == (15, 256, 1, 1)
    assert shapes["final_layer.bias"] == (15,)
    assert not {"deconv_layers.0.bias", "backbone.0.bias"} & shapes.keys()
    weights = sum(value.numel() for value in backbone.parameters())
    assert round(weights / 1e6, 1) == 34.0


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_foreign_trunk_weights_are_refused_by_name(change: str):
    state = {name: torch.zeros(shape) for name, shape in torchvision_shapes(18).items()}
    if change == "missing":
        del state["layer3.1.conv2.weight"]
    elif change == "unknown":
        state["layer9.0.conv1.weight"] = torch.zeros(1)
    else:
        state["layer3.1.conv2.weight"] = torch.zeros(2, 2, 3, 3)
    backbone = Backbone(BackboneConfig(depth=18))
    before = backbone.trunk.state_dict()["0.weight"].clone()
    with pytest.raises(InputError, match=r"6\.1\.conv2\.weight|layer9"):
        load_torchvision_trunk(backbone, state)
    assert_close(backbone.trunk.state_dict()["0.weight"], before)


@pytest.mark.parametrize("config", [TINY, BackboneConfig(depth=50, width=8, deconv_chans=12, joints=3)])
def test_strides_are_4_8_and_16(config: BackboneConfig):
    features = Backbone(config)(torch.randn(2, 3, 64, 96))
    assert features.heatmaps.shape == (2, config.joints, 16, 24)
    assert [tuple(level.shape) for level in features.pyramid] == [
        (2, config.deconv_chans, 16, 24),
        (2, config.deconv_chans, 8, 12),
        (2, config.deconv_chans, 4, 6),
    ]


def test_pyramid_is_raw_and_the_heat_maps_follow_from_it(tiny: Backbone, generator: torch.Generator):
    features = tiny(torch.randn(2, 3, 64, 64, generator=generator))
    assert all(bool((level < 0).any()) for level in features.pyramid)  # no ReLU, not even in place
    for raw, next_raw, k in ((features.coarse, features.middle, 0), (features.middle, features.fine, 3)):
        normed = tiny.upsampling[k + 2](tiny.upsampling[k + 1](raw))
        assert_close(tiny.upsampling[k + 3](normed), next_raw)
    top = tiny.upsampling[8](tiny.upsampling[7](features.fine))
    assert_close(tiny.heatmaps(top), features.heatmaps)


def test_pictures_do_not_meet_in_evaluation_and_zero_pictures_are_legal(tiny: Backbone, generator: torch.Generator):
    pixels = torch.randn(3, 3, 64, 64, generator=generator)
    together, alone = tiny(pixels), tiny(pixels[1:2])
    assert_close(together.heatmaps[1:2], alone.heatmaps, atol=1e-5, rtol=1e-4)
    assert tiny(pixels[:0]).heatmaps.shape == (0, 5, 16, 16)


def test_sizes_that_do_not_divide_and_unknown_depths_are_refused(tiny: Backbone):
    with pytest.raises(ShapeError, match="100 x 64"):
        tiny(torch.zeros(1, 3, 64, 100))
    with pytest.raises(InputError, match="34"):
        Backbone(BackboneConfig(depth=34))


def relative(found: Tensor, wanted: Tensor) -> float:
    """Largest deviation over the largest value."""
    return float((found.detach().float() - wanted.detach()).abs().max() / wanted.detach().abs().max())


def test_everything_lies_channels_last_and_is_what_it_is_otherwise(tiny: Backbone, generator: torch.Generator):
    pixels = torch.randn(2, 3, 64, 96, generator=generator)
    found = tiny(pixels)
    assert all(level.is_contiguous(memory_format=torch.channels_last) for level in found.pyramid)
    tiny.load_state_dict({name: value.clone() for name, value in tiny.state_dict().items()})
    assert tiny(pixels).fine.is_contiguous(memory_format=torch.channels_last)  # loading does not change the layout
    for parameter in tiny.parameters():
        parameter.data = parameter.data.contiguous()
    wanted = tiny(pixels)
    assert not wanted.fine.is_contiguous(memory_format=torch.channels_last)
    assert relative(found.heatmaps, wanted.heatmaps) < 1e-5
    assert relative(found.coarse, wanted.coarse) < 1e-5


def test_bfloat16_autocast_stays_near_and_heat_maps_stay_float32(tiny: Backbone, generator: torch.Generator):
    pixels = torch.randn(2, 3, 64, 96, generator=generator)
    wanted = tiny(pixels)
    with torch.autocast("cpu", torch.bfloat16):
        found = tiny(pixels)
        found.heatmaps.square().sum().backward()
    assert found.heatmaps.dtype == torch.float32 and found.fine.dtype == torch.bfloat16
    assert relative(found.heatmaps, wanted.heatmaps) < 0.05
    assert relative(found.fine, wanted.fine) < 0.05
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in tiny.parameters())


def test_gradients_reach_every_weight_from_heat_maps(generator: torch.Generator):
    torch.manual_seed(1)
    backbone = Backbone(TINY)
    backbone(torch.randn(2, 3, 64, 64, generator=generator)).heatmaps.square().sum().backward()
    assert not [name for name, p in backbone.named_parameters() if p.grad is None or not bool(p.grad.abs().max() > 0)]


def test_laptop_variant_fits_beside_the_other_shipped_weights():
    weights = sum(value.numel() for value in Backbone(LAPTOP).parameters())
    assert weights * 4 < 13e6
