"""The compiled states of the Amazon States Language that the local AWS runs; names follow the language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.expressions import Template


@dataclass(frozen=True, slots=True)
class Retrier:
    """One entry of Retry."""

    errors: tuple[str, ...]
    interval_s: float = 1
    max_attempts: int = 3
    backoff: float = 2
    max_delay_s: float | None = None
    full_jitter: bool = False


@dataclass(frozen=True, slots=True)
class Catcher:
    """One entry of Catch."""

    errors: tuple[str, ...]
    next: str
    output: Template | None
    assign: Template | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of Choices."""

    condition: Template
    next: str
    output: Template | None
    assign: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every state but Fail has; `next` is None for a state that ends its flow."""

    next: str | None = None
    output: Template | None = None
    assign: Template | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Step):
    """Passes on its input or its Output; Succeed is a Pass that ends its flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """Waits for a number of seconds."""

    seconds: Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Step):
    """Follows the first rule whose condition is true; `next` is its Default."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable(Step):
    """A Task or a Parallel: a state with Retry and Catch."""

    arguments: Template | None
    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Retryable):
    """Calls http:invoke."""

    timeout: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(Retryable):
    """Runs its branches at once; the result is the list of their outputs."""

    branches: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """Ends its flow with an error."""

    error: Template | None
    cause: Template | None


State: TypeAlias = Pass | Wait | Choice | Task | Parallel | Fail


@dataclass(frozen=True, slots=True)
class Flow:
    """States and the first of them: a whole state machine or one branch."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Machine:
    """A compiled definition; `text` is its source, `timeout` is in seconds."""

    text: str
    flow: Flow
    timeout: float | None
