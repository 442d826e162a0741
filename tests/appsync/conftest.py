from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from service.appsync import ApiKey, Backoff, Link, LinkEvent, LinkEventKind, Timeouts
from service.appsync.connection import Connection

from .scripted_server import Notifier, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "da2-not-a-secret"

# Long enough for steps that have to succeed on a busy machine.
TIMEOUTS = Timeouts(connect=10, ack=10, subscribe=10, close=1)
# Short enough for steps that fail in a test, and long enough for a busy machine to complete the others.
SHORT_TIMEOUTS = Timeouts(connect=1, ack=1, subscribe=1, close=0.2)
SHORT_BACKOFF = Backoff(base=0.01, cap=0.05, refresh_interval=1, refused_cap=0.2)


class Changes(list[LinkEvent]):
    """The events that a link has reported."""

    def __init__(self) -> None:
        super().__init__()
        self._notifier = Notifier()

    def __call__(self, event: LinkEvent) -> None:
        self.append(event)
        self._notifier.notify()

    def of(self, kind: LinkEventKind) -> list[LinkEvent]:
        return [event for event in self if event.kind is kind]

    async def until(self, kind: LinkEventKind, times: int = 1) -> LinkEvent:
        await self._notifier.until(lambda: len(self.of(kind)) >= times)
        return self.of(kind)[times - 1]


class Inbox(list[str]):
    """An `on_event` that keeps the events."""

    def __init__(self) -> None:
        super().__init__()
        self._notifier = Notifier()

    def __call__(self, event: str) -> None:
        self.append(event)
        self._notifier.notify()

    async def until(self, *events: str) -> None:
        await self._notifier.until(lambda: self == list(events))


class LinkFactory(Protocol):
    def __call__(self, **options: Any) -> Link: ...


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def make_link(server: ScriptedServer, changes: Changes) -> AsyncIterator[LinkFactory]:
    """Make links that are closed after the test, and check that they leave nothing behind."""
    links: list[Link] = []

    def make(**options: Any) -> Link:
        merged: dict[str, Any] = {
            "authorizer": ApiKey("http://127.0.0.1:4566/event", KEY),
            "on_link_event": changes,
            "timeouts": TIMEOUTS,
            "backoff": SHORT_BACKOFF,
        } | options
        link = Link(merged.pop("realtime_url", server.url), merged.pop("authorizer"), **merged)
        links.append(link)
        link.open()
        return link

    yield make
    for link in links:
        await link.close()
    assert remains() == []
    assert KEY not in "".join(map(repr, changes))


def remains() -> list[object]:
    """Return the tasks and timers of links that are still on the event loop."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("appsync")]
    scheduled = getattr(asyncio.get_running_loop(), "_scheduled", ())
    timers = [
        timer
        for timer in scheduled
        if not timer.cancelled() and isinstance(getattr(timer._callback, "__self__", None), Connection)
    ]
    return [*tasks, *timers]
