"""The executions of one state machine: one per name, each a task, kept for a while after their end."""

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

from service.local.asl.limits import time_limit
from service.local.asl.retry import StateError
from service.local.asl.run import Event, Run, timestamp
from service.local.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from service.local.asl.interpreter import Interpreter
    from service.local.asl.states import Machine

_MAX_ENDED_CHARS = 256 * 1024 * 1024  # of input and output
_MAX_ENDED_EVENTS = 20_000  # in the histories of ended executions, of which the newest always has its own
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Execution:
    """The record of one execution; dates are epoch seconds, `input` and `output` are JSON text."""

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
    events: list[Event] = field(default_factory=list)
    """Its history between start and end."""

    @property
    def size(self) -> int:
        """Characters of input and output."""
        return len(self.input) + len(self.output or "")

    def status_at(self, moment: float) -> str | None:
        """Return the status at a moment (epoch seconds); None before the start."""
        if self.start_date > moment:
            return None
        return self.status if self.stop_date is None or self.stop_date <= moment else "RUNNING"


class AlreadyExistsError(Exception):
    """The name belongs to an execution with another input, or to one that has ended."""


class Executions:
    """Starts, stops and keeps executions: all that are running and the newest that have ended."""

    def __init__(
        self,
        machine: Machine,
        machine_arn: str,
        interpreter: Interpreter,
        max_ended: int = 100_000,
        on_change: Callable[[Execution], None] = lambda _: None,
    ) -> None:
        """Keep up to `max_ended` ended executions, fewer if they are large; AWS instead keeps them for 90 days.

        `on_change` is called with each execution that has started or ended.
        """
        self.machine = machine
        """The current definition, which new executions run."""
        self._machine_arn = machine_arn
        self._interpreter = interpreter
        self._max_ended = max_ended
        self._on_change = on_change
        self._executions: dict[str, Execution] = {}
        self._ended: deque[Execution] = deque()
        self._ended_size = 0
        self._ended_events = 0
        self._histories: deque[Execution] = deque()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._started = 0

    @property
    def by_name(self) -> Mapping[str, Execution]:
        """Every execution that is kept, oldest first."""
        return MappingProxyType(self._executions)

    @property
    def running(self) -> int:
        """How many executions are running."""
        return len(self._tasks)

    def start(
        self,
        name: str | None,
        text: str,
        trace_header: str | None = None,
        test_case: str | None = None,
        machine: Machine | None = None,
    ) -> Execution:
        """Start an execution, or return the running one with this name and input; AlreadyExistsError otherwise.

        `test_case` is that of the mocks, `machine` a definition other than the current one. It is idempotent as the
        API reference of StartExecution says. ValueError if the text is not JSON.
        """
        name = name or str(uuid.uuid4())
        if existing := self._executions.get(name):
            if existing.status == "RUNNING" and existing.input == text:
                return existing
            raise AlreadyExistsError(existing.arn)
        data = loads(text)
        self._started += 1
        arn = f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        execution = Execution(name, arn, text, self._started, trace_header)
        self._executions[name] = execution
        run = self._run(execution, machine or self.machine, data, test_case)
        task = asyncio.create_task(run, name=f"execution {name}")
        self._tasks[execution.number] = task
        task.add_done_callback(lambda _: self._forget_task(execution.number))
        self._on_change(execution)
        return execution

    def stop(self, name: str, error: str | None, cause: str | None) -> Execution:
        """Abort an execution if it is still running; KeyError for an unknown name."""
        execution = self._executions[name]
        if execution.status == "RUNNING":
            self._end(execution, "ABORTED", error=error, cause=cause)
            self._tasks[execution.number].cancel()
        return execution

    def list_newest(
        self, status: str | None, below: int | None, count: int, moment: float = math.inf
    ) -> list[tuple[Execution, str]]:
        """List executions with their status at a moment, newest first: those with this status and a lower number."""
        return list(islice(self._matching(status, below, moment), count))

    async def close(self) -> None:
        """Cancel all running executions."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _matching(self, status: str | None, below: int | None, moment: float) -> Iterator[tuple[Execution, str]]:
        for execution in reversed(self._executions.values()):
            seen = execution.status_at(moment)
            if seen is not None and (below is None or execution.number < below) and status in {None, seen}:
                yield execution, seen

    async def _run(self, execution: Execution, machine: Machine, data: Json, test_case: str | None) -> None:
        context = {
            "Execution": {
                "Id": execution.arn,
                "Input": data,
                "Name": execution.name,
                "RedriveCount": 0,
                "RoleArn": self._machine_arn.replace(":states:", ":iam:").partition(":stateMachine:")[0]
                + ":role/local",
                "StartTime": timestamp(execution.start_date),
            },
            "StateMachine": {"Id": self._machine_arn, "Name": self._machine_arn.rpartition(":")[2]},
        }
        run = Run(context, test_case, execution.events)
        timed_out = StateError("States.Timeout", "the execution ran longer than its TimeoutSeconds")
        try:
            async with time_limit(machine.timeout, timed_out):
                output = await self._interpreter.run(machine.flow, data, run)
        except StateError as error:
            status = "TIMED_OUT" if error is timed_out else "FAILED"
            self._end(execution, status, error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001 - every execution must end
            _log.exception("the local AWS failed to run execution %s", execution.name)
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
        while len(self._ended) > self._max_ended or self._ended_size > _MAX_ENDED_CHARS:
            forgotten = self._ended.popleft()
            self._ended_size -= forgotten.size
            del self._executions[forgotten.name]
        self._keep_history(execution)
        self._on_change(execution)

    def _keep_history(self, execution: Execution) -> None:
        self._histories.append(execution)
        self._ended_events += len(execution.events)
        while len(self._histories) > 1 and self._ended_events > _MAX_ENDED_EVENTS:
            oldest = self._histories.popleft()
            self._ended_events -= len(oldest.events)
            oldest.events = []

    def _forget_task(self, number: int) -> None:
        del self._tasks[number]
