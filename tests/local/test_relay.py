from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service.local import appsync_events
from service.local.asl.retry import StateError
from service.local.execution import Execution
from service.local.relay import status_change
from service.local.server import RELAY
from tests.local.conftest import until
from tests.local.test_workflow import given, publishing_to

if TYPE_CHECKING:
    from tests.local.conftest import Aws, Socket

NAME = "exec-abc00000-0000-0000-0000-000000000000"
FITS = 60_000
"""Characters of an event, encoded as in the request, that fit into it whatever they are."""


def ended(output: str | None = None, status: str = "SUCCEEDED", **more: Any) -> dict[str, Any]:
    """An event about an execution; its input and cause must go nowhere."""
    detail = {"name": NAME, "status": status, "input": "SECRET", "cause": "SECRET", "output": output} | more
    return {"detail-type": "Step Functions Execution Status Change", "detail": detail}


async def published(event: dict[str, Any]) -> dict[str, Any]:
    """Run the relay for an event; return what it publishes."""
    async with publishing_to('{"failed":[]}', definition=RELAY, data=event) as (run, posted, _):
        await run()
    ((body,),) = [posted]
    assert body["channel"] == f"AsyncEvents/ended/abc/{NAME}"
    assert "SECRET" not in str(body)
    assert len(json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")) <= appsync_events.MAX_EVENT_BYTES
    result: dict[str, Any] = json.loads(body["events"][0])
    return result


async def test_an_output_travels_as_its_exact_text() -> None:
    text = '{ "a":1.0,"b":1e400,"c":123456789012345678901234567890,"d":"\\ud83d" }'
    assert await published(ended(text, redriveCount=0)) == {
        "id": NAME,
        "status": "SUCCEEDED",
        "outputText": text,
        "redrives": 0,
    }


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
async def test_a_failure_has_its_error_name_and_never_its_cause(status: str) -> None:
    event = await published(ended(None, status, error="Out\ud83dOfStock", redriveCount=3))
    assert event == {"id": NAME, "status": status, "error": "Out\ud83dOfStock", "redrives": 3}
    assert await published(ended(None, status, error=None)) == {"id": NAME, "status": status}


@pytest.mark.parametrize(
    ("unit", "encoded"),
    [('"', 4), ("\\", 4), ("😀", 1), ("\x01", 7), ("é", 1), ("\ud83d", 7), ("n", 1)],
    ids=["quotes", "backslashes", "four bytes", "control", "two bytes", "lone surrogates", "plain"],
)
async def test_an_output_is_left_out_as_soon_as_it_may_not_fit(unit: str, encoded: int) -> None:
    bare = json.dumps({"id": NAME, "status": "SUCCEEDED", "outputText": ""}, separators=(",", ":"))
    room = FITS - len(json.dumps([bare]))
    text = unit * (room // encoded) + "n" * (room % encoded)
    assert (await published(ended(text)))["outputText"] == text
    assert await published(ended(f"{text}n")) == {"id": NAME, "status": "SUCCEEDED"}


async def test_an_output_that_aws_left_out_is_left_out() -> None:
    assert await published(ended(None)) == {"id": NAME, "status": "SUCCEEDED"}


async def test_a_publish_that_fails_is_retried_and_then_fails_the_relay() -> None:
    async with publishing_to(503, '{"failed":[{"index":0}]}', '{"failed":[]}', definition=RELAY, data=ended()) as relay:
        run, posted, headers = relay
        assert await run() is True
    assert len(posted) == 3
    assert headers[0]["x-api-key"] == "the key"
    async with publishing_to(*[503] * 5, definition=RELAY, data=ended()) as (run, _, _):
        with pytest.raises(StateError):
            await run()
    async with publishing_to(401, definition=RELAY, data=ended()) as (run, _, _):
        with pytest.raises(StateError, match="401"):
            await run()


@pytest.mark.parametrize(
    ("sizes", "included"), [((0, 253_948), (True, True)), ((1, 253_948), (False, True)), ((0, 253_951), (False, False))]
)
def test_an_event_leaves_out_input_and_then_output_that_are_too_large(
    sizes: tuple[int, int], included: tuple[bool, bool]
) -> None:
    execution = Execution(NAME, "arn", "i" * sizes[0], 1, status="SUCCEEDED", output="o" * sizes[1])
    detail = status_change(execution)["detail"]
    assert (detail["inputDetails"]["included"], detail["outputDetails"]["included"]) == included
    assert (detail["input"] is not None, detail["output"] is not None) == included


async def relayed(aws: Aws) -> Socket:
    socket = await aws.connect()
    await socket.subscribe("ended", "/AsyncEvents/ended/abc/*")
    return socket


async def test_a_failure_is_reported_on_the_shards_channel_and_a_success_is_not(aws: Aws) -> None:
    socket = await relayed(aws)
    await aws.start("exec-abc-good", given('{"nome":"A","sobrenome":"B"}', "exec-abc-good"))
    await aws.ended("exec-abc-good")
    await aws.start("exec-abc-bad", given("{}"))
    event = json.loads((await socket.receive())["event"])
    assert event == {"id": "exec-abc-bad", "status": "FAILED", "error": "States.QueryEvaluationError", "redrives": 0}
    assert aws.local.relay is not None
    assert aws.local.relay.started == 1


async def test_executions_with_names_of_others_start_no_relay(aws: Aws) -> None:
    assert aws.local.relay is not None
    for number in range(1000):
        aws.local.hosted().executions.start(f"foreign-{number}", "{}")
    await until(lambda: aws.local.running == 0)
    assert {execution.status for execution in aws.local.executions.values()} == {"FAILED"}
    assert not aws.local.relay._due


async def test_a_relay_that_cannot_publish_is_counted_and_logs_no_data(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    assert aws.local.relay is not None
    arn = await aws.start("exec-a.b", given("{}"))
    await aws.call("stop_execution", executionArn=arn, cause="SECRET")
    await until(lambda: aws.local.relay is not None and aws.local.relay.failed == 1)
    assert [record.getMessage() for record in caplog.records] == ["the relay failed: States.Http.StatusCode.400"]
