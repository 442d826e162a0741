"""What streams hold for callers that do not read."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest
from aiohttp import web

from service.web import progress
from service.web.progress import HeldProgress, ProgressQueue
from tests.support.front import NAMES, front
from tests.support.ids import ID, IDS
from tests.support.raw_http import Listening, listening
from tests.support.step_functions import Call, described

OTHER_IDS = [IDS.for_key(str(number)) for number in range(20)]
EVENT_BYTES = 200_000
LIMIT = 2_000_000


def publish(it: Listening, execution_id: str, status: str = "RUNNING", **members: object) -> None:
    it.stage.replies.deliver(json.dumps({"id": execution_id, "status": status, **members}))


async def running_here(request: web.Request, call: Call) -> web.StreamResponse:
    execution_id = call["executionArn"].rpartition(":")[2]
    envelope = {"id": execution_id, "event": "{}", "reply": {"channel": f"ns/me/{execution_id}"}}
    return await described("RUNNING", input=json.dumps(envelope))(request, call)


async def fill(it: Listening, execution_ids: list[str]) -> None:
    """Publish progress until no stream can write any more, and then some."""
    number = 0
    async with asyncio.timeout(20):
        while len(it.connections.blocked) < 5:  # the limit lets no more of them begin an event
            for execution_id in dict.fromkeys(execution_ids):
                publish(it, execution_id, progress=f"{(number := number + 1)} " + "x" * EVENT_BYTES)
            await asyncio.sleep(0.01)
    for execution_id in dict.fromkeys(execution_ids * 3):
        publish(it, execution_id, progress="x" * EVENT_BYTES)


async def stalled(it: Listening, execution_ids: list[str]) -> list[asyncio.StreamReader]:
    """Open streams that read nothing."""
    it.stage.endpoint.script("DescribeExecution", running_here)
    readers = []
    for execution_id in execution_ids:
        request = f"GET /event/{execution_id} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        readers.append(await it.connect(request.encode(), receive_buffer=65536))
    async with asyncio.timeout(20):
        while it.stage.admission.in_flight < len(execution_ids):  # noqa: ASYNC110 - a count has no event to wait for
            await asyncio.sleep(0.01)
    return readers


async def last_bytes(reader: asyncio.StreamReader) -> bytes:
    """Read a stream to its end."""
    text = b""
    async with asyncio.timeout(30):
        while not text.endswith(b"\r\n0\r\n\r\n"):
            text = text[-500:] + (data := await reader.read(1 << 20))
            assert data
    return text


@pytest.mark.parametrize("ids", [[ID] * 20, OTHER_IDS], ids=["one execution", "an execution each"])
async def test_streams_that_are_not_read_hold_bounded_memory_and_get_their_result(ids: list[str]) -> None:
    async with listening(max_in_flight=20, send_buffer=65536) as it:
        it.held._limit = LIMIT
        readers = await stalled(it, ids)
        tracemalloc.start(1)
        await fill(it, ids)
        traced, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Each on its own, they would hold more than 400 KB in their queues and buffers: 8 MB in all.
        assert it.held.bytes < LIMIT + len(ids) * progress.PIECE_BYTES
        assert traced < 2 * LIMIT
        for execution_id in dict.fromkeys(ids):
            publish(it, execution_id, "SUCCEEDED", output={"done": True})
        for execution_id, end in zip(ids, await asyncio.gather(*map(last_bytes, readers)), strict=True):
            assert f'event: result\nid: end\ndata: {{"id":"{execution_id}","done": true}}'.encode() in end
        it.stage.assert_nothing_in_flight()
        assert it.held.bytes == 0


async def test_a_stream_that_is_not_read_sends_no_more_than_its_buffer_holds() -> None:
    async with listening(send_buffer=65536) as it:
        await stalled(it, [ID])
        async with asyncio.timeout(20):
            while not it.connections.blocked:
                publish(it, ID, progress="x" * EVENT_BYTES)
                await asyncio.sleep(0.01)
        (connection,) = it.connections.blocked
        for _ in range(20):
            publish(it, ID, progress="x" * EVENT_BYTES)
            for _ in range(50):  # the stream's task could write now
                await asyncio.sleep(0)
        assert connection._socket.get_write_buffer_size() < 2 * EVENT_BYTES


async def test_a_stream_that_is_cut_off_gives_back_what_it_held() -> None:
    async with listening(max_in_flight=20, send_buffer=65536) as it:
        await stalled(it, OTHER_IDS)
        await fill(it, OTHER_IDS)
        assert it.held.bytes > 0
        assert it.held.streams == len(OTHER_IDS)
        it.close()
        await it.opened(0)
        async with asyncio.timeout(20):
            while it.held.bytes:  # noqa: ASYNC110 - a count has no event to wait for
                await asyncio.sleep(0.01)
        it.stage.assert_nothing_in_flight()
        assert it.held.streams == 0


def kept(queue: ProgressQueue) -> list[bytes]:
    return [event.data for event in queue._events if event.data]


def test_all_streams_of_an_execution_share_the_text_of_an_event() -> None:
    held = HeldProgress()
    queues = [ProgressQueue(held) for _ in range(2000)]
    for queue in queues:
        queue.add(ID, b'"x"')
    assert len({id(data) for queue in queues for data in kept(queue)}) == 1
    assert held.bytes < 1000


def test_of_one_stream_the_oldest_progress_is_dropped_first() -> None:
    queue = ProgressQueue(HeldProgress())
    for number in range(1000):
        queue.add(ID, json.dumps(f"{number} " + "x" * 10_000).encode())
    assert sum(map(len, kept(queue))) <= progress.MAX_QUEUED_BYTES
    assert b'"999 ' in kept(queue)[-1]
    assert len(kept(queue)) > 10


def test_of_all_streams_the_oldest_progress_is_dropped_first() -> None:
    held = HeldProgress(2500)
    queues = [ProgressQueue(held) for _ in range(4)]
    for number, queue in enumerate(queues):
        queue.add(OTHER_IDS[number], b'"%b"' % (b"x" * 500))
    assert [len(kept(queue)) for queue in queues] == [0, 0, 1, 1]


def test_small_progress_counts_what_it_takes() -> None:
    held = HeldProgress()
    queue = ProgressQueue(held)
    for number in range(10_000):
        queue.add(ID, b"%d" % number)
    assert len(queue._events) < 500
    queue.clear()
    assert held.bytes == 0


def test_progress_that_comes_again_after_it_was_dropped_is_queued() -> None:
    held = HeldProgress(0)
    queue = ProgressQueue(held)
    queue.add(ID, b"1")
    held._limit = 10_000
    queue.add(ID, b"1")
    assert len(kept(queue)) == 1


def test_progress_is_passed_on_as_it_was_written() -> None:
    queue = ProgressQueue(HeldProgress())
    queue.add(ID, b"[1e400, 12345678901234567890123]")
    assert b'"progress":[1e400, 12345678901234567890123]}' in kept(queue)[0]


async def test_progress_of_any_size_arrives_as_it_was_written() -> None:
    async with front() as it:
        request = asyncio.create_task(it.client.post("/event", json=NAMES, headers={"Accept": "text/event-stream"}))
        execution_id = await it.stage.started()
        texts = ["x" * size for size in (1, progress.PIECE_BYTES, 3 * progress.PIECE_BYTES + 1)]
        for text in texts:
            it.stage.replies.deliver(json.dumps({"id": execution_id, "status": "RUNNING", "progress": text}))
        it.stage.reply(execution_id, {})
        async with await request as response:
            events = (await response.text()).split("\n\n")
        shown = [json.loads(event.partition("data: ")[2]) for event in events if event.startswith("event: progress")]
        assert [event["progress"] for event in shown] == texts
