"""Name lookups: few threads, whatever the name server does."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.stepfunctions import dns
from service.stepfunctions.dns import MAX_LOOKUPS, Resolver

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))]


class NameServer:
    """Replaces `getaddrinfo`; a lookup ends when it is released, with the next of `answers`."""

    def __init__(self) -> None:
        self.lookups = 0
        self.answers: Callable[[int], Any] = lambda _: ANSWER
        self.release = threading.Event()
        self.daemons: list[bool] = []

    def __call__(self, host: str, _port: int, **options: Any) -> Any:
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        self.lookups += 1
        number = self.lookups
        self.daemons.append(threading.current_thread().daemon)
        assert self.release.wait(30)
        found = self.answers(number)
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    stand_in = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", stand_in)
    yield stand_in
    stand_in.release.set()


def resolver() -> Resolver:
    return Resolver("states.test", 443)


async def test_calls_at_once_share_a_lookup_and_those_soon_after_its_addresses(server: NameServer) -> None:
    server.release.set()
    names = resolver()
    assert await asyncio.gather(*(names.addresses() for _ in range(50))) == [ANSWER] * 50
    assert await names.addresses() == ANSWER
    assert (server.lookups, server.daemons) == (1, [True])


async def test_a_silent_name_server_takes_few_threads(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "HUNG_S", 0.0)
    names = resolver()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.addresses(), 0.01)
    assert server.lookups == MAX_LOOKUPS


async def test_a_lookup_that_has_not_hung_for_long_is_the_only_one(server: NameServer) -> None:
    names = resolver()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(names.addresses(), 0.01)
    assert server.lookups == 1


async def test_the_first_lookup_to_end_serves_everybody(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "HUNG_S", 0.0)
    names = resolver()
    waiting = [asyncio.create_task(names.addresses()) for _ in range(8)]
    await asyncio.sleep(0)
    server.release.set()
    assert await asyncio.gather(*waiting) == [ANSWER] * 8


async def test_a_failed_lookup_is_repeated_by_the_next_call(server: NameServer) -> None:
    server.release.set()
    server.answers = lambda number: socket.gaierror(socket.EAI_AGAIN, "later") if number == 1 else ANSWER
    names = resolver()
    with pytest.raises(socket.gaierror):
        await names.addresses()
    assert await names.addresses() == ANSWER


async def test_addresses_are_looked_up_again_after_a_while(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.release.set()
    monkeypatch.setattr(dns, "CACHE_S", 0.0)
    names = resolver()
    await names.addresses()
    await names.addresses()
    assert server.lookups == 2


async def test_addresses_that_do_not_connect_are_forgotten(server: NameServer) -> None:
    server.release.set()
    names = resolver()
    await names.addresses()
    names.forget()
    await names.addresses()
    assert server.lookups == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_ip_address_is_not_looked_up(host: str) -> None:
    names = Resolver(host, 443)
    before = threading.active_count()
    names.forget()
    assert (await names.addresses())[0][4][:2] == (host, 443)
    assert threading.active_count() == before


async def test_lookups_that_end_after_another_one_change_nothing(
    server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns, "HUNG_S", 0.0)
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    names = resolver()
    calls = [asyncio.create_task(names.addresses()) for _ in range(MAX_LOOKUPS)]
    await asyncio.sleep(0)
    server.release.set()
    assert await asyncio.gather(*calls) == [ANSWER] * MAX_LOOKUPS
    async with asyncio.timeout(10):
        while names._running:  # noqa: ASYNC110 - a count has no event to wait for
            await asyncio.sleep(0.01)
    assert (server.lookups, faults) == (MAX_LOOKUPS, [])
