"""The iterations of a Map: its items, batches of them, how many run at once, and which failures are tolerated.

A distributed Map runs its iterations in the same execution, but their events are not in its history, and their context
object is that of an execution: on AWS they are executions of their own.
Source: AWS Step Functions Developer Guide, "Map workflow state", "Distributed mode".
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from service.local.asl.language import is_count, is_number
from service.local.asl.map_run import MapRun
from service.local.asl.retry import StateError
from service.local.asl.run import Trail
from service.local.asl.scope import EvaluationError
from service.local.json_text import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from service.local.asl.scope import Scope, Value
    from service.local.asl.states import Batcher, Map
    from service.local.json_text import Json

_MAX_INLINE: Final = 40  # iterations at once
_MAX_DISTRIBUTED: Final = 10_000
_FAILED: Final = object()


class Iteration(NamedTuple):
    """What the processor is run with."""

    data: Json
    context: Mapping[str, Json]
    """The context object."""
    items: int = 1
    """How many items it is for."""


async def run_iterations(
    state: Map,
    inputs: Sequence[Iteration],
    name: str,
    scope: Scope,
    trail: Trail,
    process: Callable[[int, Iteration, Trail], Awaitable[Json]],
    known: Mapping[int, Json],
) -> Json:
    """Process each item and return the outputs in order; those of failures that the state tolerates are missing.

    Outputs that are `known`, by the number of the item, are not computed again. StateError if an iteration fails, or
    States.ExceedToleratedFailureThreshold if more fail than the state tolerates; EvaluationError if a value of the
    state is of the wrong type.
    """
    outputs: list[Json] = [known.get(index, _FAILED) for index in range(len(inputs))]
    failures = _Failures(state, scope, sum(iteration.items for iteration in inputs))
    remaining = (item for item in enumerate(inputs) if item[0] not in known)

    async def work() -> None:
        for index, iteration in remaining:
            branch = Trail([]) if state.distributed else trail.branch()
            branch.add("MapIterationStarted", name=name, index=index)
            try:
                outputs[index] = await process(index, iteration, branch)
                branch.add("MapIterationSucceeded", name=name, index=index)
            except StateError as error:
                branch.add("MapIterationFailed", name=name, index=index)
                failures.count(error, iteration.items)

    tasks = [asyncio.ensure_future(work()) for _ in range(min(_concurrency(state, scope), len(inputs)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if state.writer is not None:
        return MapRun(scope.context, state.label or name).written(state.writer.evaluate(scope))
    return [output for output in outputs if output is not _FAILED]


def iterations(state: Map, items: Json, name: str, scope: Scope, context: Mapping[str, Json]) -> Iterator[Iteration]:
    """Yield the input and the context object of each iteration; EvaluationError if one cannot be computed."""
    inputs = _inputs(state, items, scope, context)
    if not state.distributed:
        yield from inputs
        return
    run = MapRun(context, state.label or name)
    for data, outer, number in inputs:
        yield Iteration(data, {**outer, **run.child(data)}, number)


def _inputs(state: Map, items: Json, scope: Scope, context: Mapping[str, Json]) -> Iterator[Iteration]:
    selected = []
    for index, entry in enumerate(_entries(items)):
        item = {"Item": {"Index": index, **entry}}
        data = entry["Value"]
        if state.selector is not None:
            data = state.selector.evaluate(scope.within({**scope.context, "Map": item}))
        selected.append(Iteration(data, {**context, "Map": item}))
    if state.batcher is None:
        yield from selected
        return
    common = {} if state.batcher.common is None else {"BatchInput": state.batcher.common.evaluate(scope)}
    for batch in _batches(state.batcher, [iteration.data for iteration in selected], scope):
        yield Iteration({"Items": batch, **common}, context, len(batch))


def _entries(items: Json) -> Iterator[dict[str, Json]]:
    """Yield what the context object says of each item."""
    if isinstance(items, list):
        yield from ({"Value": value} for value in items)
    elif isinstance(items, dict):
        yield from ({"Key": key, "Value": value} for key, value in items.items())
    else:
        raise EvaluationError("the items of a Map must be an array", "States.Runtime")


def _batches(batcher: Batcher, items: list[Json], scope: Scope) -> Iterator[list[Json]]:
    most = _count(batcher.max_items, scope) or math.inf
    most_bytes = _count(batcher.max_bytes, scope) or math.inf
    batch: list[Json] = []
    size = 0
    for item in items:
        length = len(encode(item))
        if batch and (len(batch) >= most or size + length > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def _concurrency(state: Map, scope: Scope) -> int:
    most = _MAX_DISTRIBUTED if state.distributed else _MAX_INLINE
    return min(_count(state.concurrency, scope) or most, most)


class _Failures:
    """Counts the failures of iterations against what the state tolerates."""

    def __init__(self, state: Map, scope: Scope, total: int) -> None:
        self._total = total
        self._failed = 0
        self._tolerated: int | None = 0 if state.distributed else None
        """How many items may fail; None: the first failure is that of the state."""
        thresholds = []
        if state.tolerated_count is not None:
            thresholds.append(_count(state.tolerated_count, scope))
        if state.tolerated_percentage is not None:
            percentage = state.tolerated_percentage.evaluate(scope)
            if not (is_number(percentage) and 0 <= percentage <= 100):
                raise EvaluationError("ToleratedFailurePercentage must be a number from 0 to 100")
            thresholds.append(int(total * percentage / 100))
        if thresholds:
            self._tolerated = min(thresholds)

    def count(self, error: StateError, items: int) -> None:
        """Count a failure of so many items; raise StateError if it is one too many."""
        self._failed += items
        if self._tolerated is None:
            raise error
        if self._failed > self._tolerated:
            reason = f"{self._failed} of {self._total} items failed, the last with {error.error}: {error.cause}"
            raise StateError("States.ExceedToleratedFailureThreshold", reason) from error


def _count(value: Value | None, scope: Scope) -> int:
    if value is None:
        return 0
    count = value.evaluate(scope)
    if not is_count(count):
        raise EvaluationError("a count must be a whole number, 0 or more")
    return int(count)
