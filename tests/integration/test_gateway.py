"""The service behind the stand-in for API Gateway: never a time-out of the gateway where a 202 was possible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.local import LocalAws
from service.web import events
from tests.support.gateway import Gateway, Timeouts, gateway
from tests.support.served import NAMES, Served, served, until
from tests.support.streams import Events

STREAM = {"Accept": "text/event-stream"}


@asynccontextmanager
async def deployed(
    wait: float, timeouts: Timeouts, *, streams: bool = True, **settings: str
) -> AsyncIterator[tuple[LocalAws, Served, Gateway]]:
    """Serve behind a gateway with these timeouts; every workflow waits for `wait` seconds."""
    async with (
        LocalAws(port=0, wait=wait) as aws,
        served(aws, settings) as service,
        gateway(lambda: service.url, timeouts, streams=streams) as front,
    ):
        yield aws, service, front


@pytest.mark.parametrize("streams", [True, False])
async def test_a_wait_ends_with_202_before_the_gateway_gives_up(streams: bool) -> None:
    timeouts = Timeouts(90, 0.9) if streams else Timeouts(0.9, 0.9)
    async with deployed(60, timeouts, streams=streams, RESPONSE_TIMEOUT="0.2") as (_, service, front):
        for headers in ({}, {"Prefer": "wait=60"}):
            async with service.client.post(f"{front.url}/event", json=NAMES, headers=headers) as response:
                assert response.status == 202
                location = response.headers["Location"]
            async with service.client.get(front.url + location, headers=headers) as response:
                assert response.status == 202
        assert front.gave_up == []


async def test_a_stream_outlives_every_silence_of_its_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_INTERVAL_S", 0.1)
    async with deployed(1.5, Timeouts(90, 0.9), RESPONSE_TIMEOUT="0.2", STREAM_TIMEOUT="30") as (_, service, front):
        async with service.client.post(f"{front.url}/event", json=NAMES, headers=STREAM) as response:
            stream = Events(response)
            assert [name for name, *_ in await stream.all()] == ["running", "result"]
            assert stream.comments > 5
        assert front.gave_up == []


async def test_what_outlives_the_drain_gets_its_location_through_the_gateway() -> None:
    async with deployed(60, Timeouts(90, 30), RESPONSE_TIMEOUT="60", DRAIN_TIMEOUT="0.2") as (aws, service, front):
        plain = asyncio.create_task(service.client.post(f"{front.url}/event", json=NAMES))
        async with service.client.post(f"{front.url}/event", json=NAMES, headers=STREAM) as response:
            await until(lambda: len(aws.executions) == 2)
            service.shutdown.request()
            stream = Events(response)
            name, _, data = (await stream.all())[-1]
            assert (name, data["location"]) == ("running", f"/event/{data['id']}")
            assert stream.retry is not None
        async with await plain as response:
            assert response.status == 202
            assert response.headers["Location"].removeprefix("/event/") in aws.executions
        assert front.gave_up == []


async def test_a_refusal_before_the_start_has_its_own_status_even_for_a_stream() -> None:
    async with (
        deployed(0, Timeouts(90, 30)) as (_, service, front),
        service.client.post(f"{front.url}/event", json={}, headers=STREAM) as response,
    ):
        assert (response.status, response.content_type) == (422, "application/problem+json")


async def test_an_idle_connection_is_kept_as_long_as_the_setting_says() -> None:
    """A balancer sends requests on such connections, so they must outlive its own idle timeout."""
    async with deployed(0, Timeouts(90, 30), KEEP_ALIVE_TIMEOUT="0.3") as (_, service, _front):
        host, port = service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(10):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.read()  # to the end of the connection, long before 75 s
        writer.close()
