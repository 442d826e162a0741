"""Streams of states, told by one instance and continued by another."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from service.bridge import state_feed
from tests.support.replaced import STATES, two_instances
from tests.support.served import NAMES
from tests.support.streams import Event, Events

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_feed, "READ_INTERVAL_S", 0.05)


def states(seen: list[Event]) -> list[str]:
    return [data["progress"]["state"] for name, _, data in seen if name == "progress"]


async def until_state(stream: Events, state: str) -> list[Event]:
    """Read a stream up to the progress event of a state."""
    seen = []
    while (event := await stream.next()) is not None:
        seen.append(event)
        if event[0] == "progress" and event[2]["progress"]["state"] == state:
            break
    return seen


async def test_any_instance_goes_on_from_the_last_event_id(tmp_path: Path) -> None:
    async with two_instances(tmp_path, 0.4) as it, aiohttp.ClientSession() as http:
        async with http.post(f"{it.url}/event", json=NAMES, headers=STREAM) as response:
            stream = Events(response)
            seen = await until_state(stream, "Second")
            it.replace()
            rest = await stream.all()
            assert (rest[-1][0], rest[-1][2]["location"]) == ("running", seen[0][2]["location"])
            seen += rest
        last_id = [id_ for _, id_, _ in seen if id_][-1]
        assert last_id is not None
        headers = STREAM | {"Last-Event-ID": last_id}
        async with http.get(it.url + rest[-1][2]["location"], headers=headers) as response:
            again = await Events(response).all()
        assert (again[0][0], again[-1]) == ("running", ("result", "end", {"id": seen[0][2]["id"], "done": True}))
        # The last state ends at once, so it may be missing.
        assert [*states(seen), *states(again)] in (STATES, STATES[:-1])
        assert it.front.gave_up == []


async def test_a_stream_without_a_last_event_id_reports_all_states(tmp_path: Path) -> None:
    async with two_instances(tmp_path, 0.3) as it, aiohttp.ClientSession(headers=STREAM) as http:
        url = await it.start()
        async with http.get(url) as response:
            await until_state(Events(response), "Second")
        async with http.get(url) as response:
            assert states(await until_state(Events(response), "Third")) == STATES[:3]
