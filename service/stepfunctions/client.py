"""Step Functions: the calls that concern the executions of one state machine, with typed results.

The quotas, names and errors are those of the AWS Step Functions API Reference and of "Service quotas" in the
Step Functions Developer Guide.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut
from service.stepfunctions.retry import THROTTLING, Retrying
from service.stepfunctions.transport import AwsError, AwsJsonClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import aioboto3
    from types_aiobotocore_stepfunctions.literals import ExecutionStatusType

    from service.stepfunctions.arn import StateMachineArn

OTHERS: Final = 64
"""Other calls than starts under way at once: starts that are slow or throttled must not keep anybody from a result."""

ASK_WITHIN: Final = 1.5
"""Seconds that the question for the state machine's type may take: it is asked before the service takes requests."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What Step Functions' record says of an execution; `outcome` is None while it runs.

    `seconds` is how long it took, or has taken so far.
    """

    id: str
    input: str
    outcome: Outcome | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing: (execution id, status) pairs, newest first, and the token of the next page."""

    executions: list[tuple[str, ExecutionStatusType]]
    next_token: str | None


_TEXT: Final = msgspec.json.Decoder(msgspec.Raw)


class StepFunctionsClient:
    """The executions of one state machine.

    At most `pool` starts and OTHERS other calls are under way at once; more wait for their turn. A call is tried again
    with full jitter, for `budget` seconds at the most, while it is throttled, unreachable or unanswered, which is safe
    because each call names its execution. What is left over after the last try is told apart: Throttled, Unreachable
    (no try was sent), OutcomeUnknown (one may have been carried out), or Refused; AtCapacity if its turn did not come
    in time.

    `throttled` counts the answers by which Step Functions throttled, by action.
    """

    def __init__(
        self,
        session: aioboto3.Session,
        arn: StateMachineArn,
        *,
        pool: int,
        endpoint_url: str | None = None,
        budget: float = 5.0,
        attempt_timeout: float = 3.0,
        backoff: float = 0.1,
    ) -> None:
        self.throttled: dict[str, int] = {}
        self._arn = arn
        # Calls queue here and nowhere else: one that was never sent must not look like one that was never answered.
        self._starts = asyncio.Semaphore(pool)
        self._others = asyncio.Semaphore(OTHERS)
        connect_timeout = min(1.0, attempt_timeout, budget / 4)
        self._attempts = Retrying(budget=budget, backoff=backoff, connect_timeout=connect_timeout)
        self._api = AwsJsonClient(
            session,
            "stepfunctions",
            "AWSStepFunctions",
            # The ARN decides: a state machine cannot be started through another region's endpoint.
            region=arn.region,
            endpoint_url=endpoint_url,
            connect_timeout=connect_timeout,
            read_timeout=attempt_timeout,
        )

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, value, trace)

    async def start(
        self,
        execution_id: str,
        input_: str,
        *,
        trace_header: str | None = None,
        within: float | None = None,
        on_turn: Callable[[], None] | None = None,
        on_try: Callable[[], None] | None = None,
    ) -> None:
        """Start an execution named `execution_id`; the same name and input again are the same execution.

        `trace_header` is an `X-Amzn-Trace-Id` for X-Ray. All of it takes `within` seconds at the most (the budget if
        that is longer). `on_turn` is called when its turn has come, just before anything is sent; what it raises ends
        the call with nothing sent. `on_try` is called before each try.
        Raise ExecutionExists, AtCapacity, Throttled, Unreachable, OutcomeUnknown or Refused.
        """
        arguments = {"stateMachineArn": self._arn.text, "name": execution_id, "input": input_}
        if trace_header is not None:
            arguments["traceHeader"] = trace_header

        async def request() -> None:
            if on_try is not None:
                on_try()
            answer = await self._ask("StartExecution", arguments)
            answer["executionArn"]  # an answer without it is none

        within = max(within or 0.0, self._attempts.budget)
        await self._attempts.run(request, self._starts, execution_id, within=within, on_turn=on_turn)

    async def describe(self, execution_id: str, *, within: float | None = None, patient: bool = True) -> Execution:
        """Read an execution's record; raise UnknownExecution, AtCapacity, Throttled, or the like.

        Without patience one try is all.
        """

        async def request() -> Execution:
            record = await self._ask("DescribeExecution", {"executionArn": self._arn.execution(execution_id)})
            return Execution(execution_id, record.get("input", ""), _outcome(record), _seconds(record))

        return await self._attempts.run(request, self._others, execution_id, within=within, patient=patient)

    async def ended(self, execution_id: str, *, within: float | None = None) -> Outcome | None:
        """Tell by the last event of its history how an execution ended, None if it did not; one try.

        The same as `describe` tells, within a quota of its own. Raise as that does.
        """
        arguments = {"executionArn": self._arn.execution(execution_id), "reverseOrder": True, "maxResults": 1}

        async def request() -> Outcome | None:
            return _last_event((await self._ask("GetExecutionHistory", arguments))["events"])

        return await self._attempts.run(request, self._others, execution_id, within=within, patient=False)

    async def express(self) -> bool:
        """Tell whether the state machine is of the EXPRESS type, which keeps no record; one try.

        Raise as `describe` does.
        """

        async def request() -> bool:
            machine = await self._ask("DescribeStateMachine", {"stateMachineArn": self._arn.text})
            return bool(machine["type"] == "EXPRESS")

        return await self._attempts.run(request, self._others, None, within=ASK_WITHIN, patient=False)

    async def list(
        self, status: ExecutionStatusType | None = None, *, limit: int = 1000, next_token: str | None = None
    ) -> Page:
        """List up to `limit` (1 to 1,000) executions, newest first; raise Throttled, Unreachable, or the like."""
        arguments: dict[str, Any] = {"stateMachineArn": self._arn.text, "maxResults": limit}
        if status is not None:
            arguments["statusFilter"] = status
        if next_token is not None:
            arguments["nextToken"] = next_token

        async def request() -> Page:
            page = await self._ask("ListExecutions", arguments)
            return Page([(item["name"], item["status"]) for item in page["executions"]], page.get("nextToken"))

        return await self._attempts.run(request, self._others, None)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; one that has ended already stays as it is. Raise as `describe` does."""

        async def request() -> None:
            answer = await self._ask("StopExecution", {"executionArn": self._arn.execution(execution_id)})
            answer["stopDate"]  # an answer without it is none

        await self._attempts.run(request, self._others, execution_id)

    async def _ask(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._api.call(operation, arguments)
        except AwsError as error:
            if error.code in THROTTLING:
                self.throttled[operation] = self.throttled.get(operation, 0) + 1
            raise


def _last_event(events: list[dict[str, Any]]) -> Outcome | None:
    last: dict[str, Any] = events[0] if events else {}
    match last.get("type"):
        case "ExecutionSucceeded":
            return _succeeded(last["executionSucceededEventDetails"])
        case "ExecutionFailed":
            return Failed(last.get("executionFailedEventDetails", {}).get("error", ""))
        case "ExecutionAborted":
            return Aborted()
        case "ExecutionTimedOut":
            return TimedOut()
    return None


def _seconds(record: dict[str, Any]) -> float:
    end = float(record.get("stopDate", time.time()))
    return max(0.0, end - float(record.get("startDate", end)))  # two clocks, where it runs yet


def _outcome(record: dict[str, Any]) -> Outcome | None:
    match record["status"]:
        case "SUCCEEDED":
            return _succeeded(record)
        case "FAILED":
            return Failed(record.get("error", ""))
        case "ABORTED":
            return Aborted()
        case "TIMED_OUT":
            return TimedOut()
    return None  # RUNNING, or PENDING_REDRIVE: not ended


def _succeeded(record: dict[str, Any]) -> Outcome:
    try:
        return Succeeded(_json(record["output"]))
    except (KeyError, ValueError, RecursionError):
        # Withheld by the record, or nested beyond reason: there is nothing to answer with.
        return Failed("UnreadableOutput")


def _json(text: str) -> bytes:
    try:
        return bytes(_TEXT.decode(text))
    except ValueError:
        # Unpaired surrogates: JSON may have them and UTF-8 may not, so that only the slow way takes them.
        return json.dumps(json.loads(text), allow_nan=False).encode()
