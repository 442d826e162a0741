"""`python -m tests.iac.moto_aws`: moto's server with what it lacks for this configuration; prints its URL.

Each addition below stands for a gap of moto 5.2.5 that a real `terraform apply` of these files meets. It runs in a
process of its own because it changes moto for good, and ends with its standard input.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar

# moto reads this when it is imported: the managed policies of AWS, of which one is attached.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.appsync.models import appsync_backends
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.events.models import events_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import ThreadedMotoServer
from moto.stepfunctions.responses import StepFunctionResponse

from service.local.definition import DefinitionError, parse

Json = dict[str, Any]


class _Stacked:
    """A resource of a CloudFormation stack. moto finds direct subclasses of its own class, by their module's name."""

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
        """Take new properties; nothing where a change is not exercised."""

    def delete(self, account_id: str, region_name: str) -> None:
        """Remove it; nothing where it goes with the API that it belongs to."""

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
            name=properties["Name"], owner_contact=None, tags={}, event_config=properties["EventConfig"]
        )
        self.physical_resource_id = api.api_arn
        self.values = {
            "ApiId": api.api_id,
            "ApiArn": api.api_arn,
            "Dns.Http": api.dns["HTTP"],
            "Dns.Realtime": api.dns["REALTIME"],
        }

    def delete(self, account_id: str, region_name: str) -> None:
        appsync_backends[account_id][region_name].delete_api(self.values["ApiId"])


class ChannelNamespace(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::AppSync::ChannelNamespace"
    attributes: ClassVar[set[str]] = {"ChannelNamespaceArn"}

    def create(self, properties: Json) -> None:
        made = appsync_backends[self.account][self.region].create_channel_namespace(
            properties["ApiId"], properties["Name"], [], []
        )
        self.physical_resource_id = made.channel_namespace_arn
        self.values = {"ChannelNamespaceArn": made.channel_namespace_arn}


class AppSyncApiKey(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::AppSync::ApiKey"
    attributes: ClassVar[set[str]] = {"ApiKey", "ApiKeyId", "Arn"}

    def create(self, properties: Json) -> None:
        self.api = properties["ApiId"]
        made = appsync_backends[self.account][self.region].create_api_key(
            self.api, properties["Description"], _moment(properties["Expires"])
        )
        self.physical_resource_id = made.key_id
        self.values = {"ApiKey": f"da2-{made.key_id}", "ApiKeyId": made.key_id}

    def update(self, properties: Json) -> None:
        appsync_backends[self.account][self.region].update_api_key(
            self.api, self.physical_resource_id, properties["Description"], _moment(properties["Expires"])
        )

    def delete(self, account_id: str, region_name: str) -> None:
        # moto removes the resources of a stack in any order; a key goes with its API.
        if self.api in appsync_backends[account_id][region_name].events_apis:
            appsync_backends[account_id][region_name].delete_api_key(self.api, self.physical_resource_id)


class Connection(_Stacked, CloudFormationModel):
    __module__ = _Stacked.__module__
    kind = "AWS::Events::Connection"
    attributes: ClassVar[set[str]] = {"Arn", "SecretArn"}

    def create(self, properties: Json) -> None:
        self.physical_resource_id = properties.get("Name", self.name)
        made = events_backends[self.account][self.region].create_connection(
            self.physical_resource_id,
            properties.get("Description", ""),
            properties["AuthorizationType"],
            properties["AuthParameters"],
        )
        self.values = {"Arn": made.arn, "SecretArn": made.secret_arn}
        self.update(properties)

    def update(self, properties: Json) -> None:
        # AWS keeps the credentials in a secret of the connection's own.
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
            secret_string=text,
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
            _put_secret(self.account, self.region, self.physical_resource_id, properties["SecretString"])

    def delete(self, account_id: str, region_name: str) -> None:
        secretsmanager_backends[account_id][region_name].delete_secret(self.physical_resource_id, None, True)


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)


def _put_secret(account: str, region: str, arn: str, text: str) -> None:
    secretsmanager_backends[account][region].put_secret_value(arn, text, "", "", ["AWSCURRENT"])


def _parse_condition(condition: Any, *rest: Any, parse: Any = parsing.parse_condition) -> Any:
    """Know `!Condition` in YAML: moto takes the short form for a function and finds it false."""
    return parse(json.loads(json.dumps(condition).replace('"Fn::Condition"', '"Condition"')), *rest)


class StackUpdates:
    """moto updates only the resources that name a changed parameter themselves, and forgets conditions."""

    create: Any = staticmethod(parsing.parse_and_create_resource)

    @staticmethod
    def update(stack: Any, template: Json, parameters: Json | None = None) -> None:
        """Evaluate the whole template again; each resource is made, updated or removed as its condition says."""
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
            stack[name]  # asking for a resource makes it
        for name in set(earlier) - set(stack._parsed_resources):
            earlier[name].delete(stack._account_id, stack._region_name)
        stack.earlier = {}

    @classmethod
    def create_or_update(
        cls, logical_id: str, resource_json: Json, resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        """Stand in for the creation of a resource that moto's lazy map asks for."""
        earlier = getattr(resources_map, "earlier", {}).get(logical_id)
        condition = resource_json.get("Condition")
        if earlier is None or (condition and not resources_map.lazy_condition_map[condition]):
            return cls.create(logical_id, resource_json, resources_map, account_id, region_name)
        _, resolved, _ = parsing.parse_resource_and_generate_name(logical_id, resource_json, resources_map)
        earlier.update(resolved["Properties"])
        return earlier


def _validate_state_machine_definition(request: Any) -> str:
    """Judge it as the local AWS does, which executes the very same text."""
    try:
        parse(request._get_param("definition"))
    except DefinitionError as error:
        problem = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": str(error)}
        return json.dumps({"result": "FAIL", "diagnostics": [problem], "truncated": False})
    return json.dumps({"result": "OK", "diagnostics": [], "truncated": False})


def install() -> None:
    """Add to moto what is missing."""
    additions: list[tuple[Any, str, Any]] = [
        (parsing, "parse_condition", _parse_condition),
        (parsing, "parse_and_create_resource", StackUpdates.create_or_update),
        (parsing.ResourceMap, "update", StackUpdates.update),
        # Both are called by the provider, the first in each plan.
        (StepFunctionResponse, "validate_state_machine_definition", _validate_state_machine_definition),
        (StepFunctionResponse, "list_state_machine_versions", lambda _: json.dumps({"stateMachineVersions": []})),
        (ApplicationAutoScalingResponse, "list_tags_for_resource", lambda _: json.dumps({"Tags": {}})),
        (ApplicationAutoScalingResponse, "tag_resource", lambda _: json.dumps({})),
    ]
    for owner, name, addition in additions:
        setattr(owner, name, addition)


def main() -> None:
    """Serve until standard input ends."""
    install()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a fault is of interest, each of a thousand requests is not
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)  # noqa: T201 - the one thing that it has to say
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
