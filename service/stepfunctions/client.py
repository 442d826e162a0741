"""A client for the executions of one state machine, with typed results.

The quotas, names and errors are those of the AWS Step Functions API Reference and of "Service quotas" in the
Step Functions Developer Guide.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import structlog

from service.errors import Problem
from service.stepfunctions import records
from service.stepfunctions.errors import AwsError
from service.stepfunctions.retry import RETRIED_CALLS, ExecutionExists, Retrying
from service.stepfunctions.slots import Slot, Slots, by_action
from service.stepfunctions.transport import AwsJsonClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

    from types_aiobotocore_stepfunctions.literals import ExecutionStatusType

    from service.stepfunctions.arn import StateMachineArn
    from service.stepfunctions.endpoint import Endpoint
    from service.stepfunctions.outcomes import Outcome
    from service.stepfunctions.records import Execution, HistoryPage, Page, Started

MAX_CALLS: Final = MappingProxyType(
    {
        "DescribeExecution": 48,
        "GetExecutionHistory": 32,
        "ListExecutions": 4,
        "StopExecution": 32,
        "RedriveExecution": 32,
        "DescribeStateMachine": 1,
    }
)
"""Calls that may be in flight at once, by action, so that no slow or throttled action delays another, or a start. At 50
ms a call, each has many times what its quota allows."""

ACTIONS: Final = ("StartExecution", *MAX_CALLS)
"""All that is called."""

DESCRIBE_STATE_MACHINE_TIMEOUT_S: Final = 1.5
"""Seconds that reading the state machine's type may take: no request is accepted until then."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class StepFunctionsClient:
    """The executions of one state machine.

    At most `max_starts` starts and MAX_CALLS of each other action are in flight at once; further ones wait for a slot,
    starts in turn by caller.
    A call that cannot connect or gets no response, and a start that is throttled, is retried with full jitter for at
    most `timeout` seconds. That is safe because each call names its execution. After the last attempt it fails as
    Throttled, Unreachable (nothing was sent), OutcomeUnknown (it may have been carried out) or Refused. It fails as
    AtCapacity if no slot is free in time.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        arn: StateMachineArn,
        *,
        max_starts: int,
        slots: Mapping[str, Slots] | None = None,
        timeout: float = 5.0,
        attempt_timeout: float = 3.0,
        backoff: float = 0.1,
    ) -> None:
        self.throttled: dict[str, int] = {}
        """Throttled responses by action."""
        self._denied: set[str] = set()
        self._arn = arn
        # Calls queue here and nowhere else: a call that was never sent must not look like one without a response.
        self._start_slots = Slots(max_starts)
        self._slots = slots or by_action(MAX_CALLS)
        connect_timeout = min(1.0, attempt_timeout, timeout / 4)
        self._retrying = Retrying(arn.text, timeout=timeout, backoff=backoff, connect_timeout=connect_timeout)
        self._api = AwsJsonClient(
            endpoint, "AWSStepFunctions", connect_timeout=connect_timeout, response_timeout=attempt_timeout
        )

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, value, trace)

    def start_slot(self, timeout: float = 0.0, caller: str | None = None) -> Slot:
        """Return the slot that a start needs, an async context manager whose value is the deadline for `start`.

        Waiting for it and the start take `timeout` seconds together, or the client's own timeout if that is longer.
        Entering it raises AtCapacity if no slot becomes free in time.
        """
        return self._retrying.slot(self._start_slots, max(timeout, self._retrying.timeout), caller)

    async def start(
        self, execution_id: str, input_: str, deadline: float = math.inf, *, trace_header: str | None = None
    ) -> Started:
        """Start an execution named `execution_id`. Call it inside `start_slot`.

        The same name and input again are the same execution. `trace_header` is an `X-Amzn-Trace-Id` for X-Ray.
        Raise ExecutionExists, Throttled, Unreachable, OutcomeUnknown or Refused; each has its `start_attempts`.
        """
        arguments = {"stateMachineArn": self._arn.text, "name": execution_id, "input": input_}
        if trace_header is not None:
            arguments["traceHeader"] = trace_header
        attempts = 0

        async def request(deadline: float) -> Started:
            nonlocal attempts
            attempts += 1
            return records.started(await self._send("StartExecution", arguments, deadline), attempts)

        try:
            return await self._retrying.run("StartExecution", request, execution_id, deadline)
        except (Problem, ExecutionExists) as error:
            error.start_attempts = attempts
            raise

    async def describe(self, execution_id: str, *, timeout: float | None = None, retry: bool = True) -> Execution:
        """Read an execution's record; raise UnknownExecution, AtCapacity, Throttled, or the like.

        With `retry` False there is one attempt.
        """

        async def request(deadline: float) -> Execution:
            record = await self._send(
                "DescribeExecution", {"executionArn": self._arn.execution(execution_id)}, deadline
            )
            return records.execution(record, execution_id, self._api.now())

        return await self._call("DescribeExecution", request, execution_id, timeout=timeout, retry=retry)

    async def outcome_from_history(self, execution_id: str, *, timeout: float | None = None) -> Outcome | None:
        """Read how an execution ended from the last event of its history; None if it is running.

        `describe` shows the same, but this call has a quota of its own. There is one attempt. Raise as `describe`
        does.
        """
        arguments = {"executionArn": self._arn.execution(execution_id), "reverseOrder": True, "maxResults": 1}

        async def request(deadline: float) -> Outcome | None:
            return records.last_event((await self._send("GetExecutionHistory", arguments, deadline))["events"])

        return await self._call("GetExecutionHistory", request, execution_id, timeout=timeout, retry=False)

    async def history(
        self, execution_id: str, *, limit: int, next_token: str | None = None, timeout: float | None = None
    ) -> HistoryPage:
        """Read up to `limit` (1 to 1,000) events of a history, newest first, without their data.

        A next page takes the same `limit`. There is one attempt. Raise as `describe` does.
        """
        arguments: dict[str, Any] = {
            "executionArn": self._arn.execution(execution_id),
            "includeExecutionData": False,
            "maxResults": limit,
            "reverseOrder": True,
        }
        if next_token is not None:
            arguments["nextToken"] = next_token

        async def request(deadline: float) -> HistoryPage:
            return records.history_page(await self._send("GetExecutionHistory", arguments, deadline))

        return await self._call("GetExecutionHistory", request, execution_id, timeout=timeout, retry=False)

    async def is_express(self) -> bool:
        """Return whether the state machine is of the EXPRESS type, which keeps no record.

        There is one attempt. Raise as `describe` does.
        """

        async def request(deadline: float) -> bool:
            machine = await self._send("DescribeStateMachine", {"stateMachineArn": self._arn.text}, deadline)
            if machine.get("status") == "DELETING":
                raise AwsError("StateMachineDeleting", 400, self._api.host)  # as StartExecution would
            return bool(machine["type"] == "EXPRESS")

        return await self._call(
            "DescribeStateMachine", request, None, timeout=DESCRIBE_STATE_MACHINE_TIMEOUT_S, retry=False
        )

    async def list(
        self,
        status: ExecutionStatusType | None = None,
        *,
        limit: int = 1000,
        next_token: str | None = None,
        timeout: float | None = None,
        retry: bool = True,
    ) -> Page:
        """List up to `limit` (1 to 1,000) executions, newest first; raise Throttled, Unreachable, or the like.

        With `retry` False there is one attempt.
        """
        arguments: dict[str, Any] = {"stateMachineArn": self._arn.text, "maxResults": limit}
        if status is not None:
            arguments["statusFilter"] = status
        if next_token is not None:
            arguments["nextToken"] = next_token

        async def request(deadline: float) -> Page:
            return records.page(await self._send("ListExecutions", arguments, deadline))

        return await self._call("ListExecutions", request, None, timeout=timeout, retry=retry)

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; one that has already ended stays as it is. Raise as `describe` does."""

        async def request(deadline: float) -> None:
            response = await self._send("StopExecution", {"executionArn": self._arn.execution(execution_id)}, deadline)
            response["stopDate"]  # a response without it is malformed

        await self._call("StopExecution", request, execution_id)

    async def redrive(self, execution_id: str, number: int, caller: str | None = None) -> float:
        """Run an execution again from where it failed, for the time of this `number`: 1 if it never was redriven.

        A repeated call with the same number does nothing, for 15 minutes ("RedriveExecution", AWS Step Functions API
        Reference). Return how many seconds ago the redrive was, by AWS's clock: that is long only if an earlier call
        made it. Calls wait for a slot in turn by `caller`. Raise NotRetryable, or what `describe` raises.
        """
        arn = self._arn.execution(execution_id)
        arguments = {"executionArn": arn, "clientToken": f"{execution_id}.{number}"}

        async def request(deadline: float) -> float:
            response = await self._send("RedriveExecution", arguments, deadline)
            return self._api.now() - float(response["redriveDate"])

        return await self._call("RedriveExecution", request, execution_id, caller=caller)

    async def _call(
        self,
        action: str,
        request: Callable[[float], Awaitable[T]],
        execution_id: str | None,
        *,
        timeout: float | None = None,
        retry: bool = True,
        caller: str | None = None,
    ) -> T:
        async with self._retrying.slot(self._slots[action], timeout, caller) as deadline:
            return await self._retrying.run(
                action, request, execution_id, deadline, retried=RETRIED_CALLS if retry else ()
            )

    async def _send(self, operation: str, arguments: dict[str, Any], deadline: float) -> dict[str, Any]:
        try:
            return await self._api.call(operation, arguments, deadline)
        except AwsError as error:
            if error.throttled:
                self.throttled[operation] = self.throttled.get(operation, 0) + 1
            if error.code == "AccessDeniedException" and operation not in self._denied:
                self._denied.add(operation)
                log.warning("permission_missing", action=f"states:{operation}")
            raise
