"""The trace context of a request, in the form that Step Functions passes on.

A W3C `traceparent` (Trace Context, level 1) becomes an X-Ray header with the same trace id; X-Ray accepts ids in W3C
format ("Sending trace data", AWS X-Ray Developer Guide). It takes precedence over `X-Amzn-Trace-Id`, because load
balancers write that header themselves.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACEPARENT: Final = "traceparent"
AMZN_TRACE_ID: Final = "X-Amzn-Trace-Id"

# Versions after 00 may have more fields after the flags; version ff and all-zero ids are invalid.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<epoch>[0-9a-f]{8})(?P<unique>[0-9a-f]{24})"
    r"-(?!0{16})(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_AMZN_FIELD: Final = re.compile(r"(Root|Parent|Sampled)=([A-Za-z0-9-]{1,64}|\?)")
_AMZN_ROOT: Final = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")


def trace_header(headers: Mapping[str, str]) -> str | None:
    """Return the X-Ray trace header for StartExecution (`Root=...;Parent=...;Sampled=...`), None without a valid one.

    No other part of the caller's headers is passed on.
    """
    parent = headers.get(TRACEPARENT)
    if parent is not None and (converted := _from_traceparent(parent.strip())) is not None:
        return converted
    given = headers.get(AMZN_TRACE_ID)
    return None if given is None else _cleaned(given)


def trace_id(header: str | None) -> str | None:
    """Return the trace id of an X-Ray trace header, in W3C format."""
    return None if header is None else header[7:15] + header[16:40]


def _from_traceparent(text: str) -> str | None:
    match = _TRACEPARENT.fullmatch(text)
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    sampled = int(match["flags"], 16) & 1
    return f"Root=1-{match['epoch']}-{match['unique']};Parent={match['parent']};Sampled={sampled}"


def _cleaned(text: str) -> str | None:
    # Load balancers add `Self`, others their own fields; these are dropped.
    found = [field.strip() for field in text[:256].split(";")]
    fields = {match[1]: match[2] for field in found if (match := _AMZN_FIELD.fullmatch(field))}
    if _AMZN_ROOT.fullmatch(fields.get("Root", "")) is None:
        return None
    return ";".join(f"{name}={fields[name]}" for name in ("Root", "Parent", "Sampled") if name in fields)
