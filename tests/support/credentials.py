"""A container's endpoint for credentials, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` names it, with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from tests.support.tcp import Server

Fault: TypeAlias = Literal["hang", "drip", "error", "refuse", "garbage", "no member", "line break", "expired"]

DRIP_INTERVAL_S: Final = 0.3


class CredentialsEndpoint(Server):
    """The endpoint; the access key of its n-th response is `AKIDn`."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Fault | None = None
        """What is wrong with responses from now on."""
        self.valid_for_s = 6 * 3600.0
        """How long the credentials of a response are valid."""
        self.requests = 0
        self.under_way = 0
        self.most_under_way = 0
        self.expires_at = 0.0
        """When the credentials of the last response expire, in seconds since the epoch."""
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/credentials"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that make the SDK ask here, and nowhere else."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url,
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    async def arrived(self, number: int) -> None:
        """Wait for the request of this number, from 1."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: self.requests >= number)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        async with self._arrived:
            self.requests += 1
            self._arrived.notify_all()
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._respond(reader, writer)
        finally:
            self.under_way -= 1

    async def _respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.fault == "refuse":
            return
        if self.fault == "hang":
            await reader.read()  # until the client gives up
            return
        status = "500 Internal Server Error" if self.fault == "error" else "200 OK"
        body = self._body()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        for chunk in [head + body] if self.fault != "drip" else [head, *(bytes([byte]) for byte in body)]:
            writer.write(chunk)
            await writer.drain()
            if self.fault == "drip":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRIP_INTERVAL_S):
                        await reader.read()
                        return  # the client has given up
        writer.write_eof()
        await reader.read()

    def _body(self) -> bytes:
        if self.fault == "error":
            return b"secret-of-the-endpoint"
        if self.fault == "garbage":
            return b"<html>secret-of-the-endpoint</html>"
        self.expires_at = time.time() + (-60.0 if self.fault == "expired" else self.valid_for_s)
        members: dict[str, Any] = {
            "AccessKeyId": f"AKID{self.requests}",
            "SecretAccessKey": "secret-of-the-endpoint",
            "Token": "secret-of-the-endpoint" + ("\nX: y" if self.fault == "line break" else ""),
            "Expiration": datetime.fromtimestamp(self.expires_at, UTC).isoformat(),
        }
        if self.fault == "no member":
            del members["SecretAccessKey"]
        return json.dumps(members).encode()
