"""Authorisation by IAM: AWS Signature Version 4, made afresh for each use.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol": whatever it is for, what
is signed is a POST to the HTTP endpoint, with a fixed set of headers and a body that says what shall be done.

Apart from the rest of the package, because it needs botocore.
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
    """What is needed of an SDK session, such as that of aioboto3 or aiobotocore."""

    async def get_credentials(self) -> Any:
        """Return credentials with a coroutine method `get_frozen_credentials`, None if there are none."""
        ...


class Iam(Authorizer):
    """Authorisation by the credentials of an SDK session, which refreshes them itself where they expire.

    They need `appsync:EventConnect` and `appsync:EventSubscribe` (to publish, `appsync:EventPublish`). `http_url` is
    the API's HTTP endpoint; `region` is for one on a domain of its own, else the endpoint names it. Raises ValueError
    for a URL without a host. Whatever botocore raises for credentials comes out of the method that needed them.
    """

    def __init__(self, http_url: str, session: CredentialsSource, region: str) -> None:
        self._host = http_host(http_url)
        self._session = session
        named = _REGION.search(self._host)
        self._region = named[1] if named else region

    def __repr__(self) -> str:
        return f"Iam(host={self._host!r}, region={self._region!r})"

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
        """Look which credentials the session has now: it alone knows when to read them again."""
        return hash(await self._credentials())

    async def _credentials(self) -> ReadOnlyCredentials:
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        frozen: ReadOnlyCredentials = await credentials.get_frozen_credentials()
        return frozen

    async def _sign(self, body: bytes) -> dict[str, str]:
        headers = _HEADERS | {"host": self._host}
        # Whatever the scheme of the endpoint is, only host and path go into the signature.
        request = AWSRequest("POST", f"https://{self._host}/event", headers, body)
        SigV4Auth(await self._credentials(), "appsync", self._region).add_auth(request)
        # As the guide writes them; a dict, because orjson takes no other mapping.
        return {name if name == "Authorization" else name.lower(): value for name, value in request.headers.items()}
