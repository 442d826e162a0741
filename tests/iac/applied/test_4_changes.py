"""Changes: a new release and its rollback, another VPC link, and a rotation of the API key"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.iac.applied.deployed import deployed, running
from tests.iac.applied.world import FIRST, MODULE, SECOND, World, push

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

NEW_RELEASE = f"-var=image_tag={SECOND}"


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
    """As when the subnets change, because a link cannot."""
    links = world.client("apigatewayv2")
    (old,) = links.get_vpc_links()["Items"]
    plan = world.plan(NEW_RELEASE, f"-replace={MODULE}aws_apigatewayv2_vpc_link.main")
    assert plan.actions["aws_apigatewayv2_vpc_link.main"] == "create delete"
    world.apply_plan(plan, step="apply of a new VPC link")
    (new,) = links.get_vpc_links()["Items"]
    assert new["VpcLinkId"] != old["VpcLinkId"]


def test_a_key_can_be_extended_without_a_new_task(world: World) -> None:
    actions = world.plan(NEW_RELEASE, f'-replace={MODULE}terraform_data.api_key_created["a"]').actions
    assert actions.pop('terraform_data.api_key_created["a"]') == "delete create"
    # These change with the expiry, which may be on the same day: the key was created today.
    assert set(actions) <= {"aws_cloudformation_stack.appsync", "aws_cloudwatch_metric_alarm.api_key_expires"}


def test_a_rotation_uses_the_next_key_while_the_old_one_is_valid(world: World) -> None:
    (old,) = world.valid_keys()
    plan = world.plan(NEW_RELEASE, '-var=appsync_api_keys=["b","a"]')
    assert plan.actions == {
        'terraform_data.api_key_created["b"]': "create",
        "aws_cloudformation_stack.appsync": "update",
    }
    world.apply_plan(plan, step="apply of the next key")
    assert old in world.valid_keys()
    (new,) = world.valid_keys() - {old}
    assert world.secret(world.outputs["secretsmanager_arn"]) == {"api_key": new}
    assert world.secret(world.connection()["SecretArn"])["api_key_value"] == new


async def test_after_a_rotation_the_old_key_is_deleted_and_the_service_uses_the_new_one(
    world: World, tmp_path: Path
) -> None:
    def finish() -> None:
        in_use = world.secret(world.outputs["secretsmanager_arn"])["api_key"]
        world.apply(NEW_RELEASE, '-var=appsync_api_keys=["b"]', step="apply without the old key")
        assert world.valid_keys() == {in_use}

    await asyncio.to_thread(finish)
    system = await asyncio.to_thread(deployed, world)
    async with running(system, world, tmp_path) as service:
        person = {"nome": "Ada", "sobrenome": "Lovelace"}
        status, body, _ = await service.request(system.integrations["POST /event"], "POST", json=person)
    assert (status, body["nome completo"]) == (200, "Ada Lovelace")
