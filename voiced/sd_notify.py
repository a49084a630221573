"""What the service manager is told: ready, stopping, alive. The protocol is that of systemd's sd_notify(3)."""

import contextlib
import os
import socket
from collections.abc import Mapping

from voiced.timing import AsyncClock


class Notifier:
    """Sends datagrams to the service manager; without one, does nothing. Never waits and never fails.

    Args:
        address: of the manager's socket, as NOTIFY_SOCKET has it; None: there is no manager.
        watchdog_s: after so long without a sign of life the manager restarts this process; None: it does not.
    """

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = None
        if address is not None and address[:1] in {"/", "@"}:  # A file, or a name without one.
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], process_id: int) -> "Notifier":
        """Return the notifier for what the manager has set for this process."""
        watchdog_s = None
        if environment.get("WATCHDOG_PID", str(process_id)) == str(process_id):
            with contextlib.suppress(ValueError):
                watchdog_s = int(environment.get("WATCHDOG_USEC", "")) / 1e6
        return cls(environment.get("NOTIFY_SOCKET"), watchdog_s or None)

    def ready(self) -> None:
        """Tell that the daemon can be talked to, after its start or after `reloading`."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Tell that the daemon ends."""
        self._send("STOPPING=1")

    def reloading(self, now_s: float) -> None:
        """Tell that the configuration is read again; `ready` follows. `now_s` is of the monotonic clock."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_s * 1e6:.0f}")

    def status(self, text: str) -> None:
        """Tell in a few words what goes on, for `systemctl status`; nothing of what is said."""
        self._send(f"STATUS={' '.join(text.split())}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.setblocking(False)
            channel.sendto(message.encode(), self._address)


async def keep_alive(notifier: Notifier, clock: AsyncClock) -> None:
    """Give signs of life from the event loop, twice as often as is asked for, until cancelled; an event loop that hangs gives none."""
    while notifier.watchdog_s is not None:
        notifier.alive()
        await clock.wait_s(notifier.watchdog_s / 2)


def this_notifier() -> Notifier:
    """Return the notifier of this process."""
    return Notifier.from_environment(os.environ, os.getpid())
