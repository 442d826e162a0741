"""Readiness, and the wiring of the parts: a test fails when a call or an argument of the composition root is lost."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack
from typing import Any

import aioboto3
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from service.app import composition
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.settings import load
from service.bridge import recovery
from service.bridge.ids import Ids
from service.errors import Draining
from service.local import LocalAws
from service.stepfunctions.client import MAX_CALLS
from tests.chaos.proxy import Proxy
from tests.support.processes import settings_for
from tests.support.served import served, until
from tests.support.stage import stage
from tests.support.step_functions import STARTED, Call, ScriptedStepFunctions, error, gated, ok
from tests.support.within import within


async def test_an_instance_is_ready_while_its_subscription_is_live() -> None:
    async with stage() as made:
        assert composition.not_ready(made.admission, made.channel, None) is None


async def test_an_instance_whose_link_was_never_up_is_not_ready() -> None:
    async with stage() as made:
        made.channel.ever_live = False
        made.channel.go_down()
        assert composition.not_ready(made.admission, made.channel, None) == "link never up"


async def test_a_short_reconnect_does_not_take_an_instance_out_of_service_but_a_long_outage_does() -> None:
    async with stage() as made:
        made.channel.go_down(since=composition.READY_GRACE_S / 2)
        assert composition.not_ready(made.admission, made.channel, None) is None
        made.channel.go_down(since=composition.READY_GRACE_S + 1)
        assert composition.not_ready(made.admission, made.channel, None) == "link down"
        made.channel.come_up()
        assert composition.not_ready(made.admission, made.channel, None) is None


async def test_an_instance_whose_state_machine_cannot_be_started_is_not_ready() -> None:
    async with stage() as made:
        assert (
            composition.not_ready(made.admission, made.channel, "state machine not found") == "state machine not found"
        )


async def test_a_draining_instance_is_not_ready() -> None:
    async with stage() as made:
        await made.bridges.drain(1)
        assert composition.not_ready(made.admission, made.channel, None) == "draining"
        with pytest.raises(Draining):
            await made.submit("{}", 1)


async def test_the_application_is_cleaned_up_at_the_end() -> None:
    cleaned: list[web.Application] = []

    async def clean(application: web.Application) -> None:
        cleaned.append(application)

    application = web.Application()
    application.on_cleanup.append(clean)
    async with AsyncExitStack() as stack:
        await composition._runner(stack, application)
    assert cleaned == [application]


@pytest.mark.parametrize(("policy", "ends"), [("keep", "RUNNING"), ("stop", "ABORTED")])
async def test_a_caller_that_leaves_frees_its_place_at_once_and_the_policy_decides_about_its_execution(
    policy: str, ends: str
) -> None:
    async with LocalAws(port=0, wait=30) as aws, served(aws, {"ON_CLIENT_GONE": policy}) as it:
        leaving = it.post()
        await until(lambda: aws.running)
        leaving.cancel()
        async with within(5):
            await it.until(lambda metrics: not metrics("requests_in_flight"))
            [execution] = aws.executions.values()
            await until(lambda: execution.status == ends)


@pytest.mark.parametrize(("action", "headers"), [("StartExecution", {"Idempotency-Key": "a"}), ("StopExecution", {})])
async def test_work_for_callers_that_have_left_ends_before_its_client_closes(
    action: str, headers: dict[str, str]
) -> None:
    ended = []

    async def slow(request: web.Request, call: Call) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        ended.append(call)
        return await ok(executionArn="x", startDate=1.0, stopDate=1.0)(request, call)

    async with LocalAws(port=0) as aws, ScriptedStepFunctions() as endpoint:
        endpoint.script("StartExecution", STARTED)
        endpoint.script(action, slow)
        async with served(aws, {"ON_CLIENT_GONE": "stop"}, sfn_url=endpoint.url) as it:
            leaving = it.post(**headers)
            await endpoint.arrived("StartExecution")
            leaving.cancel()
            await endpoint.arrived(action)
        assert len(ended) == 1


async def test_the_record_is_read_from_the_loss_of_the_link_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "FIRST_POLL_AFTER_S", 0.0)
    monkeypatch.setattr(recovery, "POLL_INTERVAL_S", 0.05)
    monkeypatch.setattr(recovery, "LOOKUPS_AFTER_GAP_S", (0.0,))
    async with (
        LocalAws(port=0, wait=30) as aws,
        Proxy(aws.realtime_url, random.Random(1)) as link,
        served(aws, {"APPSYNC_REALTIME_URL": link.url}) as it,
    ):
        waiting = it.post()
        await until(lambda: aws.running)
        link.refusing = True
        link.reset()
        async with within(5):
            await until(lambda: reads(aws) > 2)
        link.refusing = False
        await it.ready()
        before = -1
        async with within(5):  # until nothing is read for several intervals; some reads may still be on their way
            while before != (before := reads(aws)):  # noqa: ASYNC110 - that nothing happens has no event
                await asyncio.sleep(0.4)
        assert not waiting.done()
        waiting.cancel()


def reads(aws: LocalAws) -> int:
    return aws.calls["DescribeExecution"] + aws.calls["GetExecutionHistory"]


@pytest.mark.parametrize(
    ("status", "problem"),
    [("ABORTED", (502, "workflow-aborted")), ("TIMED_OUT", (504, "workflow-timed-out"))],
)
async def test_an_end_that_no_workflow_publishes_is_reported_at_once(status: str, problem: tuple[int, str]) -> None:
    async with LocalAws(port=0, wait=30) as aws, served(aws) as it:
        waiting = it.post()
        await until(lambda: aws.running)
        [execution] = aws.executions.values()
        aws.faults.read_lag_s = {"DescribeExecution": 0.5, "GetExecutionHistory": 0.5}  # the record shows it later
        aws.hosted().executions._end(execution, status, execution.redrive_count)
        async with within(5):
            code, body = await waiting
        assert (code, body["type"].rpartition(":")[2]) == problem


async def test_each_quota_limits_its_own_action() -> None:
    quotas = {"DESCRIBE_QUOTA": "7/1", "HISTORY_QUOTA": "8/1", "LIST_QUOTA": "9/1"}
    async with LocalAws(port=0) as aws, served(aws, quotas) as it:
        metrics = await it.until(lambda _: True)
        actions = ("DescribeExecution", "GetExecutionHistory", "ListExecutions")
        assert [metrics("recovery_tokens", action) for action in actions] == [7, 8, 9]


async def test_the_files_that_everything_else_opens_are_reserved_before_requests_are_admitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(composition, "raise_open_files", lambda: 2000)
    with capture_logs() as logs:
        async with LocalAws(port=0) as aws, served(aws, open_files=500) as it:
            metrics = await it.until(lambda _: True)
    calls = composition.MAX_CONCURRENT_STARTS + sum(MAX_CALLS.values())
    assert 500 < metrics("requests_in_flight_limit") <= 2000 - 500 - calls - composition.RESERVED_FILES
    assert "max_in_flight_lowered" in [line["event"] for line in logs]


async def test_starts_do_not_wait_for_each_other() -> None:
    async with LocalAws(port=0) as aws, ScriptedStepFunctions() as endpoint:
        gate = asyncio.Event()
        endpoint.script("StartExecution", gated(gate, STARTED))
        async with served(aws, sfn_url=endpoint.url) as it:
            posts = [it.post(Prefer="respond-async") for _ in range(5)]
            async with within(5):
                await endpoint.arrived("StartExecution", 5)
            gate.set()
            assert {code for code, _ in await asyncio.gather(*posts)} == {202}


async def test_a_request_over_the_limit_is_refused() -> None:
    async with LocalAws(port=0, wait=30) as aws, served(aws, {"MAX_IN_FLIGHT": "2"}) as it:
        waiting = [it.post(), it.post()]
        await until(lambda: aws.running == 2)
        code, body = await it.post()
        assert (code, body["type"].rpartition(":")[2]) == (503, "at-capacity")
        metrics = await it.until(lambda _: True)
        assert metrics("connections_dropped_total") == 0  # there is room for it, and for health checks
        for request in waiting:
            request.cancel()


@pytest.mark.parametrize(
    ("changes", "secret"),
    [
        ({}, LocalAws.api_key),
        ({"IDEMPOTENCY_SECRET": "a secret of the test"}, "a secret of the test"),
        ({"IDEMPOTENCY_SECRET": "a secret of the test", "APPSYNC_AUTH": "iam"}, "a secret of the test"),
    ],
)
async def test_a_key_names_its_execution_by_the_shared_secret(changes: dict[str, str], secret: str) -> None:
    async with LocalAws(port=0, wait=0) as aws, served(aws, changes) as it:
        _, body = await it.post(**{"Idempotency-Key": "order-17"})
        assert body["id"] == Ids("event", [], secret).for_key("order-17")


async def test_without_a_secret_that_instances_share_keys_are_refused_and_logged() -> None:
    table = {"state_machine_arn": LocalAws.state_machine_arn}
    workflows = json.dumps({"event": table, "another": table})
    settings = {"APPSYNC_AUTH": "iam", "APPSYNC_API_KEY": "", "WORKFLOWS": workflows}
    with capture_logs() as logs:
        async with LocalAws(port=0, wait=0) as aws, served(aws, settings) as it:
            code, body = await it.post(**{"Idempotency-Key": "order-17"})
    assert (code, body["type"].rpartition(":")[2]) == (400, "idempotency-unavailable")
    assert [line["event"] for line in logs].count("idempotency_keys_unavailable") == 1


async def test_an_express_machine_has_no_record_to_read() -> None:
    async with LocalAws(port=0) as aws, ScriptedStepFunctions() as express:
        express.script("DescribeStateMachine", ok(stateMachineArn=aws.state_machine_arn, type="EXPRESS"))
        express.script("StartExecution", STARTED)
        async with served(aws, {"RESPONSE_TIMEOUT": "1.1"}, sfn_url=express.url) as it:
            code, _ = await it.post()
            assert code == 202
        assert {action for action, _ in express.calls} == {"DescribeStateMachine", "StartExecution"}


async def test_a_machine_that_is_found_to_be_express_later_has_no_record_either() -> None:
    async with LocalAws(port=0) as aws, ScriptedStepFunctions() as express:
        express.script("DescribeStateMachine", error("ThrottlingException"), ok(type="EXPRESS"))
        express.script("StartExecution", STARTED)
        with capture_logs() as logs:
            async with served(aws, {"RESPONSE_TIMEOUT": "1.5"}, sfn_url=express.url) as it:
                await until(lambda: "express_state_machine" in [line["event"] for line in logs])
                code, body = await it.post(**{"Idempotency-Key": "order-17"})
                assert (code, body["type"].rpartition(":")[2]) == (400, "idempotency-unavailable")
                code, _ = await it.post()
                assert code == 202
        assert {action for action, _ in express.calls} == {"DescribeStateMachine", "StartExecution"}


async def test_a_machine_whose_type_cannot_be_read_is_taken_for_a_standard_one() -> None:
    async with LocalAws(port=0) as aws, ScriptedStepFunctions() as refusing:
        refusing.script("DescribeStateMachine", error("AccessDeniedException"))
        refusing.script("StartExecution", STARTED)
        async with served(aws, sfn_url=refusing.url) as it:
            code, body = await it.post(Prefer="respond-async", **{"Idempotency-Key": "order-17"})
            assert (code, body["status"]) == (202, "RUNNING")


@pytest.mark.parametrize(
    "changes",
    [
        {"APPSYNC_AUTH": "iam"},
        {"APPSYNC_API_KEY": "", "APPSYNC_API_KEY_SECRET": "a-name"},
    ],
)
async def test_appsync_and_its_key_are_in_the_region_of_the_state_machine(changes: dict[str, str]) -> None:
    async with LocalAws(port=0) as aws:
        arn = aws.state_machine_arn.replace("us-east-1", "eu-west-1")
        settings = load(settings_for(aws) | changes | {"STATE_MACHINE_ARN": arn})
    session: Any = aioboto3.Session(aws_access_key_id="test", aws_secret_access_key="test")
    authorizer: Any = await composition._authorizer(settings, AwsAccess(session, Network.direct()))
    assert authorizer.region == "eu-west-1"
