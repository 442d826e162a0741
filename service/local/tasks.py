"""What runs the tasks of all executions: mocks, http:invoke, other state machines, and task tokens."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.local.asl.limits import time_limit
from service.local.asl.resources import HTTP_ONLY, details, is_http_invoke
from service.local.asl.retry import TIMEOUT, StateError
from service.local.nested import argument_faults, is_start_execution
from service.local.task_tokens import TaskTokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from service.local.asl.run import Run, TaskCall
    from service.local.json_text import Json
    from service.local.mocks import Mocks, Response
    from service.local.nested import NestedExecutions


class Tasks:
    """Runs tasks; it also tells the parser of definitions which of them can be run."""

    def __init__(
        self,
        http_invoke: Callable[[Json], Awaitable[Json]],
        mocks: Mocks | None = None,
        slots: int = 100,
        tokens: TaskTokens | None = None,
        nested: NestedExecutions | None = None,
    ) -> None:
        """Take what runs http:invoke: evaluated arguments in, result out, StateError if it fails.

        Without `nested`, tasks that run other state machines need mocks.
        At most `slots` requests run at once. Waiting for a slot does not count towards TimeoutSeconds: AWS has no such
        queue, and a burst on a small machine must not end in timeouts and retries.
        """
        self.tokens = tokens or TaskTokens()
        self._http_invoke = http_invoke
        self._mocks = mocks
        self._nested = nested
        self._slots = asyncio.Semaphore(slots)

    @property
    def test_cases(self) -> tuple[str, ...]:
        """The test cases of the mocks."""
        return () if self._mocks is None else self._mocks.test_cases

    def mocked(self, state: str, resource: str = "") -> bool:
        """Return whether a mock answers for this state."""
        return self._mocks is not None and self._mocks.has(state, resource)

    def refusal(self, resource: str, arguments: Json) -> list[tuple[str, str]]:
        """Return why a task that is not mocked cannot be run."""
        if self._nested is not None and is_start_execution(resource):
            return list(argument_faults(arguments))
        return HTTP_ONLY.refusal(resource, arguments)

    async def run(self, call: TaskCall) -> Json:
        """Return the result; StateError if the task fails or takes longer than its TimeoutSeconds."""
        response = None
        if self._mocks is not None:
            invocation = call.run.invocations[call.state]
            call.run.invocations[call.state] += 1
            response = self._mocks.response(call.run.test_case, call.state, call.resource, invocation)
        with _recorded(call) as succeeded:
            if response is not None:
                async with time_limit(call.timeout_s, _timed_out(call)):
                    result = await self._mocked(response, call)
            elif is_http_invoke(call.resource):
                async with self._slots, time_limit(call.timeout_s, _timed_out(call)):
                    result = await self._http_invoke(call.arguments)
            elif self._nested is not None and is_start_execution(call.resource):
                async with time_limit(call.timeout_s, _timed_out(call)):
                    result = await self._nested.run(call)
            else:
                reason = f"state {call.state!r}: no mock for {call.resource!r} in this test case"
                raise StateError("States.Runtime", reason)
            succeeded.append(result)
            return result

    def read_items(self, run: Run, state: str) -> Json:
        """Return the items that the ItemReader of a Map reads: what its mock returns."""
        response = None if self._mocks is None else self._mocks.response(run.test_case, state, "", 0)
        if response is None or response.rule != "Return":
            raise StateError("States.ItemReaderFailed", f"state {state!r}: no mock returns its items in this test case")
        return response.value

    async def _mocked(self, response: Response, call: TaskCall) -> Json:
        await asyncio.sleep(response.delay_s)
        match response.rule:
            case "Throw":
                raise StateError(response.value["Error"], response.value.get("Cause", ""))
            case "Echo":
                return call.arguments
            case "WaitForTaskToken" if call.token:
                call.trail.add("TaskSubmitted", **details(call.resource))
                return await self.tokens.wait(call.token, call.heartbeat_s)
            case "WaitForTaskToken":
                raise StateError("States.Runtime", f"state {call.state!r}: {call.resource!r} has no task token")
            case _:
                return response.value


def _timed_out(call: TaskCall) -> StateError:
    return StateError(TIMEOUT, f"state {call.state!r} ran longer than its TimeoutSeconds")


@contextmanager
def _recorded(call: TaskCall) -> Iterator[list[Json]]:
    """Add the events of an invocation to the history; the block appends the result to the list."""
    resource = details(call.resource)
    call.trail.add("TaskScheduled", **resource, region="us-east-1", parameters=call.arguments)
    call.trail.add("TaskStarted", **resource)
    results: list[Json] = []
    try:
        yield results
    except StateError as error:
        kind = "TaskTimedOut" if error.error == TIMEOUT else "TaskFailed"
        call.trail.add(kind, **resource, error=error.error, cause=error.cause)
        raise
    call.trail.add("TaskSucceeded", **resource, output=results[0])
