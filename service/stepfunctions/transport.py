"""Calls to an AWS service that speaks JSON 1.0 over HTTP, such as Step Functions, at a fraction of an SDK's CPU time.

Credentials and their refresh, the endpoint, proxies and the CA bundle still come from aioboto3 and botocore. The calls
themselves do not: aioboto3 spends several times as much CPU time on one as everything else about a request takes
(docs/performance.md). The protocol is "AWS JSON 1.0", Smithy 2.0; errors are
parsed as botocore parses them.
"""

from __future__ import annotations

import ssl
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal, Self

import aiohttp
import orjson
from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.exceptions import ClientError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies
from yarl import URL

from service.stepfunctions import json_text
from service.stepfunctions.sigv4 import Signer

if TYPE_CHECKING:
    from types import TracebackType

    import aioboto3
    from aiobotocore.credentials import AioCredentials
    from botocore.credentials import ReadOnlyCredentials


class AwsError(Exception):
    """The service returned an error."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        """The error's code, without its namespace."""
        self.status = status
        """The HTTP status; 0 if the error came while credentials were read."""


class NotSentError(Exception):
    """Nothing was sent to the service: no connection, or no credentials."""


class NoResponseError(Exception):
    """Something was sent, and no readable response came: the call may have been carried out."""


class AwsJsonClient:
    """Signed calls to `service`, named as in aioboto3; on the wire an operation is called `target`.<operation>.

    `connect_timeout` limits the seconds to connect, `read_timeout` the seconds without a byte of the response. Limits
    on concurrent calls and retries are left to the code that calls this.
    """

    def __init__(
        self,
        session: aioboto3.Session,
        service: Literal["stepfunctions"],
        target: str,
        *,
        region: str,
        endpoint_url: str | None,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self._session = session
        self._service = service
        self._target = target
        self._region = region
        self._endpoint_url = endpoint_url
        self._timeout = aiohttp.ClientTimeout(sock_connect=connect_timeout, sock_read=read_timeout)
        self._stack = AsyncExitStack()
        self._credentials: AioCredentials | None = None
        self._url: URL
        self._proxy: str | None
        self._signer: Signer
        self._http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        url, signing_name = await self._resolve()
        # aiohttp's `trust_env` reads the environment in a thread for each request, and would also apply .netrc.
        self._proxy = get_environ_proxies(url).get(URL(url).scheme)
        self._url = URL(url, encoded=True)
        self._signer = Signer(url, signing_name, self._region)
        self._http = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl()),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call an operation and return its response; raise AwsError, NotSentError or NoResponseError."""
        target = f"{self._target}.{operation}"
        body = orjson.dumps(arguments)
        headers = self._signer.headers(target, body, await self._frozen_credentials(), time.time())
        headers["Accept-Encoding"] = "identity"
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy
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

    async def _resolve(self) -> tuple[str, str]:
        """Return the URL that the SDK would call, wherever it is configured, and the service's name in signatures."""
        # A presigned URL without its query is where the call would go. Unsigned, so that no credentials are needed.
        config = AioConfig(signature_version=UNSIGNED)
        async with self._session.client(
            self._service, region_name=self._region, endpoint_url=self._endpoint_url, config=config
        ) as client:
            url = await client.generate_presigned_url("list_state_machines")
            return url.partition("?")[0], client.meta.service_model.signing_name

    def _ssl(self) -> ssl.SSLContext:
        # AWS_CA_BUNDLE or the profile's ca_bundle; else the certificates that botocore would take.
        bundle = self._session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - aioboto3 has no other way
        return ssl.create_default_context(cafile=get_cert_path(bundle or True))

    async def _frozen_credentials(self) -> ReadOnlyCredentials:
        try:
            if self._credentials is None:
                self._credentials = await self._session.get_credentials()  # type: ignore[misc]  # a coroutine in fact
            if self._credentials is not None:
                return await self._credentials.get_frozen_credentials()
        except ClientError as error:  # such as AssumeRole refused
            raise AwsError(error.response.get("Error", {}).get("Code", ""), 0) from error
        except Exception as error:  # a provider of credentials may raise anything; nothing was sent in any case
            raise NotSentError(type(error).__name__) from error
        raise NotSentError("no credentials")


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
