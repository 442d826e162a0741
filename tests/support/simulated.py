"""A simulation of Step Functions and the link in virtual time, with faults, for the model of the bridge."""

from __future__ import annotations

import asyncio
import json
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.errors import OutcomeUnknown, Throttled, UnknownExecution, Unreachable
from service.stepfunctions.outcomes import Outcome
from service.stepfunctions.records import Execution, Page, Started
from service.stepfunctions.retry import ExecutionExists

START_TIMEOUT_S = 5.0
"""Seconds until a start without a response fails."""

LATENCY_S = 0.05
"""Seconds that a call takes, or the confirmation of a subscription."""

START_RESULTS = ["slow", "late", "throttled", "carried out, not answered", "not answered"]
"""What can happen to a start, apart from success."""


@dataclass
class Run:
    """An execution in the record. `missed`: its reply was lost although the channel was subscribed."""

    input: str
    started_at: float
    outcome: Outcome | None = None
    ended_at: float = 0.0
    missed: bool = False

    @property
    def event(self) -> str:
        return str(json.loads(self.input)["event"])

    @property
    def channel(self) -> str:
        return str(json.loads(self.input)["reply"]["channel"])


class Subscription:
    """A subscription to one channel: confirmed soon, or refused."""

    def __init__(self, link: Link, channel: str, on_change: Callable[[Any], None]) -> None:
        self._link = link
        self._on_change = on_change
        self.channel = channel
        self.live = False
        self._refused = False

    def send(self) -> None:
        asyncio.get_running_loop().call_later(LATENCY_S, self._answer)

    def _answer(self) -> None:
        if self not in self._link.subscriptions or not self._link.live or self.live:
            return
        self._refused = self._link.refusing
        self.live = not self._refused
        self._on_change(self)

    def lose(self) -> None:
        if self.live:
            self.live = False
            self._on_change(self)

    async def wait_answered(self, timeout: float) -> bool:
        end = asyncio.get_running_loop().time() + timeout
        while not (self.live or self._refused) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - virtual time is free
            await asyncio.sleep(LATENCY_S)
        return self.live

    async def unsubscribe(self) -> None:
        self.live = False
        self._link.subscriptions.remove(self)


class Link:
    """The channel for this instance's replies, `ns/me/*`, and the subscriptions to others; `gaps` are its outages."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ever_live = True
        self.refusing = False
        self.subscriptions: list[Subscription] = []
        self.gaps: list[tuple[float, float]] = []

    @property
    def live(self) -> bool:
        return self.down_since is None

    @property
    def down_since(self) -> float | None:
        return self.gaps[-1][0] if self.gaps and self.gaps[-1][1] == float("inf") else None

    def now(self) -> float:
        return self._loop.time()

    async def wait_live(self, timeout: float) -> bool:
        end = self._loop.time() + timeout
        while not self.live and self._loop.time() < end:  # noqa: ASYNC110 - virtual time is free
            await asyncio.sleep(LATENCY_S)
        return self.live

    def subscribe(self, channel: str, on_change: Callable[[Any], None]) -> Subscription:
        subscription = Subscription(self, channel, on_change)
        self.subscriptions.append(subscription)
        subscription.send()
        return subscription

    def receives(self, channel: str) -> bool:
        own = channel.startswith("ns/me/")
        return self.live and (own or any(open_.live for open_ in self.subscriptions if open_.channel == channel))

    def lose(self) -> None:
        self.gaps.append((self._loop.time(), float("inf")))
        for subscription in tuple(self.subscriptions):
            subscription.lose()

    def regain(self) -> None:
        self.gaps[-1] = (self.gaps[-1][0], self._loop.time())
        for subscription in self.subscriptions:
            subscription.send()


class StepFunctions:
    """The client of Step Functions; `start_results` are those of the next starts."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.record: dict[str, Run] = {}
        self.start_results: deque[str] = deque()
        self.readable = True
        self._sent: set[str] = set()
        self.started_without_channel: list[str] = []
        """Executions that were started while their replies could not be received."""

    @asynccontextmanager
    async def start_slot(self, timeout: float, _caller: str | None = None) -> AsyncIterator[float]:
        if self.start_results and self.start_results[0] == "late":
            self.start_results.popleft()
            await asyncio.sleep(1)
        yield asyncio.get_running_loop().time() + timeout

    async def start(self, execution_id: str, input_: str, _deadline: float, **_: Any) -> Started:
        start_result = self.start_results.popleft() if self.start_results else "started"
        if not self._link.live and execution_id not in self._sent:
            self.started_without_channel.append(execution_id)
        self._sent.add(execution_id)
        if start_result == "throttled":
            await asyncio.sleep(0.1)
            raise Throttled("no", execution_id=execution_id)
        result = "nothing" if start_result == "not answered" else self.carry_out(execution_id, input_)
        await asyncio.sleep({"slow": 2.0, "started": 0.1, "late": 0.1}.get(start_result, START_TIMEOUT_S))
        if "not answered" in start_result:
            raise OutcomeUnknown("no answer", execution_id=execution_id)
        if result == "exists":
            raise ExecutionExists
        return Started(self.record[execution_id].started_at, 1)

    def carry_out(self, execution_id: str, input_: str) -> str:
        """Start it as AWS does; return what the response says."""
        run = self.record.setdefault(execution_id, Run(input_, self._link.now()))
        return "started" if run.input == input_ and run.outcome is None else "exists"

    async def describe(self, execution_id: str, **_: Any) -> Execution:
        await asyncio.sleep(LATENCY_S)
        if not self.readable:
            raise Unreachable("no", execution_id=execution_id)
        run = self.record.get(execution_id)
        if run is None:
            raise UnknownExecution("none", execution_id=execution_id)
        return Execution(execution_id, run.input, run.outcome, 0.0, run.started_at)

    async def ended(self, execution_id: str, **_: Any) -> Outcome | None:
        return (await self.describe(execution_id)).outcome

    async def list(self, status: str, **_: Any) -> Page:
        await asyncio.sleep(LATENCY_S)
        if not self.readable:
            raise Unreachable("no")
        assert status == "RUNNING"
        running = {name: run.started_at for name, run in reversed(self.record.items()) if run.outcome is None}
        return Page(list(running), None, min(running.values(), default=math.inf))

    async def stop(self, execution_id: str) -> None:
        if execution_id not in self.record:
            raise UnknownExecution("none", execution_id=execution_id)
