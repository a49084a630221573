"""What makes a process an engine: it serves the socket that it was given until the daemon closes it."""

import signal
import socket
import sys
from collections.abc import Callable

from voiced.engine.runner import Loaded, run_engine
from voiced.engine.socket_channel import SocketChannel
from voiced.errors import ProtocolError
from voiced.timing import SystemClock


def run_child(load: Callable[[], Loaded], *, fd: int) -> int:
    """Serve until the daemon closes the socket; return the exit status.

    Args:
        load: returns the model.
        fd: of the socket.
    """
    # Ctrl-C and a service's stop are the daemon's to act on; it then closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=fd) as connection:
        connection.setblocking(True)
        try:
            run_engine(load, SocketChannel(connection), now_s=SystemClock().now_s)
        except ProtocolError as error:
            print(f"voiced: engine: {error}", file=sys.stderr)
            return 1
    return 0
