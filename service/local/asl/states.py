"""The compiled states of the Amazon States Language; names follow the language.

They are the same for both query languages: only their values and data flows differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.asl.scope import DataFlow, Value


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
    data: DataFlow


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of Choices."""

    condition: Value
    next: str
    data: DataFlow


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What every state but Fail has; `next` is None for a state that ends its flow."""

    data: DataFlow
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass(Step):
    """Passes on its input, or what it makes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeed(Step):
    """Ends its flow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Step):
    """Waits for a number of seconds or until a timestamp: one of the two is set."""

    seconds: Value | None
    timestamp: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Step):
    """Follows the first rule whose condition is true; `next` is its Default."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retryable(Step):
    """A Task, a Parallel or a Map: a state with Retry and Catch."""

    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Retryable):
    """Calls a resource."""

    resource: str
    timeout: Value | None
    heartbeat: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel(Retryable):
    """Runs its branches at once; the result is the list of their outputs."""

    branches: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Batcher:
    """ItemBatcher: how many items and bytes a batch holds, and what each batch has in common."""

    max_items: Value | None
    max_bytes: Value | None
    common: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Map(Retryable):
    """Runs its processor for each item; the result is the list of the outputs."""

    processor: Flow
    distributed: bool
    items: Value | None
    """None: the items are the state's input, or what its ItemReader reads."""
    reads: bool
    """Whether there is an ItemReader."""
    writer: Value | None
    """The arguments of the ResultWriter that replaces the result by the place where it is; None without one."""
    label: str
    """The name of its runs; that of the state if it is empty."""
    selector: Value | None
    batcher: Batcher | None
    concurrency: Value | None
    tolerated_count: Value | None
    tolerated_percentage: Value | None


@dataclass(frozen=True, slots=True)
class Fail:
    """Ends its flow with an error."""

    data: DataFlow
    error: Value | None
    cause: Value | None


State: TypeAlias = Pass | Succeed | Wait | Choice | Task | Parallel | Map | Fail


@dataclass(frozen=True, slots=True)
class Flow:
    """States and the first of them: a whole state machine, one branch or the processor of a Map."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, slots=True)
class Machine:
    """A compiled definition; `text` is its source, `timeout` is in seconds."""

    text: str
    flow: Flow
    timeout: float | None
