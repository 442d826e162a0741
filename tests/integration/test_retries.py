"""Retries over real sockets, with the local AWS: modified and unmodified machines, several instances, late reports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from service.local import Definition, LocalAws, relay
from tests.support.publishing import publishing
from tests.support.served import Served, served, until
from tests.support.within import within

ARN = LocalAws.state_machine_arn.rpartition(":")[0]
WORK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
MACHINES: dict[str, dict[str, Any]] = {
    "unmodified": {"Work": WORK | {"End": True}},
    "modified": {"Work": WORK | {"Next": "Publish"}, "Publish": publishing("$states.input")},
}
BROKEN = {"Throw": {"Error": "Broken", "Cause": "PRIVATE"}}
SLOW = {"Return": {"n": 1}, "DelaySeconds": 1}
SUCCESS = {"0": BROKEN, "1": SLOW}
OUT_OF_STOCK = {"0": BROKEN, "1": {"Throw": {"Error": "OutOfStock"}, "DelaySeconds": 1}}
BOTH = pytest.mark.parametrize("name", MACHINES)


@asynccontextmanager
async def local(folder: Path, responses: Any = SUCCESS, **more: Any) -> AsyncIterator[LocalAws]:
    """Run both machines, whose work is done as the responses say, by invocation."""
    definitions = []
    for name, states in MACHINES.items():
        file, mocks = folder / f"{name}.asl.json", folder / f"{name}.mocks.json"
        file.write_text(json.dumps({"QueryLanguage": "JSONata", "StartAt": "Work", "States": states}))
        mocks.write_text(json.dumps({"StateMachines": {name: {"TestCases": {"Case": {"Work": responses}}}}}))
        mode: Any = "event" if name == "unmodified" else "envelope"
        definitions.append(Definition(f"{ARN}:{name}", file, mode, mocks))
    async with LocalAws(port=0, machines=definitions, **more) as aws:
        yield aws


def settings(**more: str) -> dict[str, str]:
    tables: dict[str, Any] = {name: {"state_machine_arn": f"{ARN}:{name}"} for name in MACHINES}
    tables["unmodified"]["input"] = "event"
    for table in tables.values():
        table["errors"] = {"OutOfStock": 409}
    secrets = {"ID_SECRETS": "the one of all instances", "IDEMPOTENCY_SECRET": "the one of all keys"}
    return {"WORKFLOWS": json.dumps(tables)} | secrets | more


async def send(it: Served, method: str, path: str, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    body = b"{}" if method == "POST" else None
    sent = {"Content-Type": "application/json"} | headers
    async with it.client.request(method, f"{it.url}{path}", data=body, headers=sent) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else {}, dict(response.headers)


async def failed(it: Served, name: str, **headers: str) -> str:
    """Start an execution that fails; return its id."""
    status, body, _ = await send(it, "POST", f"/{name}", **headers)
    assert (status, body["error"]) == (502, "Broken")
    return str(body["id"])


async def redriven(aws: LocalAws, id_: str) -> None:
    await until(lambda: aws.executions[id_].redrive_count)


def retry(it: Served, name: str, id_: str, **headers: str) -> asyncio.Task[tuple[int, dict[str, Any], dict[str, str]]]:
    return asyncio.create_task(send(it, "POST", f"/{name}/{id_}/retry", **headers))


@BOTH
async def test_a_retry_goes_on_where_the_execution_failed_and_waits_for_its_result(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as it:
        id_ = await failed(it, name)
        async with within(10):
            status, body, headers = await retry(it, name, id_)
        assert (status, body) == (200, {"id": id_, "n": 1})
        assert headers["Server-Timing"].startswith("start;dur=")
        assert (await send(it, "GET", f"/{name}/{id_}"))[:2] == (200, body)
        status, problem, _ = await retry(it, name, id_)
        assert (status, problem["type"].rpartition(":")[2]) == (409, "not-retryable")
        assert problem["detail"] == "The execution succeeded."
        assert aws.calls["RedriveExecution"] == 1


@BOTH
async def test_a_retry_that_fails_again_has_the_status_of_its_own_error(tmp_path: Path, name: str) -> None:
    async with local(tmp_path, OUT_OF_STOCK) as aws, served(aws, settings()) as it:
        id_ = await failed(it, name)
        async with within(10):
            status, body, _ = await retry(it, name, id_)
        assert (status, body["error"]) == (409, "OutOfStock")
        assert (await send(it, "GET", f"/{name}/{id_}"))[0] == 409
        async with within(10):
            assert (await retry(it, name, id_))[0] == 409
        assert aws.executions[id_].redrive_count == 2


@BOTH
async def test_a_retry_that_takes_too_long_is_accepted_and_read_later(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as it:
        id_ = await failed(it, name)
        status, body, headers = await retry(it, name, id_, Prefer="respond-async")
        assert (status, body) == (202, {"id": id_, "status": "RUNNING"})
        assert (headers["Location"], headers["Preference-Applied"]) == (f"/{name}/{id_}", "respond-async")
        assert (await send(it, "GET", headers["Location"]))[0] == 202
        async with within(10):
            assert (await send(it, "GET", headers["Location"], Prefer="wait=9"))[0] == 200


@BOTH
async def test_a_failure_that_is_reported_after_the_retry_does_not_end_it(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "EVENT_DELAY_S", 2.0)
    async with local(tmp_path, {"0": BROKEN, "1": SLOW | {"DelaySeconds": 4}}) as aws, served(aws, settings()) as it:
        status, body, _ = await send(it, "POST", f"/{name}", Prefer="respond-async")
        id_ = body["id"]
        assert status == 202
        await until(lambda: aws.executions[id_].status == "FAILED")
        waiting = retry(it, name, id_)
        await redriven(aws, id_)
        assert aws.relay is not None
        assert aws.relay.started == 0
        async with within(15):
            await it.until(lambda metrics: metrics("replies_total", "late") == 1)
            assert aws.executions[id_].status == "RUNNING"
            assert (await waiting)[:2] == (200, {"id": id_, "n": 1})


@BOTH
async def test_a_record_that_lags_behind_does_not_end_a_retry(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as it:
        id_ = await failed(it, name)
        aws.faults.mute.on()  # so that the record is all there is
        execution = aws.executions[id_]
        assert execution.stop_date is not None
        execution.start_date, execution.stop_date = execution.start_date - 60, execution.stop_date - 60
        waiting = retry(it, name, id_, Prefer="wait=6")
        await redriven(aws, id_)
        aws.faults.read_lag_s |= {"DescribeExecution": 2.5, "GetExecutionHistory": 2.5, "ListExecutions": 2.5}
        async with within(10):
            reading = (await send(it, "GET", f"/{name}/{id_}"))[:2]
            assert reading == (202, {"id": id_, "status": "RUNNING"})
            assert (await waiting)[:2] == (200, {"id": id_, "n": 1})


@BOTH
async def test_two_retries_at_two_instances_share_one_run(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as one, served(aws, settings()) as other:
        id_ = await failed(one, name)
        async with within(10):
            answers = await asyncio.gather(retry(one, name, id_), retry(other, name, id_), retry(other, name, id_))
        assert [answer[:2] for answer in answers] == [(200, {"id": id_, "n": 1})] * 3
        assert aws.executions[id_].redrive_count == 1


@BOTH
async def test_an_execution_of_an_instance_that_is_gone_can_be_retried_at_another(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws:
        async with served(aws, settings()) as first:
            id_ = await failed(first, name)
        async with served(aws, settings()) as second:
            async with within(10):
                assert (await retry(second, name, id_))[:2] == (200, {"id": id_, "n": 1})
            assert aws.subscriptions <= 5  # its own three, and no more than the two of this execution


@BOTH
async def test_a_retry_streams_its_events(tmp_path: Path, name: str) -> None:
    async with local(tmp_path) as aws, served(aws, settings(PROGRESS="states")) as it:
        id_ = await failed(it, name)
        url, headers = f"{it.url}/{name}/{id_}/retry", {"Accept": "text/event-stream"}
        async with within(10), it.client.post(url, headers=headers) as response:
            text = await response.text()
        assert response.status == 200
        assert text.index("event: running") < text.index('"state":"Work"') < text.index("event: result")
        assert aws.executions[id_].redrive_count == 1


@BOTH
async def test_a_key_finds_the_execution_that_was_retried(tmp_path: Path, name: str) -> None:
    key = {"Idempotency-Key": '"k"'}
    async with local(tmp_path) as aws, served(aws, settings()) as one, served(aws, settings()) as other:
        id_ = await failed(one, name, **key)
        assert (await retry(one, name, id_, Prefer="respond-async"))[0] == 202
        async with within(10):
            answers = await asyncio.gather(*(send(it, "POST", f"/{name}", **key) for it in (one, other)))
        assert [answer[:2] for answer in answers] == [(200, {"id": id_, "n": 1})] * 2


@BOTH
async def test_a_retry_can_be_stopped_and_retried_again(tmp_path: Path, name: str) -> None:
    responses = {"0": BROKEN, "1": {"Return": {}, "DelaySeconds": 30}, "2": SLOW}
    async with local(tmp_path, responses) as aws, served(aws, settings()) as it:
        id_ = await failed(it, name)
        waiting = retry(it, name, id_)
        await redriven(aws, id_)
        assert (await send(it, "DELETE", f"/{name}/{id_}"))[0] == 204
        async with within(10):
            status, body, _ = await waiting
            assert (status, body["type"].rpartition(":")[2]) == (502, "workflow-aborted")
            assert (await retry(it, name, id_))[:2] == (200, {"id": id_, "n": 1})


async def test_an_id_that_does_not_verify_is_unknown_without_a_call(tmp_path: Path) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as it:
        id_ = await failed(it, "unmodified")
        calls = dict(aws.calls)
        forged = f"{id_[:-1]}{(int(id_[-1], 16) + 1) % 16:x}"
        for path in (f"/unmodified/{forged}/retry", f"/modified/{id_}/retry", "/unmodified/any/retry"):
            status, body, _ = await send(it, "POST", path)
            assert (status, body["type"].rpartition(":")[2]) == (404, "unknown-execution")
        assert aws.calls == calls


async def test_retries_are_counted_and_throttling_is_not_a_failure_of_the_workflow(tmp_path: Path) -> None:
    async with local(tmp_path) as aws, served(aws, settings()) as it:
        id_ = await failed(it, "unmodified")
        aws.faults.throttle.on(actions={"RedriveExecution"})
        status, body, headers = await retry(it, "unmodified", id_)
        assert (status, body["type"].rpartition(":")[2]) == (503, "throttled")
        assert int(headers["Retry-After"]) > 0
        await it.until(lambda metrics: metrics("requests_total", "unmodified", "retry", "throttled") == 1)
        assert aws.executions[id_].redrive_count == 0
