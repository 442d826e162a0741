from __future__ import annotations

import asyncio
import json
import re
import time
from functools import partial

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from service.telemetry import otel
from service.telemetry.metrics import Metrics
from service.telemetry.sampling import Sampler
from service.web import bodies, middleware
from service.web.context import METRICS, SAMPLER
from tests.support.front import JSON, NAMES, front
from tests.support.ids import ID
from tests.support.metrics import Scrape
from tests.support.step_functions import ARN, STARTED, Script, error, ok, reset


async def test_a_request_id_is_accepted_echoed_and_logged() -> None:
    async with front() as it:
        with capture_logs() as logs:
            async with it.client.get("/healthz", headers={"X-Request-Id": "abc-1"}) as response:
                assert response.headers["X-Request-Id"] == "abc-1"
        assert [line["request_id"] for line in logs] == ["abc-1"]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>"])
async def test_a_request_id_that_cannot_be_logged_is_replaced(given: str) -> None:
    async with front() as it, it.client.get("/healthz", headers={"X-Request-Id": given}) as response:
        assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-Id"])


async def test_a_request_makes_one_log_line_with_nothing_from_the_caller() -> None:
    async with front() as it:
        with capture_logs() as logs:
            response = await it.post_and_reply({"nome completo": "private"}, json=NAMES, params={"key": "private"})
            body = await response.json()
        (line,) = logs
        assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "POST", "/event", 200)
        assert line["execution_id"] == body["id"]
        assert line["ms"] >= 0
        assert not any(word in str(line) for word in ("private", "Ricardo", "Marques"))


async def test_an_internal_error_does_not_reveal_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> web.Response:
        raise RuntimeError("Ricardo's password")

    monkeypatch.setattr(bodies, "read_event", broken)
    async with front() as it:
        with capture_logs() as logs:
            problem = await it.problem("POST", "/event", 500, "unexpected", json=NAMES)
        assert "password" not in str(problem)
        assert [line["event"] for line in logs] == ["unexpected_error", "request"]


async def test_the_line_has_the_number_of_start_attempts() -> None:
    async with front() as it:
        it.stage.endpoint.script("StartExecution", error("ThrottlingException"), error("ThrottlingException"), STARTED)
        with capture_logs() as logs:
            request = asyncio.create_task(it.client.post("/event", json=NAMES))
            name = await it.stage.started(3)
            it.stage.reply(name, {})
            assert (await request).status == 200
        assert [(line["status"], line["start_attempts"]) for line in logs] == [(200, 3)]


async def test_the_line_of_a_failed_start_has_its_attempts_too() -> None:
    async with front(timeout=1.5) as it:
        it.stage.endpoint.script("StartExecution", error("ThrottlingException"))
        with capture_logs() as logs:
            await it.problem("POST", "/event", 503, "throttled", json=NAMES)
        (line,) = logs
        assert (line["problem"], line["log_level"]) == ("throttled", "warning")
        assert line["start_attempts"] == it.stage.endpoint.count("StartExecution") > 1


async def test_probes_are_logged_at_debug_and_callers_errors_at_info() -> None:
    async with front(ready="link down") as it:
        with capture_logs() as logs:
            for path in ("/healthz", "/readyz", "/metrics", "/nowhere"):
                await it.client.get(path)
            await it.problem("POST", "/event", 415, "not-json", data="{}")
        assert [(line["status"], line["log_level"]) for line in logs] == [
            (200, "debug"),
            (503, "debug"),
            (200, "debug"),
            (404, "info"),
            (415, "info"),
        ]


async def test_under_load_successes_are_counted_and_each_kind_of_problem_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(middleware, "Sampler", partial(Sampler, limit=2))
    async with front() as it:
        with capture_logs() as logs:
            await asyncio.gather(*(it.client.get("/healthz") for _ in range(30)))
            await it.problem("POST", "/event", 400, "malformed-json", data="{", headers=JSON)
            async with asyncio.timeout(20):
                while logs[-1]["event"] != "requests_suppressed":  # noqa: ASYNC110 - a list has no event to wait for
                    await asyncio.sleep(0.01)
        lines = [line for line in logs if line["event"] == "request"]
        suppressed = [line for line in logs if line["event"] == "requests_suppressed"]
        assert [line["problem"] for line in lines if line["status"] != 200] == ["malformed-json"]
        # On a busy machine they may take more than one second.
        assert len(lines) + sum(line["count"] for line in suppressed) == 31
        assert all(line["outcomes"] == {"succeeded": line["count"]} for line in suppressed)


async def test_lines_that_were_suppressed_last_are_counted_when_the_service_ends() -> None:
    with capture_logs() as logs:
        async with front() as it:
            it.app[SAMPLER]._limit = 1
            it.app[SAMPLER]._end = time.monotonic() + 1000
            for _ in range(2):
                async with it.client.get("/nowhere") as response:
                    assert response.status == 404
    assert [line["count"] for line in logs if line["event"] == "requests_suppressed"] == [1]


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_the_name_of_a_workflows_error_is_logged_and_counted(accept: str) -> None:
    async with front() as it:
        with capture_logs() as logs:
            request = asyncio.create_task(it.client.post("/event", json=NAMES, headers={"Accept": accept}))
            failed = {"id": await it.stage.started(), "status": "FAILED", "error": "Out of stock", "cause": "private"}
            it.stage.replies.deliver(json.dumps(failed))
            assert "Out of stock" in await (await request).text()
        (line,) = logs
        assert (line["problem"], line["workflow_error"]) == ("workflow-failed", "Out of stock")
        assert "private" not in str(line)
        now = Scrape(generate_latest(it.app[METRICS].registry).decode())
        assert now("workflow_errors_total", "Out of stock") == 1


@pytest.mark.parametrize(
    ("part", "method"),
    [
        (Metrics, "ended"),
        (Metrics, "responded"),
        (Sampler, "allows"),
        (otel.Traces, "begin"),
        (otel.RequestTrace, "begin_start_execution_span"),
        (otel.RequestTrace, "end"),
    ],
)
async def test_telemetry_that_fails_is_logged_and_changes_no_response(
    part: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("private")

    monkeypatch.setattr(part, method, broken)
    async with front(traces=otel.Traces(TracerProvider(shutdown_on_exit=False))) as it:
        with capture_logs() as logs:
            response = await it.post_and_reply({"nome completo": "x"}, json=NAMES)
            assert (response.status, "X-Request-Id" in response.headers) == (200, True)
        assert [line["event"] for line in logs if line["event"] != "request"] == ["telemetry_failed"]
        it.stage.assert_nothing_in_flight()


@pytest.mark.parametrize(
    ("script", "slug", "logged"),
    [
        (error("AccessDeniedException"), "refused", "AccessDeniedException"),
        (error("com.amazonaws.states#StateMachineDoesNotExist"), "refused", "StateMachineDoesNotExist"),
        (error("InvalidArn"), "refused", "InvalidArn"),
        (error("X" * 2**20), "refused", "400"),
        (error("\ud800"), "refused", "400"),
        (error("Denied\r\n\x1b[31m for exec-1"), "refused", "400"),
        (error(""), "refused", "400"),
        (error("InternalFailure", 500), "outcome-unknown", "InternalFailure"),
        (reset(), "outcome-unknown", "response: ConnectionClosedError"),
        (ok(), "outcome-unknown", "KeyError"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
async def test_a_failed_call_to_aws_is_logged_with_its_code_action_arn_and_host(
    script: Script, slug: str, logged: str
) -> None:
    async with front(timeout=1.5, response_timeout=3) as it:
        it.stage.endpoint.script("StartExecution", script)
        it.stage.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with capture_logs() as logs:
            problem = await it.problem("POST", "/event", 503, slug, json=NAMES)
        (line,) = [line for line in logs if line["event"] == "request"]
        assert (line["problem"], line["aws_error"], line["aws_action"]) == (slug, logged, "StartExecution")
        assert (line["arn"], line["host"]) == (ARN.text, "" if logged == "KeyError" else "127.0.0.1")
        # Callers get what they always got.
        assert not problem.keys() & {"aws_error", "aws_action", "arn", "host"}
        assert len(problem["detail"]) < 120


async def test_an_unknown_execution_is_not_logged_as_a_failure_of_aws() -> None:
    async with front() as it:
        it.stage.endpoint.script("DescribeExecution", error("InvalidArn"))
        with capture_logs() as logs:
            await it.problem("GET", f"/event/{ID}", 404, "unknown-execution")
        assert "aws_error" not in logs[-1]


async def test_each_response_of_an_instance_that_is_shutting_down_is_the_last_one_on_its_connection() -> None:
    async with front() as it:
        async with it.client.get("/healthz") as response:
            assert "Connection" not in response.headers
        it.stage.admission.draining = True
        for path in ("/healthz", f"/event/{ID}x", "/nowhere"):
            async with it.client.get(path) as response:
                assert response.headers["Connection"] == "close"
