"""The executions of one state machine: one per name, each a task, kept for a while after their end."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import deque
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from service.local.asl.limits import time_limit
from service.local.asl.progress import Progress
from service.local.asl.retry import StateError
from service.local.asl.run import Run, Trail, timestamp
from service.local.execution import Execution
from service.local.json_text import Json, dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from service.local.asl.interpreter import Interpreter
    from service.local.asl.states import Machine
    from service.local.hosted import Target

_MAX_ENDED_CHARS = 256 * 1024 * 1024  # of input and output
_MAX_ENDED_EVENTS = 20_000  # in the histories of ended executions, of which the newest always has its own
_log = logging.getLogger(__name__)


class AlreadyExistsError(Exception):
    """The name belongs to an execution with another input, or to one that has ended."""


class NotRedrivableError(Exception):
    """The execution cannot be redriven; the text is AWS's reason."""


@dataclass(slots=True)
class _Work:
    """What an execution runs, and how far it has come: a redrive goes on with it."""

    machine: Machine
    run: Run
    progress: Progress


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
        self._work: dict[int, _Work] = {}  # of all but those that have succeeded
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
        target: Target | None = None,
    ) -> Execution:
        """Start an execution, or return the running one with this name and input; AlreadyExistsError otherwise.

        `test_case` is that of the mocks, `target` what to run if not the current definition. It is idempotent as the
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
        machine, version, alias = target or (self.machine, None, None)
        execution = Execution(name, arn, text, self._started, trace_header, version, alias)
        self._executions[name] = execution
        run = Run(self._context(execution, data), test_case, execution.events)
        self._begin(execution, _Work(machine, run, Progress(machine.flow.start_at, data)))
        return execution

    def redrive(self, name: str, token: str | None = None) -> float:
        """Run an execution again from where it failed; return when. KeyError for an unknown name.

        It is idempotent by the client `token`, as the API reference of RedriveExecution says. NotRedrivableError if it
        runs, has succeeded, or has ended too long ago.
        """
        execution = self._executions[name]
        if (date := execution.redriven_at(token)) is not None:
            return date
        if (refusal := execution.redrive_refusal) is not None:
            raise NotRedrivableError(refusal)
        self._forget_end(execution)
        execution.redrive(token)
        before = self._work[execution.number]
        run = Run(self._context(execution, loads(execution.input)), before.run.test_case, execution.events)
        run.invocations = before.run.invocations
        self._begin(execution, _Work(before.machine, run, before.progress))
        return execution.redrive_date or 0.0

    def stop(self, name: str, error: str | None, cause: str | None) -> Execution:
        """Abort an execution if it is still running; KeyError for an unknown name."""
        execution = self._executions[name]
        if execution.status == "RUNNING":
            self._end(execution, "ABORTED", execution.redrive_count, error=error, cause=cause)
            self._tasks[execution.number].cancel()
        return execution

    async def wait_for_end(self, execution: Execution) -> None:
        """Wait until an execution has ended; it does not matter to it if that is cancelled."""
        if (task := self._tasks.get(execution.number)) is not None:
            await asyncio.wait([task])

    def list_newest(
        self, status: str | None, below: int | None, count: int, moment: float = math.inf
    ) -> list[Execution]:
        """List executions as they were at a moment, newest first: those with this status and a lower number."""
        return list(islice(self._matching(status, below, moment), count))

    async def close(self) -> None:
        """Cancel all running executions."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _matching(self, status: str | None, below: int | None, moment: float) -> Iterator[Execution]:
        for execution in reversed(self._executions.values()):
            seen = execution.as_of(moment)
            if seen is not None and (below is None or seen.number < below) and status in {None, seen.status}:
                yield seen

    def _context(self, execution: Execution, data: Json) -> Json:
        context = {
            "Id": execution.arn,
            "Input": data,
            "Name": execution.name,
            "RedriveCount": execution.redrive_count,
            "RoleArn": self._machine_arn.replace(":states:", ":iam:").partition(":stateMachine:")[0] + ":role/local",
            "StartTime": timestamp(execution.start_date),
        }
        if execution.redrive_date is not None:
            context["RedriveTime"] = timestamp(execution.redrive_date)
        machine = {"Id": self._machine_arn, "Name": self._machine_arn.rpartition(":")[2]}
        return {"Execution": context, "StateMachine": machine}

    def _begin(self, execution: Execution, work: _Work) -> None:
        number = execution.number
        self._work[number] = work
        task = self._tasks[number] = asyncio.create_task(self._run(execution, work), name=f"execution {execution.name}")
        task.add_done_callback(lambda _: self._forget_task(number, task))
        self._on_change(execution)

    async def _run(self, execution: Execution, work: _Work) -> None:
        redrives, run = execution.redrive_count, work.run
        timed_out = StateError("States.Timeout", "the execution ran longer than its TimeoutSeconds")
        try:
            async with time_limit(work.machine.timeout, timed_out):
                trail = Trail(run.events, len(run.events))
                output = await self._interpreter.run(
                    work.machine.flow, work.progress.data, run, trail=trail, progress=work.progress
                )
        except StateError as error:
            status = "TIMED_OUT" if error is timed_out else "FAILED"
            self._end(execution, status, redrives, error=error.error, cause=error.cause)
        except Exception as error:  # noqa: BLE001 - every execution must end
            _log.exception("the local AWS failed to run execution %s", execution.name)
            cause = f"{type(error).__name__} in the local AWS"
            self._end(execution, "FAILED", redrives, error="States.Runtime", cause=cause)
        else:
            self._end(execution, "SUCCEEDED", redrives, output=dumps(output))

    def _end(
        self,
        execution: Execution,
        status: str,
        redrives: int,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        if execution.status != "RUNNING" or execution.redrive_count != redrives:
            return  # it was stopped, and perhaps redriven since
        execution.status = status
        execution.stop_date = time.time()
        execution.output, execution.error, execution.cause = output, error, cause
        self._ended.append(execution)
        self._ended_size += execution.size
        while len(self._ended) > self._max_ended or self._ended_size > _MAX_ENDED_CHARS:
            forgotten = self._ended.popleft()
            self._ended_size -= forgotten.size
            del self._executions[forgotten.name]
            self._work.pop(forgotten.number, None)
        if status == "SUCCEEDED":
            self._work.pop(execution.number, None)
        self._keep_history(execution)
        self._on_change(execution)

    def _keep_history(self, execution: Execution) -> None:
        self._histories.append(execution)
        self._ended_events += len(execution.events)
        while len(self._histories) > 1 and self._ended_events > _MAX_ENDED_EVENTS:
            oldest = self._histories.popleft()
            self._ended_events -= len(oldest.events)
            oldest.events = []

    def _forget_end(self, execution: Execution) -> None:
        """Keep an execution like one that has not ended."""
        self._ended.remove(execution)
        self._ended_size -= execution.size
        if execution in self._histories:
            self._histories.remove(execution)
            self._ended_events -= len(execution.events)

    def _forget_task(self, number: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(number) is task:  # or it was stopped, and redriven at once
            del self._tasks[number]
