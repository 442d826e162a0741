"""The state machines that the local AWS holds, by their ARNs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from service.local.relay import ENDS, FAILURES

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from service.local.asl.states import Machine
    from service.local.executions import Executions
    from service.local.tasks import Tasks

InputMode: TypeAlias = Literal["envelope", "event"]
"""Whether executions report their successes themselves, or leave every end to the relay."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A state machine to hold: its ARN, perhaps with a version or an alias, and its definition file."""

    arn: str
    file: Path
    input: InputMode = "envelope"
    mocks: Path | None = None
    """The file with the results of its tasks."""

    @property
    def reported(self) -> Collection[str]:
        """The ends for which a rule starts the relay."""
        return ENDS if self.input == "event" else FAILURES


@dataclass(slots=True)
class Hosted:
    """One state machine and its executions."""

    arn: str
    machine: Machine
    executions: Executions
    tasks: Tasks
    created: float = field(default_factory=time.time)

    @property
    def name(self) -> str:
        """Its name, the last part of its ARN."""
        return self.arn.rpartition(":")[2]


def unqualified(arn: str) -> str:
    """Return the ARN of a state machine without a version or an alias."""
    return ":".join(arn.split(":")[:7])


def of_execution(arn: str) -> str:
    """Return the ARN of the state machine of an execution."""
    return arn.replace(":execution:", ":stateMachine:").rpartition(":")[0]
