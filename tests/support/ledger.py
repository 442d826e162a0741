"""A Step Functions endpoint with a record, and recovery that reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from aiohttp import web

from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.waiter import Waiter
from service.stepfunctions.outcomes import Outcome
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from tests.support.step_functions import (
    ARN,
    Call,
    ScriptedStepFunctions,
    described,
    error,
    ok,
    step_functions_client,
)


class Ledger:
    """What a Step Functions endpoint knows: the status of each execution, newest first."""

    def __init__(self, endpoint: ScriptedStepFunctions) -> None:
        self.endpoint = endpoint
        self.statuses: dict[str, str] = {}
        endpoint.script("ListExecutions", self._list)
        endpoint.script("DescribeExecution", self._describe)
        endpoint.script("GetExecutionHistory", self._history)

    @staticmethod
    def _name(call: Call) -> str:
        return str(call["executionArn"].rpartition(":")[2])

    async def _describe(self, request: web.Request, call: Call) -> web.StreamResponse:
        name = self._name(call)
        if name not in self.statuses:
            return await error("ExecutionDoesNotExist")(request, call)
        return await described(self.statuses[name], output=json.dumps(name))(request, call)

    async def _history(self, request: web.Request, call: Call) -> web.StreamResponse:
        name = self._name(call)
        event: dict[str, Any] = {"type": "WaitStateEntered"}
        if self.statuses[name] == "SUCCEEDED":
            event = {"type": "ExecutionSucceeded", "executionSucceededEventDetails": {"output": json.dumps(name)}}
        return await ok(events=[{"timestamp": 1.0, "id": 1} | event])(request, call)

    async def _list(self, request: web.Request, call: Call) -> web.StreamResponse:
        first = int(call.get("nextToken", 0))
        assert call["statusFilter"] == "RUNNING"
        running = [name for name in reversed(self.statuses) if self.statuses[name] == "RUNNING"]
        names = running[first : first + call["maxResults"]]
        page: dict[str, Any] = {
            "executions": [
                {
                    "executionArn": ARN.execution(name),
                    "stateMachineArn": ARN.text,
                    "name": name,
                    "status": self.statuses[name],
                    "startDate": 1.0,
                }
                for name in names
            ]
        }
        if first + len(names) < len(running):
            page["nextToken"] = str(first + len(names))
        return await ok(**page)(request, call)


class Scene:
    """A table of waiters, recovery, and the ledger that it reads."""

    def __init__(
        self, endpoint: ScriptedStepFunctions, replies: PendingReplies, record: RecordReader, recovery: Recovery
    ) -> None:
        self.ledger = Ledger(endpoint)
        self.endpoint = endpoint
        self.replies = replies
        self.record = record
        self.recovery = recovery
        self.stack = ExitStack()

    def expect(self, execution_id: str, status: str = "RUNNING", within: float = 60) -> Waiter:
        self.ledger.statuses[execution_id] = status
        waiter = self.replies.expect(execution_id, asyncio.get_running_loop().time() + within, record=self.record)
        waiter.since -= 10  # not so new that listings might not show it
        return self.stack.enter_context(waiter)

    def reads(self) -> list[str]:
        actions = {"DescribeExecution", "GetExecutionHistory"}
        return [Ledger._name(call) for action, call in self.endpoint.calls if action in actions]


@asynccontextmanager
async def scene(**quotas: Any) -> AsyncIterator[Scene]:
    replies = PendingReplies()
    async with ScriptedStepFunctions() as endpoint, step_functions_client(endpoint.url) as client:
        record = RecordReader(client, ReadBudgets(**quotas))
        async with Recovery(replies, record.budgets) as recovery:
            replies.on_ended = recovery.lookup_ended
            made = Scene(endpoint, replies, record, recovery)
            with made.stack:
                yield made


async def outcome(waiter: Waiter) -> Outcome | None:
    async with asyncio.timeout(20):
        return await waiter
