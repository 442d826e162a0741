"""Changes: a new release and its rollback, another VPC link, API keys for callers, and rotations of keys and secrets"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.iac.applied.calls import read
from tests.iac.applied.deployed import System, deployed, running
from tests.iac.applied.world import FIRST, MODULE, SECOND, World, push

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

NEW_RELEASE = f"-var=image_tag={SECOND}"
API_KEYS = (
    NEW_RELEASE,
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


def test_a_new_vpc_link_is_in_use_before_the_old_one_is_deleted(world: World) -> None:
    """As when the subnets change, because a link cannot. The same apply makes the changes of the next two tests."""
    links = world.client("apigatewayv2")
    (old,) = links.get_vpc_links()["Items"]
    replaced = f"-replace={MODULE}aws_apigatewayv2_vpc_link.main"
    plan = world.plan(*API_KEYS, SECOND_ID_SECRET, replaced)
    assert plan.actions["aws_apigatewayv2_vpc_link.main"] == "create delete"
    world.apply_plan(plan, step="apply of a new VPC link, API keys and another secret for ids")
    # The provider repeats a call whose connection breaks, so there may be more than one new link.
    left = {link["VpcLinkId"] for link in links.get_vpc_links()["Items"]}
    assert left
    assert old["VpcLinkId"] not in left


def test_callers_have_api_keys_which_are_in_their_plan_and_not_in_the_state(world: World) -> None:
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
    actions = world.plan(*API_KEYS, SECOND_ID_SECRET, replaced).actions
    assert actions.pop('terraform_data.api_key_created["a"]') == "delete create"
    # These change with the expiry, which may be on the same day: the key was created today.
    assert set(actions) <= {"aws_cloudformation_stack.appsync", "aws_cloudwatch_metric_alarm.api_key_expires"}


def test_a_rotation_uses_the_next_key_while_the_old_one_is_valid(world: World) -> None:
    (old,) = world.valid_keys()
    plan = world.plan(*API_KEYS, SECOND_ID_SECRET, '-var=appsync_api_keys=["b","a"]')
    assert plan.actions == {
        'terraform_data.api_key_created["b"]': "create",
        "aws_cloudformation_stack.appsync": "update",
    }
    world.apply_plan(plan, step="apply of the next key")
    assert old in world.valid_keys()
    (new,) = world.valid_keys() - {old}
    assert world.secret(world.outputs["secretsmanager_arn"]) == {"api_key": new}
    assert world.secret(world.connection()["SecretArn"])["api_key_value"] == new


async def test_after_the_rotations_the_old_key_is_deleted_and_a_service_with_api_key_uses_the_new_one(
    world: World, tmp_path: Path
) -> None:
    def finish() -> System:
        in_use = world.secret(world.outputs["secretsmanager_arn"])["api_key"]
        last = ('-var=appsync_api_keys=["b"]', '-var=id_secrets=["b","a"]', "-var=appsync_auth=api_key")
        world.apply(*API_KEYS, *last, step="apply without the old key, and with appsync_auth = api_key")
        assert world.valid_keys() == {in_use}
        return deployed(world)

    system = await asyncio.to_thread(finish)
    found = await asyncio.to_thread(id_secrets, world)
    assert system.environment["ID_SECRETS"] == f"{found['b']},{found['a']}"
    assert {mode for modes in system.auth_modes.values() for mode in modes} == {"API_KEY"}
    caller = {system.environment["CALLER_HEADER"]: next(iter(world.outputs["api_key_ids"].values()))}
    async with running(system, world, tmp_path) as service:
        person = {"nome": "Ada", "sobrenome": "Lovelace"}
        uri = system.integrations["POST /event"]
        status, body, _ = await service.request(uri, "POST", json=person, headers=caller)
    assert (status, body["nome completo"]) == (200, "Ada Lovelace")
