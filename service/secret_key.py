"""The AppSync API key from Secrets Manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiobotocore.config import AioConfig

from service.appsync import ApiKey, Authorizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aioboto3


class SecretApiKey(Authorizer):
    """Authorisation by an API key that is kept in a secret: read at its first use, and again once it is refused.

    `secret` is its name, in `region`, or its ARN, which names its region itself. It holds the key as text, or as
    `api_key` of a JSON object. Whatever botocore raises while it is read comes out of the method that needed the key,
    and the link tries again.
    """

    def __init__(self, http_url: str, session: aioboto3.Session, secret: str, region: str) -> None:
        self._http_url = http_url
        self._session = session
        self._secret = secret
        # arn:<partition>:secretsmanager:<region>:<account>:secret:<name>
        self._region = secret.split(":")[3] if secret.startswith("arn:") else region
        self._key: ApiKey | None = None

    async def connect(self) -> dict[str, str]:
        """Return the authorisation object of the handshake."""
        return await (await self._current()).connect()

    async def subscribe(self, channel: str) -> dict[str, str]:
        """Return the authorisation object of one subscription."""
        return await (await self._current()).subscribe(channel)

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        """Return the headers of one HTTP publish request."""
        return await (await self._current()).publish(channel, events)

    async def refresh(self) -> None:
        """Read the secret again."""
        self._key = ApiKey(self._http_url, await self._read())

    async def _current(self) -> ApiKey:
        if self._key is None:
            self._key = ApiKey(self._http_url, await self._read())
        return self._key

    async def _read(self) -> str:
        config = AioConfig(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
        async with self._session.client("secretsmanager", region_name=self._region, config=config) as client:
            text: str = (await client.get_secret_value(SecretId=self._secret))["SecretString"].strip()
        if not text.startswith("{"):
            return text
        key = orjson.loads(text)["api_key"]
        if not isinstance(key, str):
            raise TypeError("the secret's api_key is not a string")
        return key
