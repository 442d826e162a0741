"""Whether CloudFormation accepts the template: a change set that is never executed."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from tools.preflight.findings import Line, guarded, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws
    from tools.preflight.configuration import Configuration

_CHANGE_SET = "preflight"


def check(aws: Aws, configuration: Configuration) -> Iterator[Line]:
    """Yield a line for each stack."""
    for stack in configuration.all("aws_cloudformation_stack"):
        subject = f"stack {stack.values['name']}"
        yield from guarded(subject, _try(aws, subject, stack.values))


def _try(aws: Aws, subject: str, stack: dict[str, Any]) -> Iterator[Line]:
    client = aws.client("cloudformation")
    # A change set for a new stack creates one without resources, in review. It must not have the name that Terraform
    # will use, and it is deleted again.
    name = f"{stack['name']}-preflight-{uuid.uuid4().hex[:8]}"
    client.create_change_set(
        StackName=name,
        ChangeSetName=_CHANGE_SET,
        ChangeSetType="CREATE",
        TemplateBody=stack["template_body"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in stack["parameters"].items()],
        Capabilities=stack["capabilities"] or [],
    )
    try:
        line = _result(client, subject, name)
    finally:
        left = _delete(client, name)
    yield line
    if left:
        yield wrong(subject, f"delete the empty stack: aws cloudformation delete-stack --stack-name {name} ({left})")


def _result(client: Any, subject: str, name: str) -> Line:
    change_set = {"StackName": name, "ChangeSetName": _CHANGE_SET}
    try:
        client.get_waiter("change_set_create_complete").wait(**change_set, WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    except WaiterError:
        described = client.describe_change_set(**change_set)
        return wrong(subject, f"the change set is {described['Status']}: {described.get('StatusReason')}")
    changes = client.describe_change_set(**change_set)["Changes"]
    return ok(subject, f"a change set would create {len(changes)} resources")


def _delete(client: Any, name: str) -> str:
    """Delete the change set and its empty stack; return why that failed."""
    with suppress(ClientError, BotoCoreError):  # the stack is deleted with what it has
        client.delete_change_set(StackName=name, ChangeSetName=_CHANGE_SET)
    try:
        client.delete_stack(StackName=name)
    except (ClientError, BotoCoreError) as error:
        return str(error)
    return ""
