"""The parts of a configuration that the preflight reads; tests/iac compares their form with what Terraform prints."""

from __future__ import annotations

import json
from typing import Any

from service.local.asl.definition import render
from tests.iac.files import TEMPLATE, WORKFLOW
from tools.preflight.configuration import Configuration, Resource

REGION = "us-east-1"
MACHINE = f"arn:aws:states:{REGION}:123456789012:stateMachine:event-workflow"
PATTERN = {
    "source": ["aws.states"],
    "detail-type": ["Step Functions Execution Status Change"],
    "detail": {
        "stateMachineArn": [MACHINE],
        "status": ["ABORTED", "FAILED", "TIMED_OUT"],
        "name": [{"prefix": "exec-"}],
    },
}
POLICY = {"Statement": [{"Effect": "Allow", "Action": "states:StartExecution", "Resource": MACHINE}]}
TRUST = {
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "states.amazonaws.com"}}]
}
STREAMED = {"x-amazon-apigateway-integration": {"timeoutInMillis": 900_000, "responseTransferMode": "STREAM"}}
BUFFERED = {"x-amazon-apigateway-integration": {"timeoutInMillis": 29_000}}
API = {
    "paths": {
        "/event": {"post": STREAMED},
        "/event/{id}": {"get": STREAMED, "delete": BUFFERED},
        "/event/{id}/retry": {"post": STREAMED},
    }
}
KEYS = {"KeyAExpires": "1800000000", "KeyBExpires": "0", "ApiName": "sync-front", "Namespace": "AsyncEvents"}
PARAMETERS = {
    **KEYS,
    "SubscriberAuth": "AWS_IAM",
    "ActiveKey": "a",
    "KeepOtherKey": "false",
    "LogRoleArn": "arn:aws:iam::123456789012:role/mock",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000",
}


def workflow() -> str:
    """Return the deployed definition."""
    values = {
        "partition": "aws",
        "endpoint": f"https://abc.appsync-api.{REGION}.amazonaws.com/event",
        "connection_arn": f"arn:aws:events:{REGION}:123456789012:connection/sync-front/1",
        "wait_seconds": "10",
    }
    return render(WORKFLOW.read_text(encoding="utf-8"), values)


def task(settings: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the values of the task definition, with other settings of the service."""
    environment = {
        "SERVICE_NAME": "sync-front",
        "APPSYNC_NAMESPACE": "AsyncEvents",
        "DESCRIBE_QUOTA": "300/15",
        "LIST_QUOTA": "200/5",
        "HISTORY_QUOTA": "400/20",
        "WORKFLOWS": json.dumps({"event": {"state_machine_arn": MACHINE, "input": "envelope"}}),
        **(settings or {}),
    }
    container = {
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
        "logConfiguration": {"options": {"awslogs-region": REGION}},
    }
    return {"cpu": "512", "container_definitions": json.dumps([container])}


def values() -> dict[str, dict[str, Any]]:
    """Return the values of each resource, by address."""
    opt_in = {"name": "opt-in-status", "values": ["opt-in-not-required"]}
    return {
        "data.aws_availability_zones.available": {
            "state": "available",
            "filter": [opt_in],
            "exclude_zone_ids": None,
            "exclude_names": None,
        },
        "aws_api_gateway_method_settings.all": {"settings": [{"throttling_rate_limit": 50}]},
        "aws_apigatewayv2_vpc_link.main": {"subnet_ids": ["subnet-1", "subnet-2"]},
        "aws_appautoscaling_target.service": {"max_capacity": 10},
        "aws_cloudformation_stack.appsync": {
            "name": "sync-front-appsync",
            "template_body": TEMPLATE.read_text(encoding="utf-8"),
            "parameters": PARAMETERS,
            "capabilities": None,
        },
        'aws_cloudwatch_event_rule.ended["envelope"]': {
            "name": "sync-front-ended",
            "event_pattern": json.dumps(PATTERN),
        },
        "aws_ecs_task_definition.service": task(),
        'aws_eip.nat["us-east-1a"]': {},
        'aws_iam_role.workflow["event"]': {"assume_role_policy": json.dumps(TRUST)},
        'aws_iam_role_policy.workflow["event"]': {"policy": json.dumps(POLICY)},
        'aws_sfn_state_machine.workflow["event"]': {
            "name": "event-workflow",
            "type": "STANDARD",
            "arn": MACHINE,
            "definition": workflow(),
        },
        "aws_kms_key.main[0]": {"policy": json.dumps(POLICY)},
        'aws_subnet.private["us-east-1a"]': {},
        'aws_subnet.private["us-east-1b"]': {},
        'aws_subnet.public["us-east-1a"]': {},
        'aws_subnet.public["us-east-1b"]': {},
        "aws_api_gateway_rest_api.main": {"body": json.dumps(API)},
    }


def configuration(changes: dict[str, dict[str, Any] | None] | None = None) -> Configuration:
    """Return a configuration; `changes` has other values of resources, or None for one that is missing."""
    found: dict[str, Any] = values()
    for address, change in (changes or {}).items():
        found[address] = None if change is None else found.get(address, {}) | change
    return Configuration(Resource(address, item) for address, item in found.items() if item is not None)
