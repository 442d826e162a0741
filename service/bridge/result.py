"""What a request learns about its execution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.stepfunctions.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Result:
    """What is known of an execution. All durations are in seconds."""

    execution_id: str

    outcome: Outcome | None
    """None while the execution is running."""

    start: float | None = field(default=None, compare=False)
    """How long it took until the start of the execution had ended, which others may share; None without a start."""

    workflow: float | None = field(default=None, compare=False)
    """How long the execution took from then on; None if that is unknown."""

    waited: float = field(default=0.0, compare=False)
    """How long this request waited for the execution."""

    remaining: float = field(default=0.0, compare=False)
    """How much longer a running execution is expected to take."""

    start_attempts: int = field(default=0, compare=False)
    """How many times StartExecution was called for this request; 0 if another request shared its start."""
