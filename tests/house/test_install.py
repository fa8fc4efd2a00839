"""`make setup` takes the torch build that lies on the machine, and otherwise lets uv choose."""

import importlib.util
import platform
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
assert SPEC is not None and SPEC.loader is not None
install = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(install)

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip knows, and no other."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path


def wheel(python: str) -> str:
    """The name of a torch wheel for a Python on this machine."""
    return f"torch-2.13.0+cpu-{python}-{python}-manylinux_2_28_{platform.machine()}.whl"


def test_a_local_torch_wins_over_every_index(links: Path):
    (links / wheel(HERE)).touch()
    folders = install.local_torch_folders()
    assert folders == [str(links)]
    command = install.install_command("auto", "all", folders)
    assert f"--find-links={links}" in command
    assert not [word for word in command if word.startswith("--torch-backend")]


def test_a_torch_for_another_python_does_not_count(links: Path):
    (links / wheel("cp39")).touch()
    assert install.local_torch_folders() == []
    assert "--torch-backend=auto" in install.install_command("auto", "all", [])


def test_a_backend_asked_for_by_name_is_taken(links: Path):
    command = install.install_command("cu130", "viz,train", [str(links)])
    assert "--torch-backend=cu130" in command
    assert command[-1].endswith("[viz,train]")
    assert install.install_command("cpu", "", [])[-1] == str(ROOT)


def test_versions_always_come_from_the_pins():
    command = install.install_command("auto", "all", [])
    assert command[command.index("-c") + 1] == str(ROOT / "constraints.txt")
