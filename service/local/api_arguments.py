"""The arguments of API calls, and the errors for those that AWS refuses.

Source: AWS Step Functions API Reference.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.local.json_text import Json

_ARN = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(stateMachine|execution):[^:]+(:[^:]+)?")


class ApiError(Exception):
    """An error response of the API."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status


def invalid(member: str, constraint: str) -> ApiError:
    """Return the error for a value that breaks a constraint."""
    message = f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"
    return ApiError("ValidationException", message)


def string(arguments: Json, member: str, *, required: bool = True, length: int | None = None) -> str | None:
    """Return a string; None if it is missing and need not be there. ApiError otherwise, or above this many bytes."""
    value = arguments.get(member)
    if value is None and not required:
        return None
    if value is None:
        raise invalid(member, "Member must not be null")
    if not isinstance(value, str):
        raise ApiError("SerializationException", f"{member} must be a string")
    if length is not None and len(value.encode(errors="surrogatepass")) > length:
        raise invalid(member, f"Member must have length less than or equal to {length}")
    return value


def arn_of(arguments: Json, member: str) -> str:
    """Return an ARN; ApiError if it is not one."""
    value = string(arguments, member, length=256) or ""
    if not _ARN.fullmatch(value):
        raise ApiError("InvalidArn", f"Invalid Arn: '{value}'")
    return value


def page_size(arguments: Json) -> int:
    """Return how many items a page has at most; ApiError if that is not a valid number."""
    size = arguments.get("maxResults", 0)
    if not isinstance(size, int) or not 0 <= size <= 1000:
        raise invalid("maxResults", "Member must have value between 0 and 1000")
    return size or 100


def page_token(arguments: Json) -> int | None:
    """Return the number that `token_of` has made a token of, None if there is none; ApiError if it is not valid."""
    token = string(arguments, "nextToken", required=False, length=1024)
    try:
        return None if token is None else int(base64.b64decode(token, validate=True))
    except ValueError as error:
        raise ApiError("InvalidToken", "Invalid Token: 'nextToken'") from error


def token_of(number: int) -> str:
    """Return the token of the next page."""
    return base64.b64encode(str(number).encode()).decode()
