"""Destroy: no resource is left"""

from __future__ import annotations

import pytest

from tests.iac.applied.world import Counts, World

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]


def test_destroy_removes_every_resource(world: World) -> None:
    existing = len(world.resources)
    assert existing > 50
    assert world.destroy() == Counts(0, 0, existing)
    assert world.resources == []


def test_nothing_is_left_in_the_account(world: World) -> None:
    ecs = world.client("ecs")
    left = {
        "apis": world.client("apigateway").get_rest_apis()["items"],
        "balancers": world.client("elbv2").describe_load_balancers()["LoadBalancers"],
        "clusters": [item for item in ecs.describe_clusters()["clusters"] if item["status"] == "ACTIVE"],
        "connections": world.client("events").list_connections()["Connections"],
        "dashboards": world.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "alarms": world.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "event apis": world.client("appsync").list_apis()["apis"],
        "log groups": world.client("logs").describe_log_groups()["logGroups"],
        "machines": world.client("stepfunctions").list_state_machines()["stateMachines"],
        "networks": [vpc for vpc in world.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]],
        "repositories": world.client("ecr").describe_repositories()["repositories"],
        "roles": world.client("iam").list_roles()["Roles"],
        "rules": world.client("events").list_rules()["Rules"],
        "secrets": world.client("secretsmanager").list_secrets()["SecretList"],
        "web acls": world.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"],
    }
    assert {name: what for name, what in left.items() if what} == {}
