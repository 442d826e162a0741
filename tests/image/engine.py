"""The Docker command line, and containers that are removed when their test ends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.local import LocalAws

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("IMAGE", "sync-front")
"""The image that is built without a target: it also has local use."""
SERVE_IMAGE = f"{IMAGE}:serve"
"""The production image: `--target serve`."""

serve_only = pytest.mark.parametrize("image_name", [SERVE_IMAGE], ids=["serve"], indirect=True)

# As on ECS: read-only, without capabilities and new privileges, with little memory.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m")

STOP_SECONDS = 45
"""Longer than DRAIN_TIMEOUT, as ECS's stopTimeout must be."""

NOTES: list[str] = []


def note(text: str) -> None:
    """Print a line at the end of the run even if the test passed: a figure, a stand-in."""
    NOTES.append(text)


def docker(*arguments: str, seconds: float = 60, **env: str) -> str:
    """Run a Docker command and return its output; if it fails, its standard error is the assertion's message."""
    done = subprocess.run(
        ["docker", *arguments],  # noqa: S607 - the engine's client is where PATH says
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **env},
        check=False,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def inspect(name: str, kind: str = "container") -> Any:
    """Return the engine's description of a container or an image."""
    return json.loads(docker(kind, "inspect", name))[0]


def tracked(*paths: str) -> set[str]:
    """Return the files that git tracks at these paths."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *paths],  # noqa: S607 - git is where PATH says
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return set(listed.stdout.splitlines())


class Container:
    """A started container; blocking calls run in a thread, because tests have requests in flight meanwhile."""

    def __init__(self, container_id: str) -> None:
        self.id = container_id

    async def do(self, verb: str, *options: str) -> str:
        """Run `docker <verb> <options> <this>`."""
        return await asyncio.to_thread(docker, verb, *options, self.id, seconds=STOP_SECONDS + 30)

    async def url(self) -> str:
        """Return the URL of its published port, which differs after each start."""
        return f"http://{(await self.do('port')).partition('8080/tcp -> ')[2].splitlines()[0]}"

    async def python(self, code: str) -> str:
        """Run Python code beside the service; the image need not have a shell."""
        return await asyncio.to_thread(docker, "exec", self.id, "python", "-c", code)

    async def state(self) -> Any:
        """Return its state: whether it runs, its exit status and its health."""
        return (await asyncio.to_thread(inspect, self.id))["State"]

    async def stderr(self) -> str:
        """Return the standard error of all its starts."""
        done = await asyncio.to_thread(
            subprocess.run,
            ["docker", "logs", self.id],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stderr

    async def logs(self) -> list[dict[str, Any]]:
        """Return the log lines of all its starts."""
        return [json.loads(line) for line in (await self.stderr()).splitlines() if line.startswith("{")]

    async def reaches_health(self, status: str) -> None:
        """Wait until its health check reports this status."""
        async with asyncio.timeout(40):
            while (await self.state())["Health"]["Status"] != status:  # noqa: ASYNC110 - another process knows
                await asyncio.sleep(0.1)

    async def ready(self) -> str:
        """Wait until it is ready for traffic and return its URL."""
        url = await self.url()
        async with asyncio.timeout(40), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"{url}/readyz") as response:
                        if response.status == 200:
                            return url
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)


UNTIL_RUNNING = f"""
import sys, time
import boto3
client = boto3.client(
    "stepfunctions", "us-east-1", endpoint_url="http://aws:4566", aws_access_key_id="x", aws_secret_access_key="x"
)
query = dict(stateMachineArn={LocalAws.state_machine_arn!r}, statusFilter="RUNNING", maxResults=1000)
while len(client.list_executions(**query)["executions"]) < int(sys.argv[1]):
    time.sleep(0.2)
"""


async def all_started(aws: Container, number: int) -> None:
    """Wait until this number of executions run in a local AWS's container."""
    await asyncio.to_thread(docker, "exec", aws.id, "python", "-c", UNTIL_RUNNING, str(number), seconds=50)


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Container]:
    """Run `docker run --detach <arguments>`; the container is removed at the end."""
    container = Container(await asyncio.to_thread(docker, "run", "--detach", *arguments))
    try:
        yield container
    finally:
        await container.do("rm", "--force", "--volumes")


class Site:
    """A network with a local AWS in one container and the service in others."""

    def __init__(self, network: str, aws: Container) -> None:
        self.network, self.aws = network, aws
        self.settings = {
            "STATE_MACHINE_ARN": LocalAws.state_machine_arn,
            "APPSYNC_HTTP_URL": "http://aws:4566/event",
            "APPSYNC_REALTIME_URL": "ws://aws:4566/event/realtime",
            "APPSYNC_API_KEY": LocalAws.api_key,
            "AWS_ENDPOINT_URL_SFN": "http://aws:4566",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    @asynccontextmanager
    async def service(self, *options: str) -> AsyncIterator[Container]:
        """Run the production image as ECS does, with its own command."""
        env = [f"--env={name}={value}" for name, value in self.settings.items()]
        ports = ("--network", self.network, "--publish", "127.0.0.1::8080")
        async with running(*HARDENED, *ports, *env, *options, SERVE_IMAGE) as container:
            yield container


@asynccontextmanager
async def site(wait: float) -> AsyncIterator[Site]:
    """Start a local AWS whose workflow waits for this number of seconds."""
    network = await asyncio.to_thread(docker, "network", "create", f"sync-front-{uuid4().hex[:8]}")
    try:
        async with running(
            *HARDENED,
            *("--network", network, "--network-alias", "aws"),
            *("--no-healthcheck", "--entrypoint", "python"),
            IMAGE,
            *("-m", "service.local", "--host", "aws", "--wait", str(wait)),
        ) as aws:
            yield Site(network, aws)
    finally:
        await asyncio.to_thread(docker, "network", "rm", network)


async def post(http: aiohttp.ClientSession, url: str, body: Mapping[str, str], **headers: str) -> tuple[int, Any]:
    """Post an event; return the response's status and body."""
    async with http.post(f"{url}/event", json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)
