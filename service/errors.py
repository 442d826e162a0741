"""Exceptions that end a request without a result, all in one tree.

Problem
├── InvalidRequest
│   ├── MalformedJson             400
│   ├── InvalidIdempotencyKey     400
│   ├── IdempotencyUnavailable    400
│   ├── NotAcceptable             406
│   ├── BodyTooSlow               408
│   ├── IdempotencyConflict       409
│   ├── BodyTooLarge              413
│   ├── NotJson                   415
│   ├── UnsupportedEncoding       415
│   ├── SchemaViolation           422
│   └── IdempotencyKeyReused      422
├── UnknownExecution              404
├── NotRetryable                  409
├── CallerUnknown                 500
├── WorkflowProblem
│   ├── WorkflowFailed            502
│   │   └── WorkflowError         as the settings of the workflow say
│   ├── InvalidResult             502
│   ├── WorkflowAborted           502
│   └── WorkflowTimedOut          504
└── TryLater                      with Retry-After
    ├── CallerLimited             429
    │   ├── CallerShareExceeded
    │   └── CallerRateExceeded
    └── Unavailable               503
        ├── AtCapacity
        ├── Draining
        ├── LinkDown
        ├── Throttled
        ├── Unreachable
        ├── Refused
        └── OutcomeUnknown

Each leaf has a problem type (RFC 9457): a slug that never changes, a title and an HTTP status.
No message may contain anything from a caller's body or a workflow's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Problem(Exception):
    """A request ended without a result, in a way that the service expects."""

    slug: ClassVar[str]
    """The last part of the problem type."""
    title: ClassVar[str]
    """The problem type in words."""
    status: ClassVar[int]
    """The HTTP status of the response."""

    def __init__(self, detail: str, *, execution_id: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        """A sentence for the caller about this occurrence."""
        self.execution_id = execution_id
        """The execution that the problem is about, if there is one."""
        self.start_attempts = 0
        """How many times StartExecution was called for the request."""
        self.aws_error = ""
        """AWS's error code if a call to AWS failed, or how it failed without one. Not for callers."""
        self.log_fields: dict[str, str] = {}
        """What else the log says about this occurrence, which callers need not know."""


class InvalidRequest(Problem):
    """The caller must change the request before sending it again."""


class MalformedJson(InvalidRequest):
    """The body is not JSON (RFC 8259) in UTF-8."""

    slug, title, status = "malformed-json", "The body is not valid JSON", 400


class InvalidIdempotencyKey(InvalidRequest):
    """The Idempotency-Key header is not a single string of 1 to 255 printable ASCII characters."""

    slug, title, status = "invalid-idempotency-key", "Invalid idempotency key", 400


class IdempotencyUnavailable(InvalidRequest):
    """This deployment does not support idempotency keys: it has no secret for them, or its workflow keeps no record."""

    slug, title, status = "idempotency-unavailable", "Idempotency keys are not supported", 400


class IdempotencyKeyReused(InvalidRequest):
    """The idempotency key was used before with a different body."""

    slug, title, status = "idempotency-key-reused", "The idempotency key was used for another request", 422


class IdempotencyConflict(InvalidRequest):
    """The execution of this idempotency key has no readable record yet, or was not started by this service."""

    slug, title, status = "idempotency-conflict", "Idempotency key conflict", 409


class NotAcceptable(InvalidRequest):
    """The caller accepts neither JSON nor an event stream."""

    slug, title, status = "not-acceptable", "None of the available representations is acceptable", 406


class BodyTooSlow(InvalidRequest):
    """The body did not arrive in time."""

    slug, title, status = "body-too-slow", "The body did not arrive in time", 408


class BodyTooLarge(InvalidRequest):
    """The body exceeds the limit of an execution's input (256 KiB including the envelope)."""

    slug, title, status = "body-too-large", "The body is too large", 413


class NotJson(InvalidRequest):
    """The content type is not a JSON media type."""

    slug, title, status = "not-json", "The content type is not JSON", 415


class UnsupportedEncoding(InvalidRequest):
    """The body has a content encoding that the service does not support."""

    slug, title, status = "unsupported-encoding", "The content encoding is not supported", 415


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a body violates the schema."""

    pointer: str
    """A JSON pointer (RFC 6901) into the body."""
    detail: str
    """What is wrong there, without the value."""


class SchemaViolation(InvalidRequest):
    """The body is JSON but does not match the request schema."""

    slug, title, status = "schema-violation", "The body does not match the schema", 422

    def __init__(self, violations: list[Violation]) -> None:
        count = len(violations)
        places = "One place in the body does" if count == 1 else f"{count} places in the body do"
        super().__init__(f"{places} not match the schema.")
        self.violations = violations


class UnknownExecution(Problem):
    """No execution has this id, or it ended more than 90 days ago and its record is gone."""

    slug, title, status = "unknown-execution", "Execution not found", 404


class NotRetryable(Problem):
    """The execution cannot be retried: it succeeded, ended more than 14 days ago, or its workflow keeps no record."""

    slug, title, status = "not-retryable", "The execution cannot be retried", 409


class CallerUnknown(Problem):
    """The gateway did not say who calls, in the header that CALLER_HEADER names; nothing was started or read."""

    slug, title, status = "caller-unknown", "The caller is unknown", 500


class WorkflowProblem(Problem):
    """The workflow ended without a result."""


class WorkflowFailed(WorkflowProblem):
    """The execution failed; `error` is the error's name, never its cause."""

    slug, title, status = "workflow-failed", "The workflow failed", 502

    def __init__(self, error: str, *, execution_id: str) -> None:
        super().__init__("The workflow ended with an error.", execution_id=execution_id)
        self.error = error
        self.log_fields = {"workflow_error": error}


class WorkflowError(WorkflowFailed):
    """The execution failed with an error to which the settings of its workflow give a status."""

    def __init__(self, error: str, workflow: str, mapped_status: int, *, execution_id: str) -> None:
        super().__init__(error, execution_id=execution_id)
        self.workflow = workflow
        """The name of the workflow, which has its own problem types: it cannot claim one of the service."""
        self.mapped_status = mapped_status
        """The HTTP status of the response."""


class InvalidResult(WorkflowProblem):
    """The execution succeeded with a result that breaks the workflow's result schema."""

    slug, title, status = "invalid-result", "The result of the workflow is invalid", 502

    def __init__(self, broken_rules: list[str], *, execution_id: str) -> None:
        super().__init__("The result does not match the workflow's result schema.", execution_id=execution_id)
        self.log_fields = {"broken_rules": ", ".join(broken_rules)}
        """Pointers into the schema, which contain nothing of the result."""


class WorkflowAborted(WorkflowProblem):
    """The execution was stopped before it finished."""

    slug, title, status = "workflow-aborted", "The workflow was stopped", 502


class WorkflowTimedOut(WorkflowProblem):
    """The execution exceeded its time limit."""

    slug, title, status = "workflow-timed-out", "The workflow timed out", 504


class TryLater(Problem):
    """The request is not carried out now; the caller may retry it later."""

    retry_after: float = 1
    """Seconds after which to retry. The class has the usual value, an instance a better one if it is known."""

    def __init__(self, detail: str, *, execution_id: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, execution_id=execution_id)
        if retry_after is not None:
            self.retry_after = retry_after


class CallerLimited(TryLater):
    """The caller has reached a limit of its own; other callers are served."""

    status = 429


class CallerShareExceeded(CallerLimited):
    """The caller has its share of the requests in flight; nothing was started."""

    slug, title = "caller-share-exceeded", "Too many requests of this caller are in flight"


class CallerRateExceeded(CallerLimited):
    """The caller sends requests faster than its rate allows; nothing was started, read or stopped."""

    slug, title = "caller-rate-exceeded", "This caller sends requests too fast"


class Unavailable(TryLater):
    """The service cannot carry out the request now."""

    status = 503


class AtCapacity(Unavailable):
    """The instance has reached its limit of requests in flight."""

    slug, title = "at-capacity", "Too many requests are in flight"


class Draining(Unavailable):
    """The instance is shutting down and accepts no new requests."""

    slug, title = "draining", "The instance is shutting down"


class LinkDown(Unavailable):
    """No subscription is confirmed, so no reply could arrive; nothing was started."""

    slug, title, retry_after = "link-down", "The reply channel is down", 5


class Throttled(Unavailable):
    """Step Functions throttled the call until its timeout, or the API quota is used up."""

    slug, title, retry_after = "throttled", "Step Functions is throttling", 2


class Unreachable(Unavailable):
    """No request reached Step Functions; nothing was started or changed."""

    slug, title, retry_after = "unreachable", "Step Functions is unreachable", 5


class Refused(Unavailable):
    """Step Functions refused the call (permissions, a missing state machine); an operator must fix it."""

    slug, title, retry_after = "refused", "Step Functions refused the call", 30


class OutcomeUnknown(Unavailable):
    """A request was sent to Step Functions but no response came; it may or may not have been carried out."""

    slug, title, retry_after = "outcome-unknown", "Step Functions did not respond", 5
