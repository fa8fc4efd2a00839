"""Context-Aware PoseFormer as released: names and shapes of its tensors, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dispose.cli.main import main
from dispose.errors import InputError
from dispose.nn.hrnet import HRNet, HRNetConfig
from dispose.released.context import HUMAN36M_CONTEXT, MPI_INF_3DHP_CONTEXT, ReleasedContext, context_entry
from dispose.zoo.checkpoints import load_context, released_name
from dispose.zoo.import_lifters import import_context, import_hrnet

Shape = tuple[str, tuple[int, ...]]


def biased(name: str, outward: int, inward: int) -> Iterator[Shape]:
    yield f"{name}.weight", (outward, inward)
    yield f"{name}.bias", (outward,)


def normed(name: str, chans: int) -> Iterator[Shape]:
    yield f"{name}.weight", (chans,)
    yield f"{name}.bias", (chans,)


def block(name: str, chans: int) -> Iterator[Shape]:
    yield from normed(f"{name}.norm1", chans)
    yield from biased(f"{name}.attn.qkv", 3 * chans, chans)
    yield from biased(f"{name}.attn.proj", chans, chans)
    yield from normed(f"{name}.norm2", chans)
    yield from biased(f"{name}.mlp.fc1", 2 * chans, chans)
    yield from biased(f"{name}.mlp.fc2", chans, 2 * chans)


def lifter(width: int, chans: int, context: int) -> Iterator[Shape]:
    """Names and shapes by the published description."""
    levels = [width * 2**k for k in range(4)]
    yield "volume_net.Spatial_pos_embed", (1, 5, 17, chans)
    yield from biased("volume_net.coord_embed", chans, 2)
    for k, inward in enumerate(levels):
        yield from biased(f"volume_net.feat_embed.{k}", chans, inward)
    for number in range(context):
        at = f"volume_net.context_blocks.{number}"
        yield from normed(f"{at}.norm1", chans)
        yield from biased(f"{at}.attention_weights", 16, chans)
        yield from biased(f"{at}.sampling_offsets", 32, chans)
        for k, inward in enumerate(levels):
            yield from biased(f"{at}.embed_proj.{k}", chans // 4, inward)
        yield from normed(f"{at}.norm2", chans)
        yield from biased(f"{at}.mlp.fc1", 2 * chans, chans)
        yield from biased(f"{at}.mlp.fc2", chans, 2 * chans)
    for number in range(4):
        yield from block(f"volume_net.res_blocks.{number}", chans)
        yield from block(f"volume_net.joint_blocks.{number}", 5 * chans)
    yield from normed("volume_net.head.0", 5 * chans)
    yield from biased("volume_net.head.1", 3, 5 * chans)


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    """Values by a rule: they depend on the name and on the place."""
    if not shape:
        return torch.tensor(7)
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.37 + len(name)).reshape(shape) * 0.05 + 0.5


def checkpoint(width: int = 32, chans: int = 128, context: int = 4) -> dict[str, Tensor]:
    net = HRNet(HRNetConfig(width)).state_dict()
    backbone = {f"backbone.{released_name(name)}": tuple(value.shape) for name, value in net.items()}
    return {name: filled(name, shape) for name, shape in {**backbone, **dict(lifter(width, chans, context))}.items()}


@pytest.mark.parametrize(
    ("config", "sizes"),
    [
        (HUMAN36M_CONTEXT["hrnet_32"], (32, 128, 4)),
        (HUMAN36M_CONTEXT["hrnet_48"], (48, 128, 4)),
        (MPI_INF_3DHP_CONTEXT["hrnet_32"], (32, 64, 0)),
        (MPI_INF_3DHP_CONTEXT["hrnet_48"], (48, 96, 0)),
    ],
)
def test_every_tensor_has_its_released_name_and_shape(config, sizes):
    state = ReleasedContext(config).state_dict()
    found = {context_entry(name): tuple(value.shape) for name, value in state.items()}
    assert {name: shape for name, shape in found.items() if name.startswith("volume_net.")} == dict(lifter(*sizes))
    assert {name for name in found if not name.startswith("volume_net.")} == {
        f"backbone.{released_name(name)}" for name in HRNet(HRNetConfig(sizes[0])).state_dict()
    }


def test_a_checkpoint_goes_where_its_names_say_and_comes_back_from_our_file(tmp_path: Path, monkeypatch):
    tensors = checkpoint()
    torch.save({f"module.{name}": value for name, value in tensors.items()}, tmp_path / "best.pth")
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "import", "best.pth", "--dataset", "human36m"]) == 0
    network = load_context(tmp_path / "weights" / "best.safetensors")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, tensors[context_entry(name)], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("volume_net.head.1.bias"), "lacks the tensor volume_net.head.1.bias"),
        (lambda t: t.update({"volume_net.more": torch.zeros(1)}), "has the tensor volume_net.more that"),
        (lambda t: t.update({"volume_net.coord_embed.bias": torch.zeros(3)}), "must be"),
        (lambda t: t.update({"volume_net.feat_embed.0.weight": torch.zeros(128, 7)}), "holds no Context-Aware"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, change, sentence):
    tensors = checkpoint(32, 64, 0)
    change(tensors)
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=sentence):
        import_context(tmp_path / "odd.pth")


@pytest.mark.parametrize("before", ["", "backbone."])
def test_hrnet_is_read_by_its_official_names_and_by_those_of_mmpose(tmp_path: Path, before):
    net = HRNet(HRNetConfig(4, 17))
    head = "keypoint_head." if before else ""
    tensors = {
        (head if name.startswith("heatmaps") else before) + released_name(name): filled(name, tuple(value.shape))
        for name, value in net.state_dict().items()
    }
    torch.save(tensors, tmp_path / "hrnet.pth")
    found = import_hrnet(tmp_path / "hrnet.pth")
    assert found.config == HRNetConfig(4, 17)
    for name, value in found.state_dict().items():
        torch.testing.assert_close(value, filled(name, tuple(value.shape)), rtol=0, atol=0)


def test_of_timms_hrnet_the_heads_are_left_out(tmp_path: Path):
    net = HRNet(HRNetConfig(4, 0))
    tensors = {name: filled(name, tuple(value.shape)) for name, value in net.state_dict().items()}
    for extra in ("incre_modules.0.0.conv1.weight", "downsamp_modules.0.0.weight", "final_layer.0.weight"):
        tensors[extra] = torch.zeros(1, 1, 1, 1)
    tensors |= {"classifier.weight": torch.zeros(10, 8), "stage4.2.fuse_layers.1.0.0.0.weight": torch.zeros(8, 4, 3, 3)}
    torch.save(tensors, tmp_path / "timm.pth")
    assert import_hrnet(tmp_path / "timm.pth").config == HRNetConfig(4, 0)
    del tensors["classifier.weight"]
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(InputError, match="that HRNet does not know"):
        import_hrnet(tmp_path / "odd.pth")
