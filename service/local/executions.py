"""The executions of one state machine: started once per name, run as tasks, kept for a while after their end."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from service.local.interpreter import Interpreter, StateError, time_limit
from service.local.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from service.local.states import Machine

_KEPT_SIZE = 256 * 1024 * 1024  # characters of input and output of ended executions
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Execution:
    """The record of one execution; times are epoch seconds, `input` and `output` are JSON text."""

    name: str
    arn: str
    input: str
    number: int
    trace_header: str | None = None
    start_date: float = field(default_factory=time.time)
    stop_date: float | None = None
    status: str = "RUNNING"  # RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED
    output: str | None = None
    error: str | None = None
    cause: str | None = None

    @property
    def size(self) -> int:
        """Characters of data that the record holds."""
        return len(self.input) + len(self.output or "")

    def status_at(self, moment: float) -> str | None:
        """Tell the status as it was at a moment (epoch seconds); None before the start."""
        if self.start_date > moment:
            return None
        return self.status if self.stop_date is None or self.stop_date <= moment else "RUNNING"


class AlreadyExistsError(Exception):
    """The name belongs to another execution, or to one that has ended."""


class Executions:
    """Starts, stops and remembers; all executions that run and the newest of the ended ones are kept."""

    def __init__(
        self,
        machine: Machine,
        machine_arn: str,
        interpreter: Interpreter,
        keep: int = 100_000,
        on_change: Callable[[Execution], None] = lambda _: None,
    ) -> None:
        """Keep this many ended executions, fewer if large; older ones are forgotten, as AWS does after 90 days.

        `on_change` is called with each that has started or ended.
        """
        self._machine = machine
        self._machine_arn = machine_arn
        self._interpreter = interpreter
        self._keep = keep
        self._on_change = on_change
        self._executions: dict[str, Execution] = {}
        self._ended: deque[Execution] = deque()
        self._ended_size = 0
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._started = 0

    @property
    def by_name(self) -> Mapping[str, Execution]:
        """Every execution that is remembered, oldest first."""
        return MappingProxyType(self._executions)

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._tasks)

    def start(self, name: str | None, text: str, trace_header: str | None = None) -> Execution:
        """Start one, or give the one that runs with this name and input; AlreadyExistsError otherwise.

        Idempotency as in the API reference of StartExecution. The text must be JSON: ValueError.
        """
        name = name or str(uuid.uuid4())
        if known := self._executions.get(name):
            if known.status == "RUNNING" and known.input == text:
                return known
            raise AlreadyExistsError(known.arn)
        data = loads(text)
        self._started += 1
        arn = f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(name, arn, text, self._started, trace_header)
        self._executions[name] = execution
        task = asyncio.create_task(self._run(execution, data), name=f"execution {name}")
        self._tasks[execution.number] = task
        task.add_done_callback(lambda _: self._forget_task(execution.number))
        self._on_change(execution)
        return execution

    def stop(self, name: str, error: str | None, cause: str | None) -> Execution:
        """End one as ABORTED if it still runs; KeyError when there is none of this name."""
        execution = self._executions[name]
        if execution.status == "RUNNING":
            self._end(execution, "ABORTED", error=error, cause=cause)
            self._tasks[execution.number].cancel()
        return execution

    def newest(
        self, status: str | None, below: int | None, count: int, moment: float = math.inf
    ) -> list[tuple[Execution, str]]:
        """List the newest that had this status at that moment and were numbered below, newest first, each with it."""
        return list(islice(self._matching(status, below, moment), count))

    async def close(self) -> None:
        """Cancel all that run."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _matching(self, status: str | None, below: int | None, moment: float) -> Iterator[tuple[Execution, str]]:
        for execution in reversed(self._executions.values()):
            seen = execution.status_at(moment)
            if seen is not None and (below is None or execution.number < below) and status in {None, seen}:
                yield execution, seen

    async def _run(self, execution: Execution, data: Json) -> None:
        context = {
            "Execution": {
                "Id": execution.arn,
                "Input": data,
                "Name": execution.name,
                "StartTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(execution.start_date)),
            },
            "StateMachine": {"Id": self._machine_arn, "Name": self._machine_arn.rpartition(":")[2]},
        }
        overdue = StateError("States.Timeout", "the execution took longer than its TimeoutSeconds")
        try:
            async with time_limit(self._machine.timeout, overdue):
                output = await self._interpreter.run(self._machine.flow, data, context)
        except StateError as error:
            status = "TIMED_OUT" if error is overdue else "FAILED"
            self._end(execution, status, error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the execution must have an end
            _log.exception("execution %s met a fault of the local AWS", execution.name)
            self._end(execution, "FAILED", error="States.Runtime", cause=f"{type(error).__name__} in the local AWS")
        else:
            self._end(execution, "SUCCEEDED", output=dumps(output))

    def _end(
        self,
        execution: Execution,
        status: str,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        if execution.status != "RUNNING":
            return
        execution.status = status
        execution.stop_date = time.time()
        execution.output, execution.error, execution.cause = output, error, cause
        self._ended.append(execution)
        self._ended_size += execution.size
        while len(self._ended) > self._keep or self._ended_size > _KEPT_SIZE:
            forgotten = self._ended.popleft()
            self._ended_size -= forgotten.size
            del self._executions[forgotten.name]
        self._on_change(execution)

    def _forget_task(self, number: int) -> None:
        del self._tasks[number]
