from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError, ReadTimeoutError

from tools.preflight.findings import Line, Verdict, guarded, ok


def failing(error: Exception) -> Iterator[Line]:
    yield ok("first", "done")
    raise error


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "the reason"}}, "GetThing")


@pytest.mark.parametrize(
    ("error", "verdict", "detail"),
    [
        (client_error("AccessDenied"), Verdict.UNKNOWN, "not allowed to look: GetThing is denied"),
        (client_error("AccessDeniedException"), Verdict.UNKNOWN, "not allowed to look: GetThing is denied"),
        (client_error("UnauthorizedOperation"), Verdict.UNKNOWN, "not allowed to look: GetThing is denied"),
        (client_error("ValidationException"), Verdict.WRONG, "GetThing failed: ValidationException: the reason"),
        (EndpointConnectionError(endpoint_url="https://aws"), Verdict.UNKNOWN, "the service was not reached"),
        (ReadTimeoutError(endpoint_url="https://aws"), Verdict.UNKNOWN, "the service was not reached"),
        (ParamValidationError(report="bad"), Verdict.WRONG, "bad"),
    ],
)
def test_an_error_becomes_the_last_line_of_its_check(error: Exception, verdict: Verdict, detail: str) -> None:
    first, last = guarded("thing", failing(error))
    assert first == ok("first", "done")
    assert (last.verdict, last.subject) == (verdict, "thing")
    assert detail in last.detail


def test_a_line_stays_one_line() -> None:
    assert str(ok("thing", "a\n  b")) == "ok       thing: a b"
