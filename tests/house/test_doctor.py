"""The doctor names every missing piece with the command that mends it, and fails only for required ones."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dispose.cli import doctor
from dispose.cli.doctor import DoctorFinding, State
from dispose.models.dispose.associator import Associator, AssociatorConfig
from dispose.models.dispose.placement import PlacementConfig
from dispose.zoo.checkpoints import save_weights


def test_a_crashing_probe_is_an_answer():
    answer = doctor.probe("import os; os.abort()")
    assert answer.status == -6
    assert doctor.probe("raise ValueError('no driver')").line == "ValueError: no driver"
    assert doctor.probe("import time; time.sleep(30)", seconds=0.2).status == -1
    assert doctor.probe("print(1); print(2)").line == "2"


def test_status_counts_required_pieces_only(capsys: pytest.CaptureFixture[str]):
    fine = DoctorFinding("a", State.FINE, "here")
    optional = DoctorFinding("b", State.OPTIONAL, "gone", "fetch it")
    required = DoctorFinding("c", State.REQUIRED, "gone", "fetch that")
    assert doctor.report(iter([fine, optional])) == 0
    assert "mend: fetch it" in capsys.readouterr().out
    assert doctor.report(iter([fine, optional, required])) == 1
    assert "1 required and 1 optional" in capsys.readouterr().out


def test_what_make_setup_installs_is_complete():
    for extra in doctor.GROUPS:
        finding = doctor.look_at_packages(extra)
        assert finding.state is State.FINE, finding


def test_missing_and_wrong_packages_are_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda name: ["surely-absent>=1", "numpy>=999"])
    finding = doctor.look_at_packages("")
    assert finding.state is State.REQUIRED
    assert "surely-absent" in finding.text
    assert "needs >=999" in finding.text
    assert finding.mend


def test_a_detector_without_weights_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPOSE_CACHE", str(tmp_path))
    finding = doctor.look_at_detector()
    assert finding.state is State.OPTIONAL and finding.mend == "dispose detector install"


def test_weights_must_build_the_network_of_this_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "WEIGHTS", tmp_path)
    assert "there is no such weights file" in doctor.look_at_weights(*doctor.WEIGHTS_OF[0]).text
    here = tmp_path / doctor.SHIPPED_ASSOCIATOR
    torch.manual_seed(0)
    config = AssociatorConfig(placement=PlacementConfig(chans=16, blocks=1), chans=16, layers=1)
    save_weights(here, Associator(config))
    assert doctor.look_at_weights(*doctor.WEIGHTS_OF[0]).state is State.FINE
    whole = here.read_bytes()
    here.write_bytes(whole[:-5])
    finding = doctor.look_at_weights(*doctor.WEIGHTS_OF[0])
    assert finding.state is State.REQUIRED and "not a complete safetensors file" in finding.text and finding.mend
    save_file({"weight": torch.zeros(3, 4)}, here)
    assert doctor.look_at_weights(*doctor.WEIGHTS_OF[0]).state is State.REQUIRED
    here.rename(tmp_path / doctor.SHIPPED_IMAGE_WEIGHTS)
    assert doctor.look_at_weights(*doctor.WEIGHTS_OF[1]).state is State.OPTIONAL
