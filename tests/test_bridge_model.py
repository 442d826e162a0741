"""The bridge with all that it stands on against a model, in virtual time: any interleaving of requests, starts,
replies, losses, deadlines, callers who leave and stops. Only Step Functions and the link are played.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from service import starts
from service.attempts import ExecutionExists
from service.bridge import Answer, Bridge
from service.errors import OutcomeUnknown, Problem, Throttled, UnknownExecution, Unreachable
from service.joins import Joins
from service.outcomes import Aborted, Failed, Outcome, Succeeded
from service.record import Record
from service.recovery import Recovery
from service.replies import Replies
from service.starts import CONFIRM_WITHIN, Starter
from service.workflows import Execution, Page
from tests.support.outcomes import success
from tests.support.virtual_time import VirtualTimeLoop

NUMBERS = st.integers(0, 30)
WAITS = st.sampled_from([25.0, 10.0, 5.0, 2.0, 0.5, 0.0])
KEYS = st.sampled_from([None, None, "a", "b"])
FATES = st.sampled_from(["slow", "throttled", "carried out, not answered", "not answered"])
OUTCOMES = st.sampled_from([success({"n": 1}), success([]), Failed("E"), Aborted()])
BUDGET = 5.0  # seconds that a start may take beyond the wait
RECOVERABLE = 3.0  # seconds before a deadline; what has ended by then has to be told at it


@dataclass
class Run:
    """An execution in the model's record."""

    input: str
    outcome: Outcome | None = None
    ended_at: float = 0.0


class StepFunctions:
    """Stands for the client of Step Functions; `fates` says what becomes of the next starts."""

    def __init__(self) -> None:
        self.record: dict[str, Run] = {}
        self.fates: deque[str] = deque()
        self.readable = True

    async def start(
        self, execution_id: str, input_: str, *, on_turn: Callable[[], None] | None = None, **_: Any
    ) -> None:
        if on_turn is not None:
            on_turn()
        fate = self.fates.popleft() if self.fates else "started"
        if fate == "throttled":
            await asyncio.sleep(0.1)
            raise Throttled("no", execution_id=execution_id)
        told = "nothing" if fate == "not answered" else self.carry_out(execution_id, input_)
        await asyncio.sleep({"slow": 2.0, "started": 0.1}.get(fate, BUDGET))
        if "not answered" in fate:
            raise OutcomeUnknown("no answer", execution_id=execution_id)
        if told == "exists":
            raise ExecutionExists

    def carry_out(self, execution_id: str, input_: str) -> str:
        """Start it as AWS does; return what the caller is to be told."""
        run = self.record.setdefault(execution_id, Run(input_))
        return "started" if run.input == input_ and run.outcome is None else "exists"

    async def describe(self, execution_id: str, **_: Any) -> Execution:
        await asyncio.sleep(0.05)
        if not self.readable:
            raise Unreachable("no", execution_id=execution_id)
        run = self.record.get(execution_id)
        if run is None:
            raise UnknownExecution("none", execution_id=execution_id)
        return Execution(execution_id, run.input, run.outcome, 0.0)

    async def ended(self, execution_id: str, **_: Any) -> Outcome | None:
        return (await self.describe(execution_id)).outcome

    async def list(self, **_: Any) -> Page:
        await asyncio.sleep(0.05)
        if not self.readable:
            raise Unreachable("no")
        status = {True: "RUNNING", False: "SUCCEEDED"}
        newest = [(name, status[run.outcome is None]) for name, run in reversed(self.record.items())]
        return Page(newest, None)  # type: ignore[arg-type]  # the two statuses are some of those that there are

    async def stop(self, execution_id: str) -> None:
        if execution_id not in self.record:
            raise UnknownExecution("none", execution_id=execution_id)


class Subscription:
    """A channel's subscription that is confirmed at once, while the link is up."""

    def __init__(self, live: Callable[[], bool]) -> None:
        self._live = live

    @property
    def live(self) -> bool:
        return self._live()

    async def wait_answered(self, timeout: float) -> bool:  # noqa: ASYNC109 - the interface that it stands in for
        await asyncio.sleep(0.05)
        return self._live()

    async def unsubscribe(self) -> None:
        return None


@dataclass
class Caller:
    """Who waits at the bridge, and until when."""

    task: asyncio.Task[Answer]
    deadline: float
    event: str
    key: str | None
    left: bool = False
    done_at: float | None = field(default=None)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.clock = patch.object(starts, "time", SimpleNamespace(monotonic=self.loop.time))
        self.clock.start()
        self.complaints: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.live, self.down_since = True, None
        self.callers: list[Caller] = []
        self.stopped_at: float | None = None
        self.unreadable_until = 0.0
        self.aws = StepFunctions()
        self.perform(self.build())

    async def build(self) -> None:
        client: Any = self.aws
        self.replies = Replies()
        record = Record(client)
        for bucket in (record.describing, record.history, record.listing):
            bucket._clock = self.loop.time
            bucket._at = self.loop.time()
        self.recovery = Recovery(self.replies, record)
        joins = Joins(
            lambda _channel, _on_change: Subscription(lambda: self.live), "ns/me/", self.recovery, self.replies
        )
        self.joins = joins
        self.bridge = Bridge(
            Starter(client, self),
            self.replies,
            record,
            self.recovery,
            joins,
            prefix="ns/me/",
            max_in_flight=30,
        )
        await self.recovery.__aenter__()

    # The channel on which replies arrive.

    ever_live = True
    live: bool
    down_since: float | None

    async def wait_live(self, timeout: float) -> bool:  # noqa: ASYNC109 - the interface that it stands in for
        end = self.loop.time() + timeout
        while not self.live and self.loop.time() < end:  # noqa: ASYNC110 - time costs nothing here
            await asyncio.sleep(0.05)
        return self.live

    def perform(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def pass_time(self, seconds: float) -> None:
        self.perform(asyncio.sleep(seconds))
        now = self.loop.time()
        for caller in self.callers:
            if caller.done_at is None and caller.task.done():
                caller.done_at = now

    @initialize(waits=st.lists(WAITS, min_size=2, max_size=8), keys=st.lists(KEYS, min_size=8, max_size=8))
    def begin_with_some(self, waits: list[float], keys: list[str | None]) -> None:
        for wait, key in zip(waits, keys, strict=False):
            self.submit(wait, key)

    @rule(wait=WAITS, key=KEYS)
    def submit(self, wait: float, key: str | None) -> None:
        event = json.dumps({"key": key} if key else {"number": len(self.callers)})
        execution_id = f"exec-{key}" if key else None

        async def begin() -> asyncio.Task[Answer]:
            return asyncio.create_task(self.bridge.submit(event, wait, execution_id=execution_id))

        self.callers.append(Caller(self.perform(begin()), self.loop.time() + wait, event, key))
        self.pass_time(0)

    @rule(name=st.sampled_from(["exec-a", "exec-b"]), own=st.booleans())
    def start_elsewhere(self, name: str, own: bool) -> None:
        """Another instance was first with this key, perhaps with another body."""
        body = json.dumps({"key": name[-1]} if own else {"other": 1})
        input_ = json.dumps({"id": name, "event": body, "reply": {"channel": f"ns/other/{name}"}})
        self.aws.record.setdefault(name, Run(input_))

    @rule(fates=st.lists(FATES, min_size=1, max_size=4))
    def decide_the_next_starts(self, fates: list[str]) -> None:
        self.aws.fates.extend(fates)

    @precondition(lambda self: self.aws.record)
    @rule(number=NUMBERS, outcome=OUTCOMES, told=st.booleans(), twice=st.booleans())
    def end_an_execution(self, number: int, outcome: Outcome, told: bool, twice: bool) -> None:
        running = [(name, run) for name, run in self.aws.record.items() if run.outcome is None]
        if not running:
            return
        name, run = running[number % len(running)]
        run.outcome, run.ended_at = outcome, self.loop.time()
        reply = {"id": name, "status": "ENDED"}
        if isinstance(outcome, Succeeded):
            reply = {"id": name, "status": "SUCCEEDED", "output": json.loads(outcome.output)}
        elif isinstance(outcome, Failed):
            reply = {"id": name, "status": "FAILED", "error": outcome.error}
        if told and self.live:
            for _ in range(1 + twice):
                self.replies.deliver(json.dumps(reply))
        self.pass_time(0)

    @rule(number=NUMBERS, rarely=st.integers(0, 2))
    def leave(self, number: int, rarely: int) -> None:
        if self.callers and not rarely:
            caller = self.callers[number % len(self.callers)]
            caller.left = caller.task.cancel() or caller.left
            self.pass_time(0)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0]), number=NUMBERS, outcome=OUTCOMES)
    def cut_the_link(self, seconds: float, number: int, outcome: Outcome) -> None:
        """An execution ends while nobody hears it."""

        async def change(live: bool) -> None:
            self.live = live
            self.down_since = None if live else self.loop.time()
            (self.recovery.link_back if live else self.recovery.link_lost)()

        self.perform(change(False))
        self.end_an_execution(number, outcome, told=True, twice=False)
        self.pass_time(seconds)
        self.perform(change(True))
        self.pass_time(0)

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def hide_the_record(self, seconds: float) -> None:
        self.aws.readable = False
        self.pass_time(seconds)
        self.aws.readable = True
        self.unreadable_until = self.loop.time()

    @precondition(lambda self: self.stopped_at is None)
    @rule(quick=st.booleans(), rarely=st.integers(0, 10))
    def stop(self, quick: bool, rarely: int) -> None:
        if rarely:
            return
        self.stopped_at = self.loop.time()

        async def begin() -> None:
            if quick:
                self.bridge.release()
            else:
                self.draining = asyncio.create_task(self.bridge.drain(35))

        self.perform(begin())
        self.pass_time(0)

    def teardown(self) -> None:
        try:
            self.pass_time(60)
            self.judge()
            self.perform(self.finish())
            assert not asyncio.all_tasks(self.loop), "tasks were left"
            assert not self.complaints
        finally:
            self.clock.stop()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(1))
            self.loop.close()
            asyncio.set_event_loop(None)

    async def finish(self) -> None:
        await self.bridge.drain(1)
        await self.bridge.aclose()
        await self.joins.aclose()
        await self.recovery.__aexit__(None, None, None)

    def judge(self) -> None:
        assert len(self.replies) == 0, "waiters were left in the table"
        assert self.bridge.in_flight == 0
        assert len(self.joins) == 0
        for caller in self.callers:
            assert caller.task.done(), "a caller was never answered"
            if caller.task.cancelled():
                assert caller.left
            elif isinstance(error := caller.task.exception(), Problem):
                self.judge_refusal(caller, error)
            else:
                self.judge_answer(caller, caller.task.result())

    def judge_refusal(self, caller: Caller, problem: Problem) -> None:
        assert problem.slug != "unknown-execution"
        own = [name for name, run in self.aws.record.items() if json.loads(run.input)["event"] == caller.event]
        if caller.key is None and problem.slug in {"draining", "link-down", "at-capacity"}:
            assert not own, f"started, though the caller was told {problem.slug}"

    def judge_answer(self, caller: Caller, answer: Answer) -> None:
        run = self.aws.record.get(answer.execution_id)
        assert run is not None, "an id was told that does not exist"
        assert json.loads(run.input)["event"] == caller.event, "somebody else's execution"
        if answer.outcome is not None:
            assert answer.outcome == run.outcome, "the record says otherwise"
            return
        assert caller.done_at is not None
        if self.stopped_at is not None and self.stopped_at <= caller.done_at:
            return  # it may have been released
        assert caller.done_at >= caller.deadline - CONFIRM_WITHIN, "the wait ended before its time"
        known = run.outcome is not None and run.ended_at < caller.deadline - RECOVERABLE
        hidden = self.unreadable_until > caller.deadline - 2 * RECOVERABLE
        assert not known or hidden, "the record knew the outcome in time"


Model.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_every_interleaving_tells_each_caller_the_truth_once_and_leaves_nothing = Model.TestCase
