"""`dispose inspect`: what it refuses, the notebook it serves, and a server that leaves nothing behind."""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

from dispose.association.reconstruct import reconstruct_frame
from dispose.baselines.integer_programme import integer_programme
from dispose.cli import inspect as inspect_command
from dispose.cli.inspect import InspectCommand
from dispose.cli.main import main
from dispose.formats.evidence import read_run
from dispose.inference.readings import Source
from dispose.inference.results_folder import RunFiles, results_folder
from dispose.inference.run import run as run_frames
from dispose.scene.results import associate_each, reconstruct_each
from dispose_synthetic.sequences import crowded_room
from dispose_workbench.notebooks import inspector_page, run
from dispose_workbench.notebooks.inspector_page import NOTEBOOK, PageError, free_port, page_notebook, serve
from dispose_workbench.notebooks.parameters import parameters_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two frames."""
    scenes = crowded_room(torch.Generator().manual_seed(0), 2, persons=4)
    place, associate = tmp_path_factory.mktemp("run"), associate_each(integer_programme)
    with results_folder(place, RunFiles("room", "integer programme", tables=False)) as sink:
        rebuild = reconstruct_each(reconstruct_frame)
        run_frames(Source.of(scenes), associate, rebuild, sink, reference=integer_programme)
    return place


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a refused run."""
    assert main(["inspect", *arguments]) == 2
    text = capsys.readouterr().err.strip()
    assert text.startswith("dispose: ") and len(text.splitlines()) == 1
    return text


def test_a_run_over_labelled_frames_is_found_again_with_its_labels(folder: Path) -> None:
    results = read_run(folder)
    assert (results.name, results.method, len(results.cases)) == ("room", "integer programme", 2)
    assert all(result.labels is not None and result.reference is not None for result in results.cases)
    again = crowded_room(torch.Generator().manual_seed(0), 2, persons=4)
    assert torch.equal(
        again[1][1].identity, crowded_room(torch.Generator().manual_seed(0), 2, persons=4)[1][1].identity
    )
    assert len(again[0][0].cameras) == 4 and len(again[0][1].poses.id) == 4


def test_what_is_no_results_is_said_before_anything_starts(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "there is no such file" in complaint([str(tmp_path / "nowhere")], capsys)
    assert "no results in it" in complaint([str(tmp_path)], capsys)
    (tmp_path / "file").write_text("")
    assert "is a file" in complaint([str(folder), "--out", str(tmp_path / "file")], capsys)
    assert "holds its own cameras" in complaint([str(folder), "--capture", str(tmp_path)], capsys)


def test_what_no_frame_knows_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "body3DScene_00000001.json").write_text('{"bodies": []}')
    for more in (["--no-browser"], ["--pages", str(tmp_path / "pages")]):
        said = complaint([str(tmp_path), "--rank-by", "wrong_pairs", *more], capsys)
        assert "frames cannot be ranked by 'wrong_pairs', which these results do not know; there are trouble." in said
    assert not (tmp_path / "pages").exists()


def test_what_the_files_left_open_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "body3DScene_00000001.json").write_text('{"bodies": []}')
    monkeypatch.setattr(InspectCommand, "write_pages", lambda self, folder: 0)
    assert InspectCommand(tmp_path, pages=tmp_path / "pages").run() == 0
    assert "cameras are not known" in capsys.readouterr().err


def test_a_port_in_use_is_said_and_without_one_the_next_is_taken(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind((inspector_page.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = complaint([str(folder), "--port", str(port), "--out", str(tmp_path), "--no-browser"], capsys)
        assert f"port {port} is in use" in said
        monkeypatch.setattr(inspector_page, "FIRST_PORT", port)
        assert free_port(None) > port
    assert "go from 1 to 65535" in complaint([str(folder), "--port", "70000", "--out", str(tmp_path)], capsys)


def test_without_voila_or_notebooks_it_says_what_to_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "NOTEBOOKS", tmp_path)
    assert "clone it" in complaint([str(folder), "--out", str(tmp_path)], capsys)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "voila" else real(name, *rest))
    assert "pip install 'dispose[notebooks]'" in complaint([str(folder), "--out", str(tmp_path)], capsys)


def test_the_page_is_the_notebooks_inspector_with_these_parameters(tmp_path: Path) -> None:
    values = [("results", str(tmp_path)), ("rank_by", "missed")]
    with page_notebook(values) as path:
        book = nbformat.read(path, as_version=4)
        kept = path.parent
    assert not kept.exists()
    sources = [cell.source for cell in book.cells]
    assert all(cell.cell_type == "code" for cell in book.cells)
    assert sources[-1].startswith("Inspector(") and sum("Inspector(run" in source for source in sources) == 1
    assert not any("page_of(" in source for source in sources)
    given = next(place for place, cell in enumerate(book.cells) if "injected-parameters" in cell.metadata.tags)
    assert f'results = "{tmp_path}"' in sources[given] and 'rank_by = "missed"' in sources[given]
    assert "parameters" in book.cells[given - 1].metadata.tags


def test_everything_that_can_be_asked_for_is_a_parameter_of_the_page() -> None:
    names = {parameter.name for parameter in parameters_of(run.notebook_path(NOTEBOOK))}
    assert {"results", "capture", "calibration", "truth", "rank_by", "out"} <= names


def test_pictures_are_written_without_a_server(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert InspectCommand(folder, pages=tmp_path / "pages", worst=1).run() == 0
    (page,) = (tmp_path / "pages").iterdir()
    assert page.name.startswith("01-frame-") and page.suffix == ".png"
    said = capfd.readouterr().out
    assert page.name in said and "frame " in said


def test_the_server_answers_on_this_computer_and_ends_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(book, tmp_path / "small.ipynb")
    asked: list[int | None] = []
    with serve(tmp_path / "small.ipynb", None) as page:
        assert page.address.startswith("http://127.0.0.1:")
        pid = page.process.pid
        monkeypatch.setattr(page.process, "terminate", lambda: asked.append(page.process.poll()))
    assert asked == [0], "it ends at the end of its input, and nobody has to end it"
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_port_that_another_page_takes_meanwhile_is_given_up_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pages that start at one moment both find the same port free, and one of them comes too late."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(book, tmp_path / "small.ipynb")
    with socket.create_server((inspector_page.HOST, 0)) as other:
        taken = other.getsockname()[1]
        found = iter([taken])
        monkeypatch.setattr(inspector_page, "free_port", lambda port: next(found, None) or free_port(port))
        with serve(tmp_path / "small.ipynb", None) as page:
            assert page.process.poll() is None and f":{taken}/" not in page.address
        monkeypatch.setattr(inspector_page, "free_port", lambda port: taken)
        # A short name: those of sockets in it have little room.
        with tempfile.TemporaryDirectory() as put_aside:
            monkeypatch.setenv("TMPDIR", put_aside)
            with pytest.raises(PageError, match="ended at once"), serve(tmp_path / "small.ipynb", taken):
                pass
            assert not list(Path(put_aside).iterdir()), "a server that cannot start leaves a folder"


def status_of(address: str, **headers: str) -> int:
    """The status of the answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_who_knows_the_address_is_answered(tmp_path: Path) -> None:
    """Not another user of the machine, not a page that gave this computer a name of its own, not for another file."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(book, tmp_path / "small.ipynb")
    (tmp_path / "secret.png").write_bytes(b"private")
    with serve(tmp_path / "small.ipynb", None) as page:
        root, port = page.address.rstrip("/").rpartition("/")[0], page.address.split(":")[2].split("/")[0]
        there = f"{int(port):04X}"
        listed = [line.split()[1:3] for line in Path("/proc/net/tcp").read_text().splitlines()]
        bound = {here for here, far in listed if here.endswith(f":{there}") and far == "00000000:0000"}
        assert bound == {f"0100007F:{there}"}, "others than this computer hear it"
        static = f"{page.address}voila/static/voila.js"
        assert status_of(static) in (200, 404)
        with urllib.request.urlopen(page.address, timeout=60) as answer:
            assert answer.headers["Referrer-Policy"] == "same-origin", "what it links to would be told its address"
        kernels = len(children_of_all(page.process.pid))
        assert status_of(page.address) == 200
        assert len(children_of_all(page.process.pid)) == kernels == 1, "the second visit's takes the first one's place"
        for foreign in (f"{root}/", f"{root}/api/kernels", f"{root}/voila/static/voila.js", f"{page.address[:-2]}/"):
            assert status_of(foreign) == 403, foreign
        assert status_of(page.address, Host=f"evil.example:{port}") == 403
        assert status_of(page.address, Host="127.0.0.1:1") == 403
        assert status_of(page.address, Origin="http://evil.example") == 403
        assert status_of(static, Origin=f"http://127.0.0.1:{port}") in (200, 404)
        assert status_of(f"{page.address}voila/files/secret.png") in (403, 404)
        sockets = check_nobody_else_can_read(page, tmp_path)
    assert not sockets.exists(), "a folder of the server is left"


def check_nobody_else_can_read(page: inspector_page.Page, folder: Path) -> Path:
    """Neither arguments nor files that others may read tell the address, and no kernel talks where others hear it.

    The folder of the kernel's sockets is returned.
    """
    secret = page.address.rstrip("/").rpartition("/")[2]
    with urllib.request.urlopen(page.address, timeout=120) as answer:
        answer.read()  # to its end: the kernel is there
    for pid in (page.process.pid, *children_of_all(page.process.pid)):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
        assert not Path(f"/proc/{pid}/environ").stat().st_mode & 0o077
    opener = inspector_page.write_opener(page.address, folder)
    assert page.address in opener.read_text() and str(secret) not in str(opener)
    told = {path for path in folder.iterdir() if secret.encode() in path.read_bytes()}
    assert told == {opener, folder / "small.log"}
    assert not [path for path in told if path.stat().st_mode & 0o077]
    (kernel,) = children_of_all(page.process.pid)
    sockets = Path(Path(f"/proc/{kernel}/cmdline").read_text().rstrip("\0").split("\0")[-1]).parent
    assert len([path for path in sockets.iterdir() if path.is_socket()]) == 5 and not sockets.stat().st_mode & 0o077
    if os.geteuid() == 0 and shutil.which("setpriv"):
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        program = "import sys, urllib.request as r; r.urlopen(sys.argv[1])"
        for command in (
            ["cat", f"/proc/{page.process.pid}/environ"], ["cat", f"/proc/{kernel}/environ"], ["cat", str(opener)],
            ["cat", str(folder / "small.log")], ["ls", str(sockets)],
            ["python3", "-c", program, f"{page.address[:-34]}/"],
        ):  # fmt: skip
            refused = subprocess.run([*nobody, *command], capture_output=True, text=True, check=False)
            assert refused.returncode and ("denied" in refused.stderr or "403" in refused.stderr), refused.stderr
    return sockets


def test_the_browser_is_not_told_the_address_by_its_arguments(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever lists processes sees them."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    served = SimpleNamespace(address="http://127.0.0.1:1/secret/", process=SimpleNamespace(wait=lambda: 0))
    monkeypatch.setattr(inspect_command, "serve", lambda *_: nullcontext(served))
    assert InspectCommand(folder, out=tmp_path).run() == 0
    assert "http://127.0.0.1:1/secret/" in capsys.readouterr().out
    assert opened and opened[0].startswith("file://") and "secret" not in opened[0]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_the_page_goes_with_who_started_it_even_if_that_is_killed(tmp_path: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")])
    nbformat.write(book, tmp_path / "small.ipynb")
    program = (
        "import sys, time, urllib.request; from pathlib import Path\n"
        "from dispose_workbench.notebooks.inspector_page import serve\n"
        "with serve(Path(sys.argv[1]), None) as page:\n"
        "    urllib.request.urlopen(page.address, timeout=120).read(); print(page.process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "small.ipynb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        server = int(running.stdout.readline())
        family = [server, *children_of_all(server)]
        assert len(family) == 2, "the server and its kernel"
        running.kill()
    deadline = time.monotonic() + 5
    while any(runs(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in family if runs(pid)]


def runs(pid: int) -> bool:
    """Whether a process is there, and not just its name, which an orphan leaves until somebody asks for its end."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_server_that_cannot_start_shows_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(inspector_page.PageError, match="ended at once"),
        serve(tmp_path / "missing.ipynb", None),
    ):
        pytest.fail("it answers")


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_page_its_server_and_its_kernel(folder: Path, tmp_path: Path, sent: signal.Signals) -> None:
    command = [sys.executable, "-m", "dispose.cli.main", "inspect", str(folder), "--no-browser", "--out", str(tmp_path)]
    # Tests that run in the background of a shell ignore Ctrl-C, and what they start would too.
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=heard)
    assert running.stdout is not None
    address = running.stdout.readline().split()[0]
    with urllib.request.urlopen(address, timeout=300) as answer:
        text = answer.read().decode()
    assert "cdn." not in text, "nothing is loaded from the net"
    assert "application/vnd.jupyter.widget-view+json" in text and "Traceback" not in text
    kernels = [pid for pid in children_of_all(running.pid)]
    assert len(kernels) >= 2, "the server and a kernel"
    running.send_signal(sent)
    assert running.wait(60) == 128 + sent
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in kernels) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [pid for pid in kernels if Path(f"/proc/{pid}").exists()]


def children_of_all(pid: int) -> list[int]:
    """A process's descendants."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    children = [int(word) for word in listed.split()]
    return children + [below for child in children for below in children_of_all(child)]


def test_pages_that_are_asked_for_at_once_have_one_kernel_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel counts as running only when it has started: whoever asks meanwhile has to wait."""
    # These packages are optional.
    manager = pytest.importorskip("jupyter_server.services.kernels.kernelmanager").AsyncMappingKernelManager
    pytest.importorskip("voila")
    from dispose_workbench.notebooks.page_server import OneKernel

    running, most = list[str](), list[int]()

    async def start(*_: object, **__: object) -> str:
        await asyncio.sleep(0)
        running.append(f"kernel {len(most)}")
        most.append(len(running))
        return running[-1]

    async def shut_down(_: object, kernel: str, now: bool = False) -> None:
        running.remove(kernel)

    monkeypatch.setattr(manager, "_async_start_kernel", start)
    monkeypatch.setattr(OneKernel, "shutdown_kernel", shut_down)
    monkeypatch.setattr(OneKernel, "list_kernel_ids", lambda _: list(running))

    async def visits() -> None:
        kernels = OneKernel()
        await asyncio.gather(*(kernels.start_kernel() for _ in range(4)))

    asyncio.run(visits())
    assert most == [1, 1, 1, 1]


def test_a_page_that_is_opened_once_more_ends_where_it_was() -> None:
    """Its kernel is gone: it would wait for ever."""
    pytest.importorskip("voila")
    from dispose_workbench.notebooks.page_server import LastVisit

    answered: dict[str, list[str]] = {"first": [], "last": []}

    async def parts(path: str | None = None) -> AsyncIterator[str]:
        for part in ("head", "body", "end"):
            yield part
            await asyncio.sleep(0)

    async def visit(who: str) -> None:
        request = SimpleNamespace(write=answered[who].append, flush=lambda: None, get_generator=parts)
        await LastVisit.get.__wrapped__(request)  # type: ignore[attr-defined]

    async def visits() -> None:
        await asyncio.gather(visit("first"), visit("last"))

    asyncio.run(visits())
    assert answered["last"] == ["head", "body", "end"]
    assert answered["first"] == ["head", "<p>This page was opened once more, and lives on there.</p>"]
