"""Step Functions: the calls that concern the executions of one state machine, with typed results.

The quotas, names and errors are those of the AWS Step Functions API Reference and of "Service quotas" in the
Step Functions Developer Guide.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import msgspec

from service.errors import Problem
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut
from service.stepfunctions.retry import THROTTLING, ExecutionExists, Retrying, Slot
from service.stepfunctions.transport import AwsError, AwsJsonClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    import aioboto3
    from types_aiobotocore_stepfunctions.literals import ExecutionStatusType

    from service.stepfunctions.arn import StateMachineArn

MAX_OTHER_CALLS: Final = 64
"""Other calls than starts under way at once: starts that are slow or throttled must not keep anybody from a result."""

DESCRIBE_MACHINE_TIMEOUT: Final = 1.5
"""Seconds that the question for the state machine's type may take: it is asked before the service takes requests."""


T = TypeVar("T")


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

    At most `pool` starts and MAX_OTHER_CALLS other calls are under way at once; more wait for a slot. A call is
    retried with full jitter for at most `timeout` seconds while it is throttled, unreachable or unanswered. That is
    safe because each call names its execution. After the last attempt it fails as Throttled, Unreachable (nothing was
    sent), OutcomeUnknown (it may have been carried out) or Refused; as AtCapacity if no slot became free in time.

    `throttled` counts throttled responses by action.
    """

    def __init__(
        self,
        session: aioboto3.Session,
        arn: StateMachineArn,
        *,
        pool: int,
        endpoint_url: str | None = None,
        timeout: float = 5.0,
        attempt_timeout: float = 3.0,
        backoff: float = 0.1,
    ) -> None:
        self.throttled: dict[str, int] = {}
        self._arn = arn
        # Calls queue here and nowhere else: one that was never sent must not look like one that was never answered.
        self._start_slots = asyncio.Semaphore(pool)
        self._other_slots = asyncio.Semaphore(MAX_OTHER_CALLS)
        connect_timeout = min(1.0, attempt_timeout, timeout / 4)
        self._retrying = Retrying(timeout=timeout, backoff=backoff, connect_timeout=connect_timeout)
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

    def start_slot(self, timeout: float = 0.0) -> Slot:
        """Return the slot that a start needs, an async context manager whose value is the deadline for `start`.

        Waiting for it and the start take `timeout` seconds together, or the client's own timeout if that is longer.
        Entering it raises AtCapacity if no slot becomes free in time.
        """
        return self._retrying.slot(self._start_slots, max(timeout, self._retrying.timeout))

    async def start(
        self, execution_id: str, input_: str, deadline: float = math.inf, *, trace_header: str | None = None
    ) -> int:
        """Start an execution named `execution_id`; return the number of attempts. Call it inside `start_slot`.

        The same name and input again are the same execution. `trace_header` is an `X-Amzn-Trace-Id` for X-Ray.
        Raise ExecutionExists, Throttled, Unreachable, OutcomeUnknown or Refused; each has its `start_attempts`.
        """
        arguments = {"stateMachineArn": self._arn.text, "name": execution_id, "input": input_}
        if trace_header is not None:
            arguments["traceHeader"] = trace_header
        attempts = 0

        async def request() -> None:
            nonlocal attempts
            attempts += 1
            response = await self._send("StartExecution", arguments)
            response["executionArn"]  # a response without it is not one

        try:
            await self._retrying.run(request, execution_id, deadline)
        except (Problem, ExecutionExists) as error:
            error.start_attempts = attempts
            raise
        return attempts

    async def describe(self, execution_id: str, *, timeout: float | None = None, retry: bool = True) -> Execution:
        """Read an execution's record; raise UnknownExecution, AtCapacity, Throttled, or the like.

        With `retry` False it is sent once.
        """

        async def request() -> Execution:
            record = await self._send("DescribeExecution", {"executionArn": self._arn.execution(execution_id)})
            return Execution(execution_id, record.get("input", ""), _outcome(record), _seconds(record))

        return await self._call(request, execution_id, timeout=timeout, retry=retry)

    async def ended(self, execution_id: str, *, timeout: float | None = None) -> Outcome | None:
        """Tell by the last event of its history how an execution ended, None if it did not; one try.

        The same as `describe` tells, within a quota of its own. Raise as that does.
        """
        arguments = {"executionArn": self._arn.execution(execution_id), "reverseOrder": True, "maxResults": 1}

        async def request() -> Outcome | None:
            return _last_event((await self._send("GetExecutionHistory", arguments))["events"])

        return await self._call(request, execution_id, timeout=timeout, retry=False)

    async def express(self) -> bool:
        """Tell whether the state machine is of the EXPRESS type, which keeps no record; one try.

        Raise as `describe` does.
        """

        async def request() -> bool:
            machine = await self._send("DescribeStateMachine", {"stateMachineArn": self._arn.text})
            return bool(machine["type"] == "EXPRESS")

        return await self._call(request, None, timeout=DESCRIBE_MACHINE_TIMEOUT, retry=False)

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
            page = await self._send("ListExecutions", arguments)
            return Page([(item["name"], item["status"]) for item in page["executions"]], page.get("nextToken"))

        return await self._call(request, None)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; one that has ended already stays as it is. Raise as `describe` does."""

        async def request() -> None:
            answer = await self._send("StopExecution", {"executionArn": self._arn.execution(execution_id)})
            answer["stopDate"]  # an answer without it is none

        await self._call(request, execution_id)

    async def _call(
        self,
        request: Callable[[], Awaitable[T]],
        execution_id: str | None,
        *,
        timeout: float | None = None,
        retry: bool = True,
    ) -> T:
        async with self._retrying.slot(self._other_slots, timeout) as deadline:
            return await self._retrying.run(request, execution_id, deadline, retry=retry)

    async def _send(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
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
