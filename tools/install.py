"""Install this project into the environment of the interpreter that runs this file, from pinned versions.

uv does the work because it is several times faster than pip. It is told what pip is configured with on this
machine, so that a folder of local wheels is used: a CPU build of torch that lies there always wins over a CUDA
build from an index. Otherwise uv looks for a GPU driver and takes the build that fits.

Afterwards JupyterLab is told not to greet everybody with a request to rebuild itself (an old extension that comes with
Open3D makes it ask) and with an offer of news.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pip_setting(name: str) -> list[str]:
    """The words of one pip setting, from its environment variable and its configuration files."""
    words = os.environ.get("PIP_" + name.upper().replace("-", "_"), "").split()
    for section in ("global", "install"):
        command = [sys.executable, "-m", "pip", "config", "get", f"{section}.{name}"]
        words += subprocess.run(command, capture_output=True, text=True).stdout.split()
    return list(dict.fromkeys(words))


def local_torch_folders() -> list[str]:
    """Folders among pip's find-links that hold a torch wheel for this interpreter and machine."""
    tag = f"-cp{sys.version_info.major}{sys.version_info.minor}-"
    folders = [folder for folder in pip_setting("find-links") if Path(folder).is_dir()]
    return [
        folder
        for folder in folders
        if any(tag in wheel.name and platform.machine() in wheel.name for wheel in Path(folder).glob("torch-*.whl"))
    ]


def install_command(torch: str, extras: str, folders: list[str]) -> list[str]:
    """The uv command line; `torch` is `auto` or a backend name such as `cpu` or `cu130`."""
    target = f"{ROOT}[{extras}]" if extras else str(ROOT)
    if folders and torch == "auto":
        source = [f"--find-links={folder}" for folder in folders]
    else:
        source = [f"--torch-backend={torch}"]
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    return [*command, *source, "-c", str(ROOT / "constraints.txt"), "-e", target]


def quiet_jupyterlab() -> Path:
    """Put the project's page settings where this environment's JupyterLab looks for them; the path written."""
    target = Path(sys.prefix) / "etc" / "jupyter" / "labconfig" / "page_config.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".json.new")
    shutil.copyfile(ROOT / "notebooks" / "jupyter" / "page_config.json", temporary)
    os.replace(temporary, target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", default="auto", help="auto, cpu, cu128, cu130, …")
    parser.add_argument("--extras", default="all", help="extras of pyproject.toml, comma separated; empty for none")
    options = parser.parse_args()
    command = install_command(options.torch, options.extras, local_torch_folders())
    environment = dict(os.environ)
    certificates = pip_setting("cert")
    if certificates:
        environment.setdefault("SSL_CERT_FILE", certificates[0])
    print("+", " ".join(command), flush=True)
    status = subprocess.call(command, env=environment, cwd=ROOT)
    if status == 0:
        quiet_jupyterlab()
    return status


if __name__ == "__main__":
    sys.exit(main())
