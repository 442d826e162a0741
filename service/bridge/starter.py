"""The start of an execution: only while its reply can be received, and with a record of how certain it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from service.errors import Draining, LinkDown, OutcomeUnknown, Problem
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from service.bridge.reply_channel import ReplyChannel
    from service.stepfunctions.client import StepFunctionsClient

LINK_GRACE_S: Final = 2.0
"""Seconds after the loss of the link during which new requests wait for it; later ones are refused at once."""

CONFIRM_TIMEOUT_S: Final = 2.0
"""Seconds of a wait that are reserved for checking whether an execution exists whose start was not confirmed."""


@dataclass(slots=True)
class Start:
    """One execution to start, and how far that got."""

    execution_id: str

    input: str

    trace_header: str | None = None

    caller: str | None = None
    """Whose request it is for, if callers are known: they get their turns one after another."""

    sent: bool = False
    """Whether StartExecution was called at all."""

    done: bool = False
    """Whether the execution is known to exist."""

    attempts: int = 0
    """How many times StartExecution was called."""

    doubt: OutcomeUnknown | None = None
    """Set while the execution may or may not have been started."""

    started_at: float | None = None
    """When the execution was started, in seconds since the epoch by AWS's clock; None if that is not known."""

    age: float = 0.0
    """How many seconds the execution had already run, if it was found rather than started."""

    def interrupted(self) -> Problem:
        """Return the problem to answer with if the instance stops during this start."""
        if self.sent:
            return OutcomeUnknown(
                "This instance stopped while it was starting the execution.", execution_id=self.execution_id
            )
        return Draining("This instance stopped before it started an execution.")


class Starter:
    """Starts executions while their replies can be received on `channel`."""

    def __init__(self, client: StepFunctionsClient, channel: ReplyChannel) -> None:
        self._client = client
        self._channel = channel

    async def run(self, start: Start, timeout: float = 0.0) -> None:
        """Carry out a start, or continue one; set its `doubt` if it is unknown whether it was carried out.

        Take up to `timeout` seconds, or the client's own timeout if that is longer. Raise LinkDown with nothing sent,
        ExecutionExists if the name is taken, or what the client's `start_slot` and `start` raise.
        """
        deadline = time.monotonic() + timeout
        while True:
            if not start.sent:
                await self.wait_for_channel()
            async with self._client.start_slot(deadline - time.monotonic(), start.caller) as start_deadline:
                # Waiting for the slot may have taken long: start nothing whose reply cannot be received.
                if start.sent or self._channel.live:
                    start.sent = True
                    return await self._send(start, start_deadline)
            # The link was lost meanwhile: wait for it like a request that arrives in the gap.
            if time.monotonic() >= deadline:
                raise LinkDown(
                    "The reply subscription was just lost; nothing was started.", retry_after=self._retry_after()
                )

    async def _send(self, start: Start, deadline: float) -> None:
        try:
            started = await self._client.start(
                start.execution_id, start.input, deadline, trace_header=start.trace_header
            )
        except (Problem, ExecutionExists) as error:
            start.attempts += error.start_attempts
            error.start_attempts = start.attempts
            if not isinstance(error, OutcomeUnknown):
                raise
            start.doubt = error  # the reply may still arrive
        else:
            start.attempts += started.attempts
            start.started_at = started.at
            start.done = True
            start.input = ""  # no longer needed, and as large as a request may be

    async def wait_for_channel(self) -> None:
        """Wait until the channel is live; raise LinkDown if it has been down for LINK_GRACE_S, or was never live."""
        # Start nothing before its reply can be received: AppSync Events does not replay.
        if self._channel.live:
            return
        if self._channel.ever_live and (down_since := self._channel.down_since) is not None:
            remaining = down_since + LINK_GRACE_S - time.monotonic()
            if remaining > 0 and await self._channel.wait_live(remaining):
                return
        raise LinkDown(
            "The subscription for replies is not confirmed; nothing was started.", retry_after=self._retry_after()
        )

    def _retry_after(self) -> float | None:
        # The pauses between reconnects grow with the outage, so the next attempt comes after about as long again.
        down_since = self._channel.down_since
        return None if down_since is None else time.monotonic() - down_since
