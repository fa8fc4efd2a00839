"""A function called in a process of its own, so that nothing it does can hurt: how it ended."""

import os
import resource
import signal
import time
import traceback
from collections.abc import Callable

from dispose.errors import DisposeError

MOST_SECONDS, MOST_BYTES = 5, 1 << 30
"""How long a reader may work, and how much memory it may take beside what there was."""


def most_waiting() -> int:
    """How long that may take by the clock: no longer on a quiet machine, on a busy one it waits for others."""
    return MOST_SECONDS if os.getloadavg()[0] <= (os.cpu_count() or 1) + 0.5 else 30


READ, REFUSED = "read", "refused"


def call_bounded(function: Callable[[], object]) -> str:
    """`READ`, `REFUSED`, or in words what went wrong: a traceback, a signal, a hang, memory."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        os.close(receiver)
        # Nothing of the parent's (buffers, locks, plugins) may run in the child's end.
        os.write(sender, _told(function).encode("utf-8", "backslashreplace")[:4000])
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as told:
        text = told.read().decode()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        hung = {signal.SIGPROF: f"over {MOST_SECONDS} s of work", signal.SIGALRM: "a hang by the clock"}
        return hung.get(signal.Signals(number), f"signal {number}")
    return text


def _told(function: Callable[[], object]) -> str:
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    signal.alarm(most_waiting())
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + MOST_BYTES, now + MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    started = time.monotonic()
    try:
        function()
    except DisposeError as error:
        return REFUSED if str(error).strip() else "refused without a word"
    except BaseException:
        return f"traceback after {time.monotonic() - started:.1f} s: {traceback.format_exc()[-1500:]}"
    return READ
