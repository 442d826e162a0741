"""The state machines that the local AWS holds, by their ARNs."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from service.local.relay import ENDS, FAILURES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
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


class Route(NamedTuple):
    """A version that an alias stands for, and how many of 100 starts it gets."""

    version: int
    weight: int


class Target(NamedTuple):
    """What an ARN means: a definition, with the version and the alias that led to it."""

    machine: Machine
    version: int | None = None
    alias: str | None = None


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
    aliases: dict[str, Sequence[Route]] = field(default_factory=dict)

    def replace(self, machine: Machine) -> None:
        """Make this the current definition; what runs goes on with its own."""
        self.machine = self.executions.machine = machine

    def publish(self) -> int:
        """Return the version of the current definition, a new one unless the newest has it."""
        newest = max(self.versions, default=0)
        if self.versions.get(newest) is not self.machine:
            newest += 1
            self.versions[newest] = self.machine
        return newest

    def qualify(self, arn: str) -> None:
        """Let the version or the alias in an ARN of it, if there is one, mean the current definition."""
        qualifier = self._qualifier(arn)
        if qualifier.isdecimal():
            self.versions[int(qualifier)] = self.machine
        elif qualifier:
            self.aliases[qualifier] = [Route(self.publish(), 100)]

    def target(self, arn: str) -> Target:
        """Return what an ARN of it means; an alias of two versions means either, by weight.

        KeyError for a version or an alias that does not exist.
        """
        qualifier = self._qualifier(arn)
        if not qualifier:
            return Target(self.machine)
        if qualifier.isdecimal():
            return Target(self.versions[int(qualifier)], int(qualifier))
        routes = self.aliases[qualifier]
        (route,) = random.choices(routes, [route.weight for route in routes])  # noqa: S311 - a share, not a secret
        return Target(self.versions[route.version], route.version, qualifier)

    def _qualifier(self, arn: str) -> str:
        return arn.removeprefix(self.arn).removeprefix(":")

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
