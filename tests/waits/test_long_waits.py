"""Waits of minutes through the stand-in for API Gateway, on a scale of 1 to 10: `make test-waits`, a minute of waiting.

Everything that belongs to the wait is scaled: the gateway's times, the service's, its comments and the workflows.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from service.app.serve import MAX_RESPONSE_TIMEOUT_S
from service.local import LocalAws
from service.web import events
from tests.chaos.stage import workflow
from tests.support.gateway import STREAMED, Gateway, gateway
from tests.support.served import served
from tests.support.streams import Events

SCALE = 0.1
MAX_STREAM_TIMEOUT_S = 890

pytestmark = pytest.mark.waits


def event(seconds: float) -> dict[str, Any]:
    """Return an event whose workflow takes so many seconds, on the scale."""
    return {"nome": "Ricardo", "sobrenome": "Marques", "wait": seconds * SCALE}


async def plain(client: aiohttp.ClientSession, front: Gateway) -> None:
    """A workflow of two minutes is answered by one plain POST."""
    async with client.post(f"{front.url}/event", json=event(120)) as response:
        assert (response.status, (await response.json())["nome completo"]) == (200, "Ricardo Marques")


async def streamed(client: aiohttp.ClientSession, front: Gateway) -> None:
    """A workflow of ten minutes is answered by one stream, which is never silent for long."""
    headers = {"Accept": "text/event-stream"}
    async with client.post(f"{front.url}/event", json=event(600), headers=headers) as response:
        stream = Events(response)
        names = [(name, data.get("nome completo")) for name, _, data in await stream.all()]
        assert names == [("running", None), ("result", "Ricardo Marques")]
        assert stream.comments >= 50


async def too_long(client: aiohttp.ClientSession, front: Gateway) -> None:
    """A workflow that outlasts the longest plain wait gets 202 before the gateway gives up."""
    async with client.post(f"{front.url}/event", json=event(600), headers={"Prefer": "wait=600"}) as response:
        assert response.status == 202
        location = response.headers["Location"]
    async with client.get(front.url + location, headers={"Accept": "text/event-stream"}) as response:
        assert (await Events(response).all())[-1][0] == "result"


@pytest.mark.timeout(180)
async def test_workflows_of_minutes_are_answered_by_one_request_through_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COMMENT_INTERVAL_S", events.COMMENT_INTERVAL_S * SCALE)
    (tmp_path / "workflow.asl.json").write_text(workflow())
    settings = {
        "REQUEST_SCHEMA": "",
        "RESPONSE_TIMEOUT": str(MAX_RESPONSE_TIMEOUT_S * SCALE),
        "STREAM_TIMEOUT": str(MAX_STREAM_TIMEOUT_S * SCALE),
    }
    async with (
        LocalAws(port=0, definition=tmp_path / "workflow.asl.json") as aws,
        served(aws, settings) as service,
        gateway(lambda: service.url, STREAMED.scaled(SCALE)) as front,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for scene in (plain, streamed, too_long):
                group.create_task(scene(client, front))
        assert front.gave_up == []
