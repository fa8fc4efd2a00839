"""Fetched files are whole or not there, against a server of our own that misbehaves on demand."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dispose.cli import download as command
from dispose.cli import main as cli
from dispose.datasets.download import catalog
from dispose.datasets.download.fetch import Item, Patience, fetch
from dispose.errors import DownloadError, OutputError

CONTENT = os.urandom(600_000)
PATIENT = Patience(timeout_s=2.0, attempts=3, pause_s=0.01)
ONCE = Patience(timeout_s=2.0, attempts=1)


class Server(ThreadingHTTPServer):
    """One file in any folder, with ranges.

    Attributes:
        content: of every file.
        tag: its ETag; empty for none.
        cut: after how many bytes an answer breaks off, for that many answers.
        status: what every answer says; 200 for all is well.
        ranges: whether ranges are honoured.
        asked: the Range header of every request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.tag, self.status, self.ranges = CONTENT, '"one"', 200, True
        self.cut: list[int] = []
        self.asked: list[str | None] = []

    def item(self) -> Item:
        """The file, as a catalogue would have it."""
        return Item(f"http://127.0.0.1:{self.server_port}/sub/file.bin", "sub/file.bin")


class Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server: Server

    def do_GET(self) -> None:
        """The file, from where it is asked for."""
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_error(server.status)
            return
        fresh = self.headers.get("If-Range") in (None, server.tag)
        found = re.match(r"bytes=(\d+)-", wanted or "") if server.ranges and fresh else None
        start = int(found[1]) if found else 0
        total = len(server.content)
        if found and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if found else 200)
        if found:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        if server.tag:
            self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        stop = start + server.cut.pop(0) if server.cut else total
        self.wfile.write(server.content[start:stop])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server."""
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def left(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_whole_file_is_fetched_once(server: Server, tmp_path: Path):
    steps: list[tuple[int, int | None]] = []
    path = fetch(server.item(), tmp_path, progress=lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["sub/file.bin"]
    assert steps[-1] == (len(CONTENT), len(CONTENT)) and steps == sorted(steps)
    assert fetch(server.item(), tmp_path) == path and server.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path):
    server.cut = [200_000, 100_000]
    assert fetch(server.item(), tmp_path, patience=PATIENT).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=200000-", "bytes=300000-"]


def test_the_next_run_goes_on(server: Server, tmp_path: Path):
    server.cut = [200_000]
    with pytest.raises(DownloadError, match="goes on from there") as stop:
        fetch(server.item(), tmp_path, patience=ONCE)
    assert "200000 bytes" in str(stop.value) and left(tmp_path) == ["sub/file.bin.part", "sub/file.bin.part.tag"]
    assert fetch(server.item(), tmp_path, patience=ONCE).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=200000-"] and left(tmp_path) == ["sub/file.bin"]


@pytest.mark.parametrize("change", ["tag", "no tag", "no ranges"])
def test_what_cannot_be_continued_starts_again(server: Server, tmp_path: Path, change: str):
    server.cut = [200_000]
    if change == "no tag":
        server.tag = ""
    with pytest.raises(DownloadError):
        fetch(server.item(), tmp_path, patience=ONCE)
    server.content = CONTENT[::-1]
    if change == "tag":
        server.tag = '"two"'
    if change == "no ranges":
        server.ranges = False
    assert fetch(server.item(), tmp_path, patience=ONCE).read_bytes() == CONTENT[::-1]


def test_a_part_that_is_already_whole_is_taken(server: Server, tmp_path: Path):
    part = tmp_path / "sub" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT)
    part.with_name("file.bin.part.tag").write_text(server.tag)
    assert fetch(server.item(), tmp_path, patience=ONCE).read_bytes() == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]
    (tmp_path / "sub" / "file.bin").unlink()
    part.write_bytes(CONTENT + b"too much")
    part.with_name("file.bin.part.tag").write_text(server.tag)
    assert fetch(server.item(), tmp_path, patience=PATIENT).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "asked", "words"), [(404, 1, "404"), (403, 1, "403"), (503, 3, "3 times")])
def test_an_answer_that_is_none(server: Server, tmp_path: Path, status: int, asked: int, words: str):
    server.status = status
    with pytest.raises(DownloadError, match=words) as stop:
        fetch(server.item(), tmp_path, patience=PATIENT)
    assert server.item().url in str(stop.value) and "\n" not in str(stop.value)
    assert len(server.asked) == asked and left(tmp_path) == []


def test_no_network(tmp_path: Path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for host in (f"127.0.0.1:{port}", "no-such-host.invalid"):
        with pytest.raises(DownloadError, match="cannot be reached") as stop:
            fetch(Item(f"http://{host}/x", "x"), tmp_path, patience=ONCE)
        assert host in str(stop.value) and "\n" not in str(stop.value)


def test_a_server_that_is_silent(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        item = Item(f"http://127.0.0.1:{silent.getsockname()[1]}/x", "x")
        with pytest.raises(DownloadError, match="no answer"):
            fetch(item, tmp_path, patience=Patience(timeout_s=0.1, attempts=2, pause_s=0.01))


def test_a_disk_without_room(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="are free"):
        fetch(server.item(), tmp_path, patience=ONCE)
    assert left(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_it_has(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(done: int, total: int | None) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        fetch(server.item(), tmp_path, progress=full, patience=ONCE)
    assert left(tmp_path) == ["sub/file.bin.part", "sub/file.bin.part.tag"]
    assert fetch(server.item(), tmp_path, patience=ONCE).read_bytes() == CONTENT
    assert server.asked[-1] is not None


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path):
    (tmp_path / "sub").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(server.item(), tmp_path, patience=ONCE)


@pytest.mark.parametrize(("url", "path"), [("file:///etc/passwd", "x"), ("http://a/b", "../x"), ("http://a/b", "/x")])
def test_items_stay_in_their_folder(url: str, path: str):
    with pytest.raises(ValueError, match=r"only http|leaves the folder"):
        Item(url, path)


@pytest.fixture
def listed(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server's file as the data set Shelf."""
    steps = ("unpack {folder}/sub/file.bin",)
    mine = catalog.Listing("shelf", "Test set", "nobody", "Do no harm.", (server.item(),), "600 kB", steps)
    monkeypatch.setattr(catalog, "LISTINGS", (mine,))
    return server


def test_the_licence_comes_first_and_must_be_accepted(
    listed: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert cli.main(["download", "shelf", "--out", str(tmp_path)]) == 2
    shown = capsys.readouterr()
    assert shown.out.index("Do no harm.") < shown.out.index(listed.item().url)
    assert "--accept-licence" in shown.err and shown.err.count("\n") == 1
    assert listed.asked == [] and left(tmp_path) == []
    assert cli.main(["download", "shelf", "--out", str(tmp_path), "--accept-licence"]) == 0
    shown = capsys.readouterr()
    assert shown.out.index("Do no harm.") < shown.out.index("have ") < shown.out.index(f"unpack {tmp_path}/sub")
    assert (tmp_path / "sub" / "file.bin").read_bytes() == CONTENT


def test_a_failure_is_one_sentence_after_the_instructions(
    listed: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    listed.status = 404
    assert cli.main(["download", "shelf", "--out", str(tmp_path), "--accept-licence"]) == 2
    shown = capsys.readouterr()
    assert "unpack" in shown.out and "404" in shown.err.splitlines()[-1] and "Traceback" not in shown.err


@pytest.mark.parametrize("name", [listing.name for listing in catalog.LISTINGS if not listing.items])
def test_what_cannot_be_fetched_is_explained(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["download", name, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.index("licence") < text.index("  - ") and "{folder}" not in text and left(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["panoptic", "--nodes", "31"], "no camera 31"),
        (["panoptic", "--sequences", "../x"], "'../x'"),
        (["shelf", "--nodes", "3"], "are for panoptic"),
    ],
)
def test_options_that_mean_nothing_are_refused(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["download", *words, "--accept-licence"]) == 2
    assert sentence in capsys.readouterr().err


def test_the_catalogue_is_complete():
    assert {listing.name for listing in catalog.LISTINGS} == set(command.SetName.__args__)
    for listing in catalog.LISTINGS:
        assert listing.licence and listing.steps and listing.citation
        paths = [item.path for item in listing.items]
        assert len(set(paths)) == len(paths)
    asked = catalog.panoptic(["160906_band1"], (3, 23)).items
    assert [item.path for item in asked] == [
        "160906_band1/calibration_160906_band1.json",
        "160906_band1/hdPose3d_stage1_coco19.tar",
        "160906_band1/hdVideos/hd_00_03.mp4",
        "160906_band1/hdVideos/hd_00_23.mp4",
    ]
