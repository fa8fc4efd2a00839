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
from dispose.zoo.movenet import FETCHED, INSTALL, load_movenet, weights_folder
from dispose_kernels.errors import BackendError
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
    """One line of the report: what was looked at, how it is, what was found, and the command that mends it."""

    topic: str
    state: State
    text: str
    mend: str = ""


@dataclass(frozen=True)
class Answer:
    """What a probe in another process said: its exit status (-1: too slow) and its last line."""

    status: int
    line: str


def fine(topic: str, text: str) -> DoctorFinding:
    """What is as it should be."""
    return DoctorFinding(topic, State.FINE, text)


def optional(topic: str, text: str, mend: str) -> DoctorFinding:
    """What is missing and not needed by every command."""
    return DoctorFinding(topic, State.OPTIONAL, text, mend)


def probe(code: str, *, seconds: float = 120.0) -> Answer:
    """Run a few lines of Python in a process of their own, so that a crash is an answer too."""
    environment = {**os.environ, "OPEN3D_DISABLE_WEB_VISUALIZER": "true"}
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        return Answer(-1, f"no answer within {seconds:.0f} s")
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return Answer(done.returncode, lines[-1].strip() if lines else "")


def pins() -> dict[str, str]:
    """The pinned version of every package on this platform, where this is a checkout with constraints.txt."""
    path = ROOT / "constraints.txt"
    lines = map(Requirement, path.read_text().splitlines() if path.exists() else ())
    here = [line for line in lines if line.marker is None or line.marker.evaluate()]
    return {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in here}


def requirements_of(extra: str) -> list[Requirement]:
    """What the installed distribution asks for with one extra (empty: the core)."""
    found = []
    for line in importlib.metadata.requires("dispose") or []:
        requirement, named = Requirement(line), re.search(r"extra == [\"']([\w-]+)[\"']", line)
        ours = canonicalize_name(requirement.name) != "dispose" and (named[1] if named else "") == extra
        if ours and (requirement.marker is None or requirement.marker.evaluate({"extra": extra})):
            found.append(requirement)
    return found


def look_at_packages(extra: str) -> DoctorFinding:
    """Versions of one group of packages against the ranges of pyproject.toml and the pins of constraints.txt."""
    wanted, pinned = requirements_of(extra), pins()
    missing, wrong, other = [], [], []
    for requirement in wanted:
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
    parts = [f"{len(wanted)} packages" if len(wanted) > 1 else "".join(one.name for one in wanted)]
    labels = (("missing: ", missing), ("wrong version: ", wrong), ("not the pinned version: ", other))
    parts += [label + ", ".join(names) for label, names in labels if names]
    bad = bool(missing or wrong)
    if pinned and not bad and not other:
        parts.append("as pinned")
    state = State.FINE if not bad else State.OPTIONAL if extra else State.REQUIRED
    mend = mend_packages(extra) if bad or other else ""
    return DoctorFinding(f"packages: {extra or 'core'}", state, "; ".join(parts), mend)


def mend_packages(extra: str) -> str:
    """The command that brings one group of packages to its pinned versions."""
    target = f"dispose[{extra}]" if extra else "dispose"
    return "make setup" if (ROOT / "Makefile").exists() else f"pip install '{target}'"


def look_at_machine() -> Iterator[DoctorFinding]:
    """Interpreter and platform; cores this process may use, and memory; the device that commands use by default."""
    text = f"Python {platform.python_version()}, {platform.platform(terse=True)}, dispose {dispose.__version__}"
    yield fine("python", text)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    text = f"{cores} cores, torch uses {torch.get_num_threads()} threads"
    if sys.platform != "win32":
        text += f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB memory"
    yield fine("machine", text)
    text = f"cpu (torch {torch.__version__})"
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        yield fine("device", f"cuda: {names} (torch {torch.__version__})")
    elif shutil.which("nvidia-smi") is None:
        yield fine("device", text)
    else:
        text += "; an NVIDIA driver is here, but this torch cannot use it"
        yield optional("device", text, "rm -rf .venv && make setup TORCH=cu130")


def look_at_backends() -> Iterator[DoctorFinding]:
    """What can run beside plain torch: torch-scatter, Triton, torch.compile; nothing in the default path uses them."""
    text = "segment kernels: native torch by default, torch_scatter by name"
    try:
        segment_backend("torch_scatter")
    except BackendError:
        text = "segment kernels: native torch (torch-scatter is not installed, and nothing needs it)"
    yield fine("backend: scatter", text)
    try:
        yield fine("backend: triton", importlib.metadata.version("triton"))
    except importlib.metadata.PackageNotFoundError:
        yield fine("backend: triton", "not installed (it comes with the CUDA builds of torch)")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    missing = [name for name, there in (("g++", shutil.which("g++")), ("Python.h", header.exists())) if not there]
    if missing:
        text = f"torch.compile cannot work without {' and '.join(missing)} (optional)"
        yield optional("backend: compile", text, APT_COMPILER)
    else:
        yield fine("backend: compile", "g++ and Python.h are here")


def look_at_open3d() -> DoctorFinding:
    """Whether Open3D imports and draws an image without a screen."""
    answer = probe(PROBE_OPEN3D)
    if answer.status == 0:
        return fine("open3d", f"{answer.line.split()[0]}, draws off screen")
    if "No module named" in answer.line:
        return optional("open3d", "not installed; plotly and matplotlib draw instead", mend_packages("viz"))
    reason = answer.line or "the process ended"
    text = f"does not draw (status {answer.status}: {reason}); plotly and matplotlib draw instead"
    return optional("open3d", text, APT_RENDERING)


def look_at_browser() -> DoctorFinding:
    """Whether kaleido finds a browser, which it needs to write plotly figures as images."""
    topic, answer = "pictures of plotly", probe(PROBE_BROWSER)
    if answer.status:
        return optional(topic, "kaleido is not installed; figures are still written as HTML", mend_packages("viz"))
    if answer.line:
        return fine(topic, f"kaleido uses {answer.line}")
    return optional(topic, "kaleido finds no browser; figures are still written as HTML", APT_BROWSER)


def look_at_weights(topic: str, lacking: State, name: str, load: Callable[[Path], nn.Module]) -> DoctorFinding:
    """Whether shipped weights are there and build the network of this version; `lacking` is how much that matters."""
    path = WEIGHTS / name
    try:
        network = load(path)
    except DisposeError as error:
        here = (ROOT / ".git").exists()
        mend = "git checkout -- dispose/zoo/weights" if here else "pip install --force-reinstall dispose"
        return DoctorFinding(topic, lacking, str(error), mend)
    numbers = sum(value.numel() for value in network.state_dict().values())
    return fine(topic, f"{path.name} ({numbers:,} numbers, {path.stat().st_size / 1e6:.1f} MB)")


def look_at_detector() -> DoctorFinding:
    """Whether the detector's weights have been fetched and are those that were published."""
    try:
        for config in FETCHED:
            load_movenet(config)
    except DisposeError as error:
        return optional("weights, detector", str(error), INSTALL)
    return fine("weights, detector", f"as published, in {weights_folder()}")


def look_at_kernelspec() -> DoctorFinding:
    """Whether Jupyter knows the kernel named python3, which every notebook asks for."""
    command = [sys.executable, "-m", "jupyter", "kernelspec", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    names = json.loads(done.stdout)["kernelspecs"] if done.returncode == 0 else {}
    if "python3" in names:
        return fine("notebooks", "Jupyter has the kernel python3")
    mend = f"{mend_packages('notebooks')}    (or: python -m ipykernel install --sys-prefix)"
    return optional("notebooks", "Jupyter has no kernel named python3", mend)


GROUPS = ("", "viz", "notebooks", "train", "mocap", "hdf5", "cluster", "dev")
WEIGHTS_OF = (
    ("weights", State.REQUIRED, SHIPPED_ASSOCIATOR, load_associator),
    ("weights, pictures", State.OPTIONAL, SHIPPED_IMAGE_WEIGHTS, load_image_model),
)
"""Everything from detections works without those that take images."""


def examine(*, probes: bool) -> Iterator[DoctorFinding]:
    """All findings, one after the other as they are made; `probes` start a process each."""
    yield from look_at_machine()
    for row in WEIGHTS_OF:
        yield look_at_weights(*row)
    yield look_at_detector()
    yield from map(look_at_packages, GROUPS)
    yield from look_at_backends()
    if probes:
        yield look_at_open3d()
        yield look_at_browser()
        yield look_at_kernelspec()


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
