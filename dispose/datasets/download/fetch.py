"""Files from the network that are either whole or not there.

urllib is enough: ranges, redirects and proxies are all that is needed (pooch cannot resume, requests is one more
dependency). A file grows under its name with `.part`, keeps what was fetched when the connection breaks, goes on from
there when the server's file is still the same one, and gets its name when all that the server announced is there.
"""

import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dispose.errors import DownloadError, OutputError

BLOCK = 1 << 18
AGENT = "dispose"


@dataclass(frozen=True)
class Item:
    """One file of a data set: where it is, and where it goes below the folder of the data set."""

    url: str
    path: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"{self.url}: only http and https are fetched")
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError(f"{self.path}: leaves the folder of the data set")


Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, if known, how many there will be."""


@dataclass(frozen=True)
class Patience:
    """How long is waited for a server.

    Attributes:
        timeout_s: for an answer, or for the next bytes.
        attempts: how often a broken connection is taken up again.
        pause_s: before the second attempt, doubled before every further one.
    """

    timeout_s: float = 30.0
    attempts: int = 4
    pause_s: float = 1.0


def fetch(
    item: Item, folder: Path, *, progress: Progress = lambda done, total: None, patience: Patience = Patience()
) -> Path:
    """The file of an item in a folder; one that is there already is not fetched again.

    Raises:
        DownloadError: the address cannot be reached or has no such file. What was fetched before a connection broke is
            kept, and the next call goes on from there.
        OutputError: the file cannot be written, or does not fit on the disk.
    """
    path = folder / item.path
    try:
        if path.is_file():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        for attempt in range(patience.attempts):
            if attempt:
                time.sleep(patience.pause_s * 2 ** (attempt - 1))
            if _grow(item, part, progress, patience):
                break
        else:
            raise DownloadError(
                f"{item.url}: no answer, or a connection that broke, {patience.attempts} times, at last after "
                f"{_size(part)} bytes; the same command goes on from there."
            )
        part.replace(path)
        _tag(part).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}).") from error
    return path


def _tag(part: Path) -> Path:
    """Where it is noted which version of the server's file the first bytes are of."""
    return part.with_name(part.name + ".tag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _grow(item: Item, part: Path, progress: Progress, patience: Patience) -> bool:
    """Fetch what is missing; whether the end was reached (False: the connection broke)."""
    have = _size(part)
    tag = _tag(part).read_text() if have and _tag(part).exists() else ""
    request = urllib.request.Request(item.url, headers={"User-Agent": AGENT, "Accept-Encoding": "identity"})
    if tag:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag)
    try:
        with urllib.request.urlopen(request, timeout=patience.timeout_s) as answer:
            start = _start(answer, have if tag else 0)
            length = answer.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else None
            missing, free = (total or 0) - start, shutil.disk_usage(part.parent).free
            if missing > free:
                sizes = f"{missing / 1e9:.2f} GB are missing of {part.stem} and {free / 1e9:.2f} GB are free"
                raise OutputError(f"{part.parent}: {sizes}.")
            if start == 0:
                # First the old bytes go, then the note says which version the new ones are of.
                part.unlink(missing_ok=True)
            _tag(part).write_text(_version(answer))
            return _copy(answer, part, start, total, progress)
    except urllib.error.HTTPError as error:
        if error.code == 416 and tag:
            return _after_the_end(error, part, have)
        if error.code in (429, 500, 502, 503, 504):
            return False
        raise DownloadError(f"{item.url}: the server answers {error.code} ({error.reason}).") from error
    except urllib.error.URLError as error:
        why = error.reason.strerror if isinstance(error.reason, OSError) else None
        raise DownloadError(f"{item.url}: cannot be reached ({why or error.reason}).") from error
    except (TimeoutError, ConnectionError, http.client.HTTPException):
        return False


def _start(answer: http.client.HTTPResponse, have: int) -> int:
    """The place in the file where the answer begins: where we stopped, or 0 if the server sends all of it."""
    if answer.status != 206:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return have if found and int(found[1]) == have else 0


def _version(answer: http.client.HTTPResponse) -> str:
    """What names this version of the server's file; empty where nothing does, and then nothing is resumed."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _after_the_end(error: urllib.error.HTTPError, part: Path, have: int) -> bool:
    """Nothing lies behind what we have: it is all, or it is too much and goes."""
    found = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if found and int(found[1]) == have:
        return True
    part.unlink()
    return False


def _copy(answer: http.client.HTTPResponse, part: Path, start: int, total: int | None, progress: Progress) -> bool:
    """Write what comes behind the bytes that are there; whether all of it came (False: the connection broke)."""
    done = start
    with open(part, "ab") as file:
        while True:
            try:
                block = answer.read(BLOCK)
            except (OSError, http.client.HTTPException):
                return False
            if not block:
                return total is None or done >= total
            file.write(block)
            done += len(block)
            progress(done, total)
