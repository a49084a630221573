"""Calls that may hang, such as closing a device that was pulled out, kept away from who must go on."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(job: Callable[[], T]) -> "Future[T]":
    """Start `job` in a thread of its own and return its result to come; a job that hangs does not hold the program up.

    Each caller has one job at a time, which bounds the number of threads.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # The thread ends here; whoever asks for the result gets it.
            future.set_exception(error)

    threading.Thread(target=run, name="voiced-device", daemon=True).start()
    return future


def at_once(job: Callable[[], T]) -> "Future[T]":
    """Run `job` before returning; for tests and for programs that may wait."""
    future: Future[T] = Future()
    try:
        future.set_result(job())
    except Exception as error:
        future.set_exception(error)
    return future
