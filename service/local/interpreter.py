"""An interpreter for compiled state machines; each execution is one coroutine.

Source: Amazon States Language specification; AWS Step Functions Developer Guide, "Handling errors in Step Functions
workflows", "Transforming data with JSONata in Step Functions" and "Step Functions service quotas".
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NoReturn

from service.local.expressions import EvaluationError, Template
from service.local.json_text import Json, encode
from service.local.states import Catcher, Choice, Fail, Flow, Parallel, Pass, Retrier, Retryable, State, Task, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

MAX_DATA_BYTES = 262_144  # of UTF-8 JSON as input or output of a state or an execution
_MAX_WAIT_S = 99_999_999


class StateError(Exception):
    """A state failed, with an error name of the States Language and a cause."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(error, cause)
        self.error = error
        self.cause = cause


class Interpreter:
    """Runs flows, independently of HTTP and of how executions are kept."""

    def __init__(
        self,
        invoke: Callable[[Json], Awaitable[Json]],
        slots: int = 100,
        on_state: Callable[[Json, str], None] = lambda _context, _state: None,
    ) -> None:
        """Take the implementation of http:invoke: evaluated Arguments in, result out, StateError if it fails.

        At most `slots` tasks run at once. Waiting for a slot does not count towards TimeoutSeconds: AWS has no such
        queue, and a burst on a small machine must not end in timeouts and retries. `on_state` is called with the
        context object and the state's name whenever a state is entered.
        """
        self._invoke = invoke
        self._on_state = on_state
        self._slots = asyncio.Semaphore(slots)

    async def run(self, flow: Flow, data: Json, context: Json, variables: Mapping[str, Json] | None = None) -> Json:
        """Run to the end and return the output; StateError if the flow fails."""
        variables = dict(variables or {})
        name: str | None = flow.start_at
        while name is not None:
            self._on_state(context, name)
            scope = _Scope(name, data, context, variables)
            name, output = await self._run_state(flow.states[name], scope)
            if output is not data:
                check_size(output)
            data = output
            variables |= scope.assigned
        return data

    async def _run_state(self, state: State, scope: _Scope) -> tuple[str | None, Json]:
        match state:
            case Task() | Parallel():
                return await self._run_with_retries(state, scope)
            case Wait():
                await asyncio.sleep(_seconds(state.seconds, scope))
            case Choice():
                for rule in state.rules:
                    matched = scope.evaluate(rule.condition)
                    if not isinstance(matched, bool):
                        raise scope.failure("Condition must be a boolean")
                    if matched:
                        return rule.next, scope.finish(rule.output, rule.assign, scope.data)
                if state.next is None:
                    raise StateError("States.NoChoiceMatched", f"no choice of state {scope.name!r} matches")
            case Fail():
                _fail(state, scope)
            case Pass():
                pass
        return state.next, scope.finish(state.output, state.assign, scope.data)

    async def _run_with_retries(self, state: Task | Parallel, scope: _Scope) -> tuple[str | None, Json]:
        """Run a state with its Retry and Catch."""
        attempts: Counter[int] = Counter()
        while True:
            try:
                return state.next, await self._attempt(state, scope)
            except StateError as error:
                if (delay := _retry_delay(state, error.error, attempts)) is None:
                    return self._catch(state, scope, error)
            await asyncio.sleep(delay)

    async def _attempt(self, state: Task | Parallel, scope: _Scope) -> Json:
        arguments = scope.data if state.arguments is None else scope.evaluate(state.arguments)
        if isinstance(state, Task):
            timeout = None if state.timeout is None else _seconds(state.timeout, scope)
            timed_out = StateError("States.Timeout", f"state {scope.name!r} ran longer than its TimeoutSeconds")
            async with self._slots, time_limit(timeout, timed_out):
                result = await self._invoke(arguments)
        else:
            result = await self._run_branches(state, arguments, scope)
        check_size(result)
        scope.states["result"] = result
        return scope.finish(state.output, state.assign, result)

    async def _run_branches(self, state: Parallel, data: Json, scope: _Scope) -> list[Json]:
        """Run every branch; the first failure cancels the others and is raised."""
        flows = [self.run(branch, data, scope.states["context"], scope.variables) for branch in state.branches]
        if len(flows) == 1:  # a single branch, there for its Catch, needs no task
            return [await flows[0]]
        tasks = [asyncio.ensure_future(flow) for flow in flows]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def _catch(state: Retryable, scope: _Scope, error: StateError) -> tuple[str | None, Json]:
        for catcher in state.catch:
            if _matches(catcher, error.error):
                scope.states.pop("result", None)
                scope.states["errorOutput"] = output = {"Error": error.error, "Cause": error.cause}
                return catcher.next, scope.finish(catcher.output, catcher.assign, output)
        raise error


class _Scope:
    """The variables of one run of a state: what its expressions see and what it assigns."""

    def __init__(self, name: str, data: Json, context: Json, variables: Mapping[str, Json]) -> None:
        self.name = name
        self.data = data
        self.variables = variables
        self.states = {"input": data, "context": context}
        self.assigned: dict[str, Json] = {}

    def evaluate(self, template: Template) -> Json:
        try:
            return template.evaluate({**self.variables, "states": self.states})
        except EvaluationError as error:
            raise self.failure(str(error)) from error

    def finish(self, output: Template | None, assign: Template | None, default: Json) -> Json:
        """Return the state's output; Output and Assign both see the variables as they were before."""
        assigned = {} if assign is None else self.evaluate(assign)
        result = default if output is None else self.evaluate(output)
        self.assigned = assigned
        return result

    def failure(self, reason: str) -> StateError:
        return StateError("States.QueryEvaluationError", f"state {self.name!r}: {reason}")


def check_size(data: Json) -> None:
    """Raise StateError States.DataLimitExceeded for data above the limit."""
    if len(encode(data)) > MAX_DATA_BYTES:
        raise StateError("States.DataLimitExceeded", f"data is larger than {MAX_DATA_BYTES} bytes")


@asynccontextmanager
async def time_limit(seconds: float | None, timed_out: StateError) -> AsyncIterator[None]:
    """Raise this error if the block takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise timed_out from None
        raise


def _fail(state: Fail, scope: _Scope) -> NoReturn:
    error = "" if state.error is None else scope.evaluate(state.error)
    cause = "" if state.cause is None else scope.evaluate(state.cause)
    if not (isinstance(error, str) and isinstance(cause, str)):
        raise scope.failure("Error and Cause must be strings")
    raise StateError(error, cause)


def _seconds(template: Template, scope: _Scope) -> float:
    value = scope.evaluate(template)
    if not is_seconds(value):
        raise scope.failure(f"seconds must be a number from 0 to {_MAX_WAIT_S}")
    return float(value)


def is_seconds(value: Json) -> bool:
    """Return whether a state may wait or run this long."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MAX_WAIT_S


def _matches(handler: Retrier | Catcher, error: str) -> bool:
    """Return whether ErrorEquals matches this error; nothing matches States.Runtime."""
    if error == "States.Runtime":
        return False
    return (
        error in handler.errors
        or ("States.ALL" in handler.errors and error != "States.DataLimitExceeded")
        or ("States.TaskFailed" in handler.errors and error not in {"States.Timeout", "States.DataLimitExceeded"})
    )


def _retry_delay(state: Retryable, error: str, attempts: Counter[int]) -> float | None:
    """Return the seconds before the next attempt, None to give up; attempts are counted per retrier."""
    for index, retrier in enumerate(state.retry):
        if _matches(retrier, error):
            if attempts[index] >= retrier.max_attempts:
                return None
            delay = retrier.interval_s * retrier.backoff ** attempts[index]
            attempts[index] += 1
            if retrier.max_delay_s is not None:
                delay = min(delay, retrier.max_delay_s)
            return random.uniform(0, delay) if retrier.full_jitter else delay  # noqa: S311 - jitter, not a secret
    return None
