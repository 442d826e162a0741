"""Event streams over real HTTP, with the bridge on a test stage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from service.bridge.state_feed import OnState
from service.errors import Refused
from service.web import events
from service.web.events import Stream
from service.web.progress import HeldProgress
from tests.support.front import NAMES, Front, front
from tests.support.ids import ID
from tests.support.step_functions import STARTED, described, error, gated, ok
from tests.support.streams import Events

STREAM = {"Accept": "text/event-stream"}


def opened(it: Front, **headers: str) -> asyncio.Task[aiohttp.ClientResponse]:
    """POST an event and ask for a stream."""
    return asyncio.create_task(it.client.post("/event", json=NAMES, headers=STREAM | headers))


async def written(logs: list[Any]) -> None:
    """Wait until something is logged, which happens after the response is sent."""
    async with asyncio.timeout(10):
        while not logs:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)


def publish(it: Front, execution_id: str, progress: Any) -> None:
    it.stage.replies.deliver(json.dumps({"id": execution_id, "status": "RUNNING", "progress": progress, "x": 1}))


async def test_a_stream_reports_the_start_progress_and_result_as_they_happen() -> None:
    async with front() as it:
        request = opened(it)
        execution_id = await it.stage.started()
        async with await request as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            assert response.headers["Cache-Control"] == "no-store"
            stream = Events(response)
            location = f"/event/{execution_id}"
            assert await stream.next() == (
                "running",
                None,
                {"id": execution_id, "status": "RUNNING", "location": location},
            )
            assert stream.retry == events.RECONNECT_DELAY_MS
            for step in ["a\nb", {"n": 2}]:
                publish(it, execution_id, step)
                assert await stream.next() == (
                    "progress",
                    None,
                    {"id": execution_id, "status": "RUNNING", "progress": step},
                )
            it.stage.reply(execution_id, {"nome completo": "Ricardo Marques"})
            assert await stream.next() == ("result", "end", {"id": execution_id, "nome completo": "Ricardo Marques"})
            assert await stream.next() is None
        it.stage.assert_nothing_in_flight()


async def test_a_failure_before_the_execution_exists_is_an_ordinary_problem() -> None:
    async with front(timeout=1) as it:
        await it.problem("POST", "/event", 422, "schema-violation", json={}, headers=STREAM)
        it.stage.endpoint.script("StartExecution", error("AccessDeniedException"))
        await it.problem("POST", "/event", 503, "refused", json=NAMES, headers=STREAM)
        it.stage.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        await it.problem("GET", f"/event/{ID}", 404, "unknown-execution", headers=STREAM)
        await it.problem("GET", f"/event/{ID}", 406, "not-acceptable", headers={"Accept": "text/html"})
        await it.problem("POST", "/event", 406, "not-acceptable", json=NAMES, headers={"Accept": "text/html"})
        it.stage.assert_nothing_in_flight()


async def test_a_workflow_that_fails_ends_the_stream_with_its_problem() -> None:
    async with front() as it:
        request = opened(it)
        execution_id = await it.stage.started()
        with capture_logs() as logs:
            async with await request as response:
                stream = Events(response)
                await stream.next()
                failure = {"id": execution_id, "status": "FAILED", "error": "Broken", "cause": "private"}
                it.stage.replies.deliver(json.dumps(failure))
                last = await stream.next()
                assert last is not None
                name, id_, problem = last
                assert (name, id_, problem["error"], problem["status"]) == ("problem", "end", "Broken", 502)
                assert problem["request_id"] == response.headers["X-Request-Id"]
                assert "private" not in str(problem)
                assert await stream.next() is None
                await written(logs)
        assert [(line["status"], line["problem"]) for line in logs] == [(200, "workflow-failed")]


async def test_an_internal_error_during_a_stream_does_not_reveal_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: Any, on_start: Any, **__: Any) -> None:
        on_start(ID)
        raise RuntimeError("Ricardo's password")

    async with front() as it:
        monkeypatch.setattr(it.stage.bridge, "submit", broken)
        async with await opened(it) as response:
            last = (await Events(response).all())[-1]
            assert (last[0], last[1], last[2]["status"]) == ("problem", None, 500)
            assert "password" not in str(last)


async def test_a_problem_after_the_stream_has_begun_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, on_start: Any, **__: Any) -> None:
        on_start(ID)
        await asyncio.sleep(0)
        raise Refused("no", execution_id=ID)

    async with front() as it:
        monkeypatch.setattr(it.stage.bridge, "submit", refused)
        async with await opened(it) as response:
            last = (await Events(response).all())[-1]
            assert (last[0], last[1], last[2]["type"].rpartition(":")[2]) == ("problem", None, "refused")


async def test_a_wait_that_ends_first_ends_the_stream_with_the_location() -> None:
    async with front() as it, await opened(it, Prefer="wait=0") as response:
        assert response.headers["Preference-Applied"] == "wait=0"
        seen = await Events(response).all()
        assert [name for name, _, _ in seen][-1] == "running"
        assert seen[-1][2]["location"] == f"/event/{seen[-1][2]['id']}"


class States:
    """A feed of states that a test controls."""

    def __init__(self) -> None:
        self.watched: list[tuple[str, int]] = []
        self.report: OnState

    @contextmanager
    def watching(self, execution_id: str, after: int, on_state: OnState) -> Iterator[None]:
        self.watched.append((execution_id, after))
        self.report = on_state
        yield
        self.watched.clear()


async def test_the_states_of_an_execution_have_the_ids_of_its_history_and_published_progress_has_none() -> None:
    states = States()
    async with front(watch_states=states.watching) as it:
        async with await opened(it) as response:
            execution_id = await it.stage.started()
            stream = Events(response)
            await stream.next()
            states.report(execution_id, 7, "Price")
            publish(it, execution_id, "half")
            name, id_, data = await stream.next() or ("", None, {})
            assert (name, id_, data) == (
                "progress",
                "7",
                {"id": execution_id, "status": "RUNNING", "progress": {"state": "Price"}},
            )
            assert (await stream.next() or ())[0:2] == ("progress", None)
            it.stage.reply(execution_id, {})
            assert (await stream.all())[-1][0] == "result"
        assert states.watched == []


async def test_a_stream_that_is_taken_up_again_continues_after_its_last_state() -> None:
    states = States()
    async with front(watch_states=states.watching) as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING", input="{}"))
        async with it.client.get(f"/event/{ID}", headers=STREAM | {"Last-Event-ID": "7"}) as response:
            stream = Events(response)
            await stream.next()
            assert states.watched == [(ID, 7)]
            it.stage.reply(ID, {})
            assert await stream.next() == ("result", "end", {"id": ID})


async def test_a_post_takes_up_no_stream() -> None:
    states = States()
    async with front(watch_states=states.watching) as it, await opened(it, **{"Last-Event-ID": "end"}) as response:
        stream = Events(response)
        await stream.next()
        assert states.watched == [(await it.stage.started(), 0)]


async def test_the_streams_of_an_instance_that_stops_end_with_the_location_and_come_back_one_by_one() -> None:
    async with front() as it:
        responses = [await opened(it) for _ in range(9)]
        it.stage.bridges.release()
        delays = set()
        for response in responses:
            async with response:
                stream = Events(response)
                name, id_, data = (await stream.all())[-1]
                assert (name, id_, data["location"]) == ("running", None, f"/event/{data['id']}")
                assert stream.retry is not None
                delays.add(stream.retry)
        longest = events.RECONNECT_DELAY_MS + 1000 * len(responses) / events.RECONNECTS_PER_S
        assert all(events.RECONNECT_DELAY_MS <= delay < longest for delay in delays)
        assert len(delays) > 1


@pytest.mark.parametrize(("draining", "pause_ms"), [(False, 30_000), (True, events.RECONNECT_DELAY_MS)])
async def test_a_stream_that_an_instance_at_its_limit_cannot_keep_comes_back_as_late_as_a_202_says(
    draining: bool, pause_ms: int
) -> None:
    async with front(max_in_flight=1) as it, await opened(it) as first:
        await Events(first).next()
        it.stage.admission.draining = draining
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))
        async with it.client.get(f"/event/{ID}", headers=STREAM) as response:
            stream = Events(response)
            assert [name for name, *_ in await stream.all()] == ["running"]
            assert stream.retry is not None
            assert pause_ms <= stream.retry < pause_ms + 1000


async def test_a_finished_execution_is_a_stream_of_one_event() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("SUCCEEDED", output='{"a": 1}'))
        async with it.client.get(f"/event/{ID}", headers=STREAM) as response:
            assert await Events(response).all() == [("result", "end", {"id": ID, "a": 1})]


async def test_a_client_that_has_seen_the_end_gets_a_204() -> None:
    async with front() as it:
        async with it.client.get(f"/event/{ID}", headers=STREAM | {"Last-Event-ID": "end"}) as response:
            assert (response.status, await response.read()) == (204, b"")
        assert it.stage.endpoint.calls == []
        async with it.client.get("/metrics") as response:
            metrics = await response.text()
        assert 'operation="read",outcome="ended",workflow="event"} 1.0' in metrics
        assert 'operation="read",outcome="stopped"' not in metrics


async def test_a_head_is_never_a_stream() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", described("RUNNING"))
        async with it.client.head(f"/event/{ID}", headers=STREAM) as response:
            assert (response.status, response.content_type) == (202, "application/json")


async def test_comments_are_sent_while_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_INTERVAL_S", 0.05)
    async with front() as it:
        request = opened(it)
        execution_id = await it.stage.started()
        async with await request as response:
            stream = Events(response)
            await stream.next()
            async with asyncio.timeout(10):
                while stream.comments < 3:
                    await stream.line()
            it.stage.reply(execution_id, {})
            assert (await stream.all())[-1][0] == "result"


async def test_a_caller_that_leaves_a_stream_frees_its_slot_at_once() -> None:
    async with front() as it:
        request = opened(it)
        await it.stage.started()
        with capture_logs() as logs:
            response = await request
            await Events(response).next()
            response.close()
            await it.stage.bridges.drain(5)
            it.stage.assert_nothing_in_flight()
            assert not it.stage.admission.released_early
            await written(logs)
        assert [(line["status"], line["problem"]) for line in logs] == [(499, "client-disconnected")]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
async def test_a_caller_that_leaves_during_the_start_frees_its_slot_and_its_execution_is_stopped_if_configured(
    accept: str,
) -> None:
    async with front(stop_abandoned=True) as it:
        gate = asyncio.Event()
        it.stage.endpoint.script("StartExecution", gated(gate, STARTED))
        it.stage.endpoint.script("StopExecution", ok(stopDate=1.0))
        request = asyncio.create_task(it.client.post("/event", json=NAMES, headers={"Accept": accept}))
        await it.stage.started()
        request.cancel()
        await asyncio.wait([request])
        await it.stage.endpoint.arrived("StartExecution", 2)  # a second start with the same name settles it
        gate.set()
        await it.stage.endpoint.arrived("StopExecution")
        await it.stage.bridges.drain(5)
        it.stage.assert_nothing_in_flight()


async def test_leaving_a_stream_stops_the_execution_if_configured() -> None:
    async with front(stop_abandoned=True) as it:
        it.stage.endpoint.script("StopExecution", ok(stopDate=1.0))
        response = await opened(it)
        await Events(response).next()
        response.close()
        await it.stage.endpoint.arrived("StopExecution")
        await it.stage.bridges.drain(5)
        it.stage.assert_nothing_in_flight()


async def test_an_output_with_several_lines_is_sent_as_several_data_fields() -> None:
    assert events.event("result", b'{\n  "a": 1e400\r\n}', "end") == (
        b'event: result\nid: end\ndata: {\ndata:   "a": 1e400\ndata: }\n\n'
    )


@pytest.mark.parametrize("last_id", ["", "x", "-1", "9" * 16, "\u0663", "1 "])
def test_an_unknown_last_event_id_means_all_states(last_id: str) -> None:
    assert Stream(HeldProgress(), None, last_id)._last_state == 0


async def test_the_log_line_of_a_stream_says_where_the_time_went() -> None:
    async with front() as it:
        with capture_logs() as logs:
            request = opened(it)
            it.stage.reply(await it.stage.started(), {})
            async with await request as response:
                await response.read()
            await written(logs)
        (line,) = logs
        assert (line["event"], line["status"], line["start_attempts"]) == ("request", 200, 1)
        assert 0 < line["start_ms"] < 5000
        assert 0 <= line["workflow_ms"] < 5000
