"""Judge of calls: it finds each kind of call that AWS would refuse"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config

from tests.iac.applied.calls import Call, decode

UNCHECKED = Config(parameter_validation=False)


def recorded(service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """Return a call as the recorder writes it: what an SDK sends that checks nothing."""
    sent: list[AWSPreparedRequest] = []

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 500, HTTPHeaders(), None)

    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
    client = session.client(service, config=UNCHECKED.merge(Config(retries={"total_max_attempts": 1})))
    client.meta.events.register("before-send", send)
    with pytest.raises(Exception):  # noqa: B017, PT011 - the response is none of AWS
        getattr(client, operation)(**parameters)
    url = urlsplit(sent[0].url)
    headers: Any = sent[0].headers
    body: Any = sent[0].body or b""
    return {
        "method": sent[0].method,
        "url": url._replace(scheme="", netloc="").geturl(),
        "headers": {name: value.decode() if isinstance(value, bytes) else value for name, value in headers.items()},
        "body": base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode(),
    }


def call(service: str, operation: str, **parameters: Any) -> Call:
    return decode(recorded(service, operation, **parameters))


TASK = {"family": "service", "containerDefinitions": [{"name": "service", "essential": True}]}
ALARM = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
ROLE = {"RoleName": "sync-front-task", "AssumeRolePolicyDocument": "{}"}
TARGET = {"Id": "1", "Arn": "arn:aws:states:us-east-1:1:stateMachine:relay"}
RULE = {"IpProtocol": "tcp", "FromPort": 443}


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ecs", "register_task_definition", TASK),
        ("cloudwatch", "put_metric_alarm", ALARM),
        ("iam", "create_role", ROLE),
        ("events", "put_targets", {"Rule": "r", "Targets": [TARGET]}),
        ("ec2", "authorize_security_group_egress", {"GroupId": "sg-1", "IpPermissions": [RULE]}),
        ("apigatewayv2", "create_vpc_link", {"Name": "link", "SubnetIds": ["subnet-1"]}),
        ("apigateway", "get_stage", {"restApiId": "a1", "stageName": "dev"}),
    ],
)
def test_a_valid_call_of_each_protocol_is_decoded_and_accepted(
    service: str, operation: str, parameters: dict[str, Any]
) -> None:
    decoded = call(service, operation, **parameters)
    assert decoded.parameters == parameters
    assert decoded.violations() == []


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "violation"),
    [
        ("ecs", "register_task_definition", {"containerDefinitions": []}, ".family: is required"),
        ("apigatewayv2", "create_vpc_link", {"Name": "link"}, ".SubnetIds: is required"),
        (
            "cloudwatch",
            "put_metric_alarm",
            {"AlarmName": "a", "EvaluationPeriods": 1},
            ".ComparisonOperator: is required",
        ),
        ("ecs", "register_task_definition", TASK | {"networkMode": "vpc"}, ".networkMode: 'vpc' is none of bridge"),
        (
            "cloudwatch",
            "put_metric_alarm",
            ALARM | {"ComparisonOperator": "More"},
            ".ComparisonOperator: 'More' is none",
        ),
        (
            "iam",
            "create_role",
            ROLE | {"Description": "\N{GRINNING FACE}"},
            "Description: '\N{GRINNING FACE}' does not match",
        ),
        ("iam", "create_role", ROLE | {"RoleName": "a b"}, ".RoleName: 'a b' does not match"),
        ("iam", "create_role", ROLE | {"RoleName": "a" * 65}, ".RoleName: 65 breaks max 64"),
        ("cloudwatch", "put_metric_alarm", ALARM | {"TreatMissingData": ""}, ".TreatMissingData: 0 breaks min 1"),
        (
            "events",
            "put_targets",
            {"Rule": "r", "Targets": [TARGET | {"RetryPolicy": {"MaximumEventAgeInSeconds": 30}}]},
            ".Targets[].RetryPolicy.MaximumEventAgeInSeconds: 30 breaks min 60",
        ),
        ("events", "put_targets", {"Rule": "r", "Targets": []}, ".Targets: 0 breaks min 1"),
        ("wafv2", "list_web_acls", {"Scope": "ZONAL"}, ".Scope: 'ZONAL' is none of CLOUDFRONT"),
    ],
)
def test_a_call_that_breaks_its_model_is_found(
    service: str, operation: str, parameters: dict[str, Any], violation: str
) -> None:
    found = call(service, operation, **parameters).violations()
    assert [violation in text for text in found] == [True], found


@pytest.mark.parametrize("path", [[], ["containerDefinitions", 0]])
def test_an_unknown_member_is_found(path: list[Any]) -> None:
    line = recorded("ecs", "register_task_definition", **TASK)
    document = inner = json.loads(base64.b64decode(line["body"]))
    for step in path:
        inner = inner[step]
    inner["imagee"] = "x"
    line["body"] = base64.b64encode(json.dumps(document).encode()).decode()
    (violation,) = decode(line).violations()
    assert violation.endswith(".imagee: is unknown")


def test_a_call_of_an_operation_that_does_not_exist_is_found() -> None:
    line = recorded("ecs", "list_clusters")
    line["headers"] = {name: value.replace("ListClusters", "ListClustres") for name, value in line["headers"].items()}
    with pytest.raises(Exception, match="404 Not Found"):
        decode(line)
