"""The smoke test of long waits, against the stand-in for API Gateway with the real service behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from service.app.serve import MAX_RESPONSE_TIMEOUT_S
from service.local import LocalAws
from service.web import events
from tests.support.gateway import Timeouts, gateway
from tests.support.served import served
from tools.smoke import waits as judged
from tools.smoke.__main__ import main, run
from tools.smoke.waits import WAITS, Finding, Wait, send

EXAMPLES = Path(__file__).parents[3] / "examples"


@asynccontextmanager
async def deployed(timeouts: Timeouts, *, streams: bool = True, **settings: str) -> AsyncIterator[str]:
    """Yield the URL of a deployment whose workflow waits as long as the event says."""
    schema = {"REQUEST_SCHEMA": str(EXAMPLES / "wait.schema.json")}
    async with (
        LocalAws(port=0, definition=EXAMPLES / "wait.asl.json") as aws,
        served(aws, schema | settings) as service,
        gateway(lambda: service.url, timeouts, streams=streams) as front,
    ):
        yield front.url


async def finding(url: str, wait: Wait) -> Finding:
    async with aiohttp.ClientSession() as http:
        return await send(http, f"{url}/event", wait, {})


async def test_a_deployment_that_waits_passes(capsys: pytest.CaptureFixture[str]) -> None:
    async with deployed(Timeouts(60, 20)) as url:
        assert await run(f"{url}/event", {}, [Wait(0.3, 5), Wait(0.3, 5, stream=True)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "Prefer: wait=" in line]
    assert [line.split()[0] for line in lines] == ["ok", "ok"]


async def test_a_gateway_that_gives_up_is_named() -> None:
    async with deployed(Timeouts(0.5, 0.5), streams=False) as url:
        found = await finding(url, Wait(10, 20))
        assert (found.ok, "504" in found.text, "a hop gave up" in found.text) == (False, True, True)


async def test_a_gateway_that_does_not_stream_is_named() -> None:
    async with deployed(Timeouts(20, 20), streams=False) as url:
        found = await finding(url, Wait(0.5, 20, stream=True))
        assert (found.ok, "does not stream" in found.text) == (False, True)


async def test_a_service_that_waits_too_short_a_time_is_named_with_what_it_applied() -> None:
    async with deployed(Timeouts(20, 20), RESPONSE_TIMEOUT="1") as url:
        found = await finding(url, Wait(10, 20))
        assert (found.ok, "it applied wait=1" in found.text) == (False, True)
        found = await finding(url, Wait(10, 20, stream=True))
        assert (found.ok, "ended without the result" in found.text) == (False, True)


async def test_a_stream_that_is_silent_for_long_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "COMMENT_INTERVAL_S", 0.1)
    async with deployed(Timeouts(20, 20)) as url:
        found = await finding(url, Wait(0.8, 20, stream=True))
        assert (found.ok, "running, result" in found.text) == (False, True)


async def test_a_stream_that_is_cut_is_wrong() -> None:
    async with deployed(Timeouts(0.7, 20)) as url:
        found = await finding(url, Wait(10, 20, stream=True))
        assert (found.ok, "cut the connection" in found.text) == (False, True)


async def test_a_workflow_that_does_not_wait_is_noticed() -> None:
    found = judged._judge(Response(200), "{}", Wait(10, 20), 0.5)  # type: ignore[arg-type]  # of a response, it needs these
    assert (found.ok, "does it wait?" in found.text) == (False, True)


class Response:
    def __init__(self, status: int) -> None:
        self.status = status
        self.headers: dict[str, str] = {}


async def test_a_refused_request_shows_the_problem_and_headers_are_sent(capsys: pytest.CaptureFixture[str]) -> None:
    async with deployed(Timeouts(20, 20)) as url:
        arguments = [url, "--header", "Prefer-Not: x", "--path", "/missing"]
        assert await asyncio.to_thread(main, arguments, [Wait(1, 2)]) == 1
    out, err = capsys.readouterr()
    assert "404" in out
    assert "examples/wait.asl.json" in err


def test_its_waits_are_those_that_the_documents_promise() -> None:
    assert [(wait.prefer, wait.stream) for wait in WAITS] == [(60, False), (MAX_RESPONSE_TIMEOUT_S, False), (890, True)]
    assert all(wait.seconds + 5 <= wait.prefer for wait in WAITS)
    assert WAITS[-1].seconds == 600
    assert judged.COMMENT_INTERVAL_S == events.COMMENT_INTERVAL_S
