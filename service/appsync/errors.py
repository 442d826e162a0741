"""The one exception tree of the client.

AppSyncError
├── ChannelError             a channel path outside the grammar (also a ValueError)
├── LinkClosedError          the link was closed by its owner
├── ConnectionLostError      a connection could not be made, or ended
│   └── RefusedError         ... because the service will not have us: trying again at once is pointless
├── SubscribeError           the service refused one subscription
└── PublishError             the service did not take a publish request as a whole
    ├── PublishRefusedError  ... because of its credentials
    └── PublishUnsentError   no answer came: unreachable, or past the deadline

No exception carries a key, an authorisation or an event. The service's own `message` is kept out of every text and
`repr` as well: the one for a wrong SigV4 signature repeats the signed headers, and with them the session token.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REFUSALS = frozenset({400, 401, 403})
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
    """One entry of the `errors` array of an answer. Every member may be absent."""

    error_type: str | None = None
    code: int | None = None
    message: str | None = field(default=None, repr=False)

    @property
    def is_refusal(self) -> bool:
        """Whether the same request would be refused again: a matter of credentials or of the request itself."""
        return self.code in REFUSALS or self.error_type in REFUSAL_TYPES

    def __str__(self) -> str:
        name = self.error_type or "unnamed error"
        return name if self.code is None else f"{name} ({self.code})"


def _named(details: tuple[ErrorDetail, ...]) -> str:
    return ", ".join(map(str, details)) or "unnamed error"


class AppSyncError(Exception):
    """Anything that this client raises of its own."""


class ChannelError(AppSyncError, ValueError):
    """A channel path outside the grammar."""


class LinkClosedError(AppSyncError):
    """The link was closed by its owner; it cannot be used again."""


class ConnectionLostError(AppSyncError):
    """A connection could not be made, or ended. `close_code` is that of RFC 6455, where a close frame came."""

    def __init__(self, reason: str, *, close_code: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.close_code = close_code


class RefusedError(ConnectionLostError):
    """The service refused the connection; `details` say why."""

    def __init__(self, details: tuple[ErrorDetail, ...]) -> None:
        super().__init__(f"refused: {_named(details)}")
        self.details = details


class SubscribeError(AppSyncError):
    """The service refused one subscription; `details` say why, as far as the service told."""

    def __init__(self, channel: str, details: tuple[ErrorDetail, ...]) -> None:
        super().__init__(f"{channel}: {_named(details)}")
        self.channel = channel
        self.details = details

    @property
    def error_type(self) -> str | None:
        """The first error's type, such as `UnauthorizedException` or `MaxSubscriptionsReachedError`."""
        return self.details[0].error_type if self.details else None

    @property
    def is_refusal(self) -> bool:
        """Whether trying again soon is pointless."""
        return any(detail.is_refusal for detail in self.details)


class PublishError(AppSyncError):
    """A publish request was answered by an error; `status` is the HTTP status, 0 where no answer came."""

    def __init__(self, text: str, *, status: int = 0, details: tuple[ErrorDetail, ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.details = details

    @property
    def error_type(self) -> str | None:
        """The first error's type; None where the service named none."""
        return self.details[0].error_type if self.details else None

    @classmethod
    def from_answer(cls, status: int, details: tuple[ErrorDetail, ...]) -> PublishError:
        """Tell the refusals of credentials from the rest."""
        kind = PublishRefusedError if status in {401, 403} else cls
        return kind(f"publish answered {status}: {_named(details)}", status=status, details=details)


class PublishRefusedError(PublishError):
    """The credentials were refused. An unknown namespace is answered so, too."""


class PublishUnsentError(PublishError):
    """No answer came, so whether the events went out is unknown."""
