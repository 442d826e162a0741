"""Changes: a new release and its rollback, another VPC link, API keys, more workflows, rotations of keys and secrets"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto.events.models import EventPattern

from service.local.hosted import unqualified
from tests.iac.applied.calls import read
from tests.iac.applied.deployed import System, deployed, running
from tests.iac.applied.policies import statements
from tests.iac.applied.test_3_service import change_of_status
from tests.iac.applied.world import ACCOUNT, FIRST, MODULE, REGION, SECOND, World, push

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

NEW_RELEASE = f"-var=image_tag={SECOND}"
STATES = f"arn:aws:states:{REGION}:{ACCOUNT}"
WORKFLOWS: dict[str, dict[str, Any]] = {
    "event": {"definition": "../workflow.asl.json", "request_schema": "../request.schema.json"},
    "checkout": {
        "definition": "../../examples/checkout.asl.json",
        "request_schema": "../../examples/three-steps.schema.json",
        "role_statements": [
            {"actions": ["states:StartExecution"], "resources": [f"{STATES}:stateMachine:sync-front-workflow-quote"]}
        ],
    },
    "quote": {"definition": "../../examples/quote.asl.json", "input": "event"},
    "orders": {
        "state_machine_arn": f"{STATES}:stateMachine:orders:PROD",
        "path": "/v1/orders",
        "input": "event",
        "max_in_flight": 100,
    },
}
"""The demonstration, a workflow that runs another one, that one, and an alias of a state machine that exists."""
SETTINGS = (
    NEW_RELEASE,
    f"-var=workflows={json.dumps(WORKFLOWS)}",
    "-var=api_authorization=API_KEY",
    '-var=api_usage_plans={standard={rate=10,burst=20,quota={limit=1000,period="DAY"},keys=["orders","shop"]}}',
)
"""The settings of later tests as well."""
SECOND_ID_SECRET = '-var=id_secrets=["a","b"]'


def id_secrets(world: World) -> dict[str, str]:
    """Return the secrets for execution ids, by their letters."""
    client = world.client("secretsmanager")
    names = [item["Name"] for item in client.list_secrets()["SecretList"]]
    return {
        letter: client.get_secret_value(SecretId=name)["SecretString"]
        for letter in "ab"
        for name in names
        if f"-IdSecret{letter.upper()}-" in name
    }


def test_a_new_release_replaces_only_the_task(world: World) -> None:
    push(world, SECOND)
    before = world.task()
    plan = world.plan(NEW_RELEASE)
    assert plan.actions == {
        "aws_ecs_task_definition.service": "delete create",
        "aws_ecs_service.main": "update",
    }
    world.apply_plan(plan, step="apply of a new release")
    after = world.task()
    assert after["revision"] == before["revision"] + 1
    assert after["containerDefinitions"][0]["image"].endswith(f":{SECOND}")
    assert after["containerDefinitions"][0]["environment"] == before["containerDefinitions"][0]["environment"]


def test_a_deployment_can_be_rolled_back_to_the_release_before(world: World) -> None:
    """ECS does so when a deployment fails, and refuses a revision that was deregistered."""
    ecs, now = world.client("ecs"), world.task()
    service = {"cluster": world.outputs["ecs_cluster_name"], "service": world.outputs["ecs_service_arn"]}
    before = f"{now['family']}:{now['revision'] - 1}"
    ecs.update_service(**service, taskDefinition=before)
    assert world.task()["containerDefinitions"][0]["image"].endswith(f":{FIRST}")
    ecs.update_service(**service, taskDefinition=now["taskDefinitionArn"])


@dataclass(frozen=True)
class Changed:
    """What one apply with many changes did."""

    actions: dict[str, str]
    old_link: str


@pytest.fixture(scope="module")
def changed(world: World) -> Changed:
    """Another VPC link, as when the subnets change, API keys, more workflows, and another secret for ids."""
    (link,) = world.client("apigatewayv2").get_vpc_links()["Items"]
    plan = world.plan(*SETTINGS, SECOND_ID_SECRET, f"-replace={MODULE}aws_apigatewayv2_vpc_link.main")
    world.apply_plan(plan, step="apply of a new VPC link, API keys, more workflows and another secret for ids")
    return Changed(plan.actions, link["VpcLinkId"])


def test_a_new_vpc_link_is_in_use_before_the_old_one_is_deleted(world: World, changed: Changed) -> None:
    assert changed.actions["aws_apigatewayv2_vpc_link.main"] == "create delete"
    # The provider repeats a call whose connection breaks, so there may be more than one new link.
    left = {link["VpcLinkId"] for link in world.client("apigatewayv2").get_vpc_links()["Items"]}
    assert left
    assert changed.old_link not in left


def test_more_workflows_add_what_they_need_and_replace_nothing(changed: Changed) -> None:
    alarms = ("workflow-failed", "workflow-timed-out", "workflow-throttled")
    made, all_new = ("checkout", "quote"), ("checkout", "orders", "quote")
    assert {address for address, action in changed.actions.items() if action == "create"} == {
        *(f'aws_sfn_state_machine.workflow["{name}"]' for name in made),
        *(f'aws_iam_role.workflow["{name}"]' for name in made),
        *(f'aws_iam_role_policy.workflow["{name}"]' for name in made),
        *(f'aws_cloudwatch_log_group.main["workflow-{name}"]' for name in made),
        *(f'aws_cloudwatch_metric_alarm.main["{alarm}-{name}"]' for alarm in alarms for name in all_new),
        'aws_cloudwatch_event_rule.ended["event"]',
        'aws_cloudwatch_event_target.ended["event"]',
        'aws_cloudwatch_metric_alarm.main["relay-not-started-event"]',
        "aws_cloudformation_stack.usage_plans[0]",  # of the API keys
    }
    assert {address for address, action in changed.actions.items() if "delete" in action} == {
        "aws_ecs_task_definition.service",
        "aws_api_gateway_deployment.main",
        "aws_apigatewayv2_vpc_link.main",
    }


def test_the_rules_match_successes_of_workflows_that_do_not_report_them(world: World, changed: Changed) -> None:
    del changed  # only its apply matters
    patterns = [EventPattern.load(rule["EventPattern"]) for rule in world.client("events").list_rules()["Rules"]]
    assert len(patterns) == 2
    arns = {arn: unqualified(arn) for arn in world.outputs["state_machine_arns"].values()}

    def starts_the_relay(arn: str, status: str) -> bool:
        return sum(pattern.matches_event(change_of_status(arns[arn], status)) for pattern in patterns) == 1

    assert all(starts_the_relay(arn, "FAILED") for arn in arns)
    assert {arn.partition("stateMachine:")[2] for arn in arns if starts_the_relay(arn, "SUCCEEDED")} == {
        "orders:PROD",
        "sync-front-workflow-quote",
    }


def test_the_service_may_start_the_alias_and_the_new_workflow_may_do_what_was_said(
    world: World, changed: Changed
) -> None:
    del changed  # only its apply matters
    allowed = list(statements(world.client("iam")))

    def may(role: str, action: str, resource: str) -> bool:
        return any(item.role == f"sync-front-{role}" and item.allows(action, resource) for item in allowed)

    alias = WORKFLOWS["orders"]["state_machine_arn"]
    assert may("task", "states:StartExecution", alias)
    assert may("task", "states:ListExecutions", unqualified(alias))
    assert may("task", "states:DescribeExecution", f"{unqualified(alias).replace(':stateMachine:', ':execution:')}:1")
    assert not may("task", "states:StartExecution", alias.replace("PROD", "TEST"))
    second = world.outputs["state_machine_arns"]["quote"]
    assert may("workflow-checkout", "states:StartExecution", second)
    assert not may("workflow", "states:StartExecution", second)
    connection = world.outputs["connection_arn"]
    assert may("workflow-checkout", "events:RetrieveConnectionCredentials", connection)
    assert not may("workflow-quote", "events:RetrieveConnectionCredentials", connection)  # it publishes nothing


def test_callers_have_api_keys_which_are_in_their_plan_and_not_in_the_state(world: World, changed: Changed) -> None:
    del changed  # only its apply matters
    api = world.client("apigateway")
    (plan,) = api.get_usage_plans()["items"]
    assert (plan["throttle"], plan["quota"]["limit"]) == ({"rateLimit": 10.0, "burstLimit": 20}, 1000)
    (stage,) = plan["apiStages"]
    assert stage["stage"] in [item["stageName"] for item in api.get_stages(restApiId=stage["apiId"])["item"]]
    keys = {key["id"]: key["value"] for key in api.get_api_keys(includeValues=True)["items"]}
    assert set(world.outputs["api_key_ids"].values()) == set(keys)
    assert {key["id"] for key in api.get_usage_plan_keys(usagePlanId=plan["id"])["items"]} == set(keys)
    state = world.terraform("state", "pull")
    assert [value for value in keys.values() if value in state] == []


def test_api_gateway_requires_a_key_and_tells_the_service_whose_it_is(world: World) -> None:
    document = [call.parameters["body"] for call in read(world.calls) if call.operation == "PutRestApi"][-1]
    paths: dict[str, Any] = json.loads(document)["paths"]
    header = deployed(world).environment["CALLER_HEADER"]
    assert {f"{workflow.get('path', f'/{name}')}/{{id}}/retry" for name, workflow in WORKFLOWS.items()} <= set(paths)
    for method in (method for path in paths.values() for method in path.values()):
        assert method["security"] == [{"api_key": []}]
        mapped = method["x-amazon-apigateway-integration"]["requestParameters"]
        assert mapped[f"integration.request.header.{header}"] == "context.identity.apiKeyId"


def test_a_new_secret_for_ids_comes_last_so_that_all_tasks_know_it_before_one_uses_it(world: World) -> None:
    found = id_secrets(world)
    assert len(set(found.values())) == 2
    assert deployed(world).environment["ID_SECRETS"] == f"{found['a']},{found['b']}"


def test_a_key_can_be_extended_without_a_new_task(world: World) -> None:
    replaced = f'-replace={MODULE}terraform_data.api_key_created["a"]'
    actions = world.plan(*SETTINGS, SECOND_ID_SECRET, replaced).actions
    assert actions.pop('terraform_data.api_key_created["a"]') == "delete create"
    # These change with the expiry, which may be on the same day: the key was created today.
    assert set(actions) <= {"aws_cloudformation_stack.appsync", "aws_cloudwatch_metric_alarm.api_key_expires"}


def test_a_rotation_uses_the_next_key_while_the_old_one_is_valid(world: World) -> None:
    (old,) = world.valid_keys()
    plan = world.plan(*SETTINGS, SECOND_ID_SECRET, '-var=appsync_api_keys=["b","a"]')
    assert plan.actions == {
        'terraform_data.api_key_created["b"]': "create",
        "aws_cloudformation_stack.appsync": "update",
    }
    world.apply_plan(plan, step="apply of the next key")
    assert old in world.valid_keys()
    (new,) = world.valid_keys() - {old}
    assert world.secret(world.outputs["secretsmanager_arn"]) == {"api_key": new}
    assert world.secret(world.connection()["SecretArn"])["api_key_value"] == new


async def test_after_the_rotations_the_old_key_is_deleted_and_the_service_runs_every_workflow_with_the_new_one(
    world: World, tmp_path: Path
) -> None:
    def finish() -> System:
        in_use = world.secret(world.outputs["secretsmanager_arn"])["api_key"]
        last = ('-var=appsync_api_keys=["b"]', '-var=id_secrets=["b","a"]', "-var=appsync_auth=api_key")
        world.apply(*SETTINGS, *last, step="apply without the old key, and with appsync_auth = api_key")
        assert world.valid_keys() == {in_use}
        return deployed(world)

    system = await asyncio.to_thread(finish)
    found = await asyncio.to_thread(id_secrets, world)
    assert system.environment["ID_SECRETS"] == f"{found['b']},{found['a']}"
    assert {mode for modes in system.auth_modes.values() for mode in modes} == {"API_KEY"}
    caller = {system.environment["CALLER_HEADER"]: next(iter(world.outputs["api_key_ids"].values()))}
    async with running(system, world, tmp_path) as service:

        async def answer(path: str, event: Any) -> Any:
            uri = system.integrations[f"POST {path}"]
            status, body, _ = await service.request(uri, "POST", json=event, headers=caller)
            assert status == 200, body
            assert body.pop("id").startswith("exec-")
            return body

        assert await answer("/event", {"nome": "Ada", "sobrenome": "Lovelace"}) == {"nome completo": "Ada Lovelace"}
        order = {"customer": "Ada", "lines": [{"quantity": 2, "price": 20.5}]}
        assert await answer("/checkout", order) == {"customer": "Ada", "total": 41}  # by way of the second one
        assert await answer("/quote", order) == {"total": 41}
        assert await answer("/v1/orders", order) == order  # of the state machine that existed
