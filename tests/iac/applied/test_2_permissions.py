"""IAM: the permissions of each role, and no others"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.iac.applied.policies import Statement, statements
from tests.iac.applied.world import ACCOUNT, REGION, World

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

# Actions that take no resource ("Service Authorization Reference": the column of resource types is empty).
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}
TRUSTED = {
    "task": "ecs-tasks.amazonaws.com",
    "execution": "ecs-tasks.amazonaws.com",
    "workflow": "states.amazonaws.com",
    "relay": "states.amazonaws.com",
    "ended": "events.amazonaws.com",
    "appsync-logs": "appsync.amazonaws.com",
    "api-logs": "apigateway.amazonaws.com",
    "flow-logs": "vpc-flow-logs.amazonaws.com",
}


@pytest.fixture(scope="module")
def allowed(world: World) -> list[Statement]:
    return list(statements(world.client("iam")))


def of(allowed: list[Statement], role: str) -> list[Statement]:
    found = [statement for statement in allowed if statement.role == f"sync-front-{role}"]
    assert found, role
    return found


def may(allowed: list[Statement], role: str, action: str, resource: str) -> bool:
    return any(statement.allows(action, resource) for statement in of(allowed, role))


def actions(allowed: list[Statement], role: str) -> set[str]:
    return {action for statement in of(allowed, role) for action in statement.actions}


def test_no_action_contains_a_wildcard(allowed: list[Statement]) -> None:
    assert [statement for statement in allowed for action in statement.actions if "*" in action] == []


def test_actions_that_take_a_resource_name_it(allowed: list[Statement]) -> None:
    assert [
        (statement.role, action)
        for statement in allowed
        for action in statement.actions
        if "*" in statement.resources and action not in WITHOUT_RESOURCE
    ] == []


def test_each_role_can_be_assumed_by_one_service_for_this_account(world: World) -> None:
    found = {}
    for role in world.client("iam").list_roles()["Roles"]:
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        found[role["RoleName"].removeprefix("sync-front-")] = statement["Principal"]["Service"]
        # API Gateway and AppSync may not send the source account.
        if statement["Principal"]["Service"] not in {"apigateway.amazonaws.com", "appsync.amazonaws.com"}:
            assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    assert found == TRUSTED


def test_only_the_log_role_of_api_gateway_has_an_aws_managed_policy(world: World) -> None:
    iam = world.client("iam")
    attached = {
        (role["RoleName"], policy["PolicyName"])
        for role in iam.list_roles()["Roles"]
        for policy in iam.list_attached_role_policies(RoleName=role["RoleName"])["AttachedPolicies"]
    }
    assert attached == {("sync-front-api-logs", "AmazonAPIGatewayPushToCloudWatchLogs")}


def test_the_service_may_use_only_its_own_state_machine(world: World, allowed: list[Statement]) -> None:
    machine = world.outputs["state_machine_arn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:exec-1"
    for action in ("states:StartExecution", "states:ListExecutions", "states:DescribeStateMachine"):
        assert may(allowed, "task", action, machine)
        assert not may(allowed, "task", action, f"{machine}-other")
    reads = ("states:DescribeExecution", "states:GetExecutionHistory")
    for action in (*reads, "states:StopExecution", "states:RedriveExecution"):
        assert may(allowed, "task", action, execution)
        assert not may(allowed, "task", action, execution.replace(":event-workflow:", ":other:"))
    assert {action for action in actions(allowed, "task") if action.startswith("states:")} == {
        "states:StartExecution",
        "states:ListExecutions",
        "states:DescribeStateMachine",
        "states:DescribeExecution",
        "states:StopExecution",
        "states:GetExecutionHistory",
        "states:RedriveExecution",
    }


def test_the_service_may_subscribe_but_neither_publish_nor_read_a_secret(
    world: World, allowed: list[Statement]
) -> None:
    (api,) = world.client("appsync").list_apis()["apis"]
    (namespace,) = world.client("appsync").list_channel_namespaces(apiId=api["apiId"])["channelNamespaces"]
    assert may(allowed, "task", "appsync:EventConnect", api["apiArn"])
    assert may(allowed, "task", "appsync:EventSubscribe", namespace["channelNamespaceArn"])
    assert not may(allowed, "task", "appsync:EventSubscribe", f"{namespace['channelNamespaceArn']}-other")
    assert {action for action in actions(allowed, "task") if not action.startswith("states:")} == {
        "appsync:EventConnect",
        "appsync:EventSubscribe",
    }


def test_the_api_key_may_only_publish(world: World) -> None:
    (api,) = world.client("appsync").list_apis()["apis"]
    (namespace,) = world.client("appsync").list_channel_namespaces(apiId=api["apiId"])["channelNamespaces"]
    assert api["eventConfig"]["connectionAuthModes"] == namespace["subscribeAuthModes"] == [{"authType": "AWS_IAM"}]
    assert namespace["publishAuthModes"] == [{"authType": "API_KEY"}]


def test_ecs_may_start_only_this_service(world: World, allowed: list[Statement]) -> None:
    (container,) = world.task()["containerDefinitions"]
    for secret in container["secrets"]:
        assert may(allowed, "execution", "secretsmanager:GetSecretValue", secret["valueFrom"])
    assert not may(allowed, "execution", "secretsmanager:GetSecretValue", world.outputs["secretsmanager_arn"])
    repository = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/sync-front"
    assert may(allowed, "execution", "ecr:BatchGetImage", repository)
    assert not may(allowed, "execution", "ecr:BatchGetImage", f"{repository}-other")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{container['logConfiguration']['options']['awslogs-group']}"
    assert may(allowed, "execution", "logs:PutLogEvents", f"{group}:log-stream:service/1")
    assert not may(allowed, "execution", "logs:PutLogEvents", f"{group}-other:log-stream:service/1")


PUBLISHERS = pytest.mark.parametrize(("role", "type_"), [("workflow", "STANDARD"), ("relay", "EXPRESS")])


def machine(world: World, type_: str) -> str:
    machines = world.client("stepfunctions").list_state_machines()["stateMachines"]
    (arn,) = [item["stateMachineArn"] for item in machines if item["type"] == type_]
    return str(arn)


@PUBLISHERS
def test_a_publisher_may_post_only_to_the_event_api(
    world: World, allowed: list[Statement], role: str, type_: str
) -> None:
    arn = machine(world, type_)
    (invoke,) = [item for item in of(allowed, role) if "states:InvokeHTTPEndpoint" in item.actions]
    assert invoke.resources == (arn,)
    conditions = {key: value for block in invoke.condition.values() for key, value in block.items()}
    definition = json.loads(world.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"])
    calls = [state["Arguments"] for state in states(definition) if "ApiEndpoint" in state.get("Arguments", {})]
    assert calls
    for call in calls:
        assert conditions == {"states:HTTPMethod": call["Method"], "states:HTTPEndpoint": call["ApiEndpoint"]}
        assert may(allowed, role, "events:RetrieveConnectionCredentials", call["Authentication"]["ConnectionArn"])


@PUBLISHERS
def test_a_publisher_may_read_only_the_secret_of_its_connection(
    world: World, allowed: list[Statement], role: str, type_: str
) -> None:
    assert type_
    arns = [secret["ARN"] for secret in world.client("secretsmanager").list_secrets()["SecretList"]]
    readable = [arn for arn in arns if may(allowed, role, "secretsmanager:GetSecretValue", arn)]
    secret = world.connection()["SecretArn"]
    assert readable == [secret]
    # EventBridge may replace it: the next one has the connection's name, and another end.
    replaced = f"{secret.rpartition('/')[0]}/00000000-0000-0000-0000-000000000000-AbCdEf"
    assert may(allowed, role, "secretsmanager:GetSecretValue", replaced)


def test_services_may_write_to_log_groups_but_not_create_them(allowed: list[Statement]) -> None:
    """Those that they create have no encryption and no retention, and stay after a destroy."""
    assert [item.role for item in allowed if "logs:CreateLogGroup" in item.actions] == []
    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= actions(allowed, "appsync-logs")
    # "IAM role for publishing flow logs to CloudWatch Logs", Amazon VPC User Guide, without the creation of the group.
    assert actions(allowed, "flow-logs") == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "logs:DescribeLogGroups",
        "logs:DescribeLogStreams",
    }


def test_roles_may_decrypt_only_through_secrets_manager(allowed: list[Statement]) -> None:
    found = [statement for statement in allowed if "kms:Decrypt" in statement.actions]
    assert {statement.role for statement in found} == {"sync-front-execution"}
    for statement in found:
        assert statement.condition == {"StringEquals": {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}}


def test_eventbridge_may_only_start_the_relay(world: World, allowed: list[Statement]) -> None:
    (statement,) = of(allowed, "ended")
    assert statement.actions == ("states:StartExecution",)
    assert statement.resources == (machine(world, "EXPRESS"),)


def states(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every state of a definition, including nested ones."""
    if isinstance(value, dict):
        if "Type" in value:
            yield value
        for inner in value.values():
            yield from states(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from states(inner)
