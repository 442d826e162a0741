"""The exceptions of the client.

AppSyncError
├── ChannelError                 an invalid channel path (also a ValueError)
├── AuthorizerError              an authorizer has no credentials, for a reason that may be logged
├── LinkClosedError              the link was closed by its owner
├── ConnectionLostError          a connection failed to open, or ended
│   └── RefusedError             ... because the service refused it: an immediate retry is pointless
├── SubscribeError               the service refused one subscription
└── PublishError                 the service did not accept a publish request as a whole
    ├── PublishRefusedError      ... because of its credentials
    └── PublishUnconfirmedError  there was no response: the service is unreachable, or the deadline passed

No exception carries a key, an authorisation or an event. The service's own `message` is kept out of every text and
`repr` as well: the message about an invalid SigV4 signature repeats the signed headers, and with them the session
token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""What names of errors, actions and hosts consist of. Nothing else of theirs reaches a text or a log."""

REFUSAL_CODES = frozenset({400, 401, 403})
REFUSAL_TYPES = frozenset(
    {
        "UnauthorizedException",
        "Unauthorized",
        "AccessDeniedException",
        "BadRequestException",
    }
)


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One entry of the `errors` array of a response. Every member may be absent."""

    error_type: str | None = None
    """The name of the error, such as `UnauthorizedException`."""

    code: int | None = None
    """The numeric code of the error, such as 401."""

    message: str | None = field(default=None, repr=False)
    """The service's description; it may repeat credentials, so it stays out of texts and logs."""

    @property
    def is_refusal(self) -> bool:
        """Whether the same request would be refused again, because of its credentials or its content."""
        return self.code in REFUSAL_CODES or self.error_type in REFUSAL_TYPES

    def __str__(self) -> str:
        name = self.error_type or "unnamed error"
        return name if self.code is None else f"{name} ({self.code})"


def error_name(error: BaseException) -> str:
    """Return an error's class, for the SDK's errors with the action, AWS's code and the host as far as they have them.

    An authorizer may raise anything, and an error's own text may hold a secret. These are the attributes of botocore's
    exceptions, which this module must not need.
    """
    parts: list[Any] = [type(error).__name__]
    response, kwargs = getattr(error, "response", None), getattr(error, "kwargs", None)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        parts += [getattr(error, "operation_name", None), response["Error"].get("Code")]
    if isinstance(kwargs, dict) and isinstance(url := kwargs.get("endpoint_url"), str):
        parts.append(urlsplit(url).hostname)
    return " ".join(part for part in parts if isinstance(part, str) and NAME.fullmatch(part))


def _describe(details: tuple[ErrorDetail, ...]) -> str:
    return ", ".join(map(str, details)) or "unnamed error"


class AppSyncError(Exception):
    """Base class of all exceptions that this client raises itself."""


class ChannelError(AppSyncError, ValueError):
    """A channel path is invalid."""


class AuthorizerError(AppSyncError):
    """An authorizer has no credentials that can be used; its text contains no secret and may be logged."""


class LinkClosedError(AppSyncError):
    """The link was closed by its owner; it cannot be used again."""


class ConnectionLostError(AppSyncError):
    """A connection failed to open, or ended.

    `close_code` is the code of the close frame (RFC 6455), None if there was none.
    """

    def __init__(self, reason: str, *, close_code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.close_code = close_code


class RefusedError(ConnectionLostError):
    """The service refused the connection; `details` are its reasons."""

    def __init__(self, details: tuple[ErrorDetail, ...]) -> None:
        super().__init__(f"refused: {_describe(details)}")
        self.details = details


class SubscribeError(AppSyncError):
    """The service refused one subscription; `details` are its reasons, if it gave any."""

    def __init__(self, channel: str, details: tuple[ErrorDetail, ...]) -> None:
        super().__init__(f"{channel}: {_describe(details)}")
        self.channel = channel
        self.details = details

    @property
    def error_type(self) -> str | None:
        """The first error's type, such as `UnauthorizedException` or `MaxSubscriptionsReachedError`."""
        return self.details[0].error_type if self.details else None

    @property
    def is_refusal(self) -> bool:
        """Whether retrying soon is pointless."""
        return any(detail.is_refusal for detail in self.details)


class PublishError(AppSyncError):
    """A publish request failed; `status` is the HTTP status, 0 without a response."""

    def __init__(self, text: str, *, status: int = 0, details: tuple[ErrorDetail, ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.details = details

    @property
    def error_type(self) -> str | None:
        """The first error's type; None if the service gave none."""
        return self.details[0].error_type if self.details else None

    @classmethod
    def from_response(cls, status: int, details: tuple[ErrorDetail, ...]) -> PublishError:
        """Return a PublishRefusedError if the credentials were refused, otherwise a PublishError."""
        kind = PublishRefusedError if status in {401, 403} else cls
        text = f"publish request failed with status {status}: {_describe(details)}"
        return kind(text, status=status, details=details)


class PublishRefusedError(PublishError):
    """The credentials were refused. The service's response to an unknown namespace is the same."""


class PublishUnconfirmedError(PublishError):
    """There was no response, so the events may or may not have been published."""
