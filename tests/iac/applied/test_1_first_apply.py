"""First apply to moto: repository, everything else, outputs, a second plan"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.iac.applied.world import ACCOUNT, FIRST, MODULE, REGION, World, clients_environment
from tests.iac.files import NEWER_THAN_MODULE, blocks, named
from tests.iac.terraform import Terraform

# Resources that only options create.
OPTIONAL = {
    "aws_cloudformation_stack.usage_plans",
    "aws_iam_role.authorizer",
    "aws_iam_role_policy.authorizer",
    "aws_api_gateway_base_path_mapping.main",
    "aws_api_gateway_domain_name.main",
    "aws_ecs_cluster_capacity_providers.main",
    "aws_route53_record.main",
}

# Resources of which there was only one.
WITHOUT_KEYS = {
    ("aws_cloudwatch_event_rule", "ended"),
    ("aws_cloudwatch_event_target", "ended"),
    ("aws_iam_role", "workflow"),
    ("aws_iam_role_policy", "workflow"),
    ("aws_kms_alias", "main"),
    ("aws_kms_key", "main"),
    ("aws_sfn_state_machine", "workflow"),
}

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]


def test_the_repository_can_be_created_before_the_service(world: World) -> None:
    assert "aws_ecr_repository.service" in world.created_first
    assert not [address for address in world.created_first if address.startswith(("aws_ecs_", "aws_lb", "aws_vpc"))]


def test_every_resource_in_the_files_is_created(world: World) -> None:
    declared = {".".join(block.labels) for block in blocks() if block.kind == "resource"}
    assert {address.partition("[")[0] for address in world.resources} == declared - OPTIONAL
    assert world.first.destroyed == world.first.changed == 0
    assert world.first.added + len(world.created_first) == len(world.resources)


def test_every_output_has_a_value(world: World) -> None:
    outputs = world.outputs
    assert set(outputs) == set(named("output")) - {"custom_domain_target"}  # Terraform leaves out what is null
    assert [name for name, value in outputs.items() if not value] == ["api_key_ids"]  # there are none


def test_the_outputs_have_the_expected_values(world: World) -> None:
    outputs = world.outputs
    assert outputs["api_endpoint"].startswith("https://")
    assert outputs["api_endpoint"].endswith(f".execute-api.{REGION}.amazonaws.com/dev")
    assert outputs["state_machine_arn"] == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:event-workflow"
    assert outputs["appsync_host"].endswith(f".appsync-api.{REGION}.amazonaws.com")
    assert outputs["appsync_host_realtime"].endswith(f".appsync-realtime-api.{REGION}.amazonaws.com")
    assert outputs["connection_arn"].startswith(f"arn:aws:events:{REGION}:{ACCOUNT}:connection/")
    assert world.secret(outputs["secretsmanager_arn"])["api_key"].startswith("da2-")
    assert outputs["ecs_service_arn"].startswith(f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/")


def test_a_second_plan_changes_only_what_moto_does_not_return(world: World) -> None:
    assert world.plan().actions == {}


def test_a_deployment_from_before_the_module_is_moved_and_not_replaced(world: World, tmp_path: Path) -> None:
    # Its state has the same resources, outside of the module, but for those that are newer.
    state = json.loads(world.terraform("state", "pull"))
    older = [item for item in state["resources"] if f"{item['type']}.{item['name']}" not in NEWER_THAN_MODULE]
    for resource in older:
        assert resource.pop("module") == MODULE.rstrip(".")
        if (resource["type"], resource["name"]) in WITHOUT_KEYS:
            (instance,) = resource["instances"]
            del instance["index_key"]
    terraform = Terraform(tmp_path / "IaC", fetch=False, env=clients_environment(world.url))
    before = World(world.url, terraform, world.calls)
    (terraform.folder / "terraform.tfstate").write_text(json.dumps(state), encoding="utf-8")
    plan = before.plan()
    assert plan.actions == {}
    assert plan.moved == sum(len(item["instances"]) for item in older if item["mode"] == "managed")


def test_the_service_runs_the_pushed_image(world: World) -> None:
    (container,) = world.task()["containerDefinitions"]
    repository, _, tag = container["image"].rpartition(":")
    assert (repository, tag) == (world.outputs["ecr_repository_url"], FIRST)
    images = world.client("ecr").list_images(repositoryName=repository.partition("/")[2])["imageIds"]
    assert FIRST in [image["imageTag"] for image in images]


def test_no_secret_is_in_the_state_or_the_task(world: World) -> None:
    secrets = world.client("secretsmanager")
    values = [
        secrets.get_secret_value(SecretId=item["ARN"])["SecretString"] for item in secrets.list_secrets()["SecretList"]
    ]
    assert len(values) == 5  # for the API key, the connection, Idempotency-Key, and ids: one, and the list
    state, task = world.terraform("state", "pull"), str(world.task())
    for key in world.valid_keys() | {value for value in values if not value.startswith("{")}:
        assert len(key) > 8
        assert key not in state
        assert key not in task
