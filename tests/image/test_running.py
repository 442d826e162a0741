"""The image at work, under the constraints that ECS puts on it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime

import aiohttp
import pytest

from tests.image.engine import HARDENED, IMAGE, STOP_SECONDS, Site, all_started, note, post, running, site

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}
HELD = 500
QUICK_CHECKS = ("--health-interval", "1s", "--health-retries", "1", "--health-start-period", "0s")

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=100)) as client:
        yield client


async def test_it_answers_without_a_right_and_without_writing_a_file(http: aiohttp.ClientSession) -> None:
    async with site(wait=0.2) as stage, stage.service() as service:
        url = await service.ready()
        status, body = await post(http, url, RICARDO)
        assert (status, body["nome completo"]) == (200, "Ricardo Marques")
        assert await service.do("diff") == ""
        assert {line["level"] for line in await service.logs()} == {"info"}


async def test_its_health_check_tells_a_process_that_answers_from_one_that_hangs() -> None:
    async with site(wait=0) as stage, stage.service(*QUICK_CHECKS) as service:
        await service.ready()
        await service.healthy("healthy")
        await service.do("kill", "--signal", "STOP")
        await service.healthy("unhealthy")
        await service.do("kill", "--signal", "CONT")
        await service.healthy("healthy")


async def test_a_lost_link_makes_it_unready_but_not_unhealthy(http: aiohttp.ClientSession) -> None:
    async with site(wait=0) as stage, stage.service("--env", "APPSYNC_API_KEY=da2-wrong", *QUICK_CHECKS) as service:
        await service.healthy("healthy")
        async with http.get(f"{await service.url()}/readyz") as response:
            assert response.status == 503


async def test_it_is_ready_two_seconds_after_its_start() -> None:
    async with site(wait=0) as stage:
        seconds = [await seconds_to_ready(stage) for _ in range(3)]
    note(f"start to ready: {', '.join(f'{second:.2f}' for second in seconds)} s, limit 2")
    assert min(seconds) < 2


async def seconds_to_ready(stage: Site) -> float:
    """Return how long a start takes, less the time in which other processes had the processors."""
    async with stage.service() as service:
        await service.ready()
        waited = int((await service.python("print(open('/proc/1/schedstat').read())")).split()[1]) / 1e9
        confirmed = [line for line in await service.logs() if line["event"] == "link_subscription_confirmed"]
        began = (await service.state())["StartedAt"]
    start, end = (datetime.fromisoformat(text[:26]) for text in (began, confirmed[-1]["timestamp"]))
    return (end - start).total_seconds() - waited


async def test_it_needs_less_than_80_mib_when_idle(http: aiohttp.ClientSession) -> None:
    async with site(wait=0) as stage, stage.service() as service:
        url = await service.ready()
        assert (await post(http, url, RICARDO))[0] == 200  # what is loaded at the first use is loaded
        used = await service.do("stats", "--no-stream", "--format", "{{.MemUsage}}")
        status = await service.python("print(open('/proc/1/status').read())")
    resident = " ".join(re.findall(r"VmRSS.*|RssAnon.*", status))
    note(f"idle memory: {used}, limit 80 MiB; {resident}")
    number, unit = re.match(r"([\d.]+)(\w+)", used).groups()  # type: ignore[union-attr]
    assert unit == "MiB"
    assert float(number) < 80


async def test_the_same_image_is_all_of_it_on_a_laptop(http: aiohttp.ClientSession) -> None:
    async with running(*HARDENED, "--publish", "127.0.0.1::8080", IMAGE, "local", "--wait", "0") as container:
        status, body = await post(http, await container.ready(), RICARDO)
        assert (status, body["nome completo"]) == (200, "Ricardo Marques")


async def test_without_settings_it_ends_with_status_two() -> None:
    async with running(*HARDENED, IMAGE) as container:
        assert await container.do("wait") == "2"


async def test_docker_stop_with_requests_held_answers_all_of_them_and_ends_with_status_zero(
    http: aiohttp.ClientSession,
) -> None:
    asyncio.get_running_loop().set_debug(False)  # hundreds of requests are enough to do
    # They all have to be held at one time, on a busy machine, too.
    async with site(wait=30) as stage, stage.service("--env", "RESPONSE_TIMEOUT=90") as service:
        url = await service.ready()
        posts = [
            asyncio.create_task(post(http, url, {"nome": f"N{number}", "sobrenome": "X"})) for number in range(HELD)
        ]
        await all_started(stage.aws, HELD)
        assert not [task for task in posts if task.done()]
        await service.do("stop", "--time", str(STOP_SECONDS))
        # First, as a service that was killed gives its callers nothing but a lost connection.
        state = await service.state()
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
        answers = await asyncio.gather(*posts)
        assert [status for status, _ in answers] == [200] * HELD
        assert [body["nome completo"] for _, body in answers] == [f"N{number} X" for number in range(HELD)]
        logs = await service.logs()
        assert [line["held"] for line in logs if line["event"] == "stopping"] == [HELD]
        assert logs[-1]["event"] == "stopped"


async def test_a_signal_during_the_start_ends_it_though_it_is_the_first_process() -> None:
    # Python tells of each import on standard error, so the signal can be sent in the midst of them.
    options = ("--entrypoint", "python", IMAGE, "-X", "importtime", "-m", "service", "local")
    async with running(*HARDENED, *options) as container:
        async with asyncio.timeout(20):
            while " argparse\n" not in await container.stderr():
                pass
        await container.do("kill", "--signal", "TERM")
        assert await container.do("wait") == "143"


async def test_an_execution_outlives_the_container_that_was_killed_and_its_location_works_after_the_restart(
    http: aiohttp.ClientSession,
) -> None:
    async with site(wait=0.5) as stage, stage.service() as service:
        url = await service.ready()
        status, body = await post(http, url, RICARDO, Prefer="respond-async")
        assert status == 202
        await service.do("kill")
        assert (await service.state())["ExitCode"] == 137
        await service.do("start")
        url = await service.ready()
        async with asyncio.timeout(20):
            while True:
                async with http.get(f"{url}/event/{body['id']}") as response:
                    answer = await response.json(content_type=None)
                if response.status == 200:
                    break
                assert response.status == 202
        assert answer == {"id": body["id"], "nome completo": "Ricardo Marques"}
        await service.do("restart", "--time", str(STOP_SECONDS))
        assert (await post(http, await service.ready(), RICARDO))[0] == 200
