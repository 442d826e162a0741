"""Tasks that wait until somebody ends them by their token: `.waitForTaskToken` and activities.

Source: AWS Step Functions Developer Guide, "Wait for a Callback with Task Token".
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from service.local.asl.retry import HEARTBEAT_TIMEOUT, StateError

if TYPE_CHECKING:
    from service.local.json_text import Json


class _Waiting(NamedTuple):
    result: asyncio.Future[Json]
    limit: asyncio.Timeout
    heartbeat_s: float | None


class TaskTokens:
    """The tasks that are waiting, by token. Each method raises KeyError if no task waits for this token."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    async def wait(self, token: str, heartbeat_s: float | None) -> Json:
        """Return what the task is ended with; StateError if it fails, or goes without heartbeats for too long."""
        loop = asyncio.get_running_loop()
        limit = asyncio.timeout(heartbeat_s)
        try:
            async with limit:
                self._waiting[token] = waiting = _Waiting(loop.create_future(), limit, heartbeat_s)
                return await waiting.result
        except TimeoutError:
            raise StateError(HEARTBEAT_TIMEOUT, f"there was no heartbeat for {heartbeat_s:g} seconds") from None
        finally:
            self._waiting.pop(token, None)

    def succeed(self, token: str, output: Json) -> None:
        """End a task with this result."""
        _unended(self._waiting[token]).set_result(output)

    def fail(self, token: str, error: str, cause: str) -> None:
        """End a task with an error."""
        _unended(self._waiting[token]).set_exception(StateError(error, cause))

    def heartbeat(self, token: str) -> None:
        """Give a task its full time again."""
        waiting = self._waiting[token]
        _unended(waiting)
        if waiting.heartbeat_s is not None:
            waiting.limit.reschedule(asyncio.get_running_loop().time() + waiting.heartbeat_s)


def _unended(waiting: _Waiting) -> asyncio.Future[Json]:
    """Return the result that is waited for; KeyError if it is there already."""
    if waiting.result.done():
        raise KeyError
    return waiting.result
