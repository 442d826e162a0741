"""A bridge on a stage: our real Step Functions client, a scripted endpoint, a subscription that a test moves."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from service.bridge.bridge import Bridge
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.starter import Starter
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.reader import RecordReader
from tests.support.step_functions import STARTED, ScriptedStepFunctions, step_functions_client


class Channel:
    """A subscription that is as live as a test says."""

    def __init__(self) -> None:
        self.ever_live = True
        self.down_since: float | None = None
        self._live = asyncio.Event()
        self._live.set()

    @property
    def live(self) -> bool:
        return self._live.is_set()

    def go_down(self, since: float = 0.0) -> None:
        self.down_since = time.monotonic() - since
        self._live.clear()

    def come_up(self) -> None:
        self.down_since = None
        self._live.set()

    async def wait_live(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                return await self._live.wait()
        except TimeoutError:
            return False


class JoinedChannel:
    """A subscription to another instance's channel, answered as a test says."""

    def __init__(self, on_change: Callable[[Any], None]) -> None:
        self._on_change = on_change
        self.live = False
        self.ended = False
        self._answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def confirm(self) -> None:
        self.live = True
        self._answered.set_result(True)
        self._on_change(self)

    def refuse(self) -> None:
        self._answered.set_result(False)
        self._on_change(self)

    async def wait_answered(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self._answered)
        except TimeoutError:
            return False

    async def unsubscribe(self) -> None:
        self.live = False
        self.ended = True


class Stage:
    """A bridge with all that it stands on."""

    def __init__(self, endpoint: ScriptedStepFunctions, client: StepFunctionsClient, **options: Any) -> None:
        self.endpoint = endpoint
        self.replies = PendingReplies()
        self.channel = Channel()
        self.joined: dict[str, JoinedChannel] = {}
        self.record = RecordReader(client, **options.pop("quotas", {}))
        self.recovery = Recovery(self.replies, self.record)
        self.joins = RemoteSubscriptions(self._subscribe, "ns/me/", self.recovery, self.replies)
        self.bridge = Bridge(
            Starter(client, self.channel),
            self.replies,
            self.record,
            self.recovery,
            self.joins,
            prefix="ns/me/",
            **({"max_in_flight": 10} | options),
        )
        self.endpoint.script("StartExecution", STARTED)

    def _subscribe(self, channel: str, on_change: Callable[[Any], None]) -> JoinedChannel:
        joined = self.joined[channel] = JoinedChannel(on_change)
        return joined

    async def started(self, number: int = 1) -> str:
        """Wait for the next start and return its execution's id."""
        await self.endpoint.arrived("StartExecution", number)
        name: str = [call for action, call in self.endpoint.calls if action == "StartExecution"][number - 1]["name"]
        return name

    def reply(self, execution_id: str, output: Any = None) -> None:
        self.replies.deliver(json.dumps({"id": execution_id, "status": "SUCCEEDED", "output": output}))

    def assert_nothing_is_held(self) -> None:
        assert len(self.replies) == 0
        assert self.bridge.in_flight == 0


@asynccontextmanager
async def stage(*, timeout: float = 20, pool: int = 300, **options: Any) -> AsyncIterator[Stage]:
    async with (
        ScriptedStepFunctions() as endpoint,
        step_functions_client(endpoint.url, timeout=timeout, attempt_timeout=timeout, pool=pool) as client,
    ):
        made = Stage(endpoint, client, **options)
        async with made.recovery:
            yield made
            await made.bridge.aclose()
            await made.joins.aclose()
