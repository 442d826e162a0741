"""The lines of the report, and what an error of AWS means for one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004 - not Python's

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNREACHABLE = (ConnectionError, HTTPClientError)

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "NotAuthorized"}


class Verdict(StrEnum):
    """What a check found; `unknown` is a check that could not be made."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Line:
    """One line of the report."""

    verdict: Verdict
    subject: str
    detail: str

    def __str__(self) -> str:
        """Format the line, whatever line breaks AWS put into a message."""
        return f"{self.verdict:<8} {self.subject}: {' '.join(self.detail.split())}"


def ok(subject: str, detail: str) -> Line:
    """Return a line about something that is right."""
    return Line(Verdict.OK, subject, detail)


def wrong(subject: str, detail: str) -> Line:
    """Return a line about something that is wrong; the detail says what to do."""
    return Line(Verdict.WRONG, subject, detail)


def unknown(subject: str, detail: str) -> Line:
    """Return a line about something that could not be checked."""
    return Line(Verdict.UNKNOWN, subject, detail)


def is_denied(error: ClientError) -> bool:
    """Return whether the caller lacks the permission for a call."""
    return error.response.get("Error", {}).get("Code") in _DENIED


def message(error: ClientError) -> str:
    """Return AWS's code and message."""
    details = error.response.get("Error", {})
    return f"{details.get('Code')}: {details.get('Message')}"


def guarded(subject: str, lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines of a check; an error that ends it becomes the last one."""
    try:
        yield from lines
    except ClientError as error:
        if is_denied(error):
            yield unknown(subject, f"not allowed to look: {error.operation_name} is denied")
        else:
            yield wrong(subject, f"{error.operation_name} failed: {message(error)}")
    except UNREACHABLE as error:
        yield unknown(subject, f"the service was not reached: {error}")
    except BotoCoreError as error:
        yield wrong(subject, str(error))
