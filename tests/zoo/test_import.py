"""Checkpoints of others: what is read, what is refused and in which words; nothing in a file is ever executed."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from dispose.errors import InputError
from dispose.formats.files import digest_of
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.released.model import ReleasedDisPose
from dispose.zoo import importing
from dispose.zoo.checkpoints import load_weights, released_name
from dispose.zoo.importing import (
    import_backbone,
    import_released,
    load_trunk,
    read_entries,
    save_imported,
)

SMALL = BackboneConfig(depth=18, width=8, deconv_chans=8, joints=15)


class Evil:
    """Leaves a trace where somebody unpickles it the ordinary way."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def network() -> Backbone:
    torch.manual_seed(3)
    return Backbone(SMALL)


def stored(state: object, folder: Path) -> Path:
    path = folder / "weights.pt"
    torch.save(state, path)
    return path


def released(network: Backbone) -> dict[str, torch.Tensor]:
    """Its tensors under the names of the released files."""
    return {released_name(name): value for name, value in network.state_dict().items()}


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


# -- what no reader may do ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_malicious_file_is_executed(tmp_path, protocol, zipped):
    trace = tmp_path / "trace"
    held = {"state_dict": {"weight": torch.zeros(2)}, "extra": Evil(trace)}
    path = tmp_path / "evil.pt"
    torch.save(held, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"evil\.pt: .*nothing of it was executed"):
        read_entries(path)
    assert not trace.exists()


def test_a_bare_pickle_is_not_executed_either(tmp_path):
    trace = tmp_path / "trace"
    path = tmp_path / "bare.pt"
    path.write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(InputError, match=r"bare\.pt: is no"):
        read_entries(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())
    assert trace.exists()  # the file is as evil as it is meant to be


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_breaks_off_is_named(tmp_path, network, share):
    path = stored(released(network), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"weights\.pt: is no"):
        read_entries(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a checkpoint at all\n", "is no"),
        (b"PK\x03\x04 a broken archive", "is no complete torch checkpoint"),
        (b"\x80\x04K\x01.", "is no"),
    ],
)
def test_other_files_are_no_checkpoints(tmp_path, content, sentence):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"weights\.pt: {sentence}"):
        read_entries(path)


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        ([torch.zeros(2)], "holds of type list where a state dict"),
        (torch.zeros(2, 3), r"holds a tensor of shape \(2, 3\) where a state dict"),
        ({}, "holds of type dict where a state dict"),
        ({"state_dict": {"weight": 3}}, "its entry 'weight' is of type int"),
        ({"epoch": 3}, "its entry 'epoch' is of type int"),
    ],
)
def test_what_is_no_state_dict_is_told(tmp_path, held, sentence):
    with pytest.raises(InputError, match=rf"weights\.pt: {sentence}"):
        read_entries(stored(held, tmp_path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: there is no such file"):
        read_entries(tmp_path / "none.pt")


# -- released checkpoints -------------------------------------------------------------------------------------------

DENOISER = "root_regression_net.denoiser.t_mlp.fc1.bias"
TWIN = "root_regression_net.diffusion.denoiser.t_mlp.fc1.bias"


@pytest.fixture(scope="module")
def checkpoint(released_state, tmp_path_factory: pytest.TempPathFactory):
    """Import a released checkpoint in which some entries are replaced (None: left out)."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def imported(changes: dict[str, Tensor | None], monkeypatch: pytest.MonkeyPatch) -> ReleasedDisPose:
        state = {name: value for name, value in (released_state | changes).items() if value is not None}
        # 360 MB of zeros and ones per case are not what is tested: the reader is, above.
        entries = importing.Entries(folder / "panoptic.pt", state)
        monkeypatch.setattr(importing, "read_entries", lambda path: entries)
        return import_released(folder / "panoptic.pt", "panoptic")

    return imported


def test_a_released_checkpoint_comes_back_as_it_was(released_state, checkpoint, monkeypatch):
    network = checkpoint({}, monkeypatch)
    assert torch.equal(network.denoiser.time.inward.bias, released_state[DENOISER])
    assert torch.equal(network.backbone.heatmaps.bias, released_state["backbone.final_layer.bias"])
    assert network.config.dataset == "panoptic"
    assert network.config.alpha == pytest.approx(0.6607)
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_entries_that_the_release_stores_twice_may_lack_their_twin(checkpoint, monkeypatch):
    checkpoint({TWIN: None, "root_regression_net.diffusion.log_tau": None}, monkeypatch)


def test_counters_of_batches_may_be_missing(released_state, checkpoint, monkeypatch):
    counters = {name: None for name in released_state if name.endswith("num_batches_tracked")}
    assert counters
    checkpoint(counters, monkeypatch)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({DENOISER: None, TWIN: None}, rf"lacks the tensor {DENOISER} of ReleasedDisPose"),
        ({DENOISER: None}, rf"{TWIN} repeats {DENOISER} in released checkpoints, here they differ"),
        ({TWIN: torch.ones(192)}, rf"{TWIN} repeats {DENOISER} in released checkpoints, here they differ"),
        ({"optimizer.step": torch.ones(1)}, r"has the tensor optimizer\.step that ReleasedDisPose does not know"),
        (
            {"a": torch.ones(1), "b": torch.ones(1), "c": torch.ones(1)},
            "has the tensor a and 2 more that ReleasedDisPose does not know",
        ),
        (
            {DENOISER: torch.ones(191), TWIN: torch.ones(191)},
            rf"the tensor {DENOISER} is \(191,\), in ReleasedDisPose it must be \(192,\)",
        ),
        (
            {"backbone.final_layer.bias": torch.full((15,), torch.nan)},
            r"the tensor backbone\.final_layer\.bias has values that are not finite",
        ),
        ({"root_regression_net.diffusion.log_tau": torch.ones(())}, "log_tau is 1.0; it is 0 in released checkpoints"),
        (
            {"root_regression_net.diffusion.alpha": torch.ones(1, dtype=torch.float64)},
            r"are one number in released checkpoints, not \[0\.66\d*, 1\.0\]",
        ),
        (
            {"root_regression_net.alpha": None, "root_regression_net.diffusion.alpha": None},
            "lacks root_regression_net.alpha: no checkpoint of the released model",
        ),
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_one_sentence(checkpoint, monkeypatch, changes, sentence):
    with pytest.raises(InputError, match=rf"panoptic\.pt: .*{sentence}"):
        checkpoint(changes, monkeypatch)


def test_other_data_sets_have_no_released_weights(tmp_path):
    with pytest.raises(InputError, match=r"no released weights for 'h36m', only for panoptic, shelf, campus, mm_or"):
        import_released(tmp_path / "h36m.pt", "h36m")


def test_a_backbone_is_no_released_checkpoint(tmp_path, network):
    with pytest.raises(InputError, match=r"weights\.pt: lacks root_regression_net\.alpha"):
        import_released(stored(released(network), tmp_path), "panoptic")


# -- backbones ------------------------------------------------------------------------------------------------------


def mmpose(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under mmpose's names."""
    layers = {number: layer for layer, number in importing.MMPOSE_LAYERS.items()}
    renamed = {}
    for name, value in state.items():
        part, number, rest = name.split(".", 2) if name.startswith("backbone.") else ("keypoint_head", name, "")
        renamed[f"{part}.{layers[number]}.{rest}" if rest else f"{part}.{number}"] = value
    return renamed


@pytest.mark.parametrize(
    "layout",
    [
        dict,
        mmpose,
        lambda state: {"state_dict": mmpose(state), "meta": {"epoch": 3}},
        lambda state: {"model": dict(state)},
        lambda state: {
            "state_dict": {f"backbone.{name}": value for name, value in state.items()} | {"x": torch.ones(1)}
        },
    ],
    ids=["release", "mmpose", "mmpose in state_dict", "model", "whole checkpoint"],
)
def test_a_backbone_is_read_in_every_naming(tmp_path, network, layout):
    again = import_backbone(stored(layout(released(network)), tmp_path))
    assert again.config == SMALL
    assert same(again, network)


def test_a_backbone_of_bottlenecks_is_recognised(tmp_path):
    deep = Backbone(BackboneConfig(depth=50, width=4, deconv_chans=4, joints=3))
    again = import_backbone(stored(released(deep), tmp_path))
    assert again.config == deep.config
    assert same(again, deep)


def test_a_backbone_that_lacks_or_has_more_is_refused(tmp_path, network):
    state = released(network)
    with pytest.raises(InputError, match=r"holds no heat-map backbone: its tensor final_layer\.weight is absent"):
        import_backbone(stored({n: v for n, v in state.items() if n != "final_layer.weight"}, tmp_path))
    with pytest.raises(InputError, match=r"lacks the tensor backbone\.7\.1\.bn2\.weight of Backbone"):
        import_backbone(stored({n: v for n, v in state.items() if n != "backbone.7.1.bn2.weight"}, tmp_path))
    with pytest.raises(InputError, match=r"has the tensor fc\.weight that Backbone does not know"):
        import_backbone(stored(dict(state) | {"fc.weight": torch.ones(2)}, tmp_path))


def test_a_torchvision_trunk_goes_into_a_backbone(tmp_path, network):
    layers = {number: layer for layer, number in importing.MMPOSE_LAYERS.items()}
    state = {}
    for name, value in network.trunk.state_dict().items():
        number, _, rest = name.partition(".")
        state[f"{layers[number]}.{rest}"] = value
    state["fc.weight"] = torch.ones(3, 3)
    torch.manual_seed(4)
    other = Backbone(SMALL)
    load_trunk(other, stored(state, tmp_path))
    assert same(other.trunk, network.trunk)
    assert not same(other.upsampling, network.upsampling)
    with pytest.raises(InputError, match=r"weights\.pt: the torchvision weights lacks? .*tensor"):
        load_trunk(other, stored({"conv1.weight": state["conv1.weight"]}, tmp_path))


def test_an_imported_file_says_where_it_comes_from(tmp_path, network):
    source = stored(released(network), tmp_path)
    save_imported(tmp_path / "out.safetensors", import_backbone(source), source)
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        recipe = file.metadata()["recipe"]
    assert f'"sha256": "{digest_of(source)}"' in recipe
    assert '"source": "weights.pt"' in recipe
    assert same(load_weights(tmp_path / "out.safetensors", Backbone), network)
    with pytest.raises(InputError, match="holds weights of Backbone, those of ReleasedDisPose are needed"):
        load_weights(tmp_path / "out.safetensors", ReleasedDisPose)
