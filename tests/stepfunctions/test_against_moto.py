"""Our AWS calls against moto's server, which is not ours, unlike the other stand-ins for AWS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from service.errors import Refused, UnknownExecution
from service.stepfunctions.arn import StateMachineArn
from service.stepfunctions.client import StepFunctionsClient
from service.stepfunctions.outcomes import Aborted
from service.stepfunctions.retry import ExecutionExists
from tests.support.moto import REGION, moto_server, sync_client
from tests.support.step_functions import endpoint_at


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def state_machine(moto: str) -> Iterator[StateMachineArn]:
    client = sync_client("stepfunctions", moto)
    created = client.create_state_machine(
        name="flow",
        definition='{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}',
        roleArn="arn:aws:iam::123456789012:role/flow",
    )
    yield StateMachineArn.parse(created["stateMachineArn"])
    client.delete_state_machine(stateMachineArn=created["stateMachineArn"])


@pytest.fixture
async def client(moto: str, state_machine: StateMachineArn) -> AsyncIterator[StepFunctionsClient]:
    async with StepFunctionsClient(endpoint_at(moto, region=REGION), state_machine, max_starts=10) as opened:
        yield opened


async def test_an_execution_can_be_started_read_listed_and_stopped(client: StepFunctionsClient) -> None:
    await client.start("exec-1", '{"a": 1}')
    running = await client.describe("exec-1")
    assert (running.input, running.outcome) == ('{"a": 1}', None)
    assert "exec-1" in (await client.list("RUNNING")).names
    await client.stop("exec-1")
    assert (await client.describe("exec-1")).outcome == Aborted()
    assert "exec-1" in (await client.list("ABORTED")).names


async def test_a_name_in_use_with_another_input_raises_execution_exists(client: StepFunctionsClient) -> None:
    await client.start("exec-2", '{"a": 1}')
    with pytest.raises(ExecutionExists):
        await client.start("exec-2", '{"a": 2}')


async def test_an_execution_that_never_existed_is_unknown(client: StepFunctionsClient) -> None:
    with pytest.raises(UnknownExecution):
        await client.describe("exec-none")
    with pytest.raises(UnknownExecution):
        await client.stop("exec-none")


async def test_a_state_machine_that_does_not_exist_is_refused(moto: str) -> None:
    arn = StateMachineArn.parse(f"arn:aws:states:{REGION}:123456789012:stateMachine:none")
    async with StepFunctionsClient(endpoint_at(moto, region=REGION), arn, max_starts=10) as client:
        with pytest.raises(Refused):
            await client.start("exec-1", "{}")
