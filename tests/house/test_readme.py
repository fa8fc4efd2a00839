"""What the documents promise is there: links, commands, files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dispose.cli.main import COMMANDS
from dispose.datasets.samples import sample_folder

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "data" / "README.md"]
NAMES = {command.name for command in COMMANDS}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", path.read_text())
    assert not [target for target in targets if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(path: Path):
    named = set(re.findall(r"(?:`|bin/|^)dispose ([a-z]+)\b", path.read_text(), re.MULTILINE))
    assert named <= NAMES


def test_the_snippet_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    sample = sample_folder("crossing")
    shutil.copytree(sample / "calibration", tmp_path / "my_capture" / "calibration")
    for path in (sample / "pose").rglob("*.000[012].json"):
        target = tmp_path / "my_capture" / path.relative_to(sample)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert re.findall(r"^(\d) \[[1234, ]+\] tensor", said, re.MULTILINE) == ["0", "1", "2"]


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in DOCUMENTS:
        assert set(re.findall(r"`make ([a-z-]+)", path.read_text())) <= targets, path


def test_the_gallery_is_the_one_that_is_made():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gallery.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_map_shows_every_package_and_no_other():
    tree = (ROOT / "docs" / "architecture.md").read_text().split("```text")[1].split("```")[0]
    (library,) = re.findall(r"^dispose/.*\n((?:  .*\n)+)", tree, re.MULTILINE)
    shown = set(re.findall(r"^  ([a-z_]+)/| ([a-z_]+)/(?= )", library, re.MULTILINE))
    packages = {path.parent.name for path in (ROOT / "dispose").glob("*/__init__.py")}
    assert {one or other for one, other in shown} == packages
    beside = {f"{path.parts[-3]}/{path.parts[-2]}" for path in ROOT.glob("*/dispose_*/__init__.py")}
    assert set(re.findall(r"^([a-z]+/dispose_[a-z]+)/", tree, re.MULTILINE)) == beside


def test_every_source_named_in_code_is_in_the_references():
    keys = set(re.findall(r"^@\w+\{(\w+),", (ROOT / "docs" / "references.bib").read_text(), re.MULTILINE))
    named = set()
    for package in ("dispose", "kernels", "viz"):
        for path in (ROOT / package).rglob("*.py"):
            named |= set(re.findall(r"\b(?:Source|source): `?([a-z]+\d{4}\w*)", path.read_text()))
    for path in DOCUMENTS:
        named |= set(re.findall(r"`([a-z]+\d{4}[a-z]\w*)`", path.read_text()))
    assert named <= keys
