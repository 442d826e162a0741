"""The relay: an Express state machine that EventBridge rules start when an execution ends.

It is executed from the file that is deployed. Like any Express execution it leaves no record.
Source: AWS Step Functions Developer Guide, "Automating Step Functions event delivery with EventBridge".
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from service.local.asl.limits import time_limit
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from service.local.json_text import Json, dumps

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.local.asl.interpreter import Interpreter
    from service.local.asl.states import Machine
    from service.local.execution import Execution

NAME_PREFIX: Final = "exec-"
"""How the names of executions begin that the rules match."""

FAILURES: Final = frozenset({"FAILED", "TIMED_OUT", "ABORTED"})
"""The ends that the rule matches: a workflow reports its successes itself."""

ENDS: Final = FAILURES | {"SUCCEEDED"}
"""Every end: an unmodified workflow reports none."""

EVENT_DELAY_S: Final = 0.2
"""Seconds from the end of an execution until EventBridge has started the relay."""

MAX_DATA_BYTES: Final = 248 * 1024
"""The most of input and output that an event has, both escaped as JSON text; above it the input is left out, and the
output as well if it is too large by itself."""

_log = logging.getLogger(__name__)


class Relay:
    """Runs the relay for executions that end and have names of the service.

    `started` counts the runs, `failed` those that could not publish.
    """

    def __init__(self, machine: Machine, interpreter: Interpreter) -> None:
        self.started = 0
        self.failed = 0
        self._machine = machine
        self._interpreter = interpreter
        self._due: set[asyncio.TimerHandle] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle(self) -> bool:
        """Whether no run is due or under way."""
        return not self._due and not self._tasks

    def on_change(self, execution: Execution, statuses: Collection[str]) -> None:
        """Start the relay shortly if the rule for these statuses matches the execution."""
        if execution.status not in statuses or not execution.name.startswith(NAME_PREFIX):
            return
        event = status_change(execution)

        def start() -> None:
            self._due.discard(timer)
            task = asyncio.create_task(self._run(event), name=f"relay {execution.name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        timer = asyncio.get_running_loop().call_later(EVENT_DELAY_S, start)
        self._due.add(timer)

    async def close(self) -> None:
        """Cancel what is due and what runs."""
        for timer in self._due:
            timer.cancel()
        self._due.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, event: Json) -> None:
        self.started += 1
        timed_out = StateError("States.Timeout", "the relay ran longer than its TimeoutSeconds")
        try:
            async with time_limit(self._machine.timeout, timed_out):
                await self._interpreter.run(self._machine.flow, event, Run())
        except StateError as error:
            self.failed += 1
            _log.warning("the relay failed: %s", error.error)  # never its data


def status_change(execution: Execution) -> dict[str, Json]:
    """Return the event for the current status of an execution."""
    sizes = [0 if text is None else len(dumps(text)) for text in (execution.output, execution.input)]
    has_output, has_input = sizes[0] <= MAX_DATA_BYTES, sum(sizes) <= MAX_DATA_BYTES
    return {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "resources": [execution.arn],
        "detail": {
            "executionArn": execution.arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": round(execution.start_date * 1000),
            "stopDate": None if execution.stop_date is None else round(execution.stop_date * 1000),
            "input": execution.input if has_input else None,
            "inputDetails": {"included": has_input},
            "output": execution.output if has_output else None,
            "outputDetails": None if execution.output is None else {"included": has_output},
            "error": execution.error,
            "cause": execution.cause,
            "redriveCount": execution.redrive_count,
            "redriveDate": None if execution.redrive_date is None else round(execution.redrive_date * 1000),
            "redriveStatus": "REDRIVABLE" if execution.redrive_refusal is None else "NOT_REDRIVABLE",
            "redriveStatusReason": execution.redrive_refusal,
        },
    }
