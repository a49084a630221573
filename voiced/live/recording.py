"""Keeping a talk that is held, where the user wants that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from protocols.events import Noticed
from voiced.configuration import Loaded
from voiced.errors import OutputError
from voiced.session_recording import SessionRecording, new_folder


@contextlib.asynccontextmanager
async def kept(
    loaded: Loaded, *, seed: int, show: Callable[[Noticed], None]
) -> AsyncIterator[SessionRecording | None]:
    """Keep the talk in a folder of its own, if that is wanted and can be done; the talk goes on either way.

    Args:
        loaded: the settings, of which `session.record` is the folder above.
        seed: of the replies.
        show: is told where it is kept, and of every trouble; called in the event loop.
    """
    parent = loaded.configuration.session.record
    if parent is None:
        yield None
        return
    loop = asyncio.get_running_loop()

    def notice(text: str) -> None:
        loop.call_soon_threadsafe(show, Noticed(text=text))

    recording = None
    try:
        folder = new_folder(parent, datetime.now().astimezone().strftime("%Y-%m-%d-%H-%M-%S"))
        settings = {resolved.setting.key: resolved.value for resolved in loaded.values.values()}
        recording = SessionRecording(folder, settings=settings, seed=seed, on_notice=notice)
        show(Noticed(text=f"recording both sides in {folder}"))
    except OutputError as error:
        show(Noticed(text=f"{error}; this talk is not recorded"))
    try:
        yield recording
    finally:
        if recording is not None:
            await asyncio.to_thread(recording.close)
