"""How a call to AWS fails: refused by the service, never sent, or sent without a readable response.

The caller decides by the class whether the call may have been carried out. None of the texts has a secret in it.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from botocore.exceptions import ClientError

Phase: TypeAlias = Literal["credentials", "request", "dns", "connect", "proxy", "tls", "response"]
"""What a call was doing: reading credentials, building the request, looking up the host, connecting to it, passing
the proxy, shaking hands for TLS, or waiting for the response."""

# The codes of botocore/retries/standard.py and botocore/data/_retry.json, which a test compares, and two of Step
# Functions' own (API Reference). Nothing was carried out.
_THROTTLING_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
        # Step Functions' own:
        "ExecutionLimitExceeded",
        "KmsThrottlingException",
        # The request did not arrive completely, or could not be authenticated yet:
        "IDPCommunicationError",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
_THROTTLING_STATUSES: Final = frozenset({408, 429, 509})


class AwsError(Exception):
    """The service refused the call."""

    def __init__(self, code: str, status: int, host: str) -> None:
        super().__init__(f"{code} ({status}) from {host}")
        self.code = code
        """The error's code, without its namespace; the status if there was none."""
        self.status = status
        """The HTTP status."""
        self.host = host
        """The host that was called."""

    @property
    def throttled(self) -> bool:
        """Whether the call was not carried out, and may be if it is repeated later."""
        return self.code in _THROTTLING_CODES or self.status in _THROTTLING_STATUSES


class CallError(Exception):
    """There is no response."""

    def __init__(self, phase: Phase, host: str, reason: str) -> None:
        super().__init__(f"{phase} ({host}): {reason}")
        self.phase = phase
        """What the call was doing."""
        self.host = host
        """The host that this phase was about."""
        self.reason = reason
        """What went wrong, in a few words."""


class NotSentError(CallError):
    """Nothing was sent to the service."""


class NoResponseError(CallError):
    """Something was sent, and no readable response came: the call may have been carried out."""


def describe(error: BaseException) -> str:
    """Return a few words about an error; not the whole text of a library's, which may quote what was sent."""
    if isinstance(error, TimeoutError):
        return "timeout"
    reason = error.strerror if isinstance(error, OSError) else None
    if isinstance(error, ClientError):  # such as AssumeRole refused, while credentials are read
        reason = f"{error.operation_name} {error.response.get('Error', {}).get('Code')}"
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
