"""A container's endpoint for credentials, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` names it, with faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Self, TypeAlias

Fault: TypeAlias = Literal["hang", "drip", "error", "refuse", "garbage", "no member", "line break", "expired"]

DRIP_INTERVAL_S: Final = 0.3


class CredentialsEndpoint:
    """The endpoint; the access key of its n-th response is `AKIDn`."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        """What is wrong with responses from now on."""
        self.valid_for_s = 6 * 3600.0
        """How long the credentials of a response are valid."""
        self.requests = 0
        self.under_way = 0
        self.most_under_way = 0
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.url: str

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

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/credentials"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
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
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

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
        valid_for = -60.0 if self.fault == "expired" else self.valid_for_s
        members: dict[str, Any] = {
            "AccessKeyId": f"AKID{self.requests}",
            "SecretAccessKey": "secret-of-the-endpoint",
            "Token": "secret-of-the-endpoint" + ("\nX: y" if self.fault == "line break" else ""),
            "Expiration": (datetime.now(UTC) + timedelta(seconds=valid_for)).isoformat(),
        }
        if self.fault == "no member":
            del members["SecretAccessKey"]
        return json.dumps(members).encode()
