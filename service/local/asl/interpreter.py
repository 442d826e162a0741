"""An interpreter for compiled state machines; each execution is one coroutine.

Source: Amazon States Language specification; AWS Step Functions Developer Guide, "Handling errors in Step Functions
workflows" and "Step Functions service quotas".
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from service.local.asl.choice_rules import timestamp as parse_timestamp
from service.local.asl.language import is_seconds
from service.local.asl.limits import check_size
from service.local.asl.map_state import Iteration, iterations, run_iterations
from service.local.asl.progress import Progress
from service.local.asl.resources import waits_for_token
from service.local.asl.retry import DATA_LIMIT, Attempts, StateError, matches
from service.local.asl.run import Run, TaskCall, Trail, timestamp
from service.local.asl.scope import EvaluationError, Scope
from service.local.asl.states import Choice, Fail, Flow, Map, Parallel, Retryable, State, Task, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from service.local.asl.scope import Value
    from service.local.json_text import Json


class Interpreter:
    """Runs flows, independently of HTTP and of how executions are kept."""

    def __init__(
        self,
        run_task: Callable[[TaskCall], Awaitable[Json]],
        read_items: Callable[[Run, str], Json] | None = None,
        on_state: Callable[[Json, str], None] = lambda _context, _state: None,
    ) -> None:
        """Take what runs tasks (the result, or StateError if one fails) and what reads the items of a Map's ItemReader.

        `on_state` is called with the context object and the state's name whenever a state is entered.
        """
        self._run_task = run_task
        self._read_items = read_items
        self._on_state = on_state

    async def run(
        self,
        flow: Flow,
        data: Json,
        run: Run,
        *,
        context: Mapping[str, Json] | None = None,
        trail: Trail | None = None,
        progress: Progress | None = None,
    ) -> Json:
        """Run to the end and return the output; StateError if the flow fails.

        A flow within another one is given the context object and the trail of that one. With `progress`, which notes
        how far the flow has come, it goes on from there.
        """
        context = run.context if context is None else context
        trail = trail or Trail(run.events)
        progress = progress or Progress(flow.start_at, data)
        while (name := progress.state) is not None:
            self._on_state(context, name)
            visit = Visit(
                name, flow.states[name], progress.data, context, progress.variables, run, trail, progress.flows
            )
            following, output = await self.visit(visit)
            if output is not progress.data:
                check_size(output)
            progress.advance(following, output, visit.scope.assigned)
            visit.left(output)
        return progress.data

    async def visit(self, visit: Visit) -> tuple[str | None, Json]:
        """Run one state; return the name of the next one, None at the end, and the output. StateError if it fails."""
        try:
            if isinstance(visit.state, Task | Parallel | Map):
                return await self._run_with_retries(visit.state, visit)
            return await _run_alone(visit.state, visit)
        except EvaluationError as error:
            raise visit.failure(error) from error

    async def _run_with_retries(self, state: Task | Parallel | Map, visit: Visit) -> tuple[str | None, Json]:
        """Run a state with its Retry and Catch."""
        attempts = Attempts(state.retry)
        while True:
            try:
                return state.next, await self._attempt(state, visit)
            except StateError as error:
                delay = attempts.delay(error.error)
                if delay is not None or error.error == DATA_LIMIT:
                    visit.flows.clear()  # the next attempt, or a redrive, runs all of them again
                if delay is None:
                    return _catch(state, visit, error)
            await asyncio.sleep(delay)
            visit.context["State"]["RetryCount"] = attempts.retries

    async def _attempt(self, state: Task | Parallel | Map, visit: Visit) -> Json:
        try:
            result = await self._result(state, visit)
            check_size(result)
            visit.scope.states["result"] = result
            return state.data.finish(visit.scope, result)
        except EvaluationError as error:
            raise visit.failure(error) from error

    async def _result(self, state: Task | Parallel | Map, visit: Visit) -> Json:
        match state:
            case Task():
                return await self._task(state, visit)
            case Parallel():
                data = state.data.arguments(visit.scope)
                with visit.recorded("ParallelState"):
                    return await self._parallel(state, data, visit)
            case Map():
                items = self._items(state, state.data.arguments(visit.scope), visit)
                with visit.recorded("MapState", length=len(items)):
                    return await self._map(state, items, visit)

    async def _task(self, state: Task, visit: Visit) -> Json:
        token = ""
        if waits_for_token(state.resource):
            token = str(uuid.uuid4())
            visit.context["Task"] = {"Token": token}
        arguments = state.data.arguments(visit.scope)
        timeout, heartbeat = (_seconds(value, visit) for value in (state.timeout, state.heartbeat))
        call = TaskCall(visit.name, state.resource, arguments, visit.run, token, timeout, heartbeat, visit.trail)
        return await self._run_task(call)

    async def _parallel(self, state: Parallel, data: Json, visit: Visit) -> list[Json]:
        """Run every branch; the first failure cancels the others and is raised."""
        flows = [self._branch(number, branch, data, visit) for number, branch in enumerate(state.branches)]
        if len(flows) == 1:  # a single branch, there for its Catch, needs no task
            outputs = [await flows[0]]
        else:
            outputs = await _all(flows)
        return outputs

    async def _branch(self, number: int, flow: Flow, data: Json, visit: Visit) -> Json:
        progress = visit.flows.setdefault(number, Progress(flow.start_at, data, visit.scope.variables))
        return await self.run(flow, data, visit.run, context=visit.outer, trail=visit.trail.branch(), progress=progress)

    def _items(self, state: Map, data: Json, visit: Visit) -> list[Iteration]:
        if state.reads and self._read_items is not None:
            data = self._read_items(visit.run, visit.name)
        elif state.items is not None:
            data = state.items.evaluate(visit.scope)
        return list(iterations(state, data, visit.name, visit.scope, visit.outer))

    async def _map(self, state: Map, items: list[Iteration], visit: Visit) -> Json:
        """Run the processor for each item."""
        variables = {} if state.distributed else visit.scope.variables
        flow = state.processor

        async def process(index: int, iteration: Iteration, trail: Trail) -> Json:
            data = iteration.data
            progress = visit.flows.setdefault(index, Progress(flow.start_at, data, variables))
            return await self.run(flow, data, visit.run, context=iteration.context, trail=trail, progress=progress)

        known = {index: progress.data for index, progress in visit.flows.items() if progress.state is None}
        return await run_iterations(state, items, visit.name, visit.scope, visit.trail, process, known)


class Visit:
    """One run of a state."""

    def __init__(
        self,
        name: str,
        state: State,
        data: Json,
        outer: Mapping[str, Json],
        variables: Mapping[str, Json],
        run: Run,
        trail: Trail,
        flows: dict[int, Progress] | None = None,
    ) -> None:
        self.name = name
        self.state = state
        self.outer = outer
        """The context object of the flow."""
        self.context = {**outer, "State": {"EnteredTime": timestamp(time.time()), "Name": name, "RetryCount": 0}}
        self.scope = Scope(data, self.context, variables)
        self.run = run
        self.trail = trail
        self.flows = {} if flows is None else flows
        """The progress of the flows within the state."""
        self._kind = type(state).__name__
        trail.add(f"{self._kind}StateEntered", name=name, input=data)

    def left(self, output: Json) -> None:
        """Note that the state has ended."""
        self.trail.add(f"{self._kind}StateExited", name=self.name, output=output)

    @contextmanager
    def recorded(self, kind: str, **details: Json) -> Iterator[None]:
        """Note the start of this kind of state, and how it ended."""
        self.trail.add(f"{kind}Started", **details)
        try:
            yield
        except StateError as error:
            self.trail.add(f"{kind}Failed", error=error.error, cause=error.cause)
            raise
        self.trail.add(f"{kind}Succeeded")

    def failure(self, error: EvaluationError) -> StateError:
        """Name the state in an error."""
        return StateError(error.error or self.state.data.error, f"state {self.name!r}: {error}")


async def _run_alone(state: State, visit: Visit) -> tuple[str | None, Json]:
    """Run a state that has neither Retry nor Catch."""
    if isinstance(state, Fail):
        _fail(state, visit)
    scope = visit.scope
    arguments = state.data.arguments(scope)
    if isinstance(state, Wait):
        await asyncio.sleep(_delay(state, visit))
    elif isinstance(state, Choice):
        for rule in state.rules:
            matched = rule.condition.evaluate(scope)
            if not isinstance(matched, bool):
                raise EvaluationError("Condition must be a boolean")
            if matched:
                return rule.next, rule.data.finish(scope, arguments)
        if state.next is None:
            raise StateError("States.NoChoiceMatched", f"no choice of state {visit.name!r} matches")
    return state.next, state.data.finish(scope, arguments)


def _catch(state: Retryable, visit: Visit, error: StateError) -> tuple[str | None, Json]:
    for catcher in state.catch:
        if matches(catcher, error.error):
            visit.scope.states.pop("result", None)
            visit.scope.states["errorOutput"] = output = {"Error": error.error, "Cause": error.cause}
            return catcher.next, catcher.data.finish(visit.scope, output)
    raise error


def _fail(state: Fail, visit: Visit) -> NoReturn:
    error = "" if state.error is None else state.error.evaluate(visit.scope)
    cause = "" if state.cause is None else state.cause.evaluate(visit.scope)
    if not (isinstance(error, str) and isinstance(cause, str)):
        raise EvaluationError("Error and Cause must be strings")
    raise StateError(error, cause)


def _delay(state: Wait, visit: Visit) -> float:
    """Return how many seconds to wait."""
    if state.timestamp is None:
        return _seconds(state.seconds, visit) or 0.0
    moment = parse_timestamp(state.timestamp.evaluate(visit.scope))
    if moment is None:
        raise EvaluationError("Timestamp must be a timestamp such as 2030-01-02T03:04:05Z")
    return max(0.0, moment.timestamp() - time.time())


def _seconds(value: Value | None, visit: Visit) -> float | None:
    if value is None:
        return None
    seconds = value.evaluate(visit.scope)
    if not is_seconds(seconds):
        raise EvaluationError("seconds must be a number from 0 to 99999999")
    return float(seconds)


async def _all(flows: Sequence[Awaitable[Json]]) -> list[Json]:
    tasks = [asyncio.ensure_future(flow) for flow in flows]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
