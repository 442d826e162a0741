"""A guard for telemetry on the path of a response: its failure is logged and changes nothing else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def guarded(call: Callable[P, T]) -> Callable[P, T | None]:
    """Decorate a function so that it returns None where it would raise."""

    @functools.wraps(call)
    def safe(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return call(*args, **kwargs)
        except Exception:
            log.exception("telemetry_failed", part=call.__qualname__)
            return None

    return safe
