"""The bridge against a model, in virtual time, with everything it depends on: any interleaving of requests, starts,
replies, losses, deadlines, stops and callers that leave. Only Step Functions and the link are simulated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from service.bridge import starter
from service.bridge.admission import Admission
from service.bridge.bridge import Bridge
from service.bridge.bridges import Bridges
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.result import Result
from service.bridge.share import Share
from service.bridge.starter import CONFIRM_TIMEOUT_S, LINK_GRACE_S, Starter
from service.bridge.waiter import MIN_WAIT_FOR_LOOKUP_S
from service.errors import Problem
from service.stepfunctions.budget import Budget
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.stopper import Stopper
from service.stepfunctions.token_bucket import STOP_EXECUTION_QUOTA
from tests.support.outcomes import success
from tests.support.simulated import START_RESULTS, START_TIMEOUT_S, Link, StepFunctions
from tests.support.virtual_time import VirtualTimeLoop

T = TypeVar("T")

NUMBERS = st.integers(0, 30)
WAITS = st.sampled_from([25.0, 10.0, 5.0, 2.0, 0.5, 0.0])
KEY_NAMES = st.sampled_from(["a", "b", "c", "d"])
KEYS = st.none() | KEY_NAMES
PUBLISHED = st.sampled_from(["with its result", "twice", "without its result", "not at all", "not at all"])
OUTCOMES = st.sampled_from([success({"n": 1}), success([]), Failed("E"), Aborted(), TimedOut()])
STATUSES = {Succeeded: "SUCCEEDED", Failed: "FAILED", Aborted: "ABORTED", TimedOut: "TIMED_OUT"}

MAX_START_S = 2 * LINK_GRACE_S + 1 + START_TIMEOUT_S + 4
"""Seconds that a start can take: two gaps, a late slot, no response, a record that does not show it."""

MAX_RECOVERY_S = 3.5
"""Seconds until a missed reply is recovered: the last lookup after a gap comes after three."""

LAST_LOOKUP_S = 3.0
"""Seconds before a deadline: an execution that ended before then has its outcome by the deadline, without a reply."""


@dataclass
class Caller:
    """A request to the bridge and its deadline. `event` is None if it only follows an execution."""

    task: asyncio.Task[Result]
    begun: float
    deadline: float
    execution_id: str | None
    event: str | None
    left: bool = False
    done_at: float = float("inf")


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualTimeLoop()
        asyncio.set_event_loop(self.loop)
        self.clock = patch.object(starter, "time", SimpleNamespace(monotonic=self.loop.time))
        self.clock.start()
        self.loop_errors: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        self.callers: list[Caller] = []
        self.stopped_at = float("inf")
        self.unreadable_until = 0.0
        self.link = Link(self.loop)
        self.aws = StepFunctions(self.link)
        self.perform(self.build())

    async def build(self) -> None:
        client: Any = self.aws
        link: Any = self.link
        self.replies = PendingReplies()
        record = RecordReader(client, ReadBudgets(clock=self.loop.time))
        self.recovery = Recovery(self.replies, record.budgets)
        self.replies.on_ended = self.recovery.lookup_ended
        self.replies.on_deadline_near = self.recovery.lookup_before_deadline
        self.remote = RemoteSubscriptions(
            link.subscribe, self.recovery, self.replies, namespace="ns", instance="me", shard="11e"
        )
        self.admission = Admission(1000)
        self.bridge = Bridge(
            Starter(client, link),
            Stopper(client, Budget(STOP_EXECUTION_QUOTA)),
            record,
            self.replies,
            self.recovery,
            self.remote,
            Share(self.admission),
        )
        self.bridges = Bridges(self.admission, self.replies, [self.bridge])
        await self.recovery.__aenter__()

    def perform(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def pass_time(self, seconds: float) -> None:
        self.perform(asyncio.sleep(seconds))

    def call(self, work: Coroutine[Any, Any, Result], wait: float, execution_id: str | None, event: str | None) -> None:
        async def begin() -> asyncio.Task[Result]:
            return asyncio.create_task(work)

        now = self.loop.time()
        caller = Caller(self.perform(begin()), now, now + wait, execution_id, event)
        caller.task.add_done_callback(lambda _: setattr(caller, "done_at", self.loop.time()))
        self.callers.append(caller)
        self.pass_time(0)

    @initialize(waits=st.lists(WAITS, min_size=2, max_size=8), keys=st.lists(KEYS, min_size=8, max_size=8))
    def begin_with_requests(self, waits: list[float], keys: list[str | None]) -> None:
        for wait, key in zip(waits, keys, strict=False):
            self.submit(wait, key)

    @rule(wait=WAITS, key=KEYS)
    def submit(self, wait: float, key: str | None) -> None:
        event = json.dumps({"key": key} if key else {"number": len(self.callers)})
        execution_id = f"exec-{key}" if key else None
        work = self.bridge.submit(execution_id or f"exec-{len(self.callers)}", event, wait, shared=key is not None)
        self.call(work, wait, execution_id, event)

    @precondition(lambda self: self.aws.record)
    @rule(number=NUMBERS, wait=WAITS)
    def follow(self, number: int, wait: float) -> None:
        execution_id = list(self.aws.record)[number % len(self.aws.record)]
        self.call(self.bridge.follow(execution_id, wait), wait, execution_id, None)

    @rule(key=KEY_NAMES, own=st.booleans())
    def start_elsewhere(self, key: str, own: bool) -> None:
        """Another instance got this key first, perhaps with another body."""
        name = f"exec-{key}"
        body = json.dumps({"key": key} if own else {"other": 1})
        input_ = json.dumps({"id": name, "event": body, "reply": {"channel": f"ns/other/{name}"}})
        self.aws.carry_out(name, input_)

    @rule(wait=WAITS, key=KEY_NAMES, own=st.booleans(), start_result=st.sampled_from(START_RESULTS))
    def submit_what_is_started_elsewhere(self, wait: float, key: str, own: bool, start_result: str) -> None:
        self.start_elsewhere(key, own)
        self.aws.start_results.appendleft(start_result)
        self.submit(wait, key)

    @rule(start_results=st.lists(st.sampled_from(START_RESULTS), min_size=1, max_size=4))
    def decide_the_next_starts(self, start_results: list[str]) -> None:
        self.aws.start_results.extend(start_results)

    @precondition(lambda self: self.aws.record)
    @rule(number=NUMBERS, outcome=OUTCOMES, published=PUBLISHED)
    def end_an_execution(self, number: int, outcome: Outcome, published: str) -> None:
        running = [(name, run) for name, run in self.aws.record.items() if run.outcome is None]
        if not running:
            return
        name, run = running[number % len(running)]
        run.outcome, run.ended_at = outcome, self.loop.time()
        received = self.link.receives(run.channel)
        run.missed = received and published == "not at all"
        reply = {"id": name, "status": STATUSES[type(outcome)]}
        if isinstance(outcome, Succeeded) and published != "without its result":
            reply["output"] = json.loads(outcome.output)
        elif isinstance(outcome, Failed):
            reply["error"] = outcome.error
        for _ in range({"not at all": 0, "twice": 2}.get(published, 1) if received else 0):
            self.perform(self.deliver(json.dumps(reply)))
        self.pass_time(0)

    async def deliver(self, event: str) -> None:
        self.replies.deliver(event)

    @rule(number=NUMBERS, rarely=st.integers(0, 2))
    def leave(self, number: int, rarely: int) -> None:
        if self.callers and not rarely:
            caller = self.callers[number % len(self.callers)]
            caller.left = caller.task.cancel() or caller.left
            self.pass_time(0)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @precondition(lambda self: self.link.live)
    @rule()
    def lose_the_link(self) -> None:
        async def lose() -> None:
            self.link.lose()
            self.recovery.link_lost()

        self.perform(lose())

    @precondition(lambda self: not self.link.live)
    @rule()
    def regain_the_link(self) -> None:
        async def regain() -> None:
            self.link.regain()
            self.recovery.link_restored()

        self.perform(regain())
        self.pass_time(0)

    @precondition(lambda self: self.link.live)
    @rule(seconds=st.sampled_from([0.0, 0.3, 3.0]), number=NUMBERS, outcome=OUTCOMES)
    def miss_an_end_in_a_gap(self, seconds: float, number: int, outcome: Outcome) -> None:
        self.lose_the_link()
        if self.aws.record:
            self.end_an_execution(number, outcome, published="with its result")
        self.pass_time(seconds)
        self.regain_the_link()

    @rule(refusing=st.booleans())
    def refuse_subscriptions(self, refusing: bool) -> None:
        self.link.refusing = refusing

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def hide_the_record(self, seconds: float) -> None:
        self.aws.readable = False
        self.pass_time(seconds)
        self.aws.readable = True
        self.unreadable_until = self.loop.time()

    @precondition(lambda self: self.stopped_at == float("inf"))
    @rule(forced=st.booleans(), rarely=st.integers(0, 10))
    def stop(self, forced: bool, rarely: int) -> None:
        if rarely:
            return
        self.stopped_at = self.loop.time()

        async def begin() -> None:
            if forced:
                self.bridges.release()
            else:
                self.draining = asyncio.create_task(self.bridges.drain(35))

        self.perform(begin())
        self.pass_time(0)

    def teardown(self) -> None:
        try:
            self.pass_time(60)
            self.judge()
            self.perform(self.finish())
            assert not asyncio.all_tasks(self.loop), "tasks were left"
            assert not self.loop_errors
        finally:
            self.clock.stop()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(1))
            self.loop.close()
            asyncio.set_event_loop(None)

    async def finish(self) -> None:
        await self.bridges.drain(1)
        await self.bridge.aclose()
        await self.remote.aclose()
        await self.recovery.__aexit__(None, None, None)

    def judge(self) -> None:
        assert len(self.replies) == 0, "waiters were left in the table"
        assert self.admission.in_flight == 0
        assert len(self.remote) == 0
        assert not self.link.subscriptions
        assert not self.aws.started_without_channel, "started while its reply could not be received"
        for caller in self.callers:
            assert caller.task.done(), "a caller got no answer"
            if caller.task.cancelled():
                assert caller.left
                continue
            assert caller.done_at <= max(caller.deadline, caller.begun + MAX_START_S) + 0.1, "answered late"
            if isinstance(error := caller.task.exception(), Problem):
                self.judge_refusal(caller, error)
            else:
                self.judge_answer(caller, caller.task.result())

    def judge_refusal(self, caller: Caller, problem: Problem) -> None:
        assert problem.slug != "unknown-execution"
        if problem.slug == "link-down" and caller.execution_id is None:  # with a key, another request's wait may apply
            since = [down for down, up in self.link.gaps if up >= caller.begun]
            assert since, "refused without a gap"
            assert caller.done_at >= min(since[0] + LINK_GRACE_S - 0.1, caller.deadline), "refused in a short gap"
        if caller.execution_id is None and problem.slug in {"draining", "link-down", "throttled"}:
            own = [name for name, run in self.aws.record.items() if run.event == caller.event]
            assert not own, f"started, although the caller got {problem.slug}"

    def judge_answer(self, caller: Caller, answer: Result) -> None:
        run = self.aws.record.get(answer.execution_id)
        assert run is not None, "the id of an execution that does not exist"
        assert caller.event in {None, run.event}, "the execution of another request"
        if answer.outcome is not None:
            assert answer.outcome == run.outcome, "the record says otherwise"
        elif self.stopped_at > caller.done_at:  # otherwise it may have been released
            assert caller.done_at >= caller.deadline - CONFIRM_TIMEOUT_S, "the wait ended early"
        hidden = self.unreadable_until >= min(run.ended_at, caller.deadline - 2 * LAST_LOOKUP_S)
        if run.outcome is None or hidden or self.stopped_at <= caller.done_at:
            return
        after_start = caller.deadline - caller.begun - (answer.start or 0.0)
        if answer.outcome is None and after_start >= MIN_WAIT_FOR_LOOKUP_S:
            assert run.ended_at >= caller.deadline - LAST_LOOKUP_S, "the record knew the outcome in time"
        if not run.missed:
            known = max(run.ended_at, caller.begun + MAX_START_S)
            assert caller.done_at <= known + MAX_RECOVERY_S, "the outcome was available long before"


Model.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_every_interleaving_gives_each_caller_one_correct_answer_and_leaves_nothing = Model.TestCase
