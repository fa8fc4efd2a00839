"""Learnable Triangulation as released: names, shapes and what it computes, against plain code from its pages."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.models.triangulation.algebraic import AlgebraicConfig
from dispose.models.triangulation.cube import AGGREGATIONS, Cubes, unproject
from dispose.models.triangulation.v2v import V2VConfig
from dispose.models.triangulation.volumetric import CubeConfig, VolumetricConfig
from dispose.nn.backbones import BackboneConfig
from dispose.released.triangulation import (
    RELEASED_MAPS,
    ReleasedAlgebraic,
    ReleasedVolumetric,
    algebraic_entry,
    volumetric_entry,
)
from dispose.scene.frame import ImageBatch, Images, stack_rigs
from dispose.zoo.checkpoints import load_weights, read_metadata
from dispose.zoo.importing import import_triangulation
from dispose_synthetic.human36m_rig import human36m_rig

Shape = tuple[str, tuple[int, ...]]
JOINTS = 17


def norm(name: str, chans: int) -> Iterator[Shape]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (chans,)
    yield f"{name}.num_batches_tracked", ()


def biased(name: str, *shape: int, outward: int | None = None) -> Iterator[Shape]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (outward or shape[0],)


def resnet(blocks: tuple[int, ...] = (3, 8, 36, 3)) -> Iterator[Shape]:
    """ResNet-152 with three transposed convolutions and heat maps."""
    yield "backbone.conv1.weight", (64, 3, 7, 7)
    yield from norm("backbone.bn1", 64)
    inward = 64
    for layer, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        for block in range(count):
            at = f"backbone.layer{layer}.{block}"
            for k, shape in enumerate(((width, inward, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), 1):
                yield f"{at}.conv{k}.weight", shape
                yield from norm(f"{at}.bn{k}", shape[0])
            if block == 0:
                yield f"{at}.downsample.0.weight", (4 * width, inward, 1, 1)
                yield from norm(f"{at}.downsample.1", 4 * width)
            inward = 4 * width
    for k in range(3):
        yield f"backbone.deconv_layers.{3 * k}.weight", (2048 if k == 0 else 256, 256, 4, 4)
        yield from norm(f"backbone.deconv_layers.{3 * k + 1}", 256)
    yield from biased("backbone.final_layer", JOINTS, 256, 1, 1)


def head(name: str, outputs: int) -> Iterator[Shape]:
    yield from biased(f"{name}.features.0", 512, 2048, 3, 3)
    yield from norm(f"{name}.features.1", 512)
    yield from biased(f"{name}.features.4", 256, 512, 3, 3)
    yield from norm(f"{name}.features.5", 256)
    for k, shape in ((0, (512, 256)), (2, (256, 512)), (4, (outputs, 256))):
        yield from biased(f"{name}.head.{k}", *shape)


def residual(name: str, inward: int, outward: int) -> Iterator[Shape]:
    for k, chans in ((0, inward), (3, outward)):
        yield from biased(f"{name}.res_branch.{k}", outward, chans, 3, 3, 3)
        yield from norm(f"{name}.res_branch.{k + 1}", outward)
    if inward != outward:
        yield from biased(f"{name}.skip_con.0", outward, inward, 1, 1, 1)
        yield from norm(f"{name}.skip_con.1", outward)


def v2v() -> Iterator[Shape]:
    yield from biased("volume_net.front_layers.0.block.0", 16, 32, 7, 7, 7)
    yield from norm("volume_net.front_layers.0.block.1", 16)
    for k, inward in ((1, 16), (2, 32), (3, 32)):
        yield from residual(f"volume_net.front_layers.{k}", inward, 32)
    inside, chans = "volume_net.encoder_decoder", (32, 64, 128, 128, 128, 128)
    for k in range(1, 6):
        upper, lower = chans[k - 1], chans[k]
        yield from residual(f"{inside}.encoder_res{k}", upper, lower)
        yield from residual(f"{inside}.decoder_res{k}", lower, lower)
        yield from residual(f"{inside}.skip_res{k}", upper, upper)
        yield from biased(f"{inside}.decoder_upsample{k}.block.0", lower, upper, 2, 2, 2, outward=upper)
        yield from norm(f"{inside}.decoder_upsample{k}.block.1", upper)
    yield from residual(f"{inside}.mid_res", 128, 128)
    yield from residual("volume_net.back_layers.0", 32, 32)
    for k in (1, 2):
        yield from biased(f"volume_net.back_layers.{k}.block.0", 32, 32, 1, 1, 1)
        yield from norm(f"volume_net.back_layers.{k}.block.1", 32)
    yield from biased("volume_net.output_layer", JOINTS, 32, 1, 1, 1)


def by_rule(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Every tensor is filled with a number of its own, and takes no room in a file."""
    return {
        name: torch.tensor(number if name.endswith("tracked") else 1 + number / 4096).expand(shape)
        for number, (name, shape) in enumerate(sorted(shapes.items()))
    }


R50 = (3, 4, 6, 3)
NARROW = tuple(biased("process_features.0", 32, 256, 1, 1))
NETWORKS = {
    "algebraic": dict([*resnet(), *head("backbone.alg_confidences", JOINTS)]),
    "softmax": dict([*resnet(), *NARROW, *v2v()]),
    "conf_norm": dict([*resnet(R50), *head("backbone.vol_confidences", 32), *NARROW, *v2v()]),
}


@pytest.mark.parametrize(("kind", "prefix"), [("algebraic", "module."), ("softmax", ""), ("conf_norm", "")])
def test_released_names_and_shapes_load_strictly(kind, prefix, tmp_path):
    state = by_rule(NETWORKS[kind])
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "weights.pth")
    network = import_triangulation(tmp_path / "weights.pth", "softmax" if kind == "algebraic" else kind)
    entry = algebraic_entry if kind == "algebraic" else volumetric_entry
    mine = network.state_dict()
    assert {entry(name) for name in mine} == set(state)
    assert all(float(value.flatten()[0]) == float(state[entry(name)].flatten()[0]) for name, value in mine.items())
    assert all(mine[name].shape == state[entry(name)].shape for name in mine)


@pytest.mark.parametrize("change", ["lost", "added", "shape", "wild", "aggregation", "other"])
def test_what_does_not_fit_is_named(change, tmp_path):
    state = by_rule(dict([*resnet(R50), *NARROW, *v2v()]))
    name, aggregation = "volume_net.back_layers.1.block.0.bias", "softmax"
    words = f"{name}"
    if change == "lost":
        del state[name]
    elif change == "added":
        state["something.else"] = torch.zeros(2)
        words = "something.else that ReleasedVolumetric does not know"
    elif change == "shape":
        state[name] = torch.zeros(31)
    elif change == "wild":
        state[name] = torch.tensor(math.inf).expand(32)
    elif change == "aggregation":
        aggregation, words = "conf", "has no confidence head, so the views are joined by sum or max or softmax"
    else:
        state, words = {"weight": torch.zeros(2)}, "holds no network of Learnable Triangulation"
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=rf"weights\.pth: .*{words}"):
        import_triangulation(tmp_path / "weights.pth", aggregation)


def test_zoo_import_writes_weights_that_load(tmp_path: Path, capsys):
    torch.save(by_rule(dict([*resnet(R50), *head("backbone.alg_confidences", JOINTS)])), tmp_path / "human36m_alg.pth")
    out = tmp_path / "alg.safetensors"
    command = ["zoo", "import", str(tmp_path / "human36m_alg.pth"), "--dataset", "human36m", "--half"]
    assert main([*command, "--out", str(out)]) == 0
    assert "alg.safetensors: ReleasedAlgebraic, 44.9" in capsys.readouterr().out
    assert read_metadata(out)[0] == "ReleasedAlgebraic"
    assert isinstance(load_weights(out, ReleasedAlgebraic), ReleasedAlgebraic)
    with pytest.raises(InputError, match="holds weights of ReleasedAlgebraic, those of ReleasedVolumetric are needed"):
        load_weights(out, ReleasedVolumetric)


SMALL = BackboneConfig(depth=18, width=8, deconv_chans=8, joints=JOINTS)
INPUT = (160, 128)


def crop(corner: Tensor, size: Tensor) -> Tensor:
    """Input from image of a box as released: ``(x - left) · width' / width``, pixel centres at whole numbers."""
    scale = size.new_tensor(INPUT) / size
    return torch.cat([torch.diag_embed(scale), -(scale * corner)[..., None]], dim=-1)


def scene(views: int = 3) -> tuple[ImageBatch, Tensor, Tensor, Tensor]:
    """Noise for pictures by cameras without lenses; corners and sizes of the boxes, and the middle of the room."""
    generator = torch.Generator().manual_seed(2)
    rig = stack_rigs([human36m_rig("S9").select(views=list(range(views)))])
    object.__setattr__(rig, "distortion", torch.zeros_like(rig.distortion))
    middle = torch.tensor([[120.0, 300.0, 900.0]], dtype=torch.float64)
    xy, _ = rig.project(middle)
    size = torch.tensor([500.0, 400.0], dtype=torch.float64).expand_as(xy)
    corner = (xy - size / 2).round()
    pixels = torch.randn(1, views, 3, INPUT[1], INPUT[0], generator=generator)
    images = Images(pixels, crop(corner, size), torch.ones(1, views, dtype=torch.bool))
    return ImageBatch(rig, images), corner, size, middle


def plain_projections(batch: ImageBatch, corner: Tensor, size: Tensor, target: tuple[int, int]) -> list[np.ndarray]:
    """K [R | t] after the cut and the resize, as the release changes its intrinsics."""
    found = []
    for view in range(batch.images.present.shape[1]):
        K = batch.cameras.matrix[0, view].numpy().copy()
        K[0, 2] -= float(corner[0, view, 0])
        K[1, 2] -= float(corner[0, view, 1])
        K[0] *= target[0] / float(size[0, view, 0])
        K[1] *= target[1] / float(size[0, view, 1])
        pose = np.concatenate(
            [batch.cameras.rotation[0, view].numpy(), batch.cameras.translation[0, view].numpy()[:, None]], 1
        )
        found.append(K @ pose)
    return found


def test_algebraic_triangulation_is_the_released_one():
    torch.manual_seed(1)
    network = ReleasedAlgebraic(AlgebraicConfig(backbone=SMALL, head_chans=(8, 8))).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter + 0.05 * torch.randn_like(parameter))
        batch, corner, size, _ = scene()
        found = network(batch)
        seen = network.network.backbone.look(batch.images.pixels[0])
        trust = network.network.confidence(seen.deep).sigmoid().double().numpy()
    weights = trust / trust.sum(0, keepdims=True) + 1e-5
    np.testing.assert_allclose(found.weights[0].numpy(), weights, rtol=1e-4)
    projections = plain_projections(batch, corner, size, INPUT)
    for joint in range(JOINTS):
        rows = []
        for view in range(3):
            heat = 100 * seen.heatmaps[view, joint].double().numpy()
            p = np.exp(heat - heat.max())
            p /= p.sum()
            u = (p.sum(0) * np.arange(p.shape[1])).sum() * INPUT[0] / p.shape[1]
            v = (p.sum(1) * np.arange(p.shape[0])).sum() * INPUT[1] / p.shape[0]
            P = projections[view]
            rows += [weights[view, joint] * (u * P[2] - P[0]), weights[view, joint] * (v * P[2] - P[1])]
        solution = np.linalg.svd(np.array(rows))[2][-1]
        expected = solution[:3] / solution[3]
        # Single precision in pixels and mm, not centred: hundredths of its size are lost.
        np.testing.assert_allclose(found.xyz_world[0, joint].double().numpy(), expected, rtol=0.02, atol=5)


def plain_read(image: np.ndarray, grid_x: float, grid_y: float) -> float:
    """`grid_sample` with aligned corners and zeros outside, written out."""
    height, width = image.shape
    x, y = (grid_x + 1) / 2 * (width - 1), (grid_y + 1) / 2 * (height - 1)
    left, top, total = math.floor(x), math.floor(y), 0.0
    for column in (left, left + 1):
        for row in (top, top + 1):
            if 0 <= column < width and 0 <= row < height:
                total += float(image[row, column]) * (1 - abs(x - column)) * (1 - abs(y - row))
    return total


@pytest.mark.parametrize("name", ["sum", "max", "softmax", "conf"])
def test_the_released_unprojection_is_what_its_code_does(name, generator):
    batch, corner, size, middle = scene()
    maps = torch.randn(1, 3, 2, INPUT[1] // 4, INPUT[0] // 4, generator=generator, dtype=torch.float64)
    trust = torch.rand(1, 3, 2, generator=generator, dtype=torch.float64)
    cubes = Cubes(4, 2500.0, middle, torch.zeros(1, dtype=torch.float64))
    values = unproject(maps, cubes, batch.cameras, batch.images.input_from_image, RELEASED_MAPS)
    join = next(one for one in AGGREGATIONS if one.name == name)
    found = join.join(values, trust if join.learned else torch.ones_like(trust))
    projections = plain_projections(batch, corner, size, (INPUT[0] // 4, INPUT[1] // 4))
    height, width = maps.shape[-2:]
    for index in np.ndindex(4, 4, 4):
        place = middle[0].numpy() - 1250.0 + 2500.0 / 3 * np.array(index)
        for channel in range(2):
            said = []
            for view in range(3):
                u, v, depth = projections[view] @ np.append(place, 1.0)
                # Height and width in this order, as there.
                grid = 2 * (u / depth / height - 0.5), 2 * (v / depth / width - 0.5)
                said.append(plain_read(maps[0, view, channel].numpy(), *grid) if depth > 0 else 0.0)
            heat = np.array(said)
            soft = np.exp(heat) / np.exp(heat).sum()
            expected = {"sum": heat.sum(), "max": heat.max(), "softmax": (heat * soft).sum(),
                        "conf": (heat * trust[0, :, channel].numpy()).sum()}[name]  # fmt: skip
            assert float(found[(0, channel, *index)]) == pytest.approx(expected, abs=1e-9)


def test_volumetric_triangulation_ends_in_the_expected_voxel():
    torch.manual_seed(1)
    cube = CubeConfig(cells=8, network=V2VConfig(3, 8, 1, (8, 8), 1))
    network = ReleasedVolumetric(VolumetricConfig(backbone=SMALL, head_chans=(8, 8), chans=4, cube=cube)).eval()
    batch, _, _, middle = scene()
    cubes = network.network.cubes_around(middle.float())
    with torch.no_grad():
        found = network(batch, cubes)
    probability = found.log_probability[0].double().exp().numpy()
    places = middle[0].numpy() - 1250.0 + 2500.0 / 7 * np.stack(np.meshgrid(*[np.arange(8)] * 3, indexing="ij"), -1)
    expected = np.einsum("jxyz,xyzc->jc", probability, places)
    np.testing.assert_allclose(found.xyz_world[0].double().numpy(), expected, atol=0.01)
