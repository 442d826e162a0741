"""Starting an execution so that its reply can be heard, and knowing afterwards how certain the start is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from service.errors import Draining, LinkDown, OutcomeUnknown, Problem

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

    async def wait_live(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound on the wait is what it is for
        """Wait until it is live, for `timeout` seconds at the most; tell whether it is."""


@dataclass(slots=True)
class Start:
    """One execution to be started, and how far that has come: anything sent, carried out for certain.

    `tries` is how often Step Functions was asked. `doubt` is what it left open where a start was sent and may have been
    carried out. `age` is for how many seconds the execution has run already, where it was found and not started.
    """

    execution_id: str
    input: str
    trace_header: str | None = None
    sent: bool = False
    done: bool = False
    tries: int = 0
    doubt: OutcomeUnknown | None = None
    age: float = 0.0

    def given_up(self) -> Problem:
        """Tell what is known of it when the instance stops before it is through."""
        if self.sent:
            return OutcomeUnknown("This instance stopped during the start.", execution_id=self.execution_id)
        return Draining("This instance stopped; nothing was started.")


class Starter:
    """Starts executions while their replies can be heard on `channel`, and stops them."""

    def __init__(self, workflows: StepFunctionsClient, channel: ReplyChannel) -> None:
        self._workflows = workflows
        self._channel = channel

    async def run(self, start: Start, *, within: float | None = None) -> None:
        """Carry out a start, or go on with one; where it stays open whether it was carried out, leave a doubt.

        Raise LinkDown with nothing sent, ExecutionExists if the name is taken, or what the client's `start` raises.
        """
        give_up = time.monotonic() + (within or 0.0)
        while True:
            if not start.sent:
                await self._link_up()
            left = give_up - time.monotonic()
            try:
                return await self._attempt(start, left)
            except LinkDown:
                # Lost while it waited for its turn: it waits for the link like one that comes in the gap.
                if time.monotonic() >= give_up:
                    raise

    async def _attempt(self, start: Start, within: float) -> None:
        def on_turn() -> None:
            # Its turn may have been long in coming: nothing may start whose reply cannot be heard.
            if not self._channel.live:
                raise LinkDown("The subscription was just lost; nothing was started.", retry_after=self._pause())
            start.sent = True

        def on_try() -> None:
            start.tries += 1

        try:
            await self._workflows.start(
                start.execution_id,
                start.input,
                trace_header=start.trace_header,
                within=within,
                on_turn=None if start.sent else on_turn,
                on_try=on_try,
            )
        except OutcomeUnknown as doubt:
            doubt.start_attempts = start.tries
            start.doubt = doubt  # its reply may well come
        except Problem as problem:
            problem.start_attempts = start.tries
            raise
        else:
            start.done, start.doubt = True, None
            start.input = ""  # of no use any more, and as large as a request may be

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; raise UnknownExecution, or what `StepFunctionsClient.stop` raises."""
        await self._workflows.stop(execution_id)

    async def _link_up(self) -> None:
        # Nothing may start before its reply can be heard: AppSync Events does not replay.
        if self._channel.live:
            return
        if self._channel.ever_live and (down_since := self._channel.down_since) is not None:
            left = down_since + LINK_GRACE - time.monotonic()
            if left > 0 and await self._channel.wait_live(left):
                return
        raise LinkDown("No subscription for replies is confirmed; nothing was started.", retry_after=self._pause())

    def _pause(self) -> float | None:
        # The pauses between tries grow with the outage, so the next one comes after about as long again.
        down_since = self._channel.down_since
        return None if down_since is None else time.monotonic() - down_since
