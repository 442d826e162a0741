"""Calls of Step Functions: each waits for its turn, is tried again while that may help, and fails as a problem."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, TypeVar

from service.errors import AtCapacity, OutcomeUnknown, Problem, Refused, Throttled, UnknownExecution, Unreachable
from service.stepfunctions.transport import AwsError, NotSentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

THROTTLING: Final = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "ExecutionLimitExceeded"}
)
"""The codes by which Step Functions says that calls come too fast."""


class ExecutionExists(Exception):
    """An execution of this name exists and has ended, or was started with another input."""


class Retrying:
    """Tries calls for `budget` seconds at the most, with full jitter between tries.

    `backoff` is the longest first pause and doubles; a try begins only if there are `connect_timeout` seconds left in
    which it is sure to be sent, or to fail to.
    """

    def __init__(self, *, budget: float, backoff: float, connect_timeout: float) -> None:
        self.budget = budget
        self._backoff = backoff
        self._connect_timeout = connect_timeout

    async def run(
        self,
        request: Callable[[], Awaitable[T]],
        places: asyncio.Semaphore,
        execution_id: str | None,
        *,
        within: float | None = None,
        on_turn: Callable[[], None] | None = None,
        patient: bool = True,
    ) -> T:
        """Carry `request` out at one of `places`, for `within` seconds at the most (the budget, unless said).

        `on_turn` is called once it has its place, just before anything is sent; what it raises ends the call. Without
        patience one try is all. Raise AtCapacity if its turn does not come in time, Throttled, Unreachable,
        OutcomeUnknown or Refused for what the last try came to (problems are about `execution_id`), UnknownExecution or
        ExecutionExists as Step Functions says.
        """
        give_up = asyncio.get_running_loop().time() + (self.budget if within is None else within)
        try:
            if places.locked():
                # A turn that comes too late to connect is of no use.
                async with asyncio.timeout_at(give_up - self._connect_timeout):
                    await places.acquire()
            else:
                await places.acquire()  # at once, so it needs no timer
        except TimeoutError:
            raise AtCapacity("Too many calls to Step Functions wait for their turn.") from None
        try:
            if on_turn is not None:
                on_turn()
            return await self._try(request, execution_id, give_up, patient=patient)
        finally:
            places.release()

    async def _try(
        self, request: Callable[[], Awaitable[T]], execution_id: str | None, give_up: float, *, patient: bool
    ) -> T:
        loop = asyncio.get_running_loop()
        give_up = min(give_up, loop.time() + self.budget)
        unknown: OutcomeUnknown | None = None
        attempt = 0
        while True:
            try:
                async with asyncio.timeout_at(give_up):
                    return await request()
            except TimeoutError:
                # Every try has the time to connect, or to fail to, so this one was sent.
                raise OutcomeUnknown("Step Functions did not answer in time.", execution_id=execution_id) from None
            except Exception as error:  # an answer without what it must have is none
                problem = _translate(error, execution_id)
                if isinstance(problem, Refused) and unknown is not None:
                    raise unknown from error  # the refusal is of this try, and an earlier one may have been carried out
                if not isinstance(problem, Throttled | Unreachable | OutcomeUnknown):
                    raise problem from error
            if isinstance(problem, OutcomeUnknown):
                unknown = problem
            attempt += 1
            # Full jitter: callers that failed together do not come back together.
            pause = random.uniform(0, self._backoff * 2**attempt)  # noqa: S311 - spreads load, guards nothing
            if not patient or loop.time() + pause + self._connect_timeout >= give_up:
                # A try that may have been carried out outweighs later ones that surely were not.
                raise unknown or problem
            await asyncio.sleep(pause)


def _translate(error: Exception, execution_id: str | None) -> Problem | ExecutionExists:
    if isinstance(error, AwsError):
        return _translate_answer(error, execution_id)
    if isinstance(error, NotSentError):
        return Unreachable("Step Functions cannot be reached.", execution_id=execution_id)
    return OutcomeUnknown("Step Functions gave no answer that can be read.", execution_id=execution_id)


def _translate_answer(error: AwsError, execution_id: str | None) -> Problem | ExecutionExists:
    code = error.code
    if code == "ExecutionAlreadyExists":
        return ExecutionExists()
    if code in {"ExecutionDoesNotExist", "InvalidArn"}:
        return UnknownExecution("There is no execution of this id.", execution_id=execution_id)
    if code in THROTTLING:
        return Throttled("Step Functions takes no more calls at the moment.", execution_id=execution_id)
    if error.status >= 500:
        return OutcomeUnknown("Step Functions answered with a server error.", execution_id=execution_id)
    return Refused(f"Step Functions answered {code}.", execution_id=execution_id)
