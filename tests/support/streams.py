"""A parser of Server-Sent Events that follows the HTML standard."""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeAlias

import aiohttp

Event: TypeAlias = tuple[str, str | None, Any]
"""Name, id, data as JSON."""


class Events:
    """The events in one response."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self.comments = 0
        self.retry: int | None = None

    async def line(self) -> str | None:
        """Return the next line, or None at the end; count comments and return an empty string for each."""
        async with asyncio.timeout(20):
            raw = await self._content.readline()
        if not raw:
            return None
        assert raw.endswith(b"\n")
        line = raw[:-1].decode()
        if line.startswith(":"):
            self.comments += 1
            return ""
        return line

    async def next(self) -> Event | None:
        """Return the next event, or None at the end of the stream."""
        name, id_, data = "message", None, None
        while (line := await self.line()) is not None:
            field, _, value = line.partition(": ")
            match field:
                case "event":
                    name = value
                case "id":
                    id_ = value
                case "data":
                    data = value
                case "retry":
                    self.retry = int(value)
                case "":
                    if data is not None:
                        return name, id_, json.loads(data)
        return None

    async def all(self) -> list[Event]:
        """Return all events until the end of the stream."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found
