"""`dispose doctor`: what is installed, what is used, and the command that mends what is missing."""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import torch
import tyro
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import nn

import dispose
from dispose.errors import DisposeError
from dispose.zoo.checkpoints import SHIPPED_ASSOCIATOR, SHIPPED_IMAGE_WEIGHTS, load_associator, load_image_model
from dispose_kernels.errors import MissingBackendError
from dispose_kernels.segment import segment_backend

ROOT = Path(dispose.__file__).resolve().parents[1]
WEIGHTS = Path(dispose.__file__).resolve().parent / "zoo" / "weights"

# Each runs in a process of its own: without a Vulkan driver Open3D ends the process that asks for a renderer.
PROBE_OPEN3D = """
import numpy, open3d
renderer = open3d.visualization.rendering.OffscreenRenderer(32, 24)
print(open3d.__version__, numpy.asarray(renderer.render_to_image()).shape)
"""
PROBE_BROWSER = """
from choreographer.browsers.chromium import Chromium
print(Chromium.find_browser(skip_local=False) or "")
"""

APT_RENDERING = "apt-get install -y libegl1 libgl1 libx11-6 libusb-1.0-0 libvulkan1 mesa-vulkan-drivers"
APT_BROWSER = "apt-get install -y chromium    (elsewhere: plotly_get_chrome)"
APT_COMPILER = "apt-get install -y g++ python3-dev"


class State(Enum):
    """How much a finding matters."""

    FINE = "ok"
    OPTIONAL = "--"
    REQUIRED = "!!"


@dataclass(frozen=True)
class DoctorFinding:
    """One line of the report.

    Attributes:
        topic: what was looked at.
        state: fine, an optional piece is missing, or a required one is.
        text: what was found.
        mend: the command that mends it, or an empty string.
    """

    topic: str
    state: State
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Answer:
    """What a probe in another process said: its exit status (-1: too slow) and its last line."""

    status: int
    line: str


def probe(code: str, *, seconds: float = 120.0) -> Answer:
    """Run a few lines of Python in a process of their own, so that a crash is an answer too."""
    environment = {**os.environ, "OPEN3D_DISABLE_WEB_VISUALIZER": "true"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        return Answer(-1, f"no answer within {seconds:.0f} s")
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Answer(done.returncode, lines[-1].strip() if lines else "")


def pins() -> dict[str, str]:
    """The pinned version of every package on this platform, where this is a checkout with constraints.txt."""
    path = ROOT / "constraints.txt"
    if not path.exists():
        return {}
    found = {}
    for line in path.read_text().splitlines():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def requirements_of(extra: str) -> Iterator[Requirement]:
    """What the installed distribution asks for with one extra (empty: the core)."""
    for line in importlib.metadata.requires("dispose") or []:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == "dispose":
            continue
        named = re.search(r"extra == [\"']([\w-]+)[\"']", line)
        if (named.group(1) if named else "") != extra:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def look_at_packages(extra: str) -> DoctorFinding:
    """Versions of one group of packages against the ranges of pyproject.toml and the pins of constraints.txt."""
    pinned, missing, wrong, other, count = pins(), [], [], [], 0
    for requirement in requirements_of(extra):
        count += 1
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        pin = pinned.get(canonicalize_name(requirement.name))
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version} (needs {requirement.specifier})")
        elif pin is not None and version.partition("+")[0] != pin:
            other.append(f"{requirement.name} {version} (tested with {pin})")
    parts = [f"{count} packages" if count > 1 else next((r.name for r in requirements_of(extra)), "")]
    for label, names in (("missing: ", missing), ("wrong version: ", wrong), ("not the pinned version: ", other)):
        if names:
            parts.append(label + ", ".join(names))
    bad = bool(missing or wrong)
    state = State.FINE if not bad else State.OPTIONAL if extra else State.REQUIRED
    if not bad and not other and pinned:
        parts.append("as pinned")
    return DoctorFinding(
        f"packages: {extra or 'core'}", state, "; ".join(parts), mend_packages(extra) if bad or other else ""
    )


def mend_packages(extra: str) -> str:
    """The command that brings one group of packages to its pinned versions."""
    if extra == "scatter":
        return "pip install --no-build-isolation torch-scatter    (compiles, some minutes; nothing needs it)"
    target = f"dispose[{extra}]" if extra else "dispose"
    return "make setup" if (ROOT / "Makefile").exists() else f"pip install '{target}'"


def look_at_python() -> DoctorFinding:
    """Interpreter and platform."""
    text = f"Python {platform.python_version()}, {platform.platform(terse=True)}, dispose {dispose.__version__}"
    return DoctorFinding("python", State.FINE, text)


def look_at_machine() -> DoctorFinding:
    """Cores this process may use, and memory."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    text = f"{cores} cores, torch uses {torch.get_num_threads()} threads"
    if sys.platform != "win32":
        text += f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB memory"
    return DoctorFinding("machine", State.FINE, text)


def look_at_device() -> DoctorFinding:
    """The build of torch and the device that commands use by default."""
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return DoctorFinding("device", State.FINE, f"cuda: {names} (torch {torch.__version__})")
    text = f"cpu (torch {torch.__version__})"
    if shutil.which("nvidia-smi") is None:
        return DoctorFinding("device", State.FINE, text)
    text += "; an NVIDIA driver is here, but this torch cannot use it"
    return DoctorFinding("device", State.OPTIONAL, text, "rm -rf .venv && make setup TORCH=cu130")


def look_at_scatter() -> DoctorFinding:
    """Whether the torch-scatter backend of the segment kernels can run."""
    try:
        segment_backend("torch_scatter")
    except MissingBackendError:
        text = "segment kernels: native torch (torch-scatter is not installed, and nothing needs it)"
        return DoctorFinding("backend: scatter", State.FINE, text)
    return DoctorFinding(
        "backend: scatter", State.FINE, "segment kernels: native torch by default, torch_scatter by name"
    )


def look_at_triton() -> DoctorFinding:
    """Triton comes with the CUDA builds of torch."""
    try:
        version = importlib.metadata.version("triton")
    except importlib.metadata.PackageNotFoundError:
        return DoctorFinding("backend: triton", State.FINE, "not installed (it comes with the CUDA builds of torch)")
    return DoctorFinding("backend: triton", State.FINE, version)


def look_at_compile() -> DoctorFinding:
    """torch.compile needs a C++ compiler and Python's headers; nothing in the default path uses it."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    missing = [name for name, there in (("g++", shutil.which("g++")), ("Python.h", header.exists())) if not there]
    if not missing:
        return DoctorFinding("backend: compile", State.FINE, "g++ and Python.h are here")
    text = f"torch.compile cannot work without {' and '.join(missing)} (optional)"
    return DoctorFinding("backend: compile", State.OPTIONAL, text, APT_COMPILER)


def look_at_open3d() -> DoctorFinding:
    """Whether Open3D imports and draws a picture without a screen."""
    answer = probe(PROBE_OPEN3D)
    if answer.status == 0:
        return DoctorFinding("open3d", State.FINE, f"{answer.line.split()[0]}, draws off screen")
    if "No module named" in answer.line:
        return DoctorFinding(
            "open3d", State.OPTIONAL, "not installed; plotly and matplotlib draw instead", mend_packages("viz")
        )
    reason = answer.line or "the process ended"
    text = f"does not draw (status {answer.status}: {reason}); plotly and matplotlib draw instead"
    return DoctorFinding("open3d", State.OPTIONAL, text, APT_RENDERING)


def look_at_browser() -> DoctorFinding:
    """Whether kaleido finds a browser, which it needs to write plotly figures as pictures."""
    answer = probe(PROBE_BROWSER)
    if answer.status == 0 and answer.line:
        return DoctorFinding("pictures of plotly", State.FINE, f"kaleido uses {answer.line}")
    if answer.status:
        text = "kaleido is not installed; figures are still written as HTML"
        return DoctorFinding("pictures of plotly", State.OPTIONAL, text, mend_packages("viz"))
    text = "kaleido finds no browser; figures are still written as HTML"
    return DoctorFinding("pictures of plotly", State.OPTIONAL, text, APT_BROWSER)


def look_at_weights() -> DoctorFinding:
    """Whether the shipped weights are there and build the network of this version."""
    return _weights("weights", State.REQUIRED, WEIGHTS / SHIPPED_ASSOCIATOR, load_associator)


def look_at_image_weights() -> DoctorFinding:
    """The same for the weights that take pictures, without which everything from detections works."""
    return _weights("weights, pictures", State.OPTIONAL, WEIGHTS / SHIPPED_IMAGE_WEIGHTS, load_image_model)


def _weights(topic: str, lacking: State, path: Path, load: Callable[[Path], nn.Module]) -> DoctorFinding:
    try:
        network = load(path)
    except DisposeError as error:
        here = (ROOT / ".git").exists()
        mend = "git checkout -- dispose/zoo/weights" if here else "pip install --force-reinstall dispose"
        return DoctorFinding(topic, lacking, str(error), mend)
    numbers = sum(value.numel() for value in network.state_dict().values())
    return DoctorFinding(topic, State.FINE, f"{path.name} ({numbers:,} numbers, {path.stat().st_size / 1e6:.1f} MB)")


def look_at_kernelspec() -> DoctorFinding:
    """Whether Jupyter knows the kernel named python3, which every notebook asks for."""
    command = [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    names = json.loads(done.stdout)["kernelspecs"] if done.returncode == 0 else {}
    if "python3" in names:
        return DoctorFinding("notebooks", State.FINE, "Jupyter has the kernel python3")
    mend = f"{mend_packages('notebooks')}    (or: python -m ipykernel install --sys-prefix)"
    return DoctorFinding("notebooks", State.OPTIONAL, "Jupyter has no kernel named python3", mend)


Look = Callable[[], DoctorFinding]
QUICK: tuple[Look, ...] = (look_at_python, look_at_machine, look_at_device, look_at_weights, look_at_image_weights)
BACKENDS: tuple[Look, ...] = (look_at_scatter, look_at_triton, look_at_compile)
PROBES: tuple[Look, ...] = (look_at_open3d, look_at_browser, look_at_kernelspec)
GROUPS = ("", "viz", "notebooks", "train", "mocap", "cluster", "dev")


def examine(*, probes: bool) -> Iterator[DoctorFinding]:
    """All findings, one after the other as they are made."""
    for look in QUICK:
        yield look()
    for extra in GROUPS:
        yield look_at_packages(extra)
    for look in BACKENDS + (PROBES if probes else ()):
        yield look()


def report(findings: Iterator[DoctorFinding]) -> int:
    """Print findings as they come; 1 if something required is missing, else 0."""
    required = optional = 0
    for finding in findings:
        print(f"{finding.state.value}  {finding.topic:<20} {finding.text}", flush=True)
        if finding.mend:
            print(f"    {'':<20} mend: {finding.mend}", flush=True)
        required += finding.state is State.REQUIRED
        optional += finding.state is State.OPTIONAL
    print(f"\n{required} required and {optional} optional pieces are missing.")
    return 1 if required else 0


@dataclass(frozen=True)
class DoctorCommand:
    """Say what is installed, which device and backends are used, and what to do about what is missing.

    Marks: `ok` fine, `--` an optional piece is missing, `!!` a required piece is missing (then the status is 1).
    """

    quick: Annotated[tyro.conf.FlagCreatePairsOff[bool], tyro.conf.arg(help_behavior_hint="")] = False
    """Leave out the probes that start a process each (Open3D, browser, Jupyter)."""

    def run(self) -> int:
        """Print the report."""
        return report(examine(probes=not self.quick))
