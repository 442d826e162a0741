"""Callers of every kind, and the history of what they got."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID
from zlib import crc32

import aiohttp

from tests.chaos.history import OUTCOMES, Call, problem_type

NAMES: Final = ("alice", "bob")
"""The callers where they are apart."""

CALLER_HEADER: Final = "X-Caller"

REQUEST_TIMEOUT_S: Final = 60.0
"""Default timeout of one request, and of the wait for an outcome at a Location."""


@dataclass(frozen=True, slots=True)
class Mix:
    """A mix of requests over a time, with the share of each kind; the rest simply wait for their results."""

    requests: int = 40
    seconds: float = 2.0
    waits: tuple[float, float] = (0.0, 1.0)
    """The shortest and the longest workflow, in seconds."""
    short_wait: float = 0.1
    """Prefer: wait=1."""
    asynchronous: float = 0.15
    """Prefer: respond-async; a third of these callers follow the execution, a third stop it."""
    leaving: float = 0.05
    """The caller disconnects before the response."""
    failing: float = 0.1
    """The workflow fails, for half of them in its first state."""
    large: float = 0.0
    """The result is too large for an event."""
    keyed: float = 0.0
    """Two requests at once with the same Idempotency-Key."""


class Callers:
    """Sends requests to the URL that `choose` returns for each attempt, and keeps the history.

    With a key, callers retry after a broken connection and after a 503, as the contract allows. If they are `apart`,
    each request is of one of NAMES, those with the same key of the same one; the same goes for `paths` of workflows.
    """

    def __init__(
        self,
        choose: Callable[[], str],
        rng: random.Random,
        timeout: float = REQUEST_TIMEOUT_S,
        *,
        apart: bool = False,
        paths: Sequence[str] = ("/event",),
    ) -> None:
        self._timeout = timeout
        self._paths = paths
        self._apart = apart
        self.history: list[Call] = []
        self._choose = choose
        self._rng = rng
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=timeout / 2),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def play(self, mix: Mix) -> None:
        """Send a mix of requests at regular intervals; return when each has its response."""
        async with asyncio.TaskGroup() as group:
            for _ in range(mix.requests):
                for request in self._plan(mix):
                    group.create_task(request)
                await asyncio.sleep(mix.seconds / mix.requests)

    def _plan(self, mix: Mix) -> list[Coroutine[Any, Any, object]]:
        rng = self._rng
        name = str(UUID(int=rng.getrandbits(128), version=4))
        event: dict[str, Any] = {"nome": name, "sobrenome": "x", "wait": round(rng.uniform(*mix.waits), 3)}
        if rng.random() < mix.failing:
            event |= rng.choice([{"sobrenome": 1}, {"wait": -1}])
        elif rng.random() < mix.large:
            event["sobrenome"] = "y" * 250_000
        if rng.random() < mix.keyed:
            return [self.post(event, key=name) for _ in range(2)]
        if rng.random() < mix.leaving:
            return [self.post(event, leave_after=rng.uniform(0, 0.5))]
        if rng.random() < mix.asynchronous:
            return [rng.choice((self.post_async, self.follow, self.abort))(event)]
        if rng.random() < mix.short_wait:
            return [self.post(event, Prefer="wait=1")]
        return [self.post(event)]

    async def post(
        self,
        event: dict[str, Any],
        *,
        key: str | None = None,
        path: str = "",
        leave_after: float | None = None,
        **headers: str,
    ) -> Call:
        """Send one request and record its response; with a key, retry after a broken connection."""
        path = path or self._paths[crc32(str(event["nome"]).encode()) // len(NAMES) % len(self._paths)]
        call = Call(event, key, path, waits=not headers)
        self.history.append(call)
        headers |= self._of(event)
        if key is not None:
            headers["Idempotency-Key"] = key
        began = time.monotonic()
        while call.status is None and not call.ended:
            try:
                async with (
                    asyncio.timeout(leave_after),
                    self._http.post(f"{self._choose()}{path}", json=event, headers=headers) as response,
                ):
                    body = await response.json(content_type=None)
                    call.location = response.headers.get("Location")
                    call.status, call.body, call.at = response.status, body, time.time()
            except TimeoutError:
                call.ended = "left" if leave_after is not None else ""
                break
            except aiohttp.ClientError as error:
                call.ended = "" if key is not None else f"broken: {type(error).__name__}"
                await asyncio.sleep(0.1)
            if call.status == 503 and key is not None and time.monotonic() - began < self._timeout / 2:
                call.status = None  # a retry, sooner than Retry-After says
                await asyncio.sleep(0.2)
        call.seconds = time.monotonic() - began
        return call

    async def post_async(self, event: dict[str, Any]) -> Call:
        """Send one request without waiting for its result."""
        return await self.post(event, Prefer="respond-async")

    async def follow(self, event: dict[str, Any]) -> None:
        """Send one request and wait for its outcome at its Location, at any instance."""
        call = await self.post_async(event)
        if call.location is not None:
            await self._request(call, "GET", call.location, Prefer="wait=5")

    async def abort(self, event: dict[str, Any]) -> None:
        """Send one request and stop its execution."""
        call = await self.post_async(event)
        if call.location is not None:
            await self._request(call, "DELETE", call.location)

    async def flood(self, path: str, number: int, seconds: float) -> set[str]:
        """Send so many events in so many seconds to one workflow; return the problems of the responses."""
        events = [{"nome": f"flood {one}", "sobrenome": "x", "wait": 0} for one in range(number)]
        async with asyncio.TaskGroup() as group:
            tasks = []
            for event in events:
                tasks.append(group.create_task(self.post(event, path=path)))
                await asyncio.sleep(seconds / number)
        return {task.result().problem for task in tasks}

    async def make_up(self, method: str, number: int, seconds: float, **headers: str) -> Counter[int]:
        """Send so many requests for ids that do not exist, in so many seconds; return their statuses."""
        statuses: Counter[int] = Counter()
        headers |= self._of({})

        async def send() -> None:
            location = f"/event/exec-{UUID(int=self._rng.getrandbits(128), version=4)}"
            async with self._http.request(method, self._choose() + location, headers=headers) as response:
                statuses[response.status] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(number):
                group.create_task(send())
                await asyncio.sleep(seconds / number)
        return statuses

    async def resolve(self) -> None:
        """Request each Location until it has an outcome or the timeout expires, and once as the other caller."""
        async with asyncio.TaskGroup() as group:
            for call in self.history:
                if call.location is not None:
                    group.create_task(self._resolve(call, call.location))
                    if self._apart:
                        group.create_task(self._read_across(call, call.location))

    async def _read_across(self, call: Call, location: str) -> None:
        (mine,) = self._of(call.event).values()
        (other,) = set(NAMES) - {mine}
        with suppress(aiohttp.ClientError, TimeoutError):
            headers = {CALLER_HEADER: other}
            async with self._http.get(self._choose() + location, headers=headers) as response:
                call.across = response.status

    def _of(self, event: dict[str, Any]) -> dict[str, str]:
        """Return the header that says whose request with this event is, if callers are apart."""
        return {CALLER_HEADER: NAMES[crc32(str(event.get("nome")).encode()) % len(NAMES)]} if self._apart else {}

    async def _resolve(self, call: Call, location: str) -> None:
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            await self._request(call, "GET", location)
            if call.later and call.later[-1][0] in OUTCOMES | {404}:
                return
            await asyncio.sleep(0.2)

    async def _request(self, call: Call, method: str, location: str, **headers: str) -> None:
        """Record the response of a Location, if there is one."""
        began = time.monotonic()
        reads_now = method == "GET" and not headers
        headers |= self._of(call.event)
        try:
            async with self._http.request(method, self._choose() + location, headers=headers) as response:
                body = None if response.status == 204 else await response.json(content_type=None)
                if body is not None:
                    call.later.append((response.status, body))
                if reads_now:
                    call.reads.append((problem_type(body), time.monotonic() - began))
        except (aiohttp.ClientError, TimeoutError):
            pass
