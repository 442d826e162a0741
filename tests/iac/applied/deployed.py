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

from service.local import LocalAws
from tests.iac.applied.world import World
from tests.support.processes import Process, command

if TYPE_CHECKING:
    from service.local.appsync_events import AuthModes


class DeployedAws(LocalAws):
    """The local AWS with the names, the key, the auth modes, the workflow and the relay that Terraform deployed.

    Only its address differs.
    """

    def __init__(self, system: System, folder: Path) -> None:
        self.namespace = system.namespace
        self.api_key = system.api_key
        self.auth_modes = system.auth_modes
        self.state_machine_arn = system.state_machine_arn
        self.connection_arn = system.connection_arn
        paths = {"workflow": folder / "workflow.asl.json", "relay": folder / "relay.asl.json"}
        for path, text in zip(paths.values(), (system.definition, system.relay_definition), strict=True):
            path.write_text(text.replace(system.publish_url, "${endpoint}"), encoding="utf-8")
        super().__init__(port=0, definition=paths["workflow"], relay=paths["relay"])


@dataclass(frozen=True)
class System:
    """The running parts of the applied system."""

    namespace: str
    api_key: str
    auth_modes: AuthModes
    publish_url: str
    realtime_url: str
    state_machine_arn: str
    connection_arn: str
    relay_arn: str
    definition: str
    relay_definition: str
    container: dict[str, Any]
    environment: dict[str, str]
    """As ECS sets it, with the values of the secrets."""
    target_group: dict[str, Any]
    integrations: dict[str, str]
    """The URI to which API Gateway forwards a request, by `METHOD /path`."""
    stage: str

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
    machines = world.client("stepfunctions").list_state_machines()["stateMachines"]
    arns = {machine["type"]: machine["stateMachineArn"] for machine in machines}
    assert len(arns) == len(machines)
    arn, relay_arn = arns["STANDARD"], arns["EXPRESS"]
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
        state_machine_arn=arn,
        connection_arn=connection["ConnectionArn"],
        relay_arn=relay_arn,
        definition=world.client("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"],
        relay_definition=world.client("stepfunctions").describe_state_machine(stateMachineArn=relay_arn)["definition"],
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
