"""What the daemon does on a signal.

SIGTERM, SIGINT    the first: stop, once what is being said has ended; the second: exit at once
SIGHUP             read the configuration again
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signal_policy(
    *,
    on_stop: Callable[[], None],
    on_reload: Callable[[], None],
    before_exit: Callable[[], None] = lambda: None,
    exit_at_once: Callable[[int], object] = os._exit,
) -> Iterator[None]:
    """Follow the policy while the block runs; only in the main thread, within its running event loop.

    Args:
        on_stop: begins to stop; called once.
        on_reload: reads the configuration again.
        before_exit: called before exiting at once; must not wait. A terminal is given back here.
        exit_at_once: ends the process with this code, 128 and the signal's number as shells report it.
    """
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop(number: int) -> None:
        nonlocal is_stopping
        if is_stopping:
            try:
                before_exit()
            finally:
                exit_at_once(128 + number)
            return
        is_stopping = True
        on_stop()

    before = {number: signal.getsignal(number) for number in (*STOPPING, signal.SIGHUP)}
    try:
        for number in STOPPING:
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGHUP, on_reload)
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
