"""The engine in a process of its own, seen from the daemon: started, spoken to through a pair of Unix sockets, ended.

The process belongs to a group of its own, so that Ctrl-C in a terminal reaches the daemon alone. It ends when its socket
does, and on Linux also when the daemon dies while it is busy. The death of the process closes the socket, which the
daemon notices at once.
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiced.engine.framing import Unframer, frame
from voiced.engine.link import Launch, Link
from voiced.engine.messages import (
    MOST_BYTES_FROM_ENGINE,
    MOST_BYTES_TO_ENGINE,
    FromEngine,
    ToEngine,
    decode_from_engine,
    encode,
)
from voiced.errors import EngineError

HOME: Final = Path(__file__).resolve().parents[2]  # The folder that the packages lie in.
STANDARD_ERROR: Final = 2
READ_BYTES: Final = 256 * 1024
# An engine that is asked to end does so after its step; one that has not by then is killed.
GRACE_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """Which model the engine loads, as the options of the command line have it."""

    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None  # Of the processor; None: as many as help.

    def arguments(self) -> list[str]:
        """Return the options of `python -m voiced.engine`."""
        model = [] if self.model is None else ["--model", self.model]
        threads = [] if self.threads is None else ["--threads", str(self.threads)]
        return [*model, "--device", self.device, "--dtype", self.dtype, *threads]


def in_process(
    choice: ModelChoice | None = None,
    *,
    module: str = "voiced.engine",
    arguments: Sequence[str] = (),
) -> Launch:
    """Return what starts an engine in a process of its own.

    Args:
        choice: of the model.
        module: that is run; another one in tests.
        arguments: more options for it.
    """
    options = [*(choice or ModelChoice()).arguments(), *arguments]

    async def launch() -> Link:
        ours, theirs = socket.socketpair()
        try:
            process = await _start(theirs, module, options)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        try:
            reader, writer = await asyncio.open_connection(sock=ours, limit=READ_BYTES)
        except BaseException:
            ours.close()
            process.kill()
            await process.wait()
            raise
        return ProcessLink(process, reader, writer)

    return launch


async def _start(
    theirs: socket.socket, module: str, options: list[str]
) -> asyncio.subprocess.Process:
    path = os.pathsep.join(filter(None, (str(HOME), os.environ.get("PYTHONPATH"))))
    fd = theirs.fileno()
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            # Nothing is imported from the folder that the daemon was started in.
            *("-P", "-m", module, "--fd", str(fd), "--parent", str(os.getpid()), *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=STANDARD_ERROR,  # What the daemon prints may be read by a program.
            pass_fds=(fd,),
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(
            f"the engine cannot be started: {error.strerror or error}; free memory or processes, then try again"
        ) from error


class ProcessLink:
    """An engine in a process, and the daemon's end of the socket."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Take over a process that was just started."""
        self._process, self._reader, self._writer = process, reader, writer
        self._unframer = Unframer(MOST_BYTES_FROM_ENGINE)
        self._heard: deque[bytes] = (
            deque()
        )  # Payloads of one read; no more is read before they are taken.

    @property
    def pid(self) -> int:
        """The process's number, which is also its group's."""
        return self._process.pid

    @property
    def num_unsent(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    @property
    def how_ended(self) -> str:
        status = self._process.returncode
        if status is None:
            return "the engine closed its socket"
        if status < 0:
            return f"the engine was ended by {signal.Signals(-status).name}"
        return f"the engine ended with status {status}"

    def send(self, message: ToEngine) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(encode(message), MOST_BYTES_TO_ENGINE))

    async def receive(self) -> FromEngine | None:
        while not self._heard:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError:  # It died with something of ours unread.
                return None
            if not data:
                return None
            self._heard.extend(self._unframer.push(data))
        return decode_from_engine(self._heard.popleft())

    def kill(self) -> None:
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # It has just ended.
                return

    async def close(self) -> None:
        self._writer.close()
        try:
            async with asyncio.timeout(GRACE_S):
                await self._process.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()
            await self._wait_reaped()
        try:
            await self._writer.wait_closed()
        except OSError:  # What was unsent is of no more use.
            return

    async def _wait_reaped(self) -> None:
        """Wait for the end of a process that was killed; whoever is cancelled meanwhile leaves after it, not before."""
        is_cancelled = False
        while self._process.returncode is None:
            try:
                await self._process.wait()
            except asyncio.CancelledError:
                is_cancelled = True
        if is_cancelled:
            raise asyncio.CancelledError
