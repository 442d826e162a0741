"""The deployed system, in a form that can run on this machine."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from service.local import Definition, LocalAws
from tests.iac.applied.world import World
from tests.support.processes import Process, command

if TYPE_CHECKING:
    from service.local.appsync_events import AuthModes


EXISTING = json.dumps({"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": True}}})
"""What a state machine does that was there before."""


class DeployedAws(LocalAws):
    """The local AWS with the names, the key, the auth modes, the workflows and the relay that Terraform deployed.

    Only its address differs. Workflows whose state machine exists already pass their input on.
    """

    def __init__(self, system: System, folder: Path) -> None:
        self.namespace = system.namespace
        self.api_key = system.api_key
        self.auth_modes = system.auth_modes
        self.connection_arn = system.connection_arn

        def file(name: str, text: str) -> Path:
            path = folder / f"{name}.asl.json"
            path.write_text(text.replace(system.publish_url, "${endpoint}"), encoding="utf-8")
            return path

        machines = [
            Definition(arn, file(name, system.definitions.get(arn, EXISTING)), workflow["input"])
            for name, workflow in system.workflows.items()
            if (arn := workflow["state_machine_arn"])
        ]
        super().__init__(port=0, machines=machines, relay=file("relay", system.relay_definition))


@dataclass(frozen=True)
class System:
    """The running parts of the applied system."""

    namespace: str
    api_key: str
    auth_modes: AuthModes
    publish_url: str
    realtime_url: str
    connection_arn: str
    relay_arn: str
    relay_definition: str
    definitions: dict[str, str]
    """Of the workflows' state machines, by ARN."""
    container: dict[str, Any]
    environment: dict[str, str]
    """As ECS sets it, with the values of the secrets."""
    target_group: dict[str, Any]
    integrations: dict[str, str]
    """The URI to which API Gateway forwards a request, by `METHOD /path`."""
    stage: str

    @property
    def workflows(self) -> dict[str, dict[str, Any]]:
        """The service's setting."""
        found: dict[str, dict[str, Any]] = json.loads(self.environment["WORKFLOWS"])
        return found

    @property
    def state_machine_arn(self) -> str:
        """The ARN of the demonstration."""
        return str(self.workflows["event"]["state_machine_arn"])

    def local_environment(self, aws: LocalAws, world: World) -> dict[str, str]:
        """Return the task's environment with only the addresses of AWS and the port changed."""
        environment = dict(self.environment)
        assert environment["APPSYNC_HTTP_URL"] == self.publish_url
        assert environment["APPSYNC_REALTIME_URL"] == self.realtime_url
        host = urlsplit(aws.url).netloc
        for name, scheme in (("APPSYNC_HTTP_URL", "http"), ("APPSYNC_REALTIME_URL", "ws")):
            environment[name] = urlsplit(environment[name])._replace(scheme=scheme, netloc=host).geturl()
        return environment | {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "AWS_ENDPOINT_URL_SFN": aws.url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": world.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }


def deployed(world: World) -> System:
    """Return the running system as AWS, not Terraform, describes it."""
    (api,) = world.client("appsync").list_apis()["apis"]
    (namespace,) = world.client("appsync").list_channel_namespaces(apiId=api["apiId"])["channelNamespaces"]
    (api_key,) = world.valid_keys()
    step_functions = world.client("stepfunctions")
    machines = step_functions.list_state_machines()["stateMachines"]
    definitions = {
        machine["stateMachineArn"]: step_functions.describe_state_machine(stateMachineArn=machine["stateMachineArn"])[
            "definition"
        ]
        for machine in machines
    }
    (relay_arn,) = [machine["stateMachineArn"] for machine in machines if machine["type"] == "EXPRESS"]
    (container,) = world.task()["containerDefinitions"]
    (target_group,) = world.client("elbv2").describe_target_groups()["TargetGroups"]
    (connection,) = world.client("events").list_connections()["Connections"]
    secrets = {item["name"]: _secret(world, item["valueFrom"]) for item in container["secrets"]}
    return System(
        namespace=namespace["name"],
        api_key=api_key,
        auth_modes={
            "connect": _modes(api["eventConfig"]["connectionAuthModes"]),
            "subscribe": _modes(namespace["subscribeAuthModes"]),
            "publish": _modes(namespace["publishAuthModes"]),
        },
        publish_url=f"https://{api['dns']['HTTP']}/event",
        realtime_url=f"wss://{api['dns']['REALTIME']}/event/realtime",
        connection_arn=connection["ConnectionArn"],
        relay_arn=relay_arn,
        relay_definition=definitions.pop(relay_arn),
        definitions=definitions,
        container=container,
        environment={item["name"]: item["value"] for item in container["environment"]} | secrets,
        target_group=target_group,
        integrations=_integrations(world.client("apigateway")),
        stage=urlsplit(world.outputs["api_endpoint"]).path,
    )


@dataclass
class Running:
    """The service, running as in its task."""

    url: str
    process: Process
    aws: DeployedAws

    async def request(self, uri: str, method: str, **options: Any) -> tuple[int, Any, Any]:
        """Send what API Gateway would send to `uri`."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as session,
            session.request(method, self.url + urlsplit(uri).path, **options) as response,
        ):
            return response.status, await response.json(content_type=None), response.headers


@asynccontextmanager
async def running(system: System, world: World, folder: Path) -> AsyncIterator[Running]:
    """Run the service with its task's environment; yield it when its subscription is confirmed."""
    async with DeployedAws(system, folder) as aws:
        arguments = system.container.get("command", ["serve"])
        async with command("service", *arguments, env=system.local_environment(aws, world)) as process:
            port = (await process.logged("started"))["port"]
            await process.logged("link_subscription_confirmed")
            yield Running(f"http://127.0.0.1:{port}", process, aws)


def _modes(modes: list[dict[str, str]]) -> list[str]:
    return [mode["authType"] for mode in modes]


def _secret(world: World, value_from: str) -> str:
    """Resolve `valueFrom` as ECS does: an ARN, or ARN:json-key:version-stage:version-id."""
    parts = value_from.split(":")
    text: str = world.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
    return str(json.loads(text)[parts[7]]) if len(parts) > 7 and parts[7] else text


def _integrations(client: Any) -> dict[str, str]:
    (api,) = client.get_rest_apis()["items"]
    return {
        f"{method} {resource['path']}": client.get_integration(
            restApiId=api["id"], resourceId=resource["id"], httpMethod=method
        )["uri"]
        for resource in client.get_resources(restApiId=api["id"])["items"]
        for method in resource.get("resourceMethods", {})
    }
