"""Retries of calls to Step Functions, and the problems that failed calls turn into."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import (
    NotRetryable,
    OutcomeUnknown,
    Problem,
    Refused,
    Throttled,
    Unavailable,
    UnknownExecution,
    Unreachable,
)
from service.stepfunctions.errors import AwsError, CallError, NotSentError
from service.stepfunctions.slots import Slot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from service.stepfunctions.slots import Slots

T = TypeVar("T")

RETRIED_STARTS: Final = (Throttled, Unreachable, OutcomeUnknown)
"""The problems after which a start is repeated."""

RETRIED_CALLS: Final = (Unreachable, OutcomeUnknown)
"""The same for other calls. If they are throttled, the next one needs a token: service/stepfunctions/budget.py."""

_ABOUT_ONE_EXECUTION: Final = frozenset(
    {"DescribeExecution", "GetExecutionHistory", "StopExecution", "RedriveExecution"}
)
"""The actions whose ARN is that of an execution."""


class ExecutionExists(Exception):
    """An execution of this name exists and has ended, or was started with another input."""

    start_attempts = 0
    """How many calls of StartExecution were made."""


class Retrying:
    """Repeats a call with full jitter while that may help.

    All attempts together take at most `timeout` seconds. The first pause is at most twice `backoff` seconds, and the
    limit doubles with each attempt. An attempt begins only while `connect_timeout` seconds are left, which it may need
    to connect. `arn` is what the log says that the calls are about.
    """

    def __init__(self, arn: str, *, timeout: float, backoff: float, connect_timeout: float) -> None:
        self.timeout = timeout
        self._arn = arn
        self._backoff = backoff
        self._connect_timeout = connect_timeout

    def slot(self, slots: Slots, timeout: float | None = None, caller: str | None = None) -> Slot:
        """Return a slot for calls of `caller` that have to end within `timeout` seconds from now."""
        deadline = asyncio.get_running_loop().time() + (self.timeout if timeout is None else timeout)
        return Slot(slots, deadline, self._connect_timeout, caller)

    async def run(
        self,
        action: str,
        request: Callable[[float], Awaitable[T]],
        execution_id: str | None,
        deadline: float,
        *,
        retried: tuple[type[Problem], ...] = RETRIED_STARTS,
    ) -> T:
        """Carry out `request` until it succeeds, at most until `deadline` and for `timeout` seconds.

        It calls `action`, gets the time at which it has to end, and knows itself whether it was sent by then. It is
        repeated after the `retried` problems. Problems name `execution_id`, and for the log what failed. Raise
        Throttled, Unreachable, OutcomeUnknown or Refused for the way the last attempt failed, UnknownExecution,
        NotRetryable or ExecutionExists if Step Functions says so.
        """
        loop = asyncio.get_running_loop()
        deadline = min(deadline, loop.time() + self.timeout)
        unknown: OutcomeUnknown | None = None
        attempt = 0
        while True:
            try:
                return await request(deadline)
            except Exception as error:  # includes a response without a required member
                problem = _translate(error, action, execution_id)
                if isinstance(problem, Unavailable):
                    _add_log_fields(problem, error, action, self._arn)
                if isinstance(problem, Refused) and unknown is not None:
                    raise unknown from error  # only this attempt was refused; an earlier one may have been carried out
                if not isinstance(problem, Throttled | Unreachable | OutcomeUnknown):
                    raise problem from error
            if isinstance(problem, OutcomeUnknown):
                unknown = problem
            attempt += 1
            # Full jitter: calls that failed together are not repeated together. service/appsync/timing.py has its own,
            # because the two packages stay independent.
            pause = random.uniform(0, self._backoff * 2**attempt)  # noqa: S311 - spreads load, guards nothing
            if not isinstance(problem, retried) or loop.time() + pause + self._connect_timeout >= deadline:
                # An attempt that may have been carried out matters more than later ones that certainly were not.
                raise unknown or problem
            await asyncio.sleep(pause)


def _add_log_fields(problem: Unavailable, error: Exception, action: str, arn: str) -> None:
    """Let the log say which call failed, and how."""
    host = ""
    if isinstance(error, AwsError):
        problem.aws_error, host = error.code, error.host
    elif isinstance(error, CallError):
        problem.aws_error, host = f"{error.phase}: {error.reason}", error.host
    else:
        problem.aws_error = type(error).__name__
    problem.log_fields = {"aws_action": action, "aws_error": problem.aws_error, "arn": arn, "host": host}


def _translate(error: Exception, action: str, execution_id: str | None) -> Problem | ExecutionExists:
    if isinstance(error, AwsError):
        return _translate_error(error, action, execution_id)
    if isinstance(error, NotSentError):
        return Unreachable("Nothing could be sent to Step Functions.", execution_id=execution_id)
    return OutcomeUnknown("Step Functions sent no readable response.", execution_id=execution_id)


def _translate_error(error: AwsError, action: str, execution_id: str | None) -> Problem | ExecutionExists:
    code = error.code
    if code == "ExecutionAlreadyExists":
        return ExecutionExists()
    if code == "ExecutionDoesNotExist" or (code == "InvalidArn" and action in _ABOUT_ONE_EXECUTION):
        return UnknownExecution("There is no execution with this id.", execution_id=execution_id)
    if code == "ExecutionNotRedrivable":
        return NotRetryable("Step Functions refused to retry this execution.", execution_id=execution_id)
    if error.throttled:
        return Throttled("Step Functions throttled the call.", execution_id=execution_id)
    if error.status >= 500:
        return OutcomeUnknown("Step Functions returned a server error.", execution_id=execution_id)
    return Refused(f"Step Functions returned {code}.", execution_id=execution_id)
