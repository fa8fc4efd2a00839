"""HRNet: published sizes and names, what it computes against the plain loop, and which maps are read."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from dispose.errors import ShapeError
from dispose.nn.cpn import CPN, CPNConfig
from dispose.nn.hrnet import HRNet, HRNetConfig
from dispose.released.context import levels_released
from dispose.zoo.checkpoints import released_name

Shape = tuple[str, tuple[int, ...]]


def norm(name: str, chans: int) -> Iterator[Shape]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (chans,)
    yield f"{name}.num_batches_tracked", ()


def convolved(name: str, inward: int, outward: int, side: int) -> Iterator[Shape]:
    yield f"{name}.0.weight", (outward, inward, side, side)
    yield from norm(f"{name}.1", outward)


def residual(name: str, shapes: list[tuple[int, int, int]]) -> Iterator[Shape]:
    for k, (inward, outward, side) in enumerate(shapes, 1):
        yield f"{name}.conv{k}.weight", (outward, inward, side, side)
        yield from norm(f"{name}.bn{k}", outward)


def official(width: int) -> Iterator[Shape]:
    """Names and shapes of the official pose network, from its pages."""
    chans = [width * 2**k for k in range(4)]
    yield "conv1.weight", (64, 3, 3, 3)
    yield from norm("bn1", 64)
    yield "conv2.weight", (64, 64, 3, 3)
    yield from norm("bn2", 64)
    for block in range(4):
        inward = 64 if block == 0 else 256
        yield from residual(f"layer1.{block}", [(inward, 64, 1), (64, 64, 3), (64, 256, 1)])
        if block == 0:
            yield from convolved("layer1.0.downsample", 64, 256, 1)
    yield from convolved("transition1.0", 256, chans[0], 3)
    for k in (1, 2, 3):
        yield from convolved(f"transition{k}.{k}.0", 256 if k == 1 else chans[k - 1], chans[k], 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for module in range(modules):
            at = f"stage{stage}.{module}"
            for branch in range(stage):
                for block in range(4):
                    yield from residual(f"{at}.branches.{branch}.{block}", [(chans[branch], chans[branch], 3)] * 2)
            for to in range(1 if (stage, module) == (4, 2) else stage):
                for start in range(stage):
                    fuse = f"{at}.fuse_layers.{to}.{start}"
                    if start > to:
                        yield from convolved(fuse, chans[start], chans[to], 1)
                    for step in range(to - start):
                        last = step == to - start - 1
                        yield from convolved(f"{fuse}.{step}", chans[start], chans[to if last else start], 3)
    yield "final_layer.weight", (17, width, 1, 1)
    yield "final_layer.bias", (17,)


@pytest.mark.parametrize("width", [32, 48])
def test_parameters_are_the_published_ones_by_name_and_shape(width):
    found = {released_name(name): tuple(value.shape) for name, value in HRNet(HRNetConfig(width)).state_dict().items()}
    assert found == dict(official(width))


@pytest.mark.parametrize(("width", "millions"), [(32, 28.54), (48, 63.60)])
def test_there_are_as_many_as_published(width, millions):
    count = sum(p.numel() for p in HRNet(HRNetConfig(width)).parameters())
    assert round(count / 1e6, 2) == millions


def small() -> HRNet:
    torch.manual_seed(0)
    made = HRNet(HRNetConfig(4, 5)).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)  # pyright: ignore[reportArgumentType]
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return made


def plain_module(module: nn.Module, maps: list[Tensor]) -> list[Tensor]:
    """As the official code does it, list and all: the maps handed in are overwritten by what leaves the branches."""
    for k, branch in enumerate(module.branches):  # pyright: ignore[reportArgumentType]
        maps[k] = branch(maps[k])
    fused = []
    for row in module.fuse_layers:  # pyright: ignore[reportGeneralTypeIssues]
        fused.append(torch.relu(sum(layer(one) for layer, one in zip(row, maps, strict=True))))  # pyright: ignore[reportArgumentType]
    return fused


def plain(net: HRNet, pixels: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """The last stage's maps, the list that it was handed, and the heat maps."""
    x = net.layer1(net.bn2(net.conv2(net.bn1(net.conv1(pixels)).relu())).relu())
    maps = [net.transition1[0](x), net.transition1[1](x)]
    maps = plain_module(net.stage2[0], maps)
    maps = [*maps, net.transition2[2](maps[-1])]
    for module in net.stage3:
        maps = plain_module(module, maps)
    handed = [*maps, net.transition3[3](maps[-1])]
    maps = handed
    for module in net.stage4:
        maps = plain_module(module, maps)
    return maps, handed, net.heatmaps(maps[0])  # pyright: ignore[reportOptionalCall]


def test_it_computes_what_the_plain_loop_computes_and_the_released_maps_are_the_overwritten_list():
    net, pixels = small(), torch.randn(2, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        seen = net.look(pixels)
        last, handed, heat = plain(net, pixels)
    torch.testing.assert_close(seen.heatmaps, heat)
    assert len(last) == 1  # only the finest map is fused at the end
    for one, other in zip(levels_released(seen), [last[0], *handed[1:]], strict=True):
        torch.testing.assert_close(one, other)
    # Ours are those of the last module instead, so that everything the network knows is in them.
    for own, released in zip(seen.pyramid[1:], levels_released(seen)[1:], strict=True):
        assert not torch.allclose(own, released)
    assert [tuple(m.shape[1:]) for m in seen.pyramid] == [(4, 16, 8), (8, 8, 4), (16, 4, 2), (32, 2, 1)]


def test_the_cascaded_pyramid_passes_what_coarse_maps_say_down_to_the_fine_ones():
    torch.manual_seed(0)
    net = CPN(CPNConfig(depth=18, width=8, chans=12, joints=3)).eval()
    with torch.no_grad():
        seen = net.look(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in seen.pyramid] == [(12, 16, 24), (12, 8, 12), (12, 4, 6), (12, 2, 3)]
    assert tuple(seen.heatmaps.shape) == (1, 3, 16, 24)
    finest = net.look(torch.zeros(1, 3, 64, 96)).pyramid[0]
    nn.init.constant_(net.lateral[3][1].bias, 1.0)  # pyright: ignore[reportIndexIssue]
    assert not torch.allclose(net.look(torch.zeros(1, 3, 64, 96)).pyramid[0], finest)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ShapeError, match="multiples of 32"):
        small().look(torch.zeros(1, 3, 64, 40))
