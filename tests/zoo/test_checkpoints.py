"""Weights come back as they were stored, and a damaged file says what is wrong with it."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dispose.errors import InputError, OutputError
from dispose.models.context.network import ContextNetwork
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.model import DisPose
from dispose.models.dispose.placement import PlacementConfig, PlacementNet
from dispose.models.rays.network import RayNetwork, RaysConfig
from dispose.nn.backbones import Backbone, BackboneConfig
from dispose.released.model import RELEASED, ReleasedDisPose
from dispose.zoo import checkpoints
from dispose.zoo.checkpoints import (
    WORDS,
    load_weights,
    our_name,
    read_metadata,
    released_name,
    save_weights,
    shipped_weights,
)

SMALL = AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)


@pytest.fixture
def stored(tmp_path):
    torch.manual_seed(0)
    network = Associator(SMALL)
    path = tmp_path / "weights.safetensors"
    save_weights(path, network, recipe='{"name": "test"}', note="made by a test")
    return path, network


def test_round_trip_of_weights_and_configuration(stored):
    path, network = stored
    again = load_weights(path, Associator)
    assert again.config == SMALL
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    assert not any(p.requires_grad for p in again.parameters())
    assert read_metadata(path)[2:] == ('{"name": "test"}', "made by a test")


def test_what_ships_says_which_numbers_were_written():
    shipped = sorted(shipped_weights("").glob("*.safetensors"))
    assert len(shipped) == 7
    for path in shipped:
        with safe_open(path, "pt") as file:
            assert file.metadata()["digest"], path


def test_a_truncated_file_is_named(stored):
    path, _ = stored
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"weights\.safetensors: not a complete safetensors file"):
        load_weights(path, Associator)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="there is no such weights file"):
        load_weights(tmp_path / "none.safetensors", Associator)


def test_foreign_weights_are_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(InputError, match="metadata lack"):
        load_weights(tmp_path / "foreign.safetensors", Associator)


def test_another_network_is_refused(stored, tmp_path):
    save_weights(tmp_path / "depth.safetensors", PlacementNet(PlacementConfig(chans=8, blocks=1)))
    with pytest.raises(InputError, match="holds weights of PlacementNet, those of Associator are needed"):
        load_weights(tmp_path / "depth.safetensors", Associator)


def test_a_kill_while_writing_leaves_the_old_file(stored, monkeypatch):
    path, network = stored
    before = path.read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            save_weights(path, network, note="never finished")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(stored, monkeypatch):
    path, network = stored
    before = path.read_bytes()

    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"weights\.safetensors: cannot be written \(No space left.*make room"):
        save_weights(path, network)
    assert path.read_bytes() == before


def respelled(path, change):
    """The file with its configuration's text changed."""
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), "config": change(file.metadata()["config"])}
        save_file({key: file.get_tensor(key) for key in file.keys()}, path, metadata=metadata)  # noqa: SIM118


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"chans": 16', '"chans": "16"', "holds '16' where int is expected"),
        ('"chans": 16', '"chans": true', "holds True where int is expected"),
        ('"gate_floor": 1.0', '"gate_floor": 1e999', "holds inf where float is expected"),
        ('"layers": 1', '"layers": 2', "is absent, by its configuration it must be"),
        ('"budget": 24', '"budget": 24, "x": 1', "CandidateConfig has the fields"),
        ("{", "", "its configuration is not JSON"),
    ],
)
def test_configurations_that_build_no_such_network_are_refused(stored, old, new, sentence):
    path, _ = stored
    respelled(path, lambda text: text.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"weights\.safetensors: .*{sentence}"):
        load_weights(path, Associator)


def test_values_that_are_not_finite_are_refused(stored):
    path, network = stored
    next(network.parameters()).data.flatten()[3] = torch.nan
    save_weights(path, network)
    with pytest.raises(InputError, match="has values that are not finite"):
        load_weights(path, Associator)


def test_half_precision_halves_the_file_and_loads_as_single(stored, tmp_path):
    path, network = stored
    small = tmp_path / "half.safetensors"
    save_weights(small, network, storage=torch.float16)
    assert small.stat().st_size < 0.6 * path.stat().st_size
    again = load_weights(small, Associator)
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_counters_survive_half_precision(tmp_path):
    network = Backbone(BackboneConfig(depth=18, width=8, deconv_chans=8))
    state = network.state_dict()
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    state[counters[0]].fill_(70_001)  # no float16 holds it
    save_weights(tmp_path / "half.safetensors", network, storage=torch.float16)
    again = load_weights(tmp_path / "half.safetensors", Backbone)
    assert int(again.state_dict()[counters[0]]) == 70_001


def test_a_weight_beyond_half_precision_is_refused(tmp_path):
    network = PlacementNet(PlacementConfig(chans=8, blocks=1))
    next(network.parameters()).data.flatten()[0] = 1e5
    with pytest.raises(OutputError, match=r"big\.safetensors: the tensor .* do not fit torch\.float16"):
        save_weights(tmp_path / "big.safetensors", network, storage=torch.float16)
    assert not (tmp_path / "big.safetensors").exists()


def test_a_network_that_is_not_in_the_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds weights of Linear, which this version does not know"):
        save_weights(tmp_path / "linear.safetensors", torch.nn.Linear(2, 2))


SHIPPED = Path(checkpoints.__file__).parent / "weights"


@pytest.mark.parametrize(
    ("name", "kind"), [("associator", Associator), ("toy_images", DisPose), ("context", ContextNetwork)]
)
def test_shipped_weights_load_through_the_names_to_the_same_parameters_bit_for_bit(name, kind):
    path = SHIPPED / f"{name}.safetensors"
    stored, network = load_file(path), load_weights(path, kind)
    state = network.state_dict()
    assert {our_name(key) for key in stored} == set(state) and len(stored) == len(state)
    for key, value in stored.items():
        assert digest(state[our_name(key)]) == digest(value.to(state[our_name(key)].dtype)), key


def digest(value: torch.Tensor) -> str:
    return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()


def test_names_translate_both_ways_and_ours_are_left_alone():
    ours = ReleasedDisPose(RELEASED[0]).state_dict()
    assert all(our_name(released_name(name)) == name == our_name(name) for name in ours)
    assert len(set(WORDS.values())) == len(WORDS) and not set(WORDS) & set(WORDS.values())
    assert our_name("backbone.backbone.4.0.conv1.weight") == "backbone.trunk.4.0.conv1.weight"
    assert our_name("backbone.4.0.conv1.weight") == "trunk.4.0.conv1.weight"


def test_files_with_the_old_names_of_an_imported_model_open(tmp_path):
    torch.manual_seed(2)
    network = Backbone(BackboneConfig(depth=18, width=8, deconv_chans=8))
    save_weights(tmp_path / "new.safetensors", network)
    with safe_open(tmp_path / "new.safetensors", "pt") as file:
        old = {released_name(key): file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        save_file(old, tmp_path / "old.safetensors", metadata=file.metadata())
    assert "deconv_layers.0.weight" in old and "backbone.0.weight" in old
    again = load_weights(tmp_path / "old.safetensors", Backbone)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_equal_networks_are_equal_files_and_a_flipped_bit_is_seen(tmp_path):
    torch.manual_seed(0)
    network = RayNetwork(RaysConfig())
    paths = [tmp_path / name for name in ("one.safetensors", "two.safetensors", "three.safetensors")]
    for path in paths:
        save_weights(path, network, recipe='{"steps": 1}', note="é")
    assert len({path.read_bytes() for path in paths}) == 1
    data = bytearray(paths[0].read_bytes())
    data[-2] ^= 1
    paths[0].write_bytes(data)
    with pytest.raises(InputError, match="digest"):
        load_weights(paths[0], RayNetwork)
