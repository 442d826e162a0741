"""The Docker command line, and containers that do not outlive their test."""

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

from service.local import LocalAws

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("IMAGE", "sync-front")

# As ECS runs it: nothing may be written, nothing may be gained, little may be used.
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m")

STOP_SECONDS = 45
"""Longer than DRAIN_TIMEOUT, as ECS's stopTimeout has to be."""

NOTES: list[str] = []


def note(text: str) -> None:
    """Tell something at the end of the run, though the test passed: a figure, a stand-in."""
    NOTES.append(text)


def docker(*arguments: str, seconds: float = 60, **env: str) -> str:
    """Run a command of Docker's, with what it writes as the error's text if it fails; return its output."""
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
    """Return what the engine knows of a container or of an image."""
    return json.loads(docker(kind, "inspect", name))[0]


def tracked(*paths: str) -> set[str]:
    """Return the files that the project holds at these paths."""
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
    """A container that was started; blocking calls go through a thread, for tests hold requests meanwhile."""

    def __init__(self, container_id: str) -> None:
        self.id = container_id

    async def do(self, verb: str, *options: str) -> str:
        """Run `docker <verb> <options> <this>`."""
        return await asyncio.to_thread(docker, verb, *options, self.id, seconds=STOP_SECONDS + 30)

    async def url(self) -> str:
        """Return where its port is published; it is another one after each start."""
        return f"http://{(await self.do('port')).partition('8080/tcp -> ')[2].splitlines()[0]}"

    async def python(self, code: str) -> str:
        """Run some Python beside the service; there may be no shell."""
        return await asyncio.to_thread(docker, "exec", self.id, "python", "-c", code)

    async def state(self) -> Any:
        """Return whether it runs, its exit status and its health."""
        return (await asyncio.to_thread(inspect, self.id))["State"]

    async def stderr(self) -> str:
        """Return what all its starts wrote to standard error."""
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

    async def healthy(self, wanted: str) -> None:
        """Wait until its health check says so."""
        async with asyncio.timeout(40):
            while (await self.state())["Health"]["Status"] != wanted:  # noqa: ASYNC110 - another process tells
                await asyncio.sleep(0.1)

    async def ready(self) -> str:
        """Wait until it may take traffic and return its URL."""
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
    """Wait until so many executions run in a local AWS's container."""
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
    """A network with a local AWS in a container of its own, and the service beside it."""

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
        """Run the image as ECS does, with its own command."""
        env = [f"--env={name}={value}" for name, value in self.settings.items()]
        ports = ("--network", self.network, "--publish", "127.0.0.1::8080")
        async with running(*HARDENED, *ports, *env, *options, IMAGE) as container:
            yield container


@asynccontextmanager
async def site(wait: float) -> AsyncIterator[Site]:
    """Start a local AWS whose workflow waits so many seconds."""
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
    """Ask for an event's result; return status and body."""
    async with http.post(f"{url}/event", json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)
