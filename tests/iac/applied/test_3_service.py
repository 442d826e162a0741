"""What Terraform configures is what runs: the service with its task's environment"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from moto.events.models import EventPattern

from service.app.settings import Settings
from tests.iac.applied.deployed import DeployedAws, Running, System, deployed, running
from tests.iac.applied.policies import statements
from tests.iac.applied.world import World

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

PERSON = {"nome": 'Ana "Bê" \\ 😀', "sobrenome": "Lôbo"}


@pytest.fixture(scope="module")
def system(world: World) -> System:
    return deployed(world)


@pytest.fixture
async def service(system: System, world: World, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(system, world, tmp_path) as started:
        yield started


def test_the_keys_of_service_and_workflow_are_the_one_that_is_valid(world: World, system: System) -> None:
    assert world.secret(world.outputs["secretsmanager_arn"]) == {"api_key": system.api_key}
    assert world.secret(world.connection()["SecretArn"]) == {
        "api_key_name": "x-api-key",
        "api_key_value": system.api_key,
    }


def test_every_placeholder_of_the_workflow_is_filled(system: System) -> None:
    assert "${" not in system.definition


def test_every_variable_of_the_task_is_one_that_the_service_reads(system: System) -> None:
    assert set(system.environment) - set(Settings.model_fields) == set()


async def test_a_post_is_answered_with_the_workflows_result(system: System, service: Running) -> None:
    status, body, _ = await service.request(system.integrations["POST /event"], "POST", json=PERSON)
    assert (status, body["nome completo"]) == (200, f"{PERSON['nome']} {PERSON['sobrenome']}")
    assert body["id"] in service.aws.executions


async def test_a_location_that_is_given_out_leads_back_through_the_api(system: System, service: Running) -> None:
    status, body, headers = await service.request(
        system.integrations["POST /event"], "POST", json=PERSON, headers={"Prefer": "respond-async"}
    )
    assert status == 202
    # The caller resolves it against the public address, whose path begins with the stage.
    assert headers["Location"] == f"{system.stage}/event/{body['id']}"
    # API Gateway takes the stage off and fills in the id; whether it leaves the stage on is not to matter.
    uri = system.integrations["GET /event/{id}"].replace("{id}", body["id"])
    assert (await service.request(uri, "GET"))[0] == 202
    assert (await service.request(f"{system.stage}{urlsplit(uri).path}", "GET"))[0] == 202
    uri = system.integrations["DELETE /event/{id}"].replace("{id}", body["id"])
    assert (await service.request(uri, "DELETE"))[0] == 204
    assert service.aws.executions[body["id"]].status == "ABORTED"


async def test_the_health_checks_of_balancer_and_container_pass(system: System, service: Running) -> None:
    group = system.target_group
    assert (group["HealthCheckProtocol"], group["TargetType"]) == ("HTTP", "ip")
    (mapping,) = system.container["portMappings"]
    assert group["Port"] == mapping["containerPort"] == int(system.environment.get("PORT", "8080"))
    status, _, _ = await service.request(group["HealthCheckPath"], "GET")
    assert str(status) == group["Matcher"]["HttpCode"]
    kind, python, *arguments = system.container["healthCheck"]["command"]
    assert (kind, python) == ("CMD", "python")
    here = [argument.replace("127.0.0.1:8080", urlsplit(service.url).netloc) for argument in arguments]
    check = await asyncio.create_subprocess_exec(sys.executable, *here)
    async with asyncio.timeout(20):
        assert await check.wait() == 0


async def test_every_call_that_the_service_made_is_allowed_to_its_task(
    world: World, system: System, service: Running
) -> None:
    _, body, _ = await service.request(system.integrations["POST /event"], "POST", json=PERSON)
    uri = system.integrations["GET /event/{id}"].replace("{id}", body["id"])
    await service.request(uri, "GET")
    made = {action for action, count in service.aws.calls.items() if count}
    assert {"StartExecution", "DescribeExecution"} <= made
    allowed = [item for item in await asyncio.to_thread(_task_statements, world) if item.role == "sync-front-task"]
    machine = system.state_machine_arn
    resources = (machine, f"{machine.replace(':stateMachine:', ':execution:')}:{body['id']}")
    for action in made:
        assert any(item.allows(f"states:{action}", resource) for item in allowed for resource in resources), action


def _task_statements(world: World) -> list[Any]:
    return list(statements(world.client("iam")))


async def test_eventbridge_tells_of_an_end_in_the_form_that_appsync_takes(
    world: World, system: System, tmp_path: Path
) -> None:
    url, hint = await asyncio.to_thread(hint_of_an_end, world, "exec-1")
    assert url == system.publish_url
    assert hint["channel"] == f"/{system.namespace}/ended/exec-1"
    assert [json.loads(event) for event in hint["events"]] == [{"id": "exec-1", "status": "ENDED"}]
    async with (
        DeployedAws(system, tmp_path) as aws,
        aiohttp.ClientSession() as session,
        session.post(aws.http_url, json=hint, headers={"x-api-key": system.api_key}) as response,
    ):
        assert response.status == 200
        assert (await response.json())["failed"] == []


@pytest.mark.parametrize(
    ("status", "told"),
    [("TIMED_OUT", True), ("ABORTED", True), ("FAILED", True), ("RUNNING", False), ("SUCCEEDED", False)],
)
def test_the_rule_is_for_ends_of_this_machine_that_no_reply_may_tell(
    world: World, system: System, status: str, told: bool
) -> None:
    (rule,) = world.client("events").list_rules()["Rules"]
    pattern = EventPattern.load(rule["EventPattern"])
    assert pattern.matches_event(change_of_status(system.state_machine_arn, status)) is told
    assert not pattern.matches_event(change_of_status(f"{system.state_machine_arn}-other", status))


def change_of_status(machine: str, status: str) -> Any:
    """Return an event in the form of AWS ("Step Functions Execution Status Change", Developer Guide)."""
    return {
        "version": "0",
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "region": "us-east-1",
        "detail": {"stateMachineArn": machine, "name": "exec-1", "status": status},
    }


def hint_of_an_end(world: World, name: str) -> tuple[str, Any]:
    """Return where EventBridge sends an end, and what: its input transformer fills in `<name>`."""
    events = world.client("events")
    (rule,) = events.list_rules()["Rules"]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    (destination,) = events.list_api_destinations()["ApiDestinations"]
    assert (target["Arn"], destination["HttpMethod"]) == (destination["ApiDestinationArn"], "POST")
    assert destination["ConnectionArn"] == world.outputs["connection_arn"]
    transformer = target["InputTransformer"]
    assert transformer["InputPathsMap"] == {"name": "$.detail.name"}
    return destination["InvocationEndpoint"], json.loads(transformer["InputTemplate"].replace("<name>", name))
