"""The states of the Amazon States Language that the local AWS runs, compiled; names are the language's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.expressions import Template


@dataclass(frozen=True, slots=True)
class Retrier:
    """One element of Retry; times are in seconds."""

    errors: tuple[str, ...]
    interval: float = 1
    attempts: int = 3
    backoff: float = 2
    longest: float | None = None
    full_jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """One element of Catch."""

    errors: tuple[str, ...]
    next: str
    output: Template | None
    assign: Template | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One element of Choices."""

    condition: Template
    next: str
    output: Template | None
    assign: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every state but Fail has; `next` is None at an end."""

    next: str | None = None
    output: Template | None = None
    assign: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Step):
    """Gives its input, or Output, on; Succeed is a Pass that ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """Sleeps."""

    seconds: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Step):
    """Goes where the first true condition says; `next` is its Default."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work(Step):
    """What Task and Parallel share."""

    arguments: Template | None
    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Work):
    """Calls http:invoke."""

    timeout: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(Work):
    """Runs all its branches; the result is the list of their outputs."""

    branches: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """Ends its flow with an error."""

    error: Template | None
    cause: Template | None


State: TypeAlias = Pass | Wait | Choice | Task | Parallel | Fail


@dataclass(frozen=True, slots=True)
class Flow:
    """States and where they start: a whole machine or one branch."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Machine:
    """A definition ready to run; `text` is what it was made from, `timeout` is in seconds."""

    text: str
    flow: Flow
    timeout: float | None
