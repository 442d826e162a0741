from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from service.app.state_machine import StateMachineCheck
from service.stepfunctions import client as client_module
from service.stepfunctions.arn import StateMachineArn
from service.stepfunctions.client import StepFunctionsClient
from tests.support.step_functions import (
    ARN,
    Script,
    ScriptedStepFunctions,
    endpoint_at,
    error,
    gated,
    ok,
    step_functions_client,
)

STANDARD = ok(stateMachineArn=ARN.text, type="STANDARD", status="ACTIVE")
EXPRESS = ok(stateMachineArn=ARN.text, type="EXPRESS", status="ACTIVE")
DELETING = ok(stateMachineArn=ARN.text, type="STANDARD", status="DELETING")


class Checked(StateMachineCheck):
    """A check with short pauses that a test can follow."""

    def __init__(self, client: StepFunctionsClient, arn: StateMachineArn = ARN) -> None:
        super().__init__(client, arn, self._found_express, first_pause=0.001)
        self.express = asyncio.Event()

    def _found_express(self) -> None:
        self.express.set()

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            if self._task is not None:
                await asyncio.wait([self._task])


@pytest.fixture
async def endpoint() -> AsyncIterator[ScriptedStepFunctions]:
    async with ScriptedStepFunctions() as scripted:
        yield scripted


@pytest.fixture
async def client(
    endpoint: ScriptedStepFunctions, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StepFunctionsClient]:
    monkeypatch.setattr(client_module, "DESCRIBE_STATE_MACHINE_TIMEOUT_S", 20.0)  # for a busy machine
    async with step_functions_client(endpoint.url, timeout=20, attempt_timeout=20) as opened:
        yield opened


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (error("StateMachineDoesNotExist"), "StateMachineDoesNotExist", "state machine not found"),
        (error("InvalidArn"), "InvalidArn", "state machine not found"),
        (DELETING, "StateMachineDeleting", "state machine not found"),
        (error("UnrecognizedClientException"), "UnrecognizedClientException", "AWS credentials refused"),
        (error("InvalidClientTokenId", 403), "InvalidClientTokenId", "AWS credentials refused"),
        (error("ExpiredTokenException"), "ExpiredTokenException", "AWS credentials refused"),
        (error("InvalidSignatureException"), "InvalidSignatureException", "AWS credentials refused"),
    ],
)
async def test_a_state_machine_that_cannot_be_started_is_an_error_until_it_can_be(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, answer: Script, code: str, reason: str
) -> None:
    endpoint.script("DescribeStateMachine", answer, answer, error("ThrottlingException"), answer, STANDARD)
    with capture_logs() as logs:
        async with Checked(client) as check:
            assert check.not_ready == reason
            await endpoint.arrived("DescribeStateMachine", 4)
            assert check.not_ready == reason  # throttling says nothing about the state machine
            await check.settled()
            assert not check.not_ready
    assert endpoint.count("DescribeStateMachine") == 5
    first, *_, last = logs
    assert (first["event"], first["log_level"], first["reason"]) == ("state_machine_unusable", "error", reason)
    assert (first["aws_error"], first["aws_action"]) == (code, "DescribeStateMachine")
    assert (first["arn"], first["region"], first["host"]) == (ARN.text, ARN.region, "127.0.0.1")
    assert (last["event"], last["arn"]) == ("state_machine_usable", ARN.text)


async def test_the_same_failure_is_logged_once(endpoint: ScriptedStepFunctions, client: StepFunctionsClient) -> None:
    missing = error("StateMachineDoesNotExist")
    endpoint.script("DescribeStateMachine", missing, missing, missing, missing, STANDARD)
    with capture_logs() as logs:
        async with Checked(client) as check:
            await check.settled()
    assert [line["event"] for line in logs] == ["state_machine_unusable", "state_machine_usable"]


@pytest.mark.parametrize("code", ["AccessDeniedException", "KmsAccessDeniedException", "UnknownOperationException"])
async def test_without_the_right_to_ask_an_instance_is_ready_and_the_missing_action_is_logged(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, code: str
) -> None:
    endpoint.script("DescribeStateMachine", error(code))
    with capture_logs() as logs:
        async with Checked(client) as check:
            await check.settled()
            assert check.not_ready is None
    (line,) = [line for line in logs if line["event"] != "permission_missing"]
    assert (line["event"], line["log_level"]) == ("state_machine_type_unknown", "warning")
    assert (line["aws_action"], line["aws_error"]) == ("DescribeStateMachine", code)
    assert endpoint.count("DescribeStateMachine") == 1


@pytest.mark.parametrize("answer", [error("ThrottlingException"), error("InternalFailure", 500), ok()])
async def test_a_failure_that_passes_leaves_an_instance_ready_and_the_type_is_found_later(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient, answer: Script
) -> None:
    endpoint.script("DescribeStateMachine", answer, answer, EXPRESS)
    with capture_logs() as logs:
        async with Checked(client) as check:
            assert check.not_ready is None
            assert not check.express.is_set()
            await check.settled()
            assert check.express.is_set()
    assert [line["event"] for line in logs] == ["state_machine_type_unknown", "express_state_machine"]


async def test_an_endpoint_that_cannot_be_reached_makes_an_instance_unready_until_it_can_be() -> None:
    async with step_functions_client("http://no-such-host.invalid") as client:
        with capture_logs() as logs:
            async with Checked(client) as check:
                assert check.not_ready == "Step Functions unreachable"
    assert (logs[0]["event"], logs[0]["host"]) == ("state_machine_unusable", "no-such-host.invalid")
    assert logs[0]["aws_error"].startswith("dns: ")


async def test_credentials_that_cannot_be_read_are_named(endpoint: ScriptedStepFunctions) -> None:
    async def refused() -> ReadOnlyCredentials:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "private"}}, "AssumeRole")

    at = endpoint_at(endpoint.url, credentials=refused)
    with capture_logs() as logs:
        async with StepFunctionsClient(at, ARN, max_starts=1) as client, Checked(client) as check:
            assert check.not_ready == "no AWS credentials"
    assert logs[0]["aws_error"] == "credentials: ClientError: AssumeRole AccessDenied"
    assert endpoint.calls == []


@pytest.mark.parametrize("qualifier", [":PROD", ":7", ""])
async def test_a_version_or_an_alias_is_asked_for_as_it_is(endpoint: ScriptedStepFunctions, qualifier: str) -> None:
    arn = StateMachineArn.parse(ARN.text + qualifier)
    async with (
        StepFunctionsClient(endpoint_at(endpoint.url), arn, max_starts=1) as client,
        Checked(client, arn) as check,
    ):
        assert check.not_ready is None
    assert endpoint.calls == [("DescribeStateMachine", {"stateMachineArn": arn.text})]


async def test_an_instance_that_was_ready_stays_ready(
    endpoint: ScriptedStepFunctions, client: StepFunctionsClient
) -> None:
    missing, asked = error("StateMachineDoesNotExist"), asyncio.Event()
    endpoint.script("DescribeStateMachine", error("ThrottlingException"), missing, gated(asked, STANDARD))
    with capture_logs() as logs:
        async with Checked(client) as check:
            await endpoint.arrived("DescribeStateMachine", 3)
            assert check.not_ready is None
            asked.set()
            await check.settled()
    assert [line["event"] for line in logs] == ["state_machine_type_unknown", "state_machine_unusable"]
