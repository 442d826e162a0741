"""The service and the local AWS in separate processes: real HTTP, a real WebSocket and the deployed workflow."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from moto.server import ThreadedMotoServer
from yarl import URL

from service import __version__
from service.app.shutdown import FLUSH_TIMEOUT_S
from service.local import LocalAws
from tests.support.ids import ID, IDS
from tests.support.processes import Process, command, service, settings_for
from tests.support.step_functions import STARTED, ScriptedStepFunctions, described, error, gated, ok
from tests.support.within import within

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=250)) as client:
        yield client


async def started(aws: LocalAws, number: int) -> None:
    """Wait until this number of executions have been started."""
    async with asyncio.timeout(20):
        while len(aws.executions) < number:  # noqa: ASYNC110 - the record has no event to wait for
            await asyncio.sleep(0.01)


async def post(http: aiohttp.ClientSession, url: str, body: Any = RICARDO, **headers: str) -> tuple[int, Any]:
    data = json.dumps(body, ensure_ascii=False).encode()
    headers["Content-Type"] = "application/json"
    async with http.post(f"{url}/event", data=data, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def test_a_post_is_answered_with_the_workflows_result(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0.5) as aws, service(aws) as (_, url):
        began = time.monotonic()
        status, body = await post(http, url)
        assert time.monotonic() - began >= 0.5
        assert (status, body) == (200, {"id": body["id"], "nome completo": "Ricardo Marques"})
        assert IDS.verify(body["id"])
        # The record contains the same result under the id in the response.
        described = await asyncio.to_thread(describe, aws, body["id"])
        assert json.loads(described["output"]) == {"nome completo": "Ricardo Marques"}
        given = json.loads(described["input"])
        assert json.loads(given["event"]) == RICARDO
        assert given["reply"]["channel"].startswith("AsyncEvents/")
        assert given["reply"]["channel"].endswith(f"/{body['id']}")


async def test_the_service_needs_no_key_with_iam(http: aiohttp.ClientSession) -> None:
    keyless = {"APPSYNC_AUTH": "iam", "APPSYNC_API_KEY": ""}
    async with LocalAws(port=0, wait=0) as aws, service(aws, **keyless) as (_, url):
        status, body = await post(http, url)
        assert (status, body) == (200, {"id": body["id"], "nome completo": "Ricardo Marques"})


def describe(aws: LocalAws, name: str) -> Any:
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=aws.region)
    client = session.client("stepfunctions", endpoint_url=aws.url)
    return client.describe_execution(
        executionArn=aws.state_machine_arn.replace(":stateMachine:", ":execution:") + ":" + name
    )


NAMES = [
    'say "hi"',
    "back\\slash \\n \\u0041",
    "O'Neill, d'\u00c1vila",
    "\U0001f469\u200d\U0001f680\U0001f1e7\U0001f1f7",
    "\u0645\u062d\u0645\u062f \u202e\u05d3\u05d5\u05d3",
    "line\nbreak\ttab\r\u2028\u2029\u0000\u001f\u007f\ufeff",
    "{% $states.input %} ${endpoint} {{x}} <b>&amp;</b>",
    "\u00e9 and e\u0301",
    "x" * 10_000,
    "\U0001f600" * 10_000,
]


async def test_any_name_survives_the_round_trip(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (_, url):
        for name in NAMES:
            status, body = await post(http, url, {"nome": name, "sobrenome": name[::-1]})
            assert (status, body["nome completo"]) == (200, f"{name} {name[::-1]}")


@pytest.mark.timeout(300)  # takes about 25 seconds on an idle machine
async def test_two_thousand_concurrent_requests_get_their_own_responses_over_one_connection(
    http: aiohttp.ClientSession,
) -> None:
    asyncio.get_running_loop().set_debug(False)  # this process handles both ends of two thousand requests
    async with LocalAws(port=0, wait=20) as aws, service(aws, RESPONSE_TIMEOUT="200") as (process, url):
        posts = [
            asyncio.create_task(post(http, url, {"nome": f"N{number}", "sobrenome": "X"})) for number in range(2000)
        ]
        peak = 0
        while not all(task.done() for task in posts):
            peak = max(peak, aws.running)
            await asyncio.wait(posts, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            assert (aws.connections, aws.subscriptions) == (1, 3)  # for replies, and for ends of two shards
        responses = [task.result() for task in posts]
        assert {status for status, _ in responses} == {200}
        assert [body["nome completo"] for _, body in responses] == [f"N{number} X" for number in range(2000)]
        assert len({body["id"] for _, body in responses}) == 2000
        assert (len(aws.executions), peak) == (2000, 2000)
        await stopped(process)


async def stopped(process: Process) -> None:
    """Stop the service as ECS does; it has to log that no request was in flight and exit gracefully."""
    process.send(signal.SIGTERM)
    assert await process.wait() == 0
    assert [line["in_flight"] for line in process.logs if line["event"] == "stopping"] == [0]
    assert process.logs[-1]["event"] == "stopped"
    assert not [line for line in process.logs if line["level"] in {"error", "critical"}]


async def test_a_workflow_that_fails_is_a_bad_gateway_as_soon_as_the_relay_reports_it(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws, REQUEST_SCHEMA="") as (_, url):
        async with within(10):  # the wait would end after 25 seconds
            status, body = await post(http, url, {"nome": 1})
        assert (status, body["error"]) == (502, "States.QueryEvaluationError")
        assert aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"] == 0
        async with http.get(f"{url}/event/{body['id']}") as response:
            later = await response.json(content_type=None)
            assert (response.status, later["error"], later["id"]) == (502, "States.QueryEvaluationError", body["id"])


async def test_a_location_is_never_unknown_and_ends_with_the_result(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0.3) as aws, service(aws) as (_, url):
        async with http.post(f"{url}/event", json=RICARDO, headers={"Prefer": "respond-async"}) as response:
            assert response.status == 202
            location = response.headers["Location"]
        async with asyncio.timeout(10):
            while True:
                async with http.get(url + location) as response:
                    body = await response.json(content_type=None)
                if response.status == 200:
                    break
                assert response.status == 202
        assert body["nome completo"] == "Ricardo Marques"


async def test_a_delete_aborts_the_execution_and_answers_its_waiting_request(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=30) as aws, service(aws) as (_, url):
        waiting = asyncio.create_task(post(http, url))
        await started(aws, 1)
        (name,) = aws.executions
        async with within(10):  # the wait would end after 25 seconds
            async with http.delete(f"{url}/event/{name}") as response:
                assert response.status == 204
            status, body = await waiting
        assert (status, body["id"]) == (502, name)
        assert body["type"].endswith(":workflow-aborted")


async def test_requests_are_served_again_after_the_link_was_lost(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (process, url):
        await aws.drop_connections(1006)
        await process.logged("link_down")
        # Without the link a request waits: no execution is started whose reply would be lost.
        assert (await post(http, url))[0] == 200


async def test_sigterm_answers_requests_in_flight_refuses_new_ones_and_exits_with_status_zero(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=4) as aws, service(aws) as (process, url):
        waiting = [asyncio.create_task(post(http, url)) for _ in range(20)]
        await started(aws, 20)
        process.send(signal.SIGTERM)
        await process.logged("stopping")
        status, body = await post(http, url)
        assert (status, body["type"].rpartition(":")[2]) == (503, "draining")
        async with http.get(f"{url}/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "draining"})
        assert {status for status, _ in await asyncio.gather(*waiting)} == {200}
        assert await process.wait() == 0
        assert (aws.connections, aws.subscriptions) == (0, 0)


async def test_a_shutdown_does_not_wait_for_idle_connections(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (process, url):
        assert (await post(http, url))[0] == 200  # the session keeps the connection
        process.send(signal.SIGTERM)
        stopping = await process.logged("stopping")
        assert await process.wait() == 0
        stopped = process.logs[-1]
        assert (stopping["in_flight"], stopped["event"]) == (0, "stopped")
        took = datetime.fromisoformat(stopped["timestamp"]) - datetime.fromisoformat(stopping["timestamp"])
        assert took.total_seconds() < FLUSH_TIMEOUT_S / 2


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
async def test_a_forced_shutdown_answers_with_the_url_of_the_result(
    http: aiohttp.ClientSession, signals: list[signal.Signals]
) -> None:
    async with LocalAws(port=0, wait=60) as aws, service(aws) as (process, url):
        waiting = [asyncio.create_task(post(http, url)) for _ in range(5)]
        await started(aws, 5)
        for number in signals:
            process.send(number)
            await process.logged("stopping")
        responses = await asyncio.gather(*waiting)
        assert {status for status, _ in responses} == {202}
        assert {body["id"] for _, body in responses} == set(aws.executions)
        assert await process.wait(5) == 3


async def test_a_forced_shutdown_waits_for_nobody(http: aiohttp.ClientSession) -> None:
    """Step Functions hangs, a client has sent half a body, and another does not read its response."""
    async with LocalAws(port=0, wait=0) as aws, ScriptedStepFunctions() as hanging:
        hanging.script("StartExecution", gated(asyncio.Event(), STARTED))
        hanging.script("DescribeExecution", gated(asyncio.Event(), STARTED))
        async with service(aws, AWS_ENDPOINT_URL_SFN=hanging.url) as (process, url):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(b"POST /event HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
            writer.write(b"Content-Length: 100\r\n\r\n{")
            starting = asyncio.create_task(post(http, url))
            reading = asyncio.create_task(http.get(f"{url}/event/{ID}"))
            await hanging.arrived("StartExecution")
            await hanging.arrived("DescribeExecution")
            process.send(signal.SIGINT)
            status, body = await starting
            assert (status, body["type"].rpartition(":")[2]) == (503, "outcome-unknown")
            assert body["id"] == next(call["name"] for action, call in hanging.calls if action == "StartExecution")
            assert await process.wait(3) == 3  # takes a second on an idle machine
            async with asyncio.timeout(5):
                await reader.read()
            writer.close()
            await asyncio.wait([reading])
            assert not [line for line in process.stderr if not line.startswith("{")]


async def test_a_shutdown_waits_for_slow_clients_but_not_forever(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, ScriptedStepFunctions() as scripted:
        scripted.script("DescribeExecution", described("SUCCEEDED", output=json.dumps("x" * 250_000)))
        async with service(aws, AWS_ENDPOINT_URL_SFN=scripted.url) as (process, url):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), limit=1024)
            request = f"GET /event/{ID} HTTP/1.1\r\nHost: x\r\n\r\n"
            writer.write(request.encode() * 40)  # more than the buffers of the sockets can hold
            await scripted.arrived("DescribeExecution", 10)
            process.send(signal.SIGTERM)
            assert await process.wait(20) == 0
            assert not [line for line in process.stderr if not line.startswith("{")]
            async with asyncio.timeout(5):
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            writer.transport.abort()


async def test_a_request_that_outlasts_the_drain_learns_where_to_read_the_result(http: aiohttp.ClientSession) -> None:
    async with (
        LocalAws(port=0, wait=60) as aws,
        service(aws, RESPONSE_TIMEOUT="300", DRAIN_TIMEOUT="0.2") as (process, url),
    ):
        waiting = asyncio.create_task(post(http, url))
        await started(aws, 1)
        process.send(signal.SIGTERM)
        status, _ = await waiting
        assert status == 202
        assert await process.wait() == 3
        warnings = [line["event"] for line in process.logs if line["level"] == "warning"]
        assert warnings == ["response_timeout_too_long", "drain_timeout_too_short"]


async def test_a_service_without_appsync_is_healthy_but_not_ready_and_starts_nothing(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=0) as aws:
        env = settings_for(aws) | {"APPSYNC_API_KEY": "da2-wrong"}
        async with command("service", "serve", env=env) as process:
            url = f"http://127.0.0.1:{(await process.logged('started'))['port']}"
            await process.logged("link_refused")
            async with http.get(f"{url}/healthz") as response:
                assert response.status == 200
            async with http.get(f"{url}/readyz") as response:
                assert (response.status, await response.json()) == (503, {"status": "link never up"})
            status, body = await post(http, url)
            assert (status, body["type"].rpartition(":")[2]) == (503, "link-down")
            assert not aws.executions
            assert "da2-wrong" not in "\n".join(process.stderr)


async def test_the_key_can_come_from_secrets_manager(http: aiohttp.ClientSession) -> None:
    moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        secrets = f"http://{host}:{port}"
        async with LocalAws(port=0, wait=0) as aws:
            session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=aws.region)
            client = session.client("secretsmanager", endpoint_url=secrets)
            await asyncio.to_thread(client.create_secret, Name="the-key", SecretString=aws.api_key)
            env = {
                "APPSYNC_API_KEY": "",
                "APPSYNC_API_KEY_SECRET": "the-key",
                "AWS_ENDPOINT_URL_SECRETS_MANAGER": secrets,
            }
            async with service(aws, **env) as (_, url):
                assert (await post(http, url))[0] == 200
    finally:
        await asyncio.to_thread(moto.stop)


async def test_no_log_line_of_a_busy_service_contains_a_name_or_a_key(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws, LOG_LEVEL="DEBUG") as (process, url):
        await post(http, url, {"nome": "Secretname", "sobrenome": "Hidden"})
        await post(http, url, {"nome": "", "sobrenome": "Secretname"})
        async with http.post(f"{url}/event?token=Secretname", data=b"Secretname") as response:
            assert response.status == 415
        async with http.get(f"{url}/Secretname") as response:
            assert response.status == 404
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"Secretname / nonsense\r\nSecretname\r\n\r\n")
        async with asyncio.timeout(5):
            assert b"400" in await reader.readline()
        writer.close()
        await stopped(process)
        log = "\n".join(process.stderr)
        assert not [word for word in ("Secretname", "Hidden", aws.api_key, "AWS4-HMAC") if word in log]


async def test_a_custom_schema_and_stage_prefix_are_used(http: aiohttp.ClientSession, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["pedido"]}')
    env = {"REQUEST_SCHEMA": str(schema), "STAGE_PREFIX": "/dev", "RESPONSE_TIMEOUT": "0.1"}
    async with LocalAws(port=0, wait=30) as aws, service(aws, **env) as (_, url):
        async with http.post(f"{url}/dev/event", json={"pedido": 7}) as response:
            assert response.status == 202
            assert response.headers["Location"].startswith("/dev/event/exec-")
        status, body = await post(http, url)
        assert (status, body["errors"][0]["pointer"]) == (422, "")


async def test_pages_of_a_configured_origin_may_call(http: aiohttp.ClientSession) -> None:
    preflight = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with LocalAws(port=0, wait=0) as aws, service(aws, CORS_ORIGINS="https://app.example") as (_, url):
        async with http.options(f"{url}/event", headers=preflight) as response:
            assert (response.status, response.headers["Access-Control-Allow-Methods"]) == (204, "OPTIONS, POST")
        async with http.post(f"{url}/event", json=RICARDO, headers={"Origin": "https://app.example"}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, "https://app.example")


async def test_a_service_for_a_state_machine_that_does_not_exist_says_so_and_is_not_ready(
    http: aiohttp.ClientSession,
) -> None:
    async with LocalAws(port=0, wait=0) as aws:
        arn = f"{aws.state_machine_arn}-typo"
        async with service(aws, STATE_MACHINE_ARN=arn) as (process, url):
            line = await process.logged("state_machine_unusable")
            assert (line["level"], line["reason"]) == ("error", "state machine not found")
            assert (line["aws_error"], line["arn"], line["region"]) == ("StateMachineDoesNotExist", arn, aws.region)
            async with http.get(f"{url}/readyz") as response:
                assert (response.status, await response.json()) == (503, {"status": "state machine not found"})
            status, body = await post(http, url)
            assert (status, body["type"].rpartition(":")[2]) == (503, "refused")
            assert body["detail"] == "Step Functions returned StateMachineDoesNotExist."
            request = await process.logged("request")
            assert (request["aws_action"], request["arn"]) == ("StartExecution", arn)
            assert request["host"] == URL(aws.url).host


async def test_a_state_machine_that_is_made_later_makes_the_instance_ready(http: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, wait=0) as aws, ScriptedStepFunctions() as scripted:
        made = asyncio.Event()
        scripted.script("DescribeStateMachine", error("StateMachineDoesNotExist"), gated(made, ok(type="STANDARD")))
        async with service(aws, AWS_ENDPOINT_URL_SFN=scripted.url) as (process, url):
            assert await readiness(http, url) == (503, "state machine not found")
            made.set()
            await process.logged("state_machine_usable")
            assert await readiness(http, url) == (200, "ready")


async def readiness(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with http.get(f"{url}/readyz") as response:
        return response.status, (await response.json())["status"]


async def test_the_log_line_of_the_start_names_what_is_served() -> None:
    async with LocalAws(port=0, wait=0) as aws, service(aws) as (process, _):
        line = await process.logged("started")
        workflows = {"event": aws.state_machine_arn}
        assert (line["version"], line["workflows"], line["region"]) == (__version__, workflows, aws.region)
        assert (line["appsync_host"], line["namespace"]) == (URL(aws.http_url).authority, aws.namespace)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1:1"])
async def test_a_wrong_host_of_appsync_is_named(host: str) -> None:
    async with LocalAws(port=0, wait=0) as aws:
        env = settings_for(aws) | {"APPSYNC_REALTIME_URL": f"ws://{host}/event/realtime"}
        async with command("service", "serve", env=env) as process:
            assert (await process.logged("link_connect_failed"))["host"] == host


async def test_a_wrong_namespace_is_named_with_its_host() -> None:
    async with LocalAws(port=0, wait=0) as aws:
        env = settings_for(aws) | {"APPSYNC_NAMESPACE": "Typo"}
        async with command("service", "serve", env=env) as process:
            line = await process.logged("link_subscription_refused")
            assert line["host"] == URL(aws.realtime_url).authority
            assert line["channel"].startswith("/Typo/")
