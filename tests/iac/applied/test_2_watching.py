"""Monitoring: alarms, dashboard, scaling and log groups"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.iac.applied.world import REGION, World

pytestmark = [pytest.mark.iac, pytest.mark.timeout(2000)]

Metric = tuple[str, str, dict[str, str]]  # namespace, name, dimensions


@pytest.fixture(scope="module")
def alarms(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return found


@pytest.fixture(scope="module")
def widgets(world: World) -> list[dict[str, Any]]:
    (dashboard,) = world.client("cloudwatch").list_dashboards()["DashboardEntries"]
    body = world.client("cloudwatch").get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def of_alarms(alarms: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield the metrics of alarms, each on one metric or on an expression of several."""
    for alarm in alarms:
        parts = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
        for metric in parts or [alarm]:
            dimensions = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
            yield metric["Namespace"], metric["MetricName"], dimensions


def of_widgets(widgets: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield the metrics of widgets, each a flat list: namespace, name, dimension, value, ..., options."""
    for widget in widgets:
        for metric in widget["properties"].get("metrics", []):
            flat = [part for part in metric if isinstance(part, str)]
            yield flat[0], flat[1], dict(zip(flat[2::2], flat[3::2], strict=True))


def of_scaling(world: World) -> Iterator[Metric]:
    policies = world.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="ecs")
    for policy in policies["ScalingPolicies"]:
        metric = policy["TargetTrackingScalingPolicyConfiguration"].get("CustomizedMetricSpecification")
        if metric:
            dimensions = {item["Name"]: item["Value"] for item in metric["Dimensions"]}
            yield metric["Namespace"], metric["MetricName"], dimensions


def existing(world: World) -> dict[str, set[str]]:
    """Return the existing values of each metric dimension."""
    (api,) = world.client("apigateway").get_rest_apis()["items"]
    (balancer,) = world.client("elbv2").describe_load_balancers()["LoadBalancers"]
    (group,) = world.client("elbv2").describe_target_groups()["TargetGroups"]
    machines = world.client("stepfunctions").list_state_machines()["stateMachines"]
    (event_api,) = world.client("appsync").list_apis()["apis"]
    (container,) = world.task()["containerDefinitions"]
    stages = world.client("apigateway").get_stages(restApiId=api["id"])["item"]
    return {
        "ApiName": {api["name"]},
        "Stage": {stage["stageName"] for stage in stages},
        "LoadBalancer": {balancer["LoadBalancerArn"].partition(":loadbalancer/")[2]},
        "TargetGroup": {group["TargetGroupArn"].rpartition(":")[2]},
        "StateMachineArn": {machine["stateMachineArn"] for machine in machines},
        "ClusterName": {world.outputs["ecs_cluster_name"]},
        "ServiceName": {world.outputs["ecs_service_arn"].rpartition("/")[2]},
        "EventAPIId": {event_api["apiId"]},
        "ChannelNamespaceName": {
            item["name"]
            for item in world.client("appsync").list_channel_namespaces(apiId=event_api["apiId"])["channelNamespaces"]
        },
        "WebACL": {acl["Name"] for acl in world.client("wafv2").list_web_acls(Scope="REGIONAL")["WebACLs"]},
        "Rule": {"ALL"},
        "Region": {REGION},
        "RuleName": {rule["Name"] for rule in world.client("events").list_rules()["Rules"]},
        # The dimension of the service's own metrics, which comes from its environment.
        "service": {item["value"] for item in container["environment"] if item["name"] == "SERVICE_NAME"},
    }


def test_every_metric_belongs_to_an_existing_resource(
    world: World, alarms: list[dict[str, Any]], widgets: list[dict[str, Any]]
) -> None:
    metrics = [*of_alarms(alarms), *of_widgets(widgets), *of_scaling(world)]
    assert len(metrics) > 40
    exists = existing(world)
    assert [
        (namespace, name, dimension, value)
        for namespace, name, dimensions in metrics
        for dimension, value in dimensions.items()
        if value not in exists.get(dimension, set())
    ] == []


# "CloudWatch metrics", AWS AppSync Events Developer Guide. A metric with other dimensions has no data.
HTTP_METRICS = {"4XXError", "5XXError", "Latency", "Requests", "TokensConsumed"}


def test_metrics_of_appsync_have_the_dimensions_of_their_group(
    alarms: list[dict[str, Any]], widgets: list[dict[str, Any]]
) -> None:
    metrics = [
        (name, set(dimensions))
        for namespace, name, dimensions in [*of_alarms(alarms), *of_widgets(widgets)]
        if namespace == "AWS/AppSync"
    ]
    assert len(metrics) > 3
    for name, dimensions in metrics:
        namespaced = set() if name in HTTP_METRICS else {"ChannelNamespaceName"}
        assert dimensions == {"EventAPIId"} | namespaced, name


def test_every_alarm_has_a_description(alarms: list[dict[str, Any]]) -> None:
    assert len(alarms) > 10
    assert [alarm["AlarmName"] for alarm in alarms if len(alarm["AlarmDescription"].split()) < 5] == []


def test_no_dashboard_widgets_overlap(widgets: list[dict[str, Any]]) -> None:
    cells = [
        (x, y)
        for widget in widgets
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_shows_the_log_of_the_service(world: World, widgets: list[dict[str, Any]]) -> None:
    (query,) = [widget["properties"]["query"] for widget in widgets if widget["type"] == "log"]
    (container,) = world.task()["containerDefinitions"]
    match = re.match(r"SOURCE '([^']+)'", query)
    assert match
    assert match[1] == container["logConfiguration"]["options"]["awslogs-group"] == world.outputs["log_group_name"]
    groups = world.client("logs").describe_log_groups()["logGroups"]
    assert match[1] in [group["logGroupName"] for group in groups]


def test_every_log_group_has_encryption_and_retention(world: World) -> None:
    groups = world.client("logs").describe_log_groups()["logGroups"]
    assert len(groups) > 4
    assert [group["logGroupName"] for group in groups if not group.get("kmsKeyId")] == []
    assert [group["logGroupName"] for group in groups if not group.get("retentionInDays")] == []
