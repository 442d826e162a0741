"""The check at the start that the state machine can be started, and what type it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

import structlog

from service.errors import Problem, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from service.stepfunctions.arn import StateMachineArn
    from service.stepfunctions.client import StepFunctionsClient

log = structlog.get_logger(__name__)

FIRST_PAUSE_S: Final = 1.0
"""Seconds before the second check; the pause doubles with each one."""

MAX_PAUSE_S: Final = 30.0
"""The longest pause. DescribeStateMachine has a quota of 20 calls a second for all instances ("Service quotas", AWS
Step Functions Developer Guide)."""

MISSING: Final = frozenset({"StateMachineDoesNotExist", "StateMachineDeleting", "InvalidArn"})
"""Error codes of a state machine that cannot be started ("StartExecution", AWS Step Functions API Reference)."""

NEEDS_RECORD: Final = "event mode needs a STANDARD state machine"
"""Why an EXPRESS state machine cannot get unmodified events: no record and no relay would show how they end."""

CREDENTIALS_REFUSED: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Error codes of credentials that no call succeeds with ("Common Errors", AWS Step Functions API Reference)."""


class StateMachineCheck:
    """Asks for the state machine until one answer settles whether it can be started; then it asks no more.

    Only an instance that has never been ready is made unready: a deployment with a wrong ARN, region or key does not
    replace one that works, while a failure of AWS later cannot take all instances out of service. Those answer each
    request by itself, with the cause in its log line.

    So what follows an answer that settled nothing, but left the instance ready, is only logged.

    A refusal to describe the state machine settles it as well, since starting it needs another permission. Its type is
    then assumed to be STANDARD. `on_express` is called if it is EXPRESS, which keeps no record. It is then unusable if
    the workflow `needs_record`.
    """

    def __init__(
        self,
        client: StepFunctionsClient,
        arn: StateMachineArn,
        on_express: Callable[[], None],
        *,
        needs_record: bool = False,
        first_pause: float = FIRST_PAUSE_S,
    ) -> None:
        self.not_ready: str | None = None
        """Why no execution can be started; None if one can, as far as is known."""
        self._client = client
        self._arn = arn
        self._on_express = on_express
        self._needs_record = needs_record
        self.unsuitable: str | None = None
        """Why this state machine can never be used, although it can be started."""
        self._pause = first_pause
        self._logged = ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Check once; go on in the background if that settles nothing."""
        if not await self._check():
            self._task = asyncio.create_task(self._repeat(), name="state-machine-check")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _repeat(self) -> None:
        settled = False
        while not settled:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, MAX_PAUSE_S)
            settled = await self._check()

    async def _check(self) -> bool:
        """Ask once; return whether the answer settles it."""
        try:
            express = await self._client.is_express()
        except Problem as problem:
            reason = _reason(problem)
            settled = reason is None and isinstance(problem, Refused)  # the others pass by themselves
            was_ready = self._task is not None and self.not_ready is None
            if settled or (reason is not None and not was_ready):
                self.not_ready = reason
            self._log(problem, reason)
            return settled
        if self.not_ready is not None:
            log.info("state_machine_usable", arn=self._arn.text, region=self._arn.region)
        self.not_ready = None
        if express:
            log.warning("express_state_machine", arn=self._arn.text, recovery=False, idempotency_keys=False)
            self._on_express()
            if self._needs_record:
                self.unsuitable = self.not_ready = NEEDS_RECORD
                log.error("state_machine_unusable", reason=NEEDS_RECORD, arn=self._arn.text)
        return True

    def _log(self, problem: Problem, reason: str | None) -> None:
        """Log a failed check, unless the last one failed the same way."""
        if self._logged == problem.aws_error:
            return
        self._logged = problem.aws_error
        if reason is None:
            log.warning("state_machine_type_unknown", problem=problem.slug, **problem.log_fields)
        else:
            log.error(
                "state_machine_unusable",
                reason=reason,
                problem=problem.slug,
                region=self._arn.region,
                **problem.log_fields,
            )


def _reason(problem: Problem) -> str | None:
    """Return why no execution can be started, or None if the failed check does not show that."""
    if problem.aws_error in MISSING:
        return "state machine not found"
    if problem.aws_error in CREDENTIALS_REFUSED:
        return "AWS credentials refused"
    if isinstance(problem, Unreachable):
        credentials = problem.aws_error.startswith("credentials: ")  # the phase that failed
        return "no AWS credentials" if credentials else "Step Functions unreachable"
    return None
