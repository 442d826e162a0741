"""Pending replies: which execution ids somebody waits for, and how a pushed event finds its waiter."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from service.outcomes import Failed, Outcome, Succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator


class Replies:
    """The table of waiters, one future for each execution id.

    An event names its execution in its own `id`: an AppSync Events data frame does not name the channel
    ("Understanding the Event API WebSocket protocol", AWS AppSync Events guide). Events come at most once, in any
    order, perhaps repeated; one that fits no waiter or is no reply changes nothing and is counted.

    `received` counts all events, `progress` those of running executions, `unmatched` replies without a waiter
    (late, repeated or unknown), `malformed` events that are no reply at all.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, asyncio.Future[Outcome | None]] = {}
        self.received = 0
        self.progress = 0
        self.unmatched = 0
        self.malformed = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._waiters

    @contextmanager
    def expect(self, execution_id: str) -> Iterator[asyncio.Future[Outcome | None]]:
        """Register a waiter for as long as the block lasts; its future gets the outcome, or None when released."""
        if execution_id in self._waiters:
            # Overwriting would leave the other waiter without an answer.
            raise ValueError("somebody waits for this execution already")
        waiter = self._waiters[execution_id] = asyncio.get_running_loop().create_future()
        try:
            yield waiter
        finally:
            del self._waiters[execution_id]

    def deliver(self, event: str) -> None:
        """Give one event, as JSON text, to the waiter that it is for. Never raises."""
        self.received += 1
        try:
            reply = orjson.loads(event)
            execution_id, status = reply["id"], reply["status"]
            if status == "RUNNING":
                self.progress += 1
                return
            if not isinstance(execution_id, str):
                raise TypeError  # noqa: TRY301 - one place counts all that is malformed
            outcome = _outcome(status, reply)
        except (orjson.JSONDecodeError, LookupError, TypeError):
            self.malformed += 1
            return
        if not self.settle(execution_id, outcome):
            self.unmatched += 1

    def settle(self, execution_id: str, outcome: Outcome) -> bool:
        """Give `outcome` to who waits for the execution; return whether anybody did."""
        waiter = self._waiters.get(execution_id)
        if waiter is None or waiter.done():
            return False
        waiter.set_result(outcome)
        return True

    def release(self) -> None:
        """Let every waiter go without an outcome."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_result(None)


def _outcome(status: Any, reply: dict[str, Any]) -> Outcome:
    if status == "SUCCEEDED":
        return Succeeded(reply["output"])
    if status == "FAILED" and isinstance(error := reply["error"], str):
        return Failed(error)
    raise LookupError("neither a result nor a failure")
