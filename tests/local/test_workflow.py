from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from service.local import LocalAws, appsync_events, http_task
from service.local.asl.definition import parse, render
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from service.local.http_task import HttpTask
from service.local.server import WORKFLOW
from service.local.tasks import Tasks
from tests.local.conftest import DEADLINE, Aws

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.local.conftest import Socket

NAMES = [
    ("Ricardo", "Marques"),
    ('"quoted"', "d'Ávila"),
    ("back\\slash", "\\u0041 \\n"),
    ("emoji 😀👩\u200d👩\u200d👧", "שלום\u202eعربي"),
    ("control \x00\x01\x1f\x7f", "line \n break \u2028\u2029"),
    ("{% $states.input %}", "${endpoint} <b>&amp;"),
    ("\ud83d", "\udc00 lone"),
    ("", " "),
    ("n" * 10_000, "é" * 5_000),
]
EVALUATION = "States.QueryEvaluationError"


def given(event: Any, name: str = "exec-1") -> dict[str, Any]:
    return {"id": name, "event": event, "reply": {"channel": f"AsyncEvents/instance/{name}"}}


async def listening(aws: Aws) -> Socket:
    socket = await aws.connect()
    await socket.subscribe("all", "/AsyncEvents/instance/*")
    return socket


@pytest.mark.parametrize("names", NAMES)
async def test_names_of_any_kind_arrive_unchanged_and_the_output_equals_the_reply(
    aws: Aws, names: tuple[str, str]
) -> None:
    socket = await listening(aws)
    event = json.dumps({"nome": names[0], "sobrenome": names[1], "other": [1, None, {"a": 0.1}]})
    await aws.start("exec-1", given(event))
    reply = json.loads((await socket.receive())["event"])
    output = {"nome completo": " ".join(names)}
    assert reply == {"id": "exec-1", "status": "SUCCEEDED", "output": output}
    described = await aws.ended("exec-1")
    assert described["status"] == "SUCCEEDED"
    assert json.loads(described["output"]) == output


async def test_a_name_sent_as_utf_8_instead_of_escapes_arrives_unchanged(aws: Aws) -> None:
    socket = await listening(aws)
    await aws.start("exec-1", given(orjson.dumps({"nome": "José 😀", "sobrenome": "Ñ"}).decode()))
    assert json.loads((await socket.receive())["event"])["output"] == {"nome completo": "José 😀 Ñ"}


async def test_a_normal_run_enters_exactly_four_states(aws: Aws) -> None:
    await aws.start("exec-1", given('{"nome":"A","sobrenome":"B"}'))
    assert (await aws.ended("exec-1"))["status"] == "SUCCEEDED"
    history = await aws.call("get_execution_history", executionArn=aws.local.executions["exec-1"].arn)
    entered = [event for event in history["events"] if event["type"].endswith("StateEntered")]
    assert [event["type"] for event in entered] == [
        "WaitStateEntered",
        "PassStateEntered",
        "PassStateEntered",
        "TaskStateEntered",
    ]
    names = [event["stateEnteredEventDetails"]["name"] for event in entered]
    assert names == ["Wait", "ConvertJson", "BindName", "Publish"]


@pytest.mark.parametrize(
    "event",
    [
        "secret nonsense",
        "",
        '{"nome":"secret","sobrenome":NaN}',
        "[" * 20_000 + "]" * 20_000,
        {"nome": "secret", "sobrenome": "B"},
        None,
        "{}",
        "null",
        "7",
        '"secret"',
        '[{"nome":"secret","sobrenome":"B"}]',
        '{"nome":"secret"}',
        '{"nome":"secret","sobrenome":null}',
        '{"nome":["secret"],"sobrenome":"B"}',
        '{"nome":"secret","sobrenome":{"a":"b"}}',
    ],
)
async def test_an_invalid_event_fails_the_execution_from_inside_its_expression(aws: Aws, event: Any) -> None:
    await aws.start("exec-1", given(event))
    described = await aws.ended("exec-1")
    assert (described["status"], described["error"]) == ("FAILED", EVALUATION)
    assert "secret" not in described["cause"]


async def test_a_result_that_appsync_lists_as_failed_fails_the_execution(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appsync_events, "MAX_EVENT_BYTES", 1000)
    await aws.start("exec-1", given(json.dumps({"nome": "n" * 1000, "sobrenome": "B"})))
    described = await aws.ended("exec-1")
    assert (described["status"], described["error"]) == ("FAILED", EVALUATION)
    assert "AppSync did not accept the result" in described["cause"]


@pytest.mark.parametrize(("size", "status"), [(10, "SUCCEEDED"), (1000, "FAILED")])
async def test_a_response_of_appsync_that_arrives_as_text_is_read_as_well(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, size: int, status: str
) -> None:
    """No document says whether an HTTP task parses the body of every JSON response."""
    monkeypatch.setattr(http_task, "_response_body", lambda text: text)
    monkeypatch.setattr(appsync_events, "MAX_EVENT_BYTES", 1000)
    await aws.start("exec-1", given(json.dumps({"nome": "n" * size, "sobrenome": "B"})))
    described = await aws.ended("exec-1")
    assert (described["status"], described.get("error")) == (status, EVALUATION if status == "FAILED" else None)


@pytest.mark.parametrize(("size", "inline"), [(50_000, True), (70_000, False), (250_000, False)])
async def test_a_result_that_may_not_fit_into_an_event_is_left_out_of_the_reply(
    aws: Aws, size: int, inline: bool
) -> None:
    socket = await listening(aws)
    await aws.start("exec-1", given(json.dumps({"nome": "n" * size, "sobrenome": "B"})))
    reply = json.loads((await socket.receive())["event"])
    assert (reply["status"], "output" in reply) == ("SUCCEEDED", inline)
    described = await aws.ended("exec-1")
    assert (described["status"], len(json.loads(described["output"])["nome completo"])) == ("SUCCEEDED", size + 2)


async def test_an_input_without_a_reply_channel_fails(aws: Aws) -> None:
    await aws.start("exec-1", {"id": "exec-1"})
    described = await aws.ended("exec-1")
    assert (described["status"], described["error"]) == ("FAILED", "States.QueryEvaluationError")


async def test_a_channel_that_appsync_rejects_fails_without_retries(aws: Aws) -> None:
    await aws.start("exec-1", given('{"nome":"A","sobrenome":"B"}') | {"reply": {"channel": "Other/a"}})
    described = await aws.ended("exec-1")
    assert (described["status"], described["error"]) == ("FAILED", "States.Http.StatusCode.401")


@asynccontextmanager
async def publishing_to(
    *responses: int | str, definition: Path = WORKFLOW, data: Any = None
) -> AsyncIterator[tuple[Any, list[Any], list[dict[str, str]]]]:
    """Run the workflow against an endpoint with these responses, in turn: a status, or the body of a 200."""
    posted: list[Any] = []
    headers: list[dict[str, str]] = []
    remaining = list(responses)

    async def handle(request: web.Request) -> web.Response:
        posted.append(json.loads(await request.read()))
        headers.append(dict(request.headers))
        next_response = remaining.pop(0)
        return (
            web.Response(text=next_response) if isinstance(next_response, str) else web.Response(status=next_response)
        )

    app = web.Application()
    app.router.add_post("/event", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    task = HttpTask({"arn:connection": {"x-api-key": "the key"}})
    text = (await asyncio.to_thread(definition.read_text, encoding="utf-8")).replace(
        '"IntervalSeconds": 1', '"IntervalSeconds": 0'
    )
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/event"
    values = {"partition": "aws", "endpoint": url, "connection_arn": "arn:connection", "wait_seconds": "0"}
    values["namespace"] = "AsyncEvents"
    machine = parse(render(text, values))

    async def run() -> Any:
        async with asyncio.timeout(DEADLINE):
            value = data or given('{"nome":"A","sobrenome":"B"}')
            return await Interpreter(Tasks(task.invoke).run).run(machine.flow, value, Run())

    try:
        yield run, posted, headers
    finally:
        await task.close()
        await runner.cleanup()


async def test_a_publish_that_fails_temporarily_is_retried() -> None:
    async with publishing_to(500, 429, '{"failed":[]}') as (run, posted, headers):
        assert await run() == {"nome completo": "A B"}
    assert len(posted) == 3
    assert posted[0] == posted[2]
    assert posted[0]["channel"] == "AsyncEvents/instance/exec-1"
    assert (headers[0]["x-api-key"], headers[0]["Content-Type"]) == ("the key", "application/json")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_rejected_publish_is_not_retried_and_fails_the_execution(status: int) -> None:
    async with publishing_to(status) as (run, posted, _):
        with pytest.raises(StateError) as caught:
            await run()
    assert caught.value.error == f"States.Http.StatusCode.{status}"
    assert len(posted) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_publish_with_an_unknown_outcome_leaves_the_result_in_the_record(status: int) -> None:
    # Each of these may have been delivered: FAILED in the record could contradict what the caller got.
    async with publishing_to(*[status] * 4) as (run, posted, _):
        assert await run() == {"nome completo": "A B"}
    assert [json.loads(post["events"][0])["status"] for post in posted] == ["SUCCEEDED"] * 4


@pytest.mark.parametrize("response", ['{"failed":[{"index":0}]}', '{"failed":null}', "{}", "<html>", "[]"])
async def test_a_response_without_an_empty_list_of_failed_events_is_not_a_delivery(response: str) -> None:
    async with publishing_to(response) as (run, posted, _):
        with pytest.raises(StateError) as caught:
            await run()
    assert caught.value.error == EVALUATION
    assert len(posted) == 1


def test_the_definition_is_json_before_its_placeholders_are_filled_in() -> None:
    definition = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    assert next(iter(definition["States"])) == definition["StartAt"] == "Wait"


def test_the_request_schema_uses_keywords_of_every_draft() -> None:
    schema = json.loads((WORKFLOW.parent / "request.schema.json").read_text(encoding="utf-8"))
    assert schema["required"] == ["nome", "sobrenome"]
    assert set(schema) == {"$schema", "title", "description", "type", "required", "properties"}


async def test_hundreds_of_executions_that_end_at_once_all_succeed() -> None:
    async with LocalAws(port=0, wait=0) as local, asyncio.timeout(40):
        event = '{"nome":"A","sobrenome":"B"}'
        for number in range(200):
            local.hosted().executions.start(f"e{number}", json.dumps(given(event, f"e{number}")))
        assert local.running == 200
        await asyncio.gather(*local.hosted().executions._tasks.values())
        assert {execution.status for execution in local.executions.values()} == {"SUCCEEDED"}


PROGRESSING = """{
  "QueryLanguage": "JSONata", "StartAt": "Begin",
  "States": {
    "Begin": {"Type": "Pass", "Assign": {"channel": "{% $states.input.reply.channel %}", "id": "{% $states.input.id %}"},
      "Next": "Half"},
    "Half": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Next": "Whole", "Output": "{% $states.input %}",
      "Arguments": {"ApiEndpoint": "${endpoint}", "Method": "POST", "Authentication": {"ConnectionArn": "${connection_arn}"},
        "RequestBody": {"channel": "{% $channel %}", "events": [
          "{% $string({'id': $id, 'status': 'RUNNING', 'progress': 1}) %}",
          "{% $string({'id': $id, 'status': 'RUNNING', 'progress': 2}) %}"]}}},
    "Whole": {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Output": {"done": true}, "End": true,
      "Arguments": {"ApiEndpoint": "${endpoint}", "Method": "POST", "Authentication": {"ConnectionArn": "${connection_arn}"},
        "RequestBody": {"channel": "{% $channel %}", "events": [
          "{% $string({'id': $id, 'status': 'SUCCEEDED', 'output': {'done': true}}) %}"]}}}
  }
}"""  # noqa: E501 - a definition reads better in one block


async def test_a_custom_workflow_publishes_progress_and_then_its_result(tmp_path: Path) -> None:
    definition = tmp_path / "own.asl.json"
    definition.write_text(PROGRESSING)
    async with LocalAws(port=0, definition=definition) as local, aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        socket = await listening(aws)
        await aws.start("exec-1", given("{}"))
        replies = [json.loads((await socket.receive())["event"]) for _ in range(3)]
        assert [reply.get("progress") for reply in replies] == [1, 2, None]
        assert replies[-1] == {"id": "exec-1", "status": "SUCCEEDED", "output": {"done": True}}
        assert json.loads((await aws.ended("exec-1"))["output"]) == {"done": True}
        await aws.close()
