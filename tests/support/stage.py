"""A bridge on a stage: our real Step Functions client, a scripted endpoint, subscriptions that a test controls."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from service.bridge.admission import Admission
from service.bridge.bridge import Bridge
from service.bridge.bridges import Bridges
from service.bridge.envelope import EnvelopeMode
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.reply_channel import ReplyChannel
from service.bridge.result import Result
from service.bridge.retries import Retries
from service.bridge.share import Share
from service.bridge.starter import Starter
from service.stepfunctions.budget import Budget
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.redriver import Redriver
from service.stepfunctions.stopper import Stopper
from service.stepfunctions.token_bucket import REDRIVE_EXECUTION_QUOTA, STOP_EXECUTION_QUOTA
from tests.support.step_functions import STARTED, ScriptedStepFunctions, gated, step_functions_client

SHARD = "11e"
"""The shard of the instance on the stage."""


class Channel:
    """A subscription whose state a test controls."""

    def __init__(self, on_change: Callable[[ReplyChannel], None] = lambda _: None, *, live: bool = True) -> None:
        self._on_change = on_change
        self._live = asyncio.Event()
        self._answered = asyncio.Event()
        self.ever_live = False
        self.down_since: float | None = time.monotonic()
        self.ended = False
        if live:
            self.come_up()

    @property
    def live(self) -> bool:
        return self._live.is_set()

    def go_down(self, since: float = 0.0) -> None:
        self.down_since = time.monotonic() - since
        self._live.clear()

    def come_up(self) -> None:
        self.ever_live = True
        self.down_since = None
        self._live.set()
        self._answered.set()
        self._on_change(self)

    def refuse(self) -> None:
        self._answered.set()
        self._on_change(self)

    async def wait_live(self, timeout: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._live.wait()
        return self.live

    async def wait_answered(self, timeout: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._answered.wait()
        return self.live

    async def unsubscribe(self) -> None:
        self._live.clear()
        self.ended = True


class Stage:
    """A bridge with everything it depends on."""

    def __init__(
        self,
        endpoint: ScriptedStepFunctions,
        client: StepFunctionsClient,
        *,
        max_in_flight: int = 10,
        caller_limit: int | None = None,
        **options: Any,
    ) -> None:
        self.endpoint = endpoint
        self.replies = PendingReplies()
        self.channel = Channel()
        self.subscribed: dict[str, Channel] = {}
        self.record = RecordReader(client, ReadBudgets(**options.pop("quotas", {})))
        self.recovery = Recovery(self.replies, self.record.budgets)
        self.replies.on_ended = self.recovery.lookup_ended
        # Nothing is looked up before a deadline: that would answer every wait in the end, and hide what is late.
        self.remote = RemoteSubscriptions(
            self._subscribe, self.recovery, self.replies, namespace="ns", instance="me", shard=SHARD
        )
        self.admission = Admission(max_in_flight, caller_limit)
        self.stopper = Stopper(client, Budget(STOP_EXECUTION_QUOTA))
        self.replies.on_end_reported = self.recovery.lookup_reported
        starter = Starter(client, self.channel)
        share = Share(self.admission, options.pop("share", None))
        parts = (self.record, self.replies, self.recovery, self.remote, share)
        self.bridge = Bridge(starter, self.stopper, *parts, **options)
        self.retries = Retries(
            Redriver(client, Budget(REDRIVE_EXECUTION_QUOTA)),
            starter,
            *parts,
            input_mode=options.get("input_mode") or EnvelopeMode(),
            follow=self.bridge.follow,
            durations=self.bridge.durations,
        )
        self.bridges = Bridges(self.admission, self.replies, [self.bridge])
        self.endpoint.script("StartExecution", STARTED)

    def _subscribe(self, channel: str, on_change: Callable[[ReplyChannel], None]) -> Channel:
        subscribed = self.subscribed[channel] = Channel(on_change, live=False)
        return subscribed

    def submit(
        self, event: str, wait: float, *, execution_id: str | None = None, **options: Any
    ) -> Coroutine[Any, Any, Result]:
        """Submit an event, with the id of an idempotency key or a new one."""
        shared = execution_id is not None
        return self.bridge.submit(execution_id or f"exec-{uuid4()}", event, wait, shared=shared, **options)

    async def started(self, number: int = 1) -> str:
        """Wait for the next start and return its execution's id."""
        await self.endpoint.arrived("StartExecution", number)
        name: str = [call for action, call in self.endpoint.calls if action == "StartExecution"][number - 1]["name"]
        return name

    def reply(self, execution_id: str, output: Any = None) -> None:
        self.replies.deliver(json.dumps({"id": execution_id, "status": "SUCCEEDED", "output": output}))

    async def one_started_and_one_waiting(
        self,
    ) -> tuple[asyncio.Event, asyncio.Task[Result], str, asyncio.Task[Result]]:
        """Start one request, which completes once the event is set, and let another one wait for its slot."""
        gate = asyncio.Event()
        self.endpoint.script("StartExecution", gated(gate, STARTED))
        first = asyncio.create_task(self.submit("{}", 10))
        execution_id = await self.started()
        second = asyncio.create_task(self.submit("{}", 10))
        await asyncio.sleep(0)
        return gate, first, execution_id, second

    def assert_nothing_in_flight(self) -> None:
        assert len(self.replies) == 0
        assert self.admission.in_flight == 0


@asynccontextmanager
async def stage(*, timeout: float = 20, max_starts: int = 300, **options: Any) -> AsyncIterator[Stage]:
    async with (
        ScriptedStepFunctions() as endpoint,
        step_functions_client(endpoint.url, timeout=timeout, attempt_timeout=timeout, max_starts=max_starts) as client,
    ):
        made = Stage(endpoint, client, **options)
        async with made.recovery:
            yield made
            await made.bridge.aclose()
            await made.remote.aclose()
