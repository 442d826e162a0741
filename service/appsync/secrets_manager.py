"""Authorisation by an API key from AWS Secrets Manager."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import orjson
from aiobotocore.config import AioConfig

from .auth import ApiKey, Authorizer
from .errors import AuthorizerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import aioboto3

MIN_READ_INTERVAL_S: Final = 1.0
"""Minimum seconds between two reads of the secret, however many refusals there are."""


class SecretsManagerApiKey(Authorizer):
    """Authorisation by an API key in a secret, which is read at its first use and again after a refusal.

    `secret` is the secret's name in `region`, or its ARN, which contains its region. It holds the key as text, or as
    `api_key` of a JSON object. If the secret cannot be read, the method that needs the key raises whatever botocore
    raises, or AuthorizerError if it holds no key, and the link makes another attempt.
    """

    def __init__(self, http_url: str, session: aioboto3.Session, secret: str, region: str) -> None:
        self._http_url = http_url
        self._session = session
        self._secret = secret
        # arn:<partition>:secretsmanager:<region>:<account>:secret:<name>
        self.region = secret.split(":")[3] if secret.startswith("arn:") else region
        """The region of the secret."""
        self._read_at = 0.0
        self._read_lock = asyncio.Lock()
        self._key: ApiKey | None = None

    async def connect(self) -> dict[str, str]:
        """Return the authorisation object of the handshake."""
        return await (await self._api_key()).connect()

    async def subscribe(self, channel: str) -> dict[str, str]:
        """Return the authorisation object of one subscription."""
        return await (await self._api_key()).subscribe(channel)

    async def publish(self, channel: str, events: Sequence[str]) -> dict[str, str]:
        """Return the headers of one HTTP publish request."""
        return await (await self._api_key()).publish(channel, events)

    async def refresh(self) -> int:
        """Read the secret again, unless it was read within the last second."""
        return await (await self._reload()).refresh()

    async def _api_key(self) -> ApiKey:
        return self._key or await self._reload()

    async def _reload(self) -> ApiKey:
        async with self._read_lock:
            if self._key is None or time.monotonic() - self._read_at >= MIN_READ_INTERVAL_S:
                self._key = self._parse(await self._read())
                self._read_at = time.monotonic()
            return self._key

    async def _read(self) -> str | None:
        config = AioConfig(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})
        async with self._session.client("secretsmanager", region_name=self.region, config=config) as client:
            text: str | None = (await client.get_secret_value(SecretId=self._secret)).get("SecretString")
            return text

    def _parse(self, text: str | None) -> ApiKey:
        """Return the key in the secret; raise AuthorizerError, which names the secret and not what it holds."""
        key = text
        if text is not None and text.lstrip().startswith("{"):
            try:
                key = orjson.loads(text)["api_key"]
            except (ValueError, LookupError):
                key = None
        if not isinstance(key, str):
            raise AuthorizerError(f"the secret {self._secret} holds neither text nor JSON with a text `api_key`")
        try:
            return ApiKey(self._http_url, key)
        except ValueError as error:
            raise AuthorizerError(f"the secret {self._secret} cannot be used: {error}") from None
