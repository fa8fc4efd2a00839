"""The server of `dispose inspect`'s page, a process of its own: nobody but who knows the address is answered.

Voilà serves one notebook to whoever asks. Here its address holds a secret, which comes by the environment (arguments of
processes are there for everybody on a machine to read); names that somebody else's page gave this computer are not
answered, and whom the page links to is not told its address; there is never more than one kernel; and when the pipe to
whoever started it closes, however that came about, the server goes too.
"""

import asyncio
import hmac
import os
import shutil
import sys
import tempfile
import threading
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, ErrorHandler, authenticated
from traitlets.config import Config
from voila.app import Voila
from voila.tornado.handler import TornadoVoilaHandler

from dispose_workbench.notebooks.inspector_page import SECRET

IDLE_S, LOOK_S = 600, 60
"""A kernel that no page is connected to ends after so many seconds; it is looked after it every so many."""

HEARTBEAT_S = 2

LONGEST_FOLDER = 40
"""Letters of the folder for temporary files: the names of sockets in it have no room for more."""


class OneKernel(AsyncMappingKernelManager):
    """The kernels of a page: a new one takes the place of the last, also where several are asked for at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._starting = asyncio.Lock()

    async def _async_start_kernel(self, **kwargs: Any) -> str:  # type: ignore[override]
        async with self._starting:
            for running in self.list_kernel_ids():
                await self.shutdown_kernel(running, now=True)
            return await super()._async_start_kernel(**kwargs)

    start_kernel = _async_start_kernel


class LastVisit(TornadoVoilaHandler):
    """The page, for whoever asked last: the kernel of those before them is gone, and their answer ends."""

    visits = 0

    @authenticated
    async def get(self, path: str | None = None) -> None:
        """Write the page as far as it is, unless somebody else has come meanwhile."""
        LastVisit.visits += 1
        mine = LastVisit.visits
        # While nothing is ready there is a sign of life every `HEARTBEAT_S`.
        async for part in self.get_generator(path=path):
            if mine != LastVisit.visits:
                self.write("<p>This page was opened once more, and lives on there.</p>")
                return
            self.write(part)
            self.flush()


def is_welcome(request: HTTPServerRequest, base: str, port: int) -> bool:
    """Whether a request names the secret, and this computer as itself: in the address and as where it comes from."""
    names = {f"127.0.0.1:{port}", f"localhost:{port}"}
    path, origin = request.path.encode(), request.headers.get("Origin")
    knows = hmac.compare_digest(path[: len(base)], base.encode())
    return knows and request.host in names and (origin is None or urlsplit(origin).netloc in names)


class PageServer(Voila):
    """Voilà for who is welcome."""

    def init_handlers(self) -> list[Any]:
        """Voilà's, with our own for the page."""
        handlers: Any = super().init_handlers()
        return [(at, LastVisit if one is TornadoVoilaHandler else one, *more) for at, one, *more in handlers]

    def listen(self) -> None:
        """Answer everybody else with status 403, whatever they ask for."""
        answering: Application = self.app
        handled = answering.find_handler

        def find_handler(request: HTTPServerRequest, **kwargs: Any) -> Any:
            if is_welcome(request, self.base_url, self.port):
                return handled(request, **kwargs)
            return answering.get_handler_delegate(request, ErrorHandler, {"status_code": 403})

        answering.find_handler = find_handler  # type: ignore[method-assign]
        # Whatever the page links to is not told where it was linked from: that is the secret.
        answering.settings["headers"] = {"Referrer-Policy": "same-origin"}
        super().listen()


def end_with_whoever_started_us(server: PageServer) -> None:
    """Wait for the end of standard input, which comes when its other end is closed or its process is gone."""
    while os.read(0, 4096):  # not `sys.stdin`: its lock would be held while the interpreter ends
        pass
    for kernel in server.kernel_manager.list_kernel_ids():
        server.kernel_manager.get_kernel(kernel).provisioner.process.kill()
    # Nobody waits for an answer any more; ending as Voilà does takes seconds.
    shutil.rmtree(server.connection_dir, ignore_errors=True)
    os._exit(0)


def main() -> None:
    """Serve the notebook that the arguments name, below the secret of the environment."""
    secret = os.environ.pop(SECRET)
    server = PageServer.instance(base_url=f"/{secret}/")
    # What a kernel says over TCP any user of this computer may hear; sockets that are files lie in a private folder.
    folder = tempfile.gettempdir()
    server.update_config(
        Config(
            VoilaConfiguration={
                "file_allowlist": [],
                "multi_kernel_manager_class": OneKernel,
                "http_keep_alive_timeout": HEARTBEAT_S,
            },
            MappingKernelManager={"cull_idle_timeout": IDLE_S, "cull_interval": LOOK_S, "cull_connected": False},
            KernelManager={"transport": "ipc" if os.name == "posix" else "tcp"},
            Voila={"connection_dir_root": folder if len(folder) < LONGEST_FOLDER or os.name != "posix" else "/tmp"},
        )
    )
    try:
        server.initialize(sys.argv[1:])
        threading.Thread(target=end_with_whoever_started_us, args=(server,), daemon=True).start()
        server.start()
    finally:
        # Voilà leaves it where it cannot start.
        shutil.rmtree(server.connection_dir, ignore_errors=True)


if __name__ == "__main__":
    main()
