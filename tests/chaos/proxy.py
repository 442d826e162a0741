"""A TCP proxy that injects network faults between the service and the local AWS."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from typing import Self
from urllib.parse import urlsplit

CHUNK = 64 * 1024


class Proxy:
    """Forwards connections to the host and port of `url`. Its attributes may be set at any time and apply at once."""

    def __init__(self, url: str, rng: random.Random) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._target = (parts.hostname, parts.port)
        self._url = parts
        self._rng = rng
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, asyncio.StreamWriter | None]] = {}
        self.calm()

    def calm(self) -> None:
        """Turn every fault off."""
        self.latency = 0.0
        """Seconds by which every chunk is delayed, plus a random time of up to `jitter`."""
        self.jitter = 0.0
        self.bandwidth: float | None = None
        """Bytes per second in each direction; None for no limit."""
        self.black_hole = False
        """Whether all data is discarded while connections stay open."""
        self.refusing = False
        """Whether new connections are reset."""

    @property
    def url(self) -> str:
        """The target's URL with the address of this proxy."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return self._url._replace(netloc=f"127.0.0.1:{port}").geturl()

    @property
    def connections(self) -> int:
        """Connections open at the moment."""
        return len(self._pairs)

    def reset(self) -> None:
        """Reset every connection in both directions, as a crashed peer does."""
        for client, server in self._pairs.values():
            _reset(client)
            _reset(server)

    def half_close(self) -> None:
        """End the stream to the client on every connection and keep the stream from the client open."""
        for client, _ in self._pairs.values():
            if not client.is_closing() and client.can_write_eof():
                client.write_eof()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        tasks = list(self._pairs)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.refusing:
            _reset(writer)
            return
        self._pairs[task] = (writer, None)
        to_target: asyncio.StreamWriter | None = None
        try:
            from_target, to_target = await asyncio.open_connection(*self._target)
            self._pairs[task] = (writer, to_target)
            pumps = [
                asyncio.create_task(self._pump(reader, to_target)),
                asyncio.create_task(self._pump(from_target, writer)),
            ]
            try:
                await asyncio.gather(*pumps)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            _reset(writer)
        except asyncio.CancelledError:
            pass  # the proxy is closing; asyncio's server would log an error
        finally:
            del self._pairs[task]
            for end in (writer, to_target):
                if end is not None:
                    end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            pause = self.latency + self._rng.uniform(0, self.jitter)
            if self.bandwidth is not None:
                pause += len(chunk) / self.bandwidth
            if pause:
                await asyncio.sleep(pause)
            if self.black_hole:
                continue  # discarded for good, as by a peer that has vanished
            writer.write(chunk)
            await writer.drain()
        if not self.black_hole and writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()


def _reset(writer: asyncio.StreamWriter | None) -> None:
    if writer is None or writer.is_closing():
        return
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
