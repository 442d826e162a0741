"""The one exception tree: everything that ends a request in another way than with a result.

Problem
├── InvalidRequest
│   ├── MalformedJson        400
│   ├── InvalidIdempotencyKey 400
│   ├── IdempotencyUnavailable 400
│   ├── NotAcceptable        406
│   ├── BodyTooSlow          408
│   ├── BodyTooLarge         413
│   ├── NotJson              415
│   ├── UnsupportedEncoding      415
│   ├── SchemaViolation      422
│   ├── IdempotencyKeyReused 422
│   └── IdempotencyConflict  409
├── UnknownExecution         404
├── WorkflowProblem
│   ├── WorkflowFailed       502
│   ├── WorkflowAborted      502
│   └── WorkflowTimedOut     504
└── Unavailable              503, with Retry-After
    ├── AtCapacity
    ├── Draining
    ├── LinkDown
    ├── Throttled
    ├── Unreachable
    ├── Refused
    └── OutcomeUnknown

Each leaf knows its problem type (RFC 9457): a slug that never changes, a title, an HTTP status.
No message may hold anything of a caller's body or of a workflow's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class Problem(Exception):
    """An expected end of a request that is not a result.

    `detail` is a sentence for the caller; `execution_id` names the execution where there is one; `start_attempts` is
    how often Step Functions was asked to start it.
    """

    slug: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int]

    def __init__(self, detail: str, *, execution_id: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.execution_id = execution_id
        self.start_attempts = 0


class InvalidRequest(Problem):
    """The caller has to change the request before it can be taken."""


class MalformedJson(InvalidRequest):
    """The body is not JSON text (RFC 8259) in UTF-8."""

    slug, title, status = "malformed-json", "The body is not JSON", 400


class InvalidIdempotencyKey(InvalidRequest):
    """The Idempotency-Key header is not one string of 1 to 255 printable ASCII characters."""

    slug, title, status = "invalid-idempotency-key", "The idempotency key cannot be used", 400


class IdempotencyUnavailable(InvalidRequest):
    """This deployment takes no idempotency keys: it has no secret for them, or its workflow keeps no record."""

    slug, title, status = "idempotency-unavailable", "Idempotency keys are not available here", 400


class IdempotencyKeyReused(InvalidRequest):
    """The key was used with another body before."""

    slug, title, status = "idempotency-key-reused", "The idempotency key belongs to another request", 422


class IdempotencyConflict(InvalidRequest):
    """The execution of this key cannot be compared with the request now: it has no record yet, or a foreign one."""

    slug, title, status = "idempotency-conflict", "The idempotency key's execution cannot be read", 409


class NotAcceptable(InvalidRequest):
    """The caller takes neither JSON nor a stream of events."""

    slug, title, status = "not-acceptable", "No form of the answer is acceptable", 406


class BodyTooSlow(InvalidRequest):
    """The body did not arrive in time."""

    slug, title, status = "body-too-slow", "The body did not arrive in time", 408


class BodyTooLarge(InvalidRequest):
    """The body does not fit into an execution's input (256 KiB, envelope included)."""

    slug, title, status = "body-too-large", "The body is too large for a workflow's input", 413


class NotJson(InvalidRequest):
    """The content type is not a JSON one."""

    slug, title, status = "not-json", "The content type is not JSON", 415


class UnsupportedEncoding(InvalidRequest):
    """The body is compressed in a way that this service does not read."""

    slug, title, status = "unsupported-encoding", "The body's content encoding is not known", 415


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where a body breaks the schema: a JSON pointer (RFC 6901) into the body, and what is wrong there."""

    pointer: str
    detail: str


class SchemaViolation(InvalidRequest):
    """The body is JSON but not what the request schema asks for."""

    slug, title, status = "schema-violation", "The body does not fit the request schema", 422

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__(f"{len(violations)} place(s) of the body do not fit the request schema.")
        self.violations = violations


class UnknownExecution(Problem):
    """There is no execution of this id, or it is older than Step Functions remembers (90 days)."""

    slug, title, status = "unknown-execution", "There is no such execution", 404


class WorkflowProblem(Problem):
    """The workflow ended without a result."""


class WorkflowFailed(WorkflowProblem):
    """The execution failed; `error` is the error's name, never its cause."""

    slug, title, status = "workflow-failed", "The workflow failed", 502

    def __init__(self, error: str, *, execution_id: str) -> None:
        super().__init__("The workflow ended with an error.", execution_id=execution_id)
        self.error = error


class WorkflowAborted(WorkflowProblem):
    """Somebody stopped the execution."""

    slug, title, status = "workflow-aborted", "The workflow was stopped", 502


class WorkflowTimedOut(WorkflowProblem):
    """The execution ran into its own time limit."""

    slug, title, status = "workflow-timed-out", "The workflow ran out of time", 504


class Unavailable(Problem):
    """No work can be taken now; the same request may be sent again after about `retry_after` seconds.

    Where it is not known better, the class says how long that usually is.
    """

    status = 503
    retry_after: float = 1

    def __init__(self, detail: str, *, execution_id: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail, execution_id=execution_id)
        if retry_after is not None:
            self.retry_after = retry_after


class AtCapacity(Unavailable):
    """As many requests are held as this instance may hold."""

    slug, title = "at-capacity", "Too many requests are in flight"


class Draining(Unavailable):
    """This instance is about to stop."""

    slug, title = "draining", "This instance is stopping"


class LinkDown(Unavailable):
    """No subscription is confirmed, so that no reply could be heard: nothing was started."""

    slug, title, retry_after = "link-down", "Replies cannot be received at the moment", 5


class Throttled(Unavailable):
    """Step Functions kept on throttling a call for as long as it may take."""

    slug, title, retry_after = "throttled", "Step Functions is throttling", 2


class Unreachable(Unavailable):
    """No request reached Step Functions: nothing was started or changed."""

    slug, title, retry_after = "unreachable", "Step Functions cannot be reached", 5


class Refused(Unavailable):
    """Step Functions refused the call itself (rights, a missing state machine): an operator has to act."""

    slug, title, retry_after = "refused", "Step Functions refuses the call", 30


class OutcomeUnknown(Unavailable):
    """A request was sent to Step Functions and no answer came: it may or may not have been carried out."""

    slug, title, retry_after = "outcome-unknown", "Step Functions did not answer", 5
