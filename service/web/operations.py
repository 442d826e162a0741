"""What may come of each operation on a workflow: its problems, and the outcomes by which requests are counted."""

from __future__ import annotations

from typing import Final

from service import errors
from service.web.context import MAPPED

_FAILED_CALLS: Final = (errors.Throttled, errors.Unreachable, errors.Refused, errors.OutcomeUnknown, errors.AtCapacity)
_FAILED_WORKFLOWS: Final = (
    errors.WorkflowFailed,
    errors.InvalidResult,
    errors.WorkflowAborted,
    errors.WorkflowTimedOut,
)

CREATE: Final = (
    errors.MalformedJson,
    errors.InvalidIdempotencyKey,
    errors.IdempotencyUnavailable,
    errors.NotAcceptable,
    errors.BodyTooSlow,
    errors.IdempotencyConflict,
    errors.BodyTooLarge,
    errors.NotJson,
    errors.UnsupportedEncoding,
    errors.SchemaViolation,
    errors.IdempotencyKeyReused,
    errors.CallerShareExceeded,
    errors.CallerRateExceeded,
    errors.CallerUnknown,
    *_FAILED_WORKFLOWS,
    *_FAILED_CALLS,
    errors.Draining,
    errors.LinkDown,
)
READ: Final = (
    errors.UnknownExecution,
    errors.NotAcceptable,
    errors.CallerRateExceeded,
    errors.CallerUnknown,
    *_FAILED_WORKFLOWS,
    *_FAILED_CALLS,
)
RETRY: Final = (
    errors.UnknownExecution,
    errors.NotAcceptable,
    errors.NotRetryable,
    errors.CallerShareExceeded,
    errors.CallerRateExceeded,
    errors.CallerUnknown,
    *_FAILED_WORKFLOWS,
    *_FAILED_CALLS,
    errors.Draining,
    errors.LinkDown,
)
REMOVE: Final = (errors.UnknownExecution, errors.CallerRateExceeded, errors.CallerUnknown, *_FAILED_CALLS)

OUTCOMES: Final = {
    "start": (
        "succeeded",
        "running",
        *(problem.slug for problem in CREATE),
        MAPPED,
        "unexpected",
        "client-disconnected",
    ),
    "read": (
        "succeeded",
        "running",
        "ended",
        *(problem.slug for problem in READ),
        MAPPED,
        "unexpected",
        "client-disconnected",
    ),
    "retry": (
        "succeeded",
        "running",
        *(problem.slug for problem in RETRY),
        MAPPED,
        "unexpected",
        "client-disconnected",
    ),
    "stop": ("stopped", *(problem.slug for problem in REMOVE), "unexpected", "client-disconnected"),
}
"""The outcomes of each operation, by which the requests are counted."""
