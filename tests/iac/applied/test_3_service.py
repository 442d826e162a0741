"""Service: runs with the environment of its task"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


def test_the_secret_and_the_workflow_have_the_valid_key(world: World, system: System) -> None:
    assert world.secret(world.outputs["secretsmanager_arn"]) == {"api_key": system.api_key}
    assert world.secret(world.connection()["SecretArn"]) == {
        "api_key_name": "x-api-key",
        "api_key_value": system.api_key,
    }


def test_no_placeholder_is_left_in_the_workflow(system: System) -> None:
    assert "${" not in "".join([*system.definitions.values(), system.relay_definition])


def test_the_service_reads_every_environment_variable_of_the_task(system: System) -> None:
    assert set(system.environment) - set(Settings.model_fields) == set()


def test_the_service_subscribes_with_its_role_and_has_no_key(system: System) -> None:
    assert system.environment["APPSYNC_AUTH"] == "iam"
    assert system.auth_modes == {"connect": ["AWS_IAM"], "subscribe": ["AWS_IAM"], "publish": ["API_KEY"]}
    assert not [name for name in system.environment if name.startswith("APPSYNC_API_KEY")]


async def test_a_post_returns_the_workflows_result(system: System, service: Running) -> None:
    status, body, _ = await service.request(system.integrations["POST /event"], "POST", json=PERSON)
    assert (status, body["nome completo"]) == (200, f"{PERSON['nome']} {PERSON['sobrenome']}")
    assert body["id"] in service.aws.executions


async def test_a_location_works_through_the_api(system: System, service: Running) -> None:
    status, body, headers = await service.request(
        system.integrations["POST /event"], "POST", json=PERSON, headers={"Prefer": "respond-async"}
    )
    assert status == 202
    # Callers resolve it against the public URL, whose path begins with the stage.
    assert headers["Location"] == f"{system.stage}/event/{body['id']}"
    # API Gateway fills in the id. The service must work whether or not the stage was removed.
    uri = system.integrations["GET /event/{id}"].replace("{id}", body["id"])
    assert (await service.request(uri, "GET"))[0] == 202
    assert (await service.request(f"{system.stage}{urlsplit(uri).path}", "GET"))[0] == 202
    uri = system.integrations["DELETE /event/{id}"].replace("{id}", body["id"])
    assert (await service.request(uri, "DELETE"))[0] == 204
    assert service.aws.executions[body["id"]].status == "ABORTED"
    uri = system.integrations["POST /event/{id}/retry"].replace("{id}", body["id"])
    assert (await service.request(uri, "POST", headers={"Prefer": "respond-async"}))[0] == 202
    assert service.aws.executions[body["id"]].redrive_count == 1


async def test_the_health_checks_of_load_balancer_and_container_pass(system: System, service: Running) -> None:
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


async def test_the_task_role_allows_every_call_of_the_service(world: World, system: System, service: Running) -> None:
    at_once = {"Prefer": "respond-async"}
    _, body, _ = await service.request(system.integrations["POST /event"], "POST", json=PERSON, headers=at_once)
    uri = system.integrations["GET /event/{id}"].replace("{id}", body["id"])
    await service.request(uri, "GET")
    await service.request(uri, "DELETE")
    await service.request(f"{uri}/retry", "POST", headers=at_once)
    made = {action for action, count in service.aws.calls.items() if count}
    assert {"StartExecution", "DescribeExecution", "RedriveExecution"} <= made
    allowed = [item for item in await asyncio.to_thread(_task_statements, world) if item.role == "sync-front-task"]
    machine = system.state_machine_arn
    resources = (machine, f"{machine.replace(':stateMachine:', ':execution:')}:{body['id']}")
    for action in made:
        assert any(item.allows(f"states:{action}", resource) for item in allowed for resource in resources), action


def _task_statements(world: World) -> list[Any]:
    return list(statements(world.client("iam")))


async def test_the_relay_publishes_the_end_of_a_failed_execution(system: System, tmp_path: Path) -> None:
    async with DeployedAws(system, tmp_path) as aws, asyncio.timeout(20):
        assert aws.relay is not None
        aws.hosted().executions.start("exec-abc-1", "{}")
        while aws.relay.started == 0 or not aws.relay.idle:  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
        assert (aws.relay.started, aws.relay.failed) == (1, 0)


def test_eventbridge_starts_the_relay_with_the_whole_event(world: World, system: System) -> None:
    events = world.client("events")
    (rule,) = events.list_rules()["Rules"]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"] == system.relay_arn
    assert {"Input", "InputPath", "InputTransformer", "DeadLetterConfig"} & target.keys() == set()


@pytest.mark.parametrize(
    ("status", "matches"),
    [("TIMED_OUT", True), ("ABORTED", True), ("FAILED", True), ("RUNNING", False), ("SUCCEEDED", False)],
)
def test_the_rule_matches_only_unsuccessful_ends_of_the_services_executions(
    world: World, system: System, status: str, matches: bool
) -> None:
    (rule,) = world.client("events").list_rules()["Rules"]
    pattern = EventPattern.load(rule["EventPattern"])
    assert pattern.matches_event(change_of_status(system.state_machine_arn, status)) is matches
    assert not pattern.matches_event(change_of_status(f"{system.state_machine_arn}-other", status))
    assert not pattern.matches_event(change_of_status(system.state_machine_arn, status, "own-1"))


def change_of_status(machine: str, status: str, name: str = "exec-1") -> Any:
    """Return an event as AWS sends it ("Step Functions Execution Status Change", Developer Guide)."""
    return {
        "version": "0",
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "region": "us-east-1",
        "detail": {"stateMachineArn": machine, "name": name, "status": status},
    }
