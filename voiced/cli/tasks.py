"""Running asynchronous work to its end."""

import asyncio
from collections.abc import Coroutine
from typing import Any


def complete(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end; raise the first error of several tasks as it is."""
    try:
        asyncio.run(work)
    except BaseExceptionGroup as group:
        raise _first(group) from group


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
