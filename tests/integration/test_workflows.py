"""Several workflows behind one service, modified for it or not, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from service.bridge import lookup_queue, recovery
from service.local import WORKFLOW, Definition, LocalAws
from service.local.json_text import dumps
from tests.support.metrics import scrape
from tests.support.processes import service
from tests.support.served import Served, served, until
from tests.support.within import within

ARN = LocalAws.state_machine_arn.rpartition(":")[0]
ECHO = {"Type": "Pass", "End": True}
REFUSE = {"Type": "Fail", "Error": "OutOfStock", "Cause": "PRIVATE"}
LARGE = {"Type": "Pass", "Output": {"text": "{% $pad('', 40000, '\"\\\\') %}"}, "End": True}
TIMED = {"Type": "Wait", "Seconds": 30, "End": True}


def machine(state: Mapping[str, Any], **more: Any) -> str:
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": "Only", "States": {"Only": state}} | more)


MACHINES = {
    "orders": machine(ECHO),
    "refuse": machine(REFUSE),
    "large": machine(LARGE),
    "slow": machine({"Type": "Wait", "Seconds": 1, "End": True}),
    "slower": machine({"Type": "Wait", "Seconds": 2, "End": True}),  # between two lookups of the record
    "brief": machine({"Type": "Wait", "Seconds": 0.3, "End": True}),
    "timed": machine(TIMED, TimeoutSeconds=1),
}
"""State machines that know nothing of this service."""

EVENT_MODE = {"input": "event"}


@asynccontextmanager
async def machines(folder: Path, **more: Any) -> AsyncIterator[LocalAws]:
    """Run the local AWS with the demonstration and the machines above."""
    definitions = [Definition(LocalAws.state_machine_arn, WORKFLOW)]
    for name, text in MACHINES.items():
        file = folder / f"{name}.asl.json"
        file.write_text(text)
        definitions.append(Definition(f"{ARN}:{name}:PROD", file, "event"))
    async with LocalAws(port=0, wait=0, machines=definitions, **more) as aws:
        yield aws


def workflows(**tables: dict[str, Any]) -> dict[str, str]:
    """Return the setting for these workflows, each for the state machine of its name unless it says another."""
    full = {name: {"state_machine_arn": f"{ARN}:{name}:PROD"} | table for name, table in tables.items()}
    return {"WORKFLOWS": json.dumps(full)}


async def post(it: Served, path: str, body: str = "{}", **headers: str) -> tuple[int, dict[str, Any]]:
    sent = {"Content-Type": "application/json"} | headers
    async with it.client.post(f"{it.url}{path}", data=body.encode(), headers=sent) as response:
        return response.status, await response.json(content_type=None)


async def post_stream(it: Served, path: str) -> tuple[int, str]:
    async with it.client.post(f"{it.url}{path}", json={}, headers={"Accept": "text/event-stream"}) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("qualifier", ["", ":PROD", ":1"], ids=["unqualified", "alias", "version"])
async def test_an_unmodified_machine_gets_the_body_byte_for_byte_and_its_output_is_the_response(
    tmp_path: Path, qualifier: str
) -> None:
    own = EVENT_MODE | {"state_machine_arn": f"{ARN}:orders{qualifier}"}
    body = '{ "n":1.0,\t"text":"\\u00e9 é 😀 \\"\\\\",  "list":[1,2] }'
    async with machines(tmp_path) as aws, served(aws, workflows(orders=own)) as it:
        async with within(10):
            status, answer = await post(it, "/orders", body)
        assert (status, {"id": answer["id"]} | json.loads(body)) == (200, answer)
        assert aws.executions[answer["id"]].input == body
        assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] == 0


async def test_a_thousand_executions_of_the_same_machine_by_others_start_no_relay(tmp_path: Path) -> None:
    async with machines(tmp_path) as aws, served(aws, workflows(orders=EVENT_MODE)) as it, within(30):
        for number in range(1000):
            aws.hosted(f"{ARN}:orders").executions.start(f"foreign-{number}", "{}")
        await until(lambda: aws.running == 0)
        assert {execution.status for execution in aws.executions.values()} == {"SUCCEEDED"}
        assert (await post(it, "/orders"))[0] == 200
        assert aws.relay is not None
        assert aws.relay.started == 1  # for the request


@pytest.mark.timeout(180)  # for busy machines
async def test_a_thousand_unmodified_executions_at_once_get_their_own_results_byte_for_byte(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_debug(False)  # the local AWS has to start a thousand relays, too
    settings = workflows(orders=EVENT_MODE | {"response_timeout": 120})
    async with machines(tmp_path) as aws, service(aws, **settings) as (_, url):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as client:

            async def answer(number: int) -> tuple[str, str]:
                body = f'{{ "n":{number}.0,\t"text":"\\u00e9 {number} \\" 😀" }}'
                while True:
                    async with client.post(f"{url}/orders", data=body.encode()) as response:
                        if response.status == 200:
                            return body, await response.text()
                        assert response.status == 503  # the machine is busy

            answers = await asyncio.gather(*(answer(number) for number in range(1000)))
    for body, text in answers:
        execution_id = json.loads(text)["id"]
        execution = aws.executions[execution_id]
        assert execution.input == body
        assert execution.output is not None
        assert text == f'{{"id":"{execution_id}",{execution.output[1:]}'
        assert json.loads(execution.output) == json.loads(body)
    assert len({json.loads(text)["id"] for _, text in answers}) == 1000


async def test_the_relay_reports_how_an_unmodified_machine_failed(tmp_path: Path) -> None:
    settings = workflows(refuse=EVENT_MODE, timed=EVENT_MODE)
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
        status, body = await post(it, "/refuse")
        assert (status, body["error"], "PRIVATE" in str(body)) == (502, "OutOfStock", False)
        status, body = await post(it, "/timed")
        assert (status, body["type"].rpartition(":")[2]) == (504, "workflow-timed-out")
        assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] == 0


async def test_an_error_has_the_status_and_a_type_of_its_workflow_whenever_it_is_read(tmp_path: Path) -> None:
    settings = workflows(refuse=EVENT_MODE | {"errors": {"OutOf*": 409}})
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(20):
        status, body = await post(it, "/refuse")
        kind = "urn:problem-type:workflow:refuse:OutOfStock"
        assert (status, body["type"], body["title"], body["status"]) == (409, kind, "OutOfStock", 409)
        async with it.client.get(f"{it.url}/refuse/{body['id']}") as response:
            assert (response.status, (await response.json(content_type=None))["type"]) == (409, kind)
        _, text = await post_stream(it, "/refuse")
        assert f'"type":"{kind}"' in text
        async with it.client.get(f"{it.url}/openapi.json") as response:
            described = (await response.json())["paths"]["/refuse"]["post"]["responses"]["409"]
        assert "- `OutOf*`: An error of the workflow." in described["description"]


RECEIPT = {"type": "object", "additionalProperties": {"type": "integer"}}
CHECKED = {"result_schema": RECEIPT, "check_results": True}


@pytest.mark.parametrize("mode", ["event", "envelope"])
async def test_a_result_that_breaks_its_schema_is_a_problem_however_it_is_asked_for(tmp_path: Path, mode: str) -> None:
    demonstration = {"state_machine_arn": LocalAws.state_machine_arn} | CHECKED
    table = EVENT_MODE | CHECKED if mode == "event" else demonstration
    names = {"nome": "Ricardo", "sobrenome": "Marques"}
    with capture_logs() as logs:
        async with machines(tmp_path) as aws, served(aws, workflows(slow=table)) as it, within(20):

            async def asked(method: str, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
                async with it.client.request(method, f"{it.url}{path}", json=names, headers=headers) as response:
                    text = (await response.text()).rpartition("data: ")[2]
                    return response.status, json.loads(text)

            key = {"Idempotency-Key": "one"}
            first, *answers = await asyncio.gather(
                asked("POST", "/slow", **key),
                asked("POST", "/slow", **key),
                asked("POST", "/slow", Accept="text/event-stream", **key),
            )
            path = f"/slow/{first[1]['id']}"
            answers += [await asked("GET", path), await asked("GET", path, Accept="text/event-stream")]
            now = await scrape(it.client, it.url)
    kind = "urn:problem-type:sync-front:invalid-result"
    assert {body["type"] for _, body in (first, *answers)} == {kind}
    assert [body["status"] for _, body in (first, *answers)] == [502] * 5
    assert sorted(status for status, _ in (first, *answers)) == [200, 200, 502, 502, 502]  # the streams had begun
    assert "Ricardo" not in str([first, *answers])
    assert now("requests_total", "slow", "start", "invalid-result") == 3
    assert now("requests_total", "slow", "read", "invalid-result") == 2
    lines = [line for line in logs if line.get("problem") == "invalid-result"]
    assert {(line["log_level"], line["broken_rules"]) for line in lines} == {("warning", "/additionalProperties/type")}
    assert len(lines) == 5
    assert "nome" not in str(lines)


async def test_a_result_that_matches_its_schema_or_need_not_is_passed_on(tmp_path: Path) -> None:
    settings = workflows(orders=EVENT_MODE | CHECKED, slow=EVENT_MODE | {"result_schema": RECEIPT})
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
        assert (await post(it, "/orders", '{"total": 1}'))[0] == 200
        assert (await post(it, "/slow", '{"total": "one"}'))[0] == 200


async def test_a_result_that_is_too_large_for_an_event_is_read_from_the_record(tmp_path: Path) -> None:
    async with machines(tmp_path) as aws, served(aws, workflows(large=EVENT_MODE)) as it, within(10):
        status, body = await post(it, "/large")
        assert (status, body["text"]) == (200, '"\\' * 20000)
        assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] == 1


def bounded(unit: str, size: Callable[[str], int], bound: int) -> str:
    """Return a text made of units, and of a few plain letters, whose size is exactly this bound."""
    room, each = bound - size(""), size(unit) - size("")
    return unit * (room // each) + "n" * (room % each)


def size_of_output(text: str) -> int:
    return len(dumps(text).encode())


def size_of_relayed(text: str) -> int:
    """Return the number of characters that the relay counts."""
    event = {"id": "exec-" + 36 * "0", "status": "SUCCEEDED", "outputText": dumps(text), "redrives": 0}
    return len(json.dumps([json.dumps(event, separators=(",", ":"), ensure_ascii=False)], ensure_ascii=False))


@pytest.mark.parametrize(
    "unit", ['"', "\\", "😀", "\ud83d"], ids=["quotes", "backslashes", "four bytes", "lone surrogates"]
)
async def test_an_output_of_any_characters_is_passed_on_whole_up_to_every_bound(tmp_path: Path, unit: str) -> None:
    relayed = bounded(unit, size_of_relayed, 60_000)
    largest = bounded(unit, size_of_output, 256 * 1024)
    # Of each: whether it is an output at all, and how often it has to be read.
    cases = [(relayed, True, 0), (f"{relayed}n", True, 1), (largest, True, 1), (f"{largest}n", False, 0)]
    definitions = []
    for number, (text, *_) in enumerate(cases):
        file = tmp_path / f"{number}.asl.json"
        file.write_text(machine({"Type": "Pass", "Output": text, "End": True}))
        definitions.append(Definition(f"{ARN}:text-{number}", file, "event"))
    tables = {f"text-{number}": EVENT_MODE | {"state_machine_arn": f"{ARN}:text-{number}"} for number in range(4)}
    async with LocalAws(port=0, machines=definitions) as aws, served(aws, workflows(**tables)) as it, within(20):
        for number, (text, whole, reads) in enumerate(cases):
            before = aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"]
            status, body = await post(it, f"/text-{number}")
            assert (status, body.get("output")) == ((200, text) if whole else (502, None))
            assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] - before == reads


@pytest.mark.parametrize("mode", ["event", "envelope"])
async def test_a_body_that_looks_like_an_envelope_is_an_event_like_any_other(tmp_path: Path, mode: str) -> None:
    body = json.dumps({"id": "exec-1", "event": "{}", "reply": {"channel": "AsyncEvents/x/exec-1"}})
    demonstration = {"state_machine_arn": LocalAws.state_machine_arn, "path": "/orders"}
    settings = workflows(orders=EVENT_MODE if mode == "event" else demonstration)
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
        status, answer = await post(it, "/orders", body)
        given = aws.executions[answer["id"]].input
        if mode == "event":
            assert (status, answer["output"], given) == (200, json.loads(body), body)
        else:
            assert (status, json.loads(given)["event"]) == (502, body)


@pytest.mark.parametrize("mode", ["event", "envelope"])
async def test_a_long_wait_whose_events_are_all_dropped_is_answered_soon_after_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A workflow of 3 seconds under a wait of 285 is answered within 35, scaled down ten times."""
    for module, name in ((recovery, "SWEEP_INTERVAL_S"), (lookup_queue, "SETTLE_S")):
        monkeypatch.setattr(module, name, getattr(module, name) / 10)
    table = EVENT_MODE if mode == "event" else {"state_machine_arn": LocalAws.state_machine_arn}
    async with machines(tmp_path) as aws, served(aws, workflows(brief=table | {"response_timeout": 285})) as it:
        aws.faults.mute.on()
        async with within(3.5):
            status, body = await post(it, "/brief", '{"nome": "Ricardo", "sobrenome": "Marques"}')
        assert (status, body["id"]) == (200, next(iter(aws.executions)))
        assert aws.calls["ListExecutions"] >= 1  # a sweep has found it, not the lookup before the deadline


async def test_a_key_belongs_to_its_workflow_and_compares_events_as_values(tmp_path: Path) -> None:
    settings = workflows(orders=EVENT_MODE, slow=EVENT_MODE)
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(20):
        bodies = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', '{"b":2,"a":1.0}']
        posts = [asyncio.create_task(post(it, "/slow", body, **{"Idempotency-Key": "k"})) for body in bodies[:2]]
        (_, first), (_, second) = await asyncio.gather(*posts)
        assert first["id"] == second["id"]
        assert (await post(it, "/slow", bodies[2], **{"Idempotency-Key": "k"}))[0] == 422
        status, other = await post(it, "/orders", bodies[0], **{"Idempotency-Key": "k"})
        assert (status, other["id"] == first["id"], len(aws.executions)) == (200, False, 2)


async def test_an_id_of_one_workflow_is_unknown_to_another(tmp_path: Path) -> None:
    settings = workflows(orders=EVENT_MODE, slow=EVENT_MODE)
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
        _, body = await post(it, "/orders")
        for path, status in (("/orders", 200), ("/slow", 404)):
            async with it.client.get(f"{it.url}{path}/{body['id']}") as response:
                assert response.status == status


async def test_a_request_at_another_instance_hears_the_end_from_the_relay(tmp_path: Path) -> None:
    settings = workflows(slower=EVENT_MODE)
    async with machines(tmp_path) as aws, served(aws, settings) as one, served(aws, settings) as other, within(20):
        status, body = await post(one, "/slower", Prefer="respond-async")
        assert status == 202
        url = f"{other.url}/slower/{body['id']}"
        async with other.client.get(url, headers={"Prefer": "wait=20"}) as response:
            assert response.status == 200
        assert (await scrape(other.client, other.url))("replies_total", "result") == 1


async def test_a_workflow_that_cannot_be_started_leaves_the_others_in_service(tmp_path: Path) -> None:
    settings = workflows(missing=EVENT_MODE, orders=EVENT_MODE)
    with capture_logs() as logs:
        async with machines(tmp_path) as aws, served(aws, settings) as it, within(20):
            status, body = await post(it, "/missing")
            assert (status, body["type"].rpartition(":")[2]) == (503, "refused")
            assert (await post(it, "/orders"))[0] == 200
            async with it.client.get(f"{it.url}/readyz") as response:
                assert response.status == 200
    (line,) = [line for line in logs if line["event"] == "state_machine_unusable"]
    assert (line["log_level"], line["reason"]) == ("error", "state machine not found")


async def test_a_workflow_that_is_throttled_or_full_takes_no_place_of_another(tmp_path: Path) -> None:
    settings = workflows(orders=EVENT_MODE, refuse=EVENT_MODE, slow=EVENT_MODE | {"max_in_flight": 3})
    async with machines(tmp_path) as aws, served(aws, settings | {"MAX_IN_FLIGHT": "50"}) as it, within(30):
        aws.faults.throttled_machines.add("refuse")
        stuck = [asyncio.create_task(post(it, "/refuse")) for _ in range(40)]
        slow = [asyncio.create_task(post(it, "/slow")) for _ in range(5)]
        await it.until(lambda metrics: metrics("throttled_calls_total", "StartExecution") >= 16)
        for _ in range(5):
            assert (await post(it, "/orders"))[0] == 200
        assert sorted(status for status, _ in await asyncio.gather(*slow)) == [200, 200, 200, 503, 503]
        assert {body["type"].rpartition(":")[2] for _, body in await asyncio.gather(*stuck)} <= {
            "throttled",
            "at-capacity",
        }


async def test_logs_and_metrics_name_the_workflow(tmp_path: Path) -> None:
    settings = workflows(orders=EVENT_MODE, refuse=EVENT_MODE | {"errors": {"OutOfStock": 409}})
    with capture_logs() as logs:
        async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
            await post(it, "/orders")
            await post(it, "/refuse")
            now = await scrape(it.client, it.url)
    assert now("requests_total", "orders", "start", "succeeded") == 1
    assert now("requests_total", "refuse", "start", "workflow-error") == 1
    assert now("requests_total", "refuse", "start", "workflow-failed") == 0  # which an alert is about
    assert now("workflow_errors_total", "refuse", "OutOfStock") == 1
    assert now("workflow_duration_seconds_count", "orders") == 1
    lines = [line for line in logs if line["event"] == "request" and line["route"] != "/metrics"]
    assert [(line["workflow"], line["problem"]) for line in lines] == [("orders", None), ("refuse", "workflow-error")]
    (started,) = [line for line in logs if line["event"] == "started"]
    assert started["workflows"] == {name: f"{ARN}:{name}:PROD" for name in ("orders", "refuse")}


async def test_an_error_with_a_status_from_500_up_counts_as_a_failure_of_the_workflow(tmp_path: Path) -> None:
    settings = workflows(refuse=EVENT_MODE | {"errors": {"OutOfStock": 503}})
    async with machines(tmp_path) as aws, served(aws, settings) as it, within(10):
        status, problem = await post(it, "/refuse")
        assert (status, problem["type"]) == (503, "urn:problem-type:workflow:refuse:OutOfStock")
        now = await scrape(it.client, it.url)
    assert now("requests_total", "refuse", "start", "workflow-failed") == 1  # which alerts are about
    assert now("requests_total", "refuse", "start", "workflow-error") == 0


async def test_the_description_has_each_path_with_its_own_schemas(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["item"], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {}}}
    own = EVENT_MODE | {"path": "/v1/orders", "request_schema": schema, "result_schema": {"type": "array"}}
    receipt = {"type": "object", "required": ["total"], "properties": {"total": {}}, "additionalProperties": False}
    settings = workflows(orders=own, slow=EVENT_MODE | {"result_schema": receipt}) | {"STAGE_PREFIX": "dev"}
    async with machines(tmp_path) as aws, served(aws, settings) as it:
        async with it.client.get(f"{it.url}/openapi.json") as response:
            document = await response.json()
        status, body = await post(it, "/v1/orders")
        assert (status, body["errors"][0]["pointer"]) == (422, "")
        async with it.client.post(
            f"{it.url}/dev/v1/orders", json={"item": 1}, headers={"Prefer": "wait=0"}
        ) as response:
            assert response.headers["Location"].startswith("/dev/v1/orders/exec-")
    assert {"/v1/orders", "/v1/orders/{id}", "/slow", "/slow/{id}"} <= document["paths"].keys()
    assert "/event" not in document["paths"]
    schemas = document["components"]["schemas"]
    assert schemas["OrdersRequest"]["$defs"]["a"] == {"$ref": "#/components/schemas/OrdersRequest/$defs/b"}
    id_ = {"id": {"$ref": "#/components/schemas/Id"}}
    assert schemas["OrdersResult"]["properties"] == id_ | {"output": {"type": "array"}}
    assert schemas["SlowResult"] == receipt | {"required": ["id", "total"], "properties": id_ | {"total": {}}}
    assert "Result" not in schemas
    assert document["paths"]["/slow"]["post"]["operationId"] == "createSlow"
