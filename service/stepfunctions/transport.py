"""Calls to an AWS service that speaks JSON 1.0 over HTTP, such as Step Functions, at a fraction of an SDK's CPU time.

Credentials and their refresh, the endpoint, proxies and the CA bundle come from the AWS SDK (service/app/aws.py). The
calls themselves do not: aioboto3 spends several times as much CPU time on one as everything else about a request takes
(docs/performance.md). The protocol is "AWS JSON 1.0", Smithy 2.0; errors are
parsed as botocore parses them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson
from yarl import URL

from service.stepfunctions import json_text
from service.stepfunctions.sigv4 import Signer

if TYPE_CHECKING:
    from types import TracebackType

    from botocore.credentials import ReadOnlyCredentials

    from service.stepfunctions.endpoint import Endpoint


class AwsError(Exception):
    """The service returned an error."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        """The error's code, without its namespace."""
        self.status = status
        """The HTTP status."""


class NotSentError(Exception):
    """Nothing was sent to the service: no connection, or no credentials."""


class NoResponseError(Exception):
    """Something was sent, and no readable response came: the call may have been carried out."""


class AwsJsonClient:
    """Signed calls to an endpoint; on the wire an operation is called `target`.<operation>.

    `connect_timeout` limits the seconds to connect, `read_timeout` the seconds without a byte of the response. Limits
    on concurrent calls and retries are left to the code that calls this.
    """

    def __init__(self, endpoint: Endpoint, target: str, *, connect_timeout: float, read_timeout: float) -> None:
        self._endpoint = endpoint
        self._target = target
        self._timeout = aiohttp.ClientTimeout(sock_connect=connect_timeout, sock_read=read_timeout)
        self._url = URL(endpoint.url, encoded=True)
        self._signer = Signer(endpoint.url, endpoint.signing_name, endpoint.region)
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._endpoint.tls),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call an operation and return its response; raise AwsError, NotSentError or NoResponseError."""
        target = f"{self._target}.{operation}"
        body = orjson.dumps(arguments)
        headers = self._signer.headers(target, body, await self._credentials(), time.time())
        headers["Accept-Encoding"] = "identity"
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, allow_redirects=False, proxy=self._endpoint.proxy
            ) as response:
                text = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError) as error:
            raise NotSentError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoResponseError(type(error).__name__) from error
        result = _parse(text, response.status)
        if response.status >= 300:
            code = result.get("__type")
            raise AwsError(code.rpartition("#")[2] if isinstance(code, str) else str(response.status), response.status)
        return result

    async def _credentials(self) -> ReadOnlyCredentials:
        try:
            return await self._endpoint.credentials()
        except Exception as error:  # a provider of credentials may raise anything; nothing was sent in any case
            raise NotSentError(type(error).__name__) from error


def _parse(text: bytes, status: int) -> dict[str, Any]:
    try:
        result = json_text.loads(text)
    except ValueError:
        if status < 300 or status >= 500:
            raise NoResponseError("not JSON") from None
        return {}  # a proxy's error page: its status says enough
    if not isinstance(result, dict):
        raise NoResponseError("not a JSON object")
    return result
