"""The requests of the smoke test: each starts a workflow that waits, and is judged by what comes back and when."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMENT_INTERVAL_S: Final = 10.0
"""Seconds without an event after which the service sends a comment on a stream."""

PATIENCE_S: Final = 30.0
"""Seconds after the end of a wait in which its response has to arrive."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One request."""

    seconds: float
    """How long its workflow takes."""
    prefer: int
    """How many seconds it asks the service to wait."""
    stream: bool = False
    """Whether it asks for an event stream."""

    def __str__(self) -> str:
        kind = "stream" if self.stream else "plain POST"
        return f"{kind} of {self.seconds:g} s, Prefer: wait={self.prefer}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a request."""

    ok: bool
    """Whether it was answered as promised."""
    text: str
    """What came back, and what that means if it is wrong."""


WAITS: Final = (Wait(55, 60), Wait(280, 285), Wait(600, 890, stream=True))
"""What a deployment has to be able to do: an ordinary wait, the longest plain one, and ten minutes as a stream."""


async def send(http: aiohttp.ClientSession, url: str, wait: Wait, headers: Mapping[str, str]) -> Finding:
    """Send a request to a URL, `.../event`, and judge the response; raise nothing."""
    sent = {**headers, "Prefer": f"wait={wait.prefer}"}
    if wait.stream:
        sent["Accept"] = "text/event-stream"
    began = time.monotonic()
    try:
        async with (
            asyncio.timeout(wait.prefer + PATIENCE_S),
            http.post(url, json={"seconds": wait.seconds}, headers=sent) as response,
        ):
            if wait.stream and response.content_type == "text/event-stream":
                return await _judge_stream(response, wait, began)
            text = await response.text()
            return _judge(response, text, wait, time.monotonic() - began)
    except (aiohttp.ClientError, TimeoutError) as error:
        return Finding(
            False, f"{type(error).__name__} after {time.monotonic() - began:.1f} s: a hop cut the connection"
        )


def _judge(response: aiohttp.ClientResponse, text: str, wait: Wait, seconds: float) -> Finding:
    came = f"{response.status} after {seconds:.1f} s"
    applied = response.headers.get("Preference-Applied", "nothing")
    match response.status:
        case 200 if not wait.stream:
            early = seconds < wait.seconds
            return Finding(not early, came + (", before its workflow can have ended: does it wait?" if early else ""))
        case 202:
            return Finding(False, f"{came}: the service waited too short a time; it applied {applied}")
        case 504:
            return Finding(False, f"{came}: a hop gave up before the service did")
    return Finding(False, f"{came}: {text[:200]}")


async def _judge_stream(response: aiohttp.ClientResponse, wait: Wait, began: float) -> Finding:
    last, names, longest = began, [], 0.0
    first: float | None = None
    async for line in response.content:
        now = time.monotonic()
        first = first or now - began
        longest, last = max(longest, now - last), now
        if line.startswith(b"event: "):
            names.append(line.removeprefix(b"event: ").strip().decode())
    came = f"{', '.join(names) or 'nothing'} in {last - began:.1f} s, the longest silence {longest:.1f} s"
    if not names or names[-1] != "result":
        return Finding(False, f"{came}: it ended without the result")
    if first is not None and first >= wait.seconds:
        return Finding(False, f"{came}: all of it came at the end, so a hop does not stream")
    return Finding(longest < 3 * COMMENT_INTERVAL_S, came)
