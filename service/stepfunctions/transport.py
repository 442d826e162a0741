"""Calls to an AWS service that speaks JSON 1.0 over HTTP, such as Step Functions, at a fraction of an SDK's CPU time.

Credentials and their refresh, the endpoint, proxies and the CA bundle come from the AWS SDK (service/app/aws.py). The
calls themselves do not, and no HTTP client makes them: each costs several times as much CPU time as a request takes
otherwise, and none says whether a call that failed had been sent (docs/performance.md). The protocol is "AWS JSON 1.0",
Smithy 2.0; errors are parsed as botocore parses them.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Self

import orjson

from service import __version__
from service.stepfunctions import json_text
from service.stepfunctions.connector import Connector
from service.stepfunctions.errors import AwsError, NoResponseError, NotSentError, Phase, describe
from service.stepfunctions.http1 import ConnectionClosedError, MalformedResponseError
from service.stepfunctions.pool import Pool
from service.stepfunctions.sigv4 import Signer

if TYPE_CHECKING:
    from types import TracebackType

    from botocore.credentials import ReadOnlyCredentials

    from service.stepfunctions.endpoint import Endpoint
    from service.stepfunctions.http1 import Connection

CREDENTIALS_TIMEOUT_S: Final = 4.5
"""Seconds that reading credentials may take, which are at hand but for their renewals."""

CREDENTIALS_KEPT_S: Final = 1.0
"""Seconds for which credentials are not asked for again: far less than they are still valid when they are renewed."""

_SENDABLE: Final = re.compile(r"[!-~]+")
_ERROR_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class AwsJsonClient:
    """Signed calls to an endpoint; on the wire an operation is called `target`.<operation>.

    `connect_timeout` limits the seconds of each phase before a request is sent, `response_timeout` those until its
    response is complete. Limits on concurrent calls and retries are left to the code
    that calls this. Raise ValueError if the endpoint cannot be used.
    """

    def __init__(self, endpoint: Endpoint, target: str, *, connect_timeout: float, response_timeout: float) -> None:
        self._target = target
        self._timeout = response_timeout
        self._credentials = endpoint.credentials
        self._last_credentials: ReadOnlyCredentials
        self._ask_again_at = 0.0
        self._connector = Connector(endpoint, connect_timeout)
        self._pool = Pool()
        self._signer = Signer(endpoint.url, endpoint.signing_name, endpoint.region)
        self._host = self._connector.address.host
        self._head = self._constant_head()
        self._date = b""
        self._date_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    @property
    def host(self) -> str:
        """The host that is called."""
        return self._host

    def now(self) -> float:
        """Return the time by AWS's clock, in seconds since the epoch: that of the last response, plus what has passed.

        This machine's clock may be wrong. It is used only if no response said when it was sent.
        """
        try:
            sent = parsedate_to_datetime(self._date.decode("latin-1")).timestamp()
        except (ValueError, OverflowError):
            return time.time()
        return sent + time.monotonic() - self._date_at

    async def call(self, operation: str, arguments: dict[str, Any], deadline: float = math.inf) -> dict[str, Any]:
        """Call an operation and return its response, at the latest at `deadline` by the event loop's clock.

        Raise AwsError, NotSentError or NoResponseError.
        """
        credentials = await self._read_credentials(deadline)
        try:
            request = self._request(f"{self._target}.{operation}", arguments, credentials)
        except Exception as error:
            raise self._not_sent("request", error) from error
        status, text = await self._send(request, deadline)
        try:
            result = json_text.loads(text)
        except ValueError:
            result = None
        if status >= 300:
            raise AwsError(_error_code(result, status), status, self._host)
        if not isinstance(result, dict):
            raise NoResponseError("response", self._host, f"{status} without a JSON object")
        return result

    def _constant_head(self) -> str:
        """Return the part of a request's head that is the same for all of them."""
        address, proxy = self._connector.address, self._connector.proxy
        target, proxy_header = address.path, ""
        if proxy is not None and not address.tls:  # the proxy forwards the request (RFC 9112, 3.2.2)
            target, proxy_header = f"http://{self._signer.host}{address.path}", proxy.header
        return (
            f"POST {target} HTTP/1.1\r\nHost: {self._signer.host}\r\n{proxy_header}"
            f"User-Agent: sync-front/{__version__}\r\nAccept-Encoding: identity\r\n"
        )

    async def _read_credentials(self, deadline: float) -> ReadOnlyCredentials:
        """Return credentials that can be sent; raise NotSentError."""
        now = asyncio.get_running_loop().time()
        if now < self._ask_again_at:
            return self._last_credentials
        try:
            async with asyncio.timeout_at(min(deadline, now + CREDENTIALS_TIMEOUT_S)):
                credentials = await self._credentials()
            _check(credentials)
        except Exception as error:  # a provider of credentials may raise anything; nothing was sent in any case
            raise self._not_sent("credentials", error) from error
        self._last_credentials, self._ask_again_at = credentials, now + CREDENTIALS_KEPT_S
        return credentials

    def _request(self, target: str, arguments: dict[str, Any], credentials: ReadOnlyCredentials) -> bytes:
        body = orjson.dumps(arguments)
        headers = self._signer.headers(target, body, credentials, time.time())
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        return f"{self._head}{lines}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body

    async def _send(self, request: bytes, deadline: float) -> tuple[int, bytes]:
        """Send a request, again if the server closed an idle connection just then, and return status and body."""
        loop = asyncio.get_running_loop()
        connection = self._pool.take(loop.time())
        sent = connection is not None
        if connection is not None:
            try:
                return await self._exchange(connection, request, deadline, loop)
            except ConnectionClosedError:
                pass  # the request may have been read nevertheless, which does no harm: every call may be repeated
        try:
            connection = await self._connector.connect(self._pool.connection, deadline)
        except NotSentError as error:
            if sent:
                raise NoResponseError(error.phase, error.host, error.reason) from error
            raise
        self._pool.add(connection, loop.time())
        try:
            return await self._exchange(connection, request, deadline, loop)
        except ConnectionClosedError as error:
            raise NoResponseError("response", self._host, describe(error)) from error

    async def _exchange(
        self, connection: Connection, request: bytes, deadline: float, loop: asyncio.AbstractEventLoop
    ) -> tuple[int, bytes]:
        try:
            response = await connection.exchange(request, min(deadline, loop.time() + self._timeout))
        except ConnectionClosedError:
            raise
        except MalformedResponseError as error:
            raise NoResponseError("response", self._host, str(error)) from error
        except OSError as error:  # a TimeoutError is an OSError
            raise NoResponseError("response", self._host, describe(error)) from error
        self._date, self._date_at = connection.date, time.monotonic()
        self._pool.put(connection, loop.time())
        return response

    def _not_sent(self, phase: Phase, error: Exception) -> NotSentError:
        return NotSentError(phase, self._host, describe(error))


def _check(credentials: ReadOnlyCredentials) -> None:
    """Raise ValueError, which does not show them, if credentials are missing or cannot be sent in a header."""
    for text in (credentials.access_key, credentials.secret_key, credentials.token or "-"):
        if not _SENDABLE.fullmatch(text or ""):
            raise ValueError("unusable credentials")


def _error_code(result: Any, status: int) -> str:
    """Return the code of an error, as botocore finds it; the status if there is none that looks like one."""
    code = result.get("__type") if isinstance(result, dict) else None
    if isinstance(code, str):
        code = code.partition(":")[0].rpartition("#")[2]  # it may have a URL behind it, and a namespace before it
        if _ERROR_CODE.fullmatch(code):
            return code
    return str(status)
