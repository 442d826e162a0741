"""`docker compose up`: two instances behind a real load balancer, with one local AWS."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.image.engine import IMAGE, ROOT, STOP_SECONDS, Container, all_started, docker, note, post, serve_only

# A stand-in for the balancer's image where that cannot be pulled: the same program from Debian.
STAND_IN = """
ARG BASE
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends haproxy
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
REQUESTS = 40

pytestmark = pytest.mark.timeout(200)


def succeeds(*command: str, text: str | None = None, seconds: float = 60) -> bool:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class Project:
    """What `docker compose up` starts, with a project name and a port of its own."""

    def __init__(self, command: list[str], balancer: str) -> None:
        self._command = [*command, "--file", str(ROOT / "compose.yaml"), "--project-name", f"test-{uuid4().hex[:8]}"]
        self._env = os.environ | {"IMAGE": IMAGE, "BALANCER_IMAGE": balancer, "PORT": "0", "WAIT": "6"}

    def run(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def containers(self, service: str) -> list[Container]:
        return [Container(name) for name in self.run("ps", "--quiet", service).split()]


@pytest.fixture
def project(image: Any) -> Iterator[Project]:
    candidates = (["docker", "compose"], ["docker-compose"])
    command = next((found for found in candidates if succeeds(*found, "version")), None)
    if command is None:
        pytest.skip("Docker Compose is not installed here")
    balancer = "haproxy:3.2-alpine"
    assert balancer in (ROOT / "compose.yaml").read_text()
    if not succeeds("docker", "pull", balancer):
        balancer = "sync-front-balancer"
        base = image["Config"]["Labels"]["org.opencontainers.image.base.name"]
        build = ("docker", "build", "--tag", balancer, "--build-arg", f"BASE={base}", "-")
        if not succeeds(*build, text=STAND_IN, seconds=150):
            pytest.skip("neither the balancer's image nor Debian's package is available here")
        note(f"the balancer's image cannot be pulled here; Debian's {haproxy_version(balancer)} was used instead")
    project = Project(command, balancer)
    try:
        project.run("up", "--detach", "--no-build")
        yield project
    finally:
        project.run("down", "--timeout", "2", "--volumes")


def haproxy_version(image: str) -> str:
    return docker("run", "--rm", "--entrypoint", "haproxy", image, "-v").split(" ", 3)[2]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as client:
        yield client


async def served(instance: Container) -> int:
    return len([line for line in await instance.logs() if line.get("route") == "/event"])


async def both_serve(http: aiohttp.ClientSession, url: str, instances: list[Container]) -> None:
    """Send requests until each instance has served a new one."""
    before = [await served(instance) for instance in instances]
    async with asyncio.timeout(60):
        while True:
            await asyncio.gather(*(post(http, url, person(0), Prefer="respond-async") for _ in range(4)))
            now = [await served(instance) for instance in instances]
            if all(new > old for new, old in zip(now, before, strict=True)):
                return


def person(number: int) -> dict[str, str]:
    return {"nome": f"N{number}", "sobrenome": "X"}


@serve_only
async def test_no_request_is_lost_when_an_instance_behind_the_balancer_restarts(
    project: Project, http: aiohttp.ClientSession
) -> None:
    (balancer,), (aws,) = project.containers("balancer"), project.containers("aws")
    instances = project.containers("service")
    assert len(instances) == 2
    url = await balancer.ready()
    await both_serve(http, url, instances)
    # Both have requests in flight when one of them is stopped.
    posts = [asyncio.create_task(post(http, url, person(number))) for number in range(REQUESTS)]
    await all_started(aws, REQUESTS)
    await instances[0].do("stop", "--time", str(STOP_SECONDS))
    answers = await asyncio.gather(*posts)
    assert [(status, body.get("nome completo")) for status, body in answers] == [
        (200, f"N{number} X") for number in range(REQUESTS)
    ]
    (in_flight,) = [line["in_flight"] for line in await instances[0].logs() if line["event"] == "stopping"]
    assert 0 < in_flight < REQUESTS
    assert (await instances[0].state())["ExitCode"] == 0
    # The other one takes over, and also serves results of executions that it did not start.
    for _, body in answers[:10]:
        async with http.get(f"{url}/event/{body['id']}") as response:
            assert (response.status, await response.json()) == (200, body)
    await instances[0].do("start")
    await both_serve(http, url, instances)
