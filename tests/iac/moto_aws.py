"""moto's server, with additions for gaps of moto 5.2.5 that `terraform apply` of this configuration meets.

Usage: `python -m tests.iac.moto_aws FILE`. It prints its URL, records Terraform's calls into the file, and ends when
its standard input does. It runs in a separate process because the additions change moto permanently.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

# moto reads this on import: it loads the managed policies of AWS, one of which is attached.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.apigateway.models import apigateway_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.appsync.models import appsync_backends
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.events.models import events_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.stepfunctions.responses import StepFunctionResponse

from service.local.asl.definition import DefinitionError, parse
from service.local.asl.resources import HttpOnly, is_http_invoke
from tests.iac import objections
from tests.iac.applied.recorder import record

Json = dict[str, Any]


class _Stacked:
    """A resource of a CloudFormation stack. moto finds direct subclasses of its own class by their module name."""

    __module__ = "moto.appsync.stacked"
    kind: ClassVar[str]
    attributes: ClassVar[set[str]]

    def __init__(self, name: str, properties: Json, account: str, region: str) -> None:
        self.account, self.region, self.name = account, region, name
        self.physical_resource_id = ""
        self.values: Json = {}
        self.create(properties)

    def create(self, properties: Json) -> None:
        raise NotImplementedError

    def update(self, properties: Json) -> None:
        """Apply new properties; does nothing for resources that no test changes."""

    def delete(self, account_id: str, region_name: str) -> None:
        """Delete the resource; does nothing if it is deleted with its API."""

    def get_cfn_attribute(self, name: str) -> Any:
        return self.values[name]

    def is_created(self) -> bool:
        return True

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attributes

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Json, account_id: str, region_name: str, **_: Any
    ) -> _Stacked:
        return cls(resource_name, cloudformation_json.get("Properties", {}), account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,
        cloudformation_json: Json,
        account_id: str,
        region_name: str,
    ) -> Any:
        raise NotImplementedError


class EventApi(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::AppSync::Api"
    attributes: ClassVar[set[str]] = {"ApiId", "ApiArn", "Dns.Http", "Dns.Realtime"}

    def create(self, properties: Json) -> None:
        api = appsync_backends[self.account][self.region].create_api(
            name=properties["Name"], owner_contact=None, tags={}, event_config=_as_in_api(properties["EventConfig"])
        )
        self.physical_resource_id = api.api_arn
        self.values = {
            "ApiId": api.api_id,
            "ApiArn": api.api_arn,
            "Dns.Http": api.dns["HTTP"],
            "Dns.Realtime": api.dns["REALTIME"],
        }

    def update(self, properties: Json) -> None:
        api = appsync_backends[self.account][self.region].events_apis[self.values["ApiId"]]
        api.event_config = _as_in_api(properties["EventConfig"])

    def delete(self, account_id: str, region_name: str) -> None:
        appsync_backends[account_id][region_name].delete_api(self.values["ApiId"])


class ChannelNamespace(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::AppSync::ChannelNamespace"
    attributes: ClassVar[set[str]] = {"ChannelNamespaceArn"}

    def create(self, properties: Json) -> None:
        self.created = appsync_backends[self.account][self.region].create_channel_namespace(
            properties["ApiId"], properties["Name"], [], []
        )
        self.physical_resource_id = self.created.channel_namespace_arn
        self.values = {"ChannelNamespaceArn": self.created.channel_namespace_arn}
        self.update(properties)

    def update(self, properties: Json) -> None:
        self.created.subscribe_auth_modes = _as_in_api(properties["SubscribeAuthModes"])
        self.created.publish_auth_modes = _as_in_api(properties["PublishAuthModes"])


class AppSyncApiKey(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::AppSync::ApiKey"
    attributes: ClassVar[set[str]] = {"ApiKey", "ApiKeyId", "Arn"}

    def create(self, properties: Json) -> None:
        self.api = properties["ApiId"]
        created = appsync_backends[self.account][self.region].create_api_key(
            self.api, properties["Description"], _moment(properties["Expires"])
        )
        self.physical_resource_id = created.key_id
        self.values = {"ApiKey": f"da2-{created.key_id}", "ApiKeyId": created.key_id}

    def update(self, properties: Json) -> None:
        appsync_backends[self.account][self.region].update_api_key(
            self.api, self.physical_resource_id, properties["Description"], _moment(properties["Expires"])
        )

    def delete(self, account_id: str, region_name: str) -> None:
        # moto deletes the resources of a stack in any order, and the keys of an API with it.
        if self.api in appsync_backends[account_id][region_name].events_apis:
            appsync_backends[account_id][region_name].delete_api_key(self.api, self.physical_resource_id)


class Connection(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::Events::Connection"
    attributes: ClassVar[set[str]] = {"Arn", "SecretArn"}

    def create(self, properties: Json) -> None:
        self.physical_resource_id = properties.get("Name", self.name)
        created = events_backends[self.account][self.region].create_connection(
            self.physical_resource_id,
            properties.get("Description", ""),
            properties["AuthorizationType"],
            properties["AuthParameters"],
        )
        self.values = {"Arn": created.arn, "SecretArn": created.secret_arn}
        self.update(properties)

    def update(self, properties: Json) -> None:
        # AWS stores the credentials in a secret that belongs to the connection.
        parameters = properties["AuthParameters"]["ApiKeyAuthParameters"]
        value = {"api_key_name": parameters["ApiKeyName"], "api_key_value": parameters["ApiKeyValue"]}
        _put_secret(self.account, self.region, self.values["SecretArn"], json.dumps(value))

    def delete(self, account_id: str, region_name: str) -> None:
        events_backends[account_id][region_name].delete_connection(self.physical_resource_id)


class Secret(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::SecretsManager::Secret"
    attributes: ClassVar[set[str]] = {"Id"}

    def create(self, properties: Json) -> None:
        backend = secretsmanager_backends[self.account][self.region]
        text = properties.get("SecretString")
        if text is None:
            rules = properties["GenerateSecretString"]
            text = backend.get_random_password(
                rules["PasswordLength"], "", False, rules.get("ExcludePunctuation", False), False, False, False, True
            )
            text = json.loads(text)["RandomPassword"]
        backend.create_secret(
            name=properties.get("Name", self.name),
            secret_string=self.resolve(text),
            secret_binary=None,
            description=properties.get("Description"),
            tags=[],
            kms_key_id=properties.get("KmsKeyId"),
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        self.physical_resource_id = backend.secrets[properties.get("Name", self.name)].arn
        self.values = {"Id": self.physical_resource_id}

    def update(self, properties: Json) -> None:
        if "SecretString" in properties:
            text = self.resolve(properties["SecretString"])
            _put_secret(self.account, self.region, self.physical_resource_id, text)

    def resolve(self, text: str) -> str:
        """Replace dynamic references to secrets with their values."""
        backend = secretsmanager_backends[self.account][self.region]
        return re.sub(
            r"\{\{resolve:secretsmanager:([^}]+)\}\}",
            lambda match: str(backend.get_secret_value(match[1], "", "AWSCURRENT")["SecretString"]),
            text,
        )

    def delete(self, account_id: str, region_name: str) -> None:
        secretsmanager_backends[account_id][region_name].delete_secret(self.physical_resource_id, None, True)


class ApiKey(_Stacked, CloudFormationModel):
    __module__ = "moto.apigateway.stacked"
    kind = "AWS::ApiGateway::ApiKey"
    attributes: ClassVar[set[str]] = {"APIKeyId"}

    def create(self, properties: Json) -> None:
        created = apigateway_backends[self.account][self.region].create_api_key(_as_in_api(properties))
        self.physical_resource_id = created.id
        self.values = {"APIKeyId": created.id}

    def delete(self, account_id: str, region_name: str) -> None:
        apigateway_backends[account_id][region_name].delete_api_key(self.physical_resource_id)


class UsagePlan(_Stacked, CloudFormationModel):
    __module__ = "moto.apigateway.stacked"
    kind = "AWS::ApiGateway::UsagePlan"
    attributes: ClassVar[set[str]] = {"Id"}

    def create(self, properties: Json) -> None:
        payload = _as_in_api(properties)
        payload["name"] = payload.pop("usagePlanName")
        created = apigateway_backends[self.account][self.region].create_usage_plan(payload)
        self.physical_resource_id = created.id
        self.values = {"Id": created.id}

    def delete(self, account_id: str, region_name: str) -> None:
        apigateway_backends[account_id][region_name].delete_usage_plan(self.physical_resource_id)


class UsagePlanKey(_Stacked, CloudFormationModel):
    __module__ = "moto.apigateway.stacked"
    kind = "AWS::ApiGateway::UsagePlanKey"
    attributes: ClassVar[set[str]] = {"Id"}

    def create(self, properties: Json) -> None:
        plan, payload = properties["UsagePlanId"], _as_in_api(properties)
        created = apigateway_backends[self.account][self.region].create_usage_plan_key(plan, payload)
        self.physical_resource_id = f"{created.id}:{plan}"
        self.values = {"Id": self.physical_resource_id}


def _as_in_api(value: Any) -> Any:
    """Return properties of a template with the names that the service's API has, and without those that are absent."""
    if isinstance(value, dict):
        return {f"{name[0].lower()}{name[1:]}": _as_in_api(inner) for name, inner in value.items()}
    return [_as_in_api(item) for item in value if item is not None] if isinstance(value, list) else value


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


def _put_secret(account: str, region: str, arn: str, text: str) -> None:
    secretsmanager_backends[account][region].put_secret_value(arn, text, "", "", ["AWSCURRENT"])


def _parse_condition(condition: Any, *rest: Any, parse: Any = parsing.parse_condition) -> Any:
    """Support `!Condition` in YAML: moto mistakes the short form for a function and evaluates it as false."""
    return parse(json.loads(json.dumps(condition).replace('"Fn::Condition"', '"Condition"')), *rest)


class StackUpdates:
    """Full stack updates: moto updates only resources that refer to a changed parameter, and ignores conditions."""

    create: Any = staticmethod(parsing.parse_and_create_resource)

    @staticmethod
    def update(stack: Any, template: Json, parameters: Json | None = None) -> None:
        """Evaluate the whole template again, and create, update or delete each resource by its condition."""
        earlier = stack.earlier = {
            name: stack._parsed_resources.pop(name)
            for name in stack._resource_json_map
            if name in stack._parsed_resources
        }
        stack._template, stack._resource_json_map = template, template["Resources"]
        stack.input_parameters = parameters or stack.input_parameters
        stack.load_mapping()
        stack.load_parameters()
        stack.load_conditions()
        for name in stack._resource_json_map:
            stack[name]  # the lookup creates the resource
        for name in set(earlier) - set(stack._parsed_resources):
            earlier[name].delete(stack._account_id, stack._region_name)
        stack.earlier = {}

    @classmethod
    def create_or_update(
        cls, logical_id: str, resource_json: Json, resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        """Create the resource that moto's lazy map looks up, or update the earlier one."""
        earlier = getattr(resources_map, "earlier", {}).get(logical_id)
        condition = resource_json.get("Condition")
        if earlier is None or (condition and not resources_map.lazy_condition_map[condition]):
            return cls.create(logical_id, resource_json, resources_map, account_id, region_name)
        _, resolved, _ = parsing.parse_resource_and_generate_name(logical_id, resource_json, resources_map)
        earlier.update(resolved["Properties"])
        return earlier


class _EveryService(HttpOnly):
    """Runs tasks of every service, as AWS does."""

    def refusal(self, resource: str, arguments: Any) -> list[tuple[str, str]]:
        return super().refusal(resource, arguments) if is_http_invoke(resource) else []


def _validate_state_machine_definition(request: Any) -> str:
    """Validate the definition as the local AWS does, which executes the same text."""
    try:
        parse(request._get_param("definition"), _EveryService())
    except DefinitionError as error:
        problem = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": str(error)}
        return json.dumps({"result": "FAIL", "diagnostics": [problem], "truncated": False})
    return json.dumps({"result": "OK", "diagnostics": [], "truncated": False})


def install() -> None:
    """Add what moto lacks."""
    for owner, name, addition in (
        (parsing, "parse_condition", _parse_condition),
        (parsing, "parse_and_create_resource", StackUpdates.create_or_update),
        (parsing.ResourceMap, "update", StackUpdates.update),
        # The provider calls these, the first one in each plan.
        (StepFunctionResponse, "validate_state_machine_definition", _validate_state_machine_definition),
        (StepFunctionResponse, "list_state_machine_versions", lambda _: json.dumps({"stateMachineVersions": []})),
        (ApplicationAutoScalingResponse, "list_tags_for_resource", lambda _: json.dumps({"Tags": {}})),
        (ApplicationAutoScalingResponse, "tag_resource", lambda _: json.dumps({})),
    ):
        setattr(owner, name, addition)


def main() -> None:
    """Serve until standard input ends."""
    install()
    objections.install()
    record(Path(sys.argv[1]))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # errors only, not a line for each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)  # noqa: T201 - the caller reads the URL from here
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
