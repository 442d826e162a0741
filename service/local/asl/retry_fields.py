"""The entries of Retry and Catch.

Source: Amazon States Language specification, "Errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.local.asl.states import Catcher, Retrier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service.local.asl.fields import Fields
    from service.local.asl.language import Language


def catchers(fields: Fields, language: Language) -> Iterator[Catcher]:
    """Remove and compile Catch."""
    for catcher in fields.each("Catch", []):
        catcher.take("Comment", str, "")
        yield Catcher(_errors(catcher), catcher.target("Next"), language.catcher_data(catcher))
        catcher.reject_unknown(language.not_taken)


def retriers(fields: Fields) -> Iterator[Retrier]:
    """Remove and compile Retry."""
    for retrier in fields.each("Retry", []):
        retrier.take("Comment", str, "")
        strategy = retrier.take("JitterStrategy", str, "NONE")
        if strategy not in {"FULL", "NONE"}:
            retrier.fault("JitterStrategy", "must be FULL or NONE")
        yield Retrier(
            errors=_errors(retrier),
            interval_s=retrier.take("IntervalSeconds", int, 1),
            max_attempts=retrier.take("MaxAttempts", int, 3),
            backoff=retrier.take("BackoffRate", (int, float), 2.0),
            max_delay_s=retrier.take("MaxDelaySeconds", int, None),
            full_jitter=strategy == "FULL",
        )
        retrier.reject_unknown()


def _errors(fields: Fields) -> tuple[str, ...]:
    present = "ErrorEquals" in fields
    errors = tuple(fields.take("ErrorEquals", list))
    if present and (not errors or not all(isinstance(error, str) for error in errors)):
        fields.fault("ErrorEquals", "must be a non-empty list of error names")
    if "States.ALL" in errors and len(errors) > 1:
        fields.fault("ErrorEquals", "States.ALL must be the only name in its list")
    return errors
