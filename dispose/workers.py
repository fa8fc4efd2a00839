"""Processes that work for this one, and go with it."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch


def _nothing() -> None:
    pass


def worker_pool(workers: int, begin: Callable[[], None] = _nothing) -> ProcessPoolExecutor:
    """New processes that take work, with one thread of torch each; they do not outlive this one, however it ends.

    `begin` is called in each before its work. Without help they would wait for ever for a process that was killed.
    """
    return ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(begin,)
    )


def end_with_parent() -> None:
    """From now on this process, which `multiprocessing` started, ends when the one that started it is gone."""
    threading.Thread(target=_end_with_whoever_started_us, daemon=True).start()


def _begin(begin: Callable[[], None]) -> None:
    end_with_parent()
    torch.set_num_threads(1)
    begin()


def _end_with_whoever_started_us() -> None:
    started_us = multiprocessing.parent_process()
    assert started_us is not None
    started_us.join()
    os._exit(1)
