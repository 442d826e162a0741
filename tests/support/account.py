"""An account of Step Functions in virtual time: it enforces AWS's quotas, and fails by action as a test wants."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any, cast

from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.waiter import Waiter
from service.errors import OutcomeUnknown, Problem, Throttled
from service.local import AWS_QUOTAS
from service.stepfunctions.outcomes import Outcome
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.records import Execution, Page
from service.stepfunctions.token_bucket import Quota, TokenBucket
from tests.support.outcomes import success

LATENCY_S = 0.03


class Account:
    """The part of `StepFunctionsClient` that reads. `faults` are the problems that actions raise; "hang" is one."""

    def __init__(self) -> None:
        self._now = asyncio.get_running_loop().time
        self._buckets = {
            action: TokenBucket(Quota(quota.size, quota.refill), self._now) for action, quota in AWS_QUOTAS.items()
        }
        self.started_at: dict[str, float] = {}
        self.ends_at: dict[str, float] = {}
        self._names: list[str] = []  # oldest first
        self.faults: dict[str, Problem | str] = {}
        self.calls: Counter[str] = Counter()
        self.throttled = 0

    def start(self, name: str, ends_in: float, age: float = 0.0) -> None:
        """Start an execution that ends in so many seconds; with an `age`, it started that many seconds ago."""
        self.started_at[name] = self._now() - age
        self.ends_at[name] = self._now() + ends_in
        self._names.append(name)

    async def describe(self, execution_id: str, **options: Any) -> Execution:
        await self._call("DescribeExecution", **options)
        started_at = self.started_at[execution_id]
        return Execution(execution_id, "", self._outcome(execution_id), self._now() - started_at, started_at)

    async def outcome_from_history(self, execution_id: str, **options: Any) -> Outcome | None:
        await self._call("GetExecutionHistory", **options)
        return self._outcome(execution_id)

    async def list(self, status: str, next_token: str | None = None, **options: Any) -> Page:
        now = self._now()  # what is started during the call is not in its response
        started = len(self._names)
        await self._call("ListExecutions", **options)
        assert status == "RUNNING"
        oldest = int(next_token or started)  # what starts or ends between two calls moves no page
        names: list[str] = []
        while oldest and len(names) < 1000:
            oldest -= 1
            if self.ends_at[self._names[oldest]] > now:
                names.append(self._names[oldest])
        more = str(oldest) if any(self.ends_at[name] > now for name in self._names[:oldest]) else None
        return Page(names, more, self.started_at[names[-1]] if names else math.inf)

    async def _call(self, action: str, timeout: float = 3.0, **_: Any) -> None:
        self.calls[action] += 1
        fault = self.faults.get(action)
        await asyncio.sleep(timeout if fault == "hang" else LATENCY_S)
        if fault == "hang":
            raise OutcomeUnknown("It hangs.")
        if isinstance(fault, Problem):
            raise fault
        if not self._buckets[action].take():
            self.throttled += 1
            raise Throttled("Rate exceeded.")

    def _outcome(self, execution_id: str) -> Outcome | None:
        return success(1) if self.ends_at[execution_id] <= self._now() else None


class Outage:
    """Executions that wait for their replies, and recovery, which reads the record of an account."""

    def __init__(
        self, account: Account, record: RecordReader, replies: PendingReplies, recovery: Recovery, stack: ExitStack
    ) -> None:
        self.account = account
        self.record = record
        self.replies = replies
        self.recovery = recovery
        self._stack = stack

    def expect(self, number: int, *, ends_in: float, wait: float = 25.0) -> list[Waiter]:
        """Begin to wait for executions that end in so many seconds, without a reply."""
        waiters = []
        for n in range(number):
            execution_id = f"exec-{ends_in}-{n}"
            self.account.start(execution_id, ends_in)
            waiters.append(self.join(execution_id, wait))
        return waiters

    def join(self, execution_id: str, wait: float = 25.0) -> Waiter:
        """Begin to wait for an execution that was started before."""
        deadline = asyncio.get_running_loop().time() + wait
        waiter = self._stack.enter_context(self.replies.expect(execution_id, deadline, record=self.record))
        waiter.started_at = self.account.started_at[execution_id]
        return waiter

    def others(self, number: int, *, lasting: float, age: float = 0.0) -> None:
        """Start executions that nobody here waits for."""
        started_at = asyncio.get_running_loop().time() - age
        for n in range(number):
            self.account.start(f"other-{started_at}-{n}", lasting - age, age)

    async def calls_in(self, seconds: float) -> int:
        """Return how many calls are made in so many seconds from now."""
        before = self.account.calls.total()
        await asyncio.sleep(seconds)
        return self.account.calls.total() - before


@asynccontextmanager
async def outage(**faults: Problem | str) -> AsyncIterator[Outage]:
    account, replies = Account(), PendingReplies()
    account.faults.update(faults)
    record = RecordReader(cast(Any, account), ReadBudgets(clock=asyncio.get_running_loop().time))
    async with Recovery(replies, record.budgets) as recovery:
        replies.on_deadline_near = recovery.lookup_before_deadline
        with ExitStack() as stack:
            yield Outage(account, record, replies, recovery, stack)
