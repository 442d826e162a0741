"""Starting an execution so that its reply can be heard, and knowing afterwards how certain the start is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from service.errors import Draining, LinkDown, OutcomeUnknown, Problem
from service.stepfunctions.retry import ExecutionExists

if TYPE_CHECKING:
    from service.stepfunctions.client import StepFunctionsClient

LINK_GRACE: Final = 2.0
"""Seconds from the loss of the link in which new requests wait for it to come back; later they are refused at once."""

CONFIRM_WITHIN: Final = 2.0
"""Seconds of a wait that are kept for asking whether an execution whose start was never answered exists."""


class ReplyChannel(Protocol):
    """The subscription on which replies arrive."""

    @property
    def live(self) -> bool:
        """Whether it is confirmed now."""

    @property
    def ever_live(self) -> bool:
        """Whether it has ever been."""

    @property
    def down_since(self) -> float | None:
        """When it was lost, by time.monotonic(); None while it is live."""

    async def wait_live(self, timeout: float) -> bool:
        """Wait until it is live, for `timeout` seconds at the most; tell whether it is."""


@dataclass(slots=True)
class Start:
    """One execution to start, and how far it got: `sent` once anything was sent, `done` once it was carried out.

    `attempts` counts the calls of StartExecution. `doubt` is set while a start may or may not have been carried out.
    `age` is how many seconds an execution had already run when it was found rather than started.
    """

    execution_id: str
    input: str
    trace_header: str | None = None
    sent: bool = False
    done: bool = False
    attempts: int = 0
    doubt: OutcomeUnknown | None = None
    age: float = 0.0

    def given_up(self) -> Problem:
        """Tell what is known of it when the instance stops before it is through."""
        if self.sent:
            return OutcomeUnknown(
                "This instance stopped while it was starting the execution.", execution_id=self.execution_id
            )
        return Draining("This instance stopped before it started an execution.")


class Starter:
    """Starts executions while their replies can be heard on `channel`, and stops them."""

    def __init__(self, client: StepFunctionsClient, channel: ReplyChannel) -> None:
        self._client = client
        self._channel = channel

    async def run(self, start: Start, timeout: float = 0.0) -> None:
        """Carry out a start, or go on with one; if it may or may not have been carried out, leave a doubt.

        It may take `timeout` seconds, and longer if the client's own timeout is. Raise LinkDown with nothing sent,
        ExecutionExists if the name is taken, or what the client's `start_slot` and `start` raise.
        """
        give_up = time.monotonic() + timeout
        while True:
            if not start.sent:
                await self._wait_for_channel()
            async with self._client.start_slot(give_up - time.monotonic()) as deadline:
                # The slot may have been long in coming: nothing may start whose reply cannot be received.
                if start.sent or self._channel.live:
                    start.sent = True
                    return await self._send(start, deadline)
            # Lost in the meantime: it waits for the link like one that arrives in the gap.
            if time.monotonic() >= give_up:
                raise LinkDown(
                    "The reply subscription was just lost; nothing was started.", retry_after=self._retry_after()
                )

    async def _send(self, start: Start, deadline: float) -> None:
        try:
            attempts = await self._client.start(
                start.execution_id, start.input, deadline, trace_header=start.trace_header
            )
        except (Problem, ExecutionExists) as error:
            start.attempts += error.start_attempts
            error.start_attempts = start.attempts
            if not isinstance(error, OutcomeUnknown):
                raise
            start.doubt = error  # its reply may well arrive
        else:
            start.attempts += attempts
            start.done, start.doubt = True, None
            start.input = ""  # no longer needed, and as large as a request may be

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; raise UnknownExecution, or what `StepFunctionsClient.stop` raises."""
        await self._client.stop(execution_id)

    async def _wait_for_channel(self) -> None:
        # Nothing may start before its reply can be heard: AppSync Events does not replay.
        if self._channel.live:
            return
        if self._channel.ever_live and (down_since := self._channel.down_since) is not None:
            left = down_since + LINK_GRACE - time.monotonic()
            if left > 0 and await self._channel.wait_live(left):
                return
        raise LinkDown("The reply subscription is not confirmed; nothing was started.", retry_after=self._retry_after())

    def _retry_after(self) -> float | None:
        # The pauses between tries grow with the outage, so the next one comes after about as long again.
        down_since = self._channel.down_since
        return None if down_since is None else time.monotonic() - down_since
