"""Weights come back as they were stored, and a damaged file says what is wrong with it."""

import os

import pytest
import torch
from safetensors.torch import save_file

from dispose.errors import InputError
from dispose.models.associator import Associator, AssociatorConfig
from dispose.models.placement import PlacementConfig, PlacementNet
from dispose.zoo.checkpoints import load_weights, read_metadata, save_weights

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
    with pytest.raises(InputError, match="holds a PlacementNet, a Associator is needed"):
        load_weights(tmp_path / "depth.safetensors", Associator)


def test_a_kill_while_writing_leaves_the_old_file(stored, monkeypatch):
    path, network = stored
    before = path.read_bytes()

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_weights(path, network, note="never finished")
    assert path.read_bytes() == before
