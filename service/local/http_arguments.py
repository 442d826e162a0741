"""The arguments of http:invoke.

Source: AWS Step Functions Developer Guide, "Call HTTPS APIs in Step Functions workflows".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from service.local.json_text import Json

_REQUIRED = ("ApiEndpoint", "Method", "Authentication")
_ARGUMENTS = {*_REQUIRED, "Headers", "QueryParameters", "RequestBody"}
METHODS: Final = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"}
_FORBIDDEN_HEADERS = re.compile(
    r"a-im|accept-(charset|datetime|encoding)|authorization|cache-control|connection|content-encoding|content-md5|date"
    r"|expect|forwarded|from|host|http2-settings|if-.*|keep-alive|max-forwards|origin|pragma|proxy-.*|range|referer"
    r"|server|te|trailer|transfer-encoding|upgrade|via|warning|www-authenticate|x-forwarded-.*|x-amz-.*|x-amzn-.*",
    re.IGNORECASE,
)


def argument_faults(arguments: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield name and reason for each argument that is missing or rejected; those yet to be evaluated pass."""
    for name in _REQUIRED:
        if name not in arguments and f"{name}.$" not in arguments:
            yield name, "is missing"
    for name in arguments:
        if name.removesuffix(".$") not in _ARGUMENTS:
            yield name, "is not implemented"
    method, authentication, headers = (arguments.get(name) for name in ("Method", "Authentication", "Headers"))
    if isinstance(method, str) and method not in METHODS and not method.startswith("{%"):
        yield "Method", f"must be one of {', '.join(sorted(METHODS))}"
    if isinstance(authentication, dict) and not authentication.keys() & {"ConnectionArn", "ConnectionArn.$"}:
        yield "Authentication.ConnectionArn", "is missing"
    for header in headers if isinstance(headers, dict) else ():
        if _FORBIDDEN_HEADERS.fullmatch(header):
            yield f"Headers.{header}", "is a header that http:invoke does not allow"
