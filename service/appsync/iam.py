"""Authorisation by IAM: a new AWS Signature Version 4 for each use.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol": in every case, the
signature is that of a POST to the HTTP endpoint with a fixed set of headers. The body says what is requested.

The package does not import this module itself, because it needs botocore.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

from .auth import Authorizer, http_host
from .publisher import publish_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from botocore.credentials import ReadOnlyCredentials

_HEADERS = {
    "accept": "application/json, text/javascript",
    "content-encoding": "amz-1.0",
    "content-type": "application/json; charset=UTF-8",
}
_REGION = re.compile(r"\.appsync-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?(?::\d+)?")


class CredentialsSource(Protocol):
    """The part of an SDK session (of aioboto3 or aiobotocore) that is needed here."""

    async def get_credentials(self) -> Any:
        """Return credentials with a coroutine method `get_frozen_credentials`, or None if the session has none."""
        ...


class Iam(Authorizer):
    """Authorisation by the credentials of an SDK session, which refreshes them itself when they expire.

    They need `appsync:EventConnect` and `appsync:EventSubscribe` (to publish, `appsync:EventPublish`). `http_url` is
    the API's HTTP endpoint. Its host names the region; `region` is for a custom domain. Raises ValueError for a URL
    without a host. Methods that need the credentials raise whatever botocore raises.
    """

    def __init__(self, http_url: str, session: CredentialsSource, region: str) -> None:
        self._host = http_host(http_url)
        self._session = session
        match = _REGION.search(self._host)
        self.region = match[1] if match else region
        """The region in signatures."""

    def __repr__(self) -> str:
        return f"Iam(host={self._host!r}, region={self.region!r})"

    async def connect(self) -> dict[str, str]:
        """Return the headers that sign an empty object."""
        return await self._sign(b"{}")

    async def subscribe(self, channel: str) -> dict[str, str]:
        """Return the headers that sign the channel."""
        return await self._sign(orjson.dumps({"channel": channel}))

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        """Return the headers that sign the request's body."""
        return await self._sign(publish_body(channel, events))

    async def refresh(self) -> int:
        """Return a fingerprint of the session's credentials; the session itself decides when to read them again."""
        return hash(await self._credentials())

    async def _credentials(self) -> ReadOnlyCredentials:
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen: ReadOnlyCredentials = await credentials.get_frozen_credentials()
        return frozen

    async def _sign(self, body: bytes) -> dict[str, str]:
        headers = _HEADERS | {"host": self._host}
        # The signature covers only host and path, whatever the scheme of the endpoint.
        request = AWSRequest("POST", f"https://{self._host}/event", headers, body)
        SigV4Auth(await self._credentials(), "appsync", self.region).add_auth(request)
        # Names as in the guide; a dict, because orjson accepts no other mapping.
        return {name if name == "Authorization" else name.lower(): value for name, value in request.headers.items()}
