"""The log line of each request."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from structlog.testing import capture_logs

from service.telemetry.sampling import Sampler
from service.web import middleware
from tests.support.front import JSON, NAMES, front
from tests.support.step_functions import STARTED, error


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
