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
    from service.local.json_text import Json
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
    kind: str = "STANDARD"
    """Its type; executions of an EXPRESS one are kept like any other."""
    versions: dict[int, Machine] = field(default_factory=dict)
    """What was published, by number."""
    aliases: dict[str, Json] = field(default_factory=dict)
    """The routing configuration of each alias that was created."""

    def replace(self, machine: Machine) -> None:
        """Make this the current definition; what runs goes on with its own."""
        self.machine = self.executions.machine = machine

    def machine_of(self, arn: str) -> Machine:
        """Return what an ARN of it means: a version, the first version of an alias, or else the current definition.

        Versions and aliases that nobody has published or created are the current definition, too.
        """
        qualifier = arn.removeprefix(f"{self.arn}:")
        if qualifier in self.aliases:
            qualifier = self.aliases[qualifier][0]["stateMachineVersionArn"].rpartition(":")[2]
        return self.versions.get(int(qualifier), self.machine) if qualifier.isdecimal() else self.machine

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
