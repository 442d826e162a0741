"""The http:invoke task: an HTTP request with the credentials of an EventBridge connection.

Source: AWS Step Functions Developer Guide, "Call HTTPS APIs in Step Functions workflows".
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp

from service.local.asl.limits import MAX_DATA_BYTES
from service.local.asl.retry import StateError
from service.local.http_arguments import METHODS, argument_faults
from service.local.json_text import Json, encode, loads

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUEST_TIMEOUT_S = 60  # applies even if TimeoutSeconds is longer


class HttpTask:
    """Sends the requests of all executions over one session; the interpreter limits how many at a time."""

    def __init__(self, connections: Mapping[str, Mapping[str, str]]) -> None:
        """Take the headers that each connection adds to a request, by its ARN."""
        self._connections = connections
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def invoke(self, arguments: Json) -> Json:
        """Send the request; StateError States.Http.StatusCode.NNN, States.Http.Socket and others, as in the source."""
        url, method, headers, query, body = self._request(arguments)
        try:
            async with self._session.request(
                method, url, headers=headers, params=query, data=body, allow_redirects=False
            ) as response:
                text = await _text(response)
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            raise StateError("States.Http.Socket", f"the request failed: {type(error).__name__}") from error
        except ValueError as error:
            raise StateError("States.Runtime", "the arguments do not make a valid request") from error
        if not 200 <= response.status < 300:
            raise StateError(f"States.Http.StatusCode.{response.status}", text[:1000])
        return {
            "StatusCode": response.status,
            "StatusText": response.reason or "",
            "Headers": {name.lower(): response.headers.getall(name) for name in response.headers},
            "ResponseBody": _response_body(text),
        }

    def _request(self, arguments: Json) -> tuple[str, str, dict[str, str], dict[str, str] | None, bytes | None]:
        """Check the arguments; StateError States.Runtime for those that Step Functions rejects."""
        if not isinstance(arguments, dict):
            raise StateError("States.Runtime", "Arguments of http:invoke must be an object")
        for name, reason in argument_faults(arguments):
            raise StateError("States.Runtime", f"argument {name} of http:invoke: {reason}")
        try:
            url, method = arguments["ApiEndpoint"], arguments["Method"]
            connection = arguments["Authentication"]["ConnectionArn"]
            headers = {str(name): str(value) for name, value in arguments.get("Headers", {}).items()}
            query = {str(name): str(value) for name, value in arguments.get("QueryParameters", {}).items()}
        except (TypeError, KeyError, AttributeError) as error:
            raise StateError("States.Runtime", "an argument of http:invoke has the wrong type") from error
        if not isinstance(url, str) or method not in METHODS:
            raise StateError("States.Runtime", "ApiEndpoint or Method of http:invoke is invalid")
        if connection not in self._connections and not _is_loopback(url):
            raise StateError("Events.ConnectionResource.ResourceNotFound", f"connection {connection!r} does not exist")
        headers |= self._connections.get(connection, {})
        body = encode(arguments["RequestBody"]) if "RequestBody" in arguments else None
        if body is not None and "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
        return url, method, headers, query or None, body


def _is_loopback(url: str) -> bool:
    """Return whether a request stays on this machine, for which any connection is good enough."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _text(response: aiohttp.ClientResponse) -> str:
    """Read the body; StateError if it is more than a state may take."""
    content = b""
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > MAX_DATA_BYTES:
            raise StateError("States.DataLimitExceeded", f"the response is larger than {MAX_DATA_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise StateError("States.Runtime", "the response is not UTF-8 text") from error


def _response_body(text: str) -> Json:
    try:
        return loads(text)
    except ValueError:
        return text
