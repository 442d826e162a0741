"""What AWS does and moto does not: other values than were sent, refusals, and what its services create themselves.

A stand-in that accepts everything proves nothing. Each function is one behaviour of AWS; `install` adds them to moto,
after the additions of `moto_aws`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from moto.apigateway.exceptions import BadRequestException as RefusedDocument
from moto.apigateway.models import APIGatewayBackend, apigateway_backends
from moto.apigatewayv2.exceptions import BadRequestException
from moto.apigatewayv2.models import ApiGatewayV2Backend
from moto.appsync.models import AppSyncBackend
from moto.cloudformation.exceptions import ValidationError
from moto.ec2.models import ec2_backends
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ecs.exceptions import EcsClientException
from moto.ecs.models import EC2ContainerServiceBackend, TaskDefinition
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.stepfunctions.responses import StepFunctionResponse

from tests.iac.states_language import violations
from tests.iac.vpc_links import supports_links

Json = dict[str, Any]

ZONE_IDS = {
    "us-east-1a": "use1-az3",
    "us-east-1b": "use1-az1",
    "us-east-1c": "use1-az2",
    "us-east-1d": "use1-az4",
    "us-east-1e": "use1-az5",
    "us-east-1f": "use1-az6",
}
"""The zones of an account whose first one has no VPC links. Each account has names of its own for the ids."""


def _capabilities(container: Json) -> None:
    """ECS returns both lists, whichever was sent, and the provider compares them as they are."""
    capabilities = container.get("linuxParameters", {}).get("capabilities")
    if capabilities is not None:
        capabilities.setdefault("add", [])
        capabilities.setdefault("drop", [])


def _system_controls(container: Json) -> None:
    """ECS returns an empty list."""
    container.setdefault("systemControls", [])


def _ports(container: Json) -> None:
    """In awsvpc mode, ECS returns the container's port as that of the host."""
    for mapping in container["portMappings"]:
        mapping.setdefault("hostPort", mapping["containerPort"])
        mapping.setdefault("protocol", "tcp")


def _health_check(container: Json) -> None:
    """ECS returns its defaults ("HealthCheck", Amazon ECS API Reference)."""
    if "healthCheck" in container:
        container["healthCheck"] = {"interval": 30, "timeout": 5, "retries": 3} | container["healthCheck"]


CONTAINER_READ_BACKS: tuple[Callable[[Json], None], ...] = (_capabilities, _system_controls, _ports, _health_check)
"""What ECS changes in the definition of a container."""


def register_task_definition(register: Any, backend: Any, *args: Any, **kwargs: Any) -> TaskDefinition:
    """A task definition reads back with what ECS adds."""
    definition: TaskDefinition = register(backend, *args, **kwargs)
    for container in definition.container_definitions:
        for change in CONTAINER_READ_BACKS:
            change(container)
    return definition


def update_service(update: Any, backend: Any, properties: Json) -> Any:
    """Refuse a deregistered revision ("DeregisterTaskDefinition", Amazon ECS API Reference)."""
    wanted = properties.get("task_definition")
    if wanted and backend.describe_task_definition(wanted).status != "ACTIVE":
        raise EcsClientException("TaskDefinition is inactive")
    return update(backend, properties)


def create_vpc_link(create: Any, backend: Any, name: str, sg_ids: Any, subnet_ids: list[str], tags: Any) -> Any:
    """Refuse subnets in zones without VPC links."""
    subnets = ec2_backends[backend.account_id][backend.region_name].describe_subnets(subnet_ids=subnet_ids)
    refused = [subnet.id for subnet in subnets if not supports_links(ZONE_IDS[subnet.availability_zone])]
    if refused:
        raise BadRequestException(f"Subnets {refused} are in availability zones that do not support VPC links")
    return create(backend, name, sg_ids, subnet_ids, tags)


def put_rest_api(put: Any, backend: Any, function_id: str, api_doc: Json, *args: Any, **kwargs: Any) -> Any:
    """Note the VPC links of a document, which moto drops; refuse a timeout longer than its transfer mode may have.

    Source: "Set up an HTTP proxy integration with payload response streaming", API Gateway Developer Guide.
    """
    integrations = list(_integrations(api_doc["paths"]))
    for integration in integrations:
        longest = 900_000 if integration.get("responseTransferMode") == "STREAM" else 29_000
        if integration["timeoutInMillis"] > longest:
            raise RefusedDocument(f"Timeout should be between 50 ms and {longest} ms")
    api = put(backend, function_id, api_doc, *args, **kwargs)
    api.links = {integration["connectionId"] for integration in integrations}
    return api


def create_deployment(create: Any, backend: Any, function_id: str, *args: Any, **kwargs: Any) -> Any:
    """A deployment is a copy of the API, so it uses its VPC links until the stage gets another one."""
    deployment = create(backend, function_id, *args, **kwargs)
    deployment.links = backend.get_rest_api(function_id).links
    return deployment


def delete_vpc_link(delete: Any, backend: Any, vpc_link_id: str) -> None:
    """Refuse to delete a link that a stage uses: AWS might, and if not, the stage would answer 500."""
    apis: Any = apigateway_backends[backend.account_id][backend.region_name].apis
    for api in apis.values():
        for stage in api.stages.values():
            deployment = api.deployments.get(stage.deployment_id)
            if deployment is not None and vpc_link_id in deployment.links:
                raise BadRequestException(f"The VPC link is in use by stage {stage.name}")
    delete(backend, vpc_link_id)


def _integrations(paths: Json) -> Iterator[Json]:
    """Yield the integrations of a document."""
    for methods in paths.values():
        for method in methods.values():
            yield method["x-amazon-apigateway-integration"]


def update_stage(update: Any, backend: Any, function_id: str, stage_name: str, operations: list[Json]) -> Any:
    """API Gateway creates the log group of a stage's errors, without encryption and retention."""
    stage = update(backend, function_id, stage_name, operations)
    if any(item["path"].endswith("/logging/loglevel") and item.get("value") != "OFF" for item in operations):
        _write_log(backend, f"API-Gateway-Execution-Logs_{function_id}/{stage_name}")
    return stage


def create_event_api(create: Any, backend: Any, *, event_config: Json, **kwargs: Any) -> Any:
    """AppSync assumes the role for its log: it names no account, and creates the log group if the role may."""
    api = create(backend, event_config=event_config, **kwargs)
    role = iam_backends[backend.account_id]["aws"].get_role_by_arn(event_config["logConfig"]["cloudWatchLogsRoleArn"])
    if any(statement.get("Condition") for statement in json.loads(role.assume_role_policy_document)["Statement"]):
        raise ValidationError(message="AppSync cannot assume the role for its log")
    if any("logs:CreateLogGroup" in document for document in role.policies.values()):
        _write_log(backend, f"/aws/appsync/apis/{api.api_id}")
    return api


def _write_log(backend: Any, group: str) -> None:
    """Create a log group as a service does that finds none."""
    logs = logs_backends[backend.account_id][backend.region_name]
    if group not in logs.groups:
        logs.create_log_group(group, {})


def validate_state_machine_definition(validate: Any, request: Any) -> str:
    """Refuse what is not in the States Language; the provider asks in each plan."""
    found = list(violations(json.loads(request._get_param("definition"))))
    if not found:
        return str(validate(request))
    problems = [{"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": problem} for problem in found]
    return json.dumps({"result": "FAIL", "diagnostics": problems, "truncated": False})


WRAPPERS: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (EC2ContainerServiceBackend, "register_task_definition", register_task_definition),
    (EC2ContainerServiceBackend, "update_service", update_service),
    (ApiGatewayV2Backend, "create_vpc_link", create_vpc_link),
    (ApiGatewayV2Backend, "delete_vpc_link", delete_vpc_link),
    (APIGatewayBackend, "put_rest_api", put_rest_api),
    (APIGatewayBackend, "create_deployment", create_deployment),
    (APIGatewayBackend, "update_stage", update_stage),
    (AppSyncBackend, "create_api", create_event_api),
    (StepFunctionResponse, "validate_state_machine_definition", validate_state_machine_definition),
)
"""The methods of moto that a function of this module runs around."""


def install() -> None:
    """Add the behaviours to moto."""
    RegionsAndZonesBackend.zones["us-east-1"] = [
        Zone(region_name="us-east-1", name=name, zone_id=zone_id) for name, zone_id in ZONE_IDS.items()
    ]
    for owner, name, wrapper in WRAPPERS:
        setattr(owner, name, _around(getattr(owner, name), wrapper))


def _around(method: Any, wrapper: Callable[..., Any]) -> Any:
    def wrapped(backend: Any, *args: Any, **kwargs: Any) -> Any:
        return wrapper(method, backend, *args, **kwargs)

    return wrapped
