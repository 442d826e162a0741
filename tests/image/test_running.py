"""The images at work, under the same restrictions as on ECS."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime

import aiohttp
import pytest

from tests.image.engine import HARDENED, IMAGE, SERVE_IMAGE, STOP_SECONDS, Site, all_started, note, post, running, site

RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}
IN_FLIGHT = 500
FREQUENT_CHECKS = ("--health-interval", "1s", "--health-retries", "1", "--health-start-period", "0s")

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=100)) as client:
        yield client


async def test_it_serves_without_privileges_and_without_writing_a_file(http: aiohttp.ClientSession) -> None:
    async with site(wait=0.2) as stage, stage.service() as service:
        url = await service.ready()
        status, body = await post(http, url, RICARDO)
        assert (status, body["nome completo"]) == (200, "Ricardo Marques")
        assert await service.do("diff") == ""
        assert {line["level"] for line in await service.logs()} == {"info"}


async def test_its_health_check_detects_a_process_that_hangs() -> None:
    async with site(wait=0) as stage, stage.service(*FREQUENT_CHECKS) as service:
        await service.ready()
        await service.reaches_health("healthy")
        await service.do("kill", "--signal", "STOP")
        await service.reaches_health("unhealthy")
        await service.do("kill", "--signal", "CONT")
        await service.reaches_health("healthy")


async def test_without_its_link_it_is_healthy_but_not_ready(http: aiohttp.ClientSession) -> None:
    async with site(wait=0) as stage, stage.service("--env", "APPSYNC_API_KEY=da2-wrong", *FREQUENT_CHECKS) as service:
        await service.reaches_health("healthy")
        async with http.get(f"{await service.url()}/readyz") as response:
            assert response.status == 503


async def test_it_is_ready_within_two_seconds() -> None:
    async with site(wait=0) as stage:
        seconds = [await seconds_to_ready(stage) for _ in range(3)]
    note(f"start to ready: {', '.join(f'{second:.2f}' for second in seconds)} s, limit 2")
    assert min(seconds) < 2


async def seconds_to_ready(stage: Site) -> float:
    """Return the duration of a start, without the time in which it waited for a processor."""
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
        assert (await post(http, url, RICARDO))[0] == 200  # so that everything loaded on first use is loaded
        used = await service.do("stats", "--no-stream", "--format", "{{.MemUsage}}")
        status = await service.python("print(open('/proc/1/status').read())")
    resident = " ".join(re.findall(r"VmRSS.*|RssAnon.*", status))
    note(f"idle memory: {used}, limit 80 MiB; {resident}")
    number, unit = re.match(r"([\d.]+)(\w+)", used).groups()  # type: ignore[union-attr]
    assert unit == "MiB"
    assert float(number) < 80


async def test_the_image_without_a_target_has_local_use(http: aiohttp.ClientSession) -> None:
    async with running(*HARDENED, "--publish", "127.0.0.1::8080", IMAGE, "local", "--wait", "0") as container:
        status, body = await post(http, await container.ready(), RICARDO)
        assert (status, body["nome completo"]) == (200, "Ricardo Marques")


async def test_the_production_image_has_no_local_use() -> None:
    async with running(*HARDENED, SERVE_IMAGE, "local") as container:
        assert await container.do("wait") == "1"
        assert "--target serve" in await container.stderr()


async def test_without_settings_it_exits_with_status_two() -> None:
    async with running(*HARDENED, SERVE_IMAGE) as container:
        assert await container.do("wait") == "2"


async def test_docker_stop_answers_all_requests_in_flight_and_exits_with_status_zero(
    http: aiohttp.ClientSession,
) -> None:
    asyncio.get_running_loop().set_debug(False)  # too slow for hundreds of requests
    # All of them must be in flight at once, even on a busy machine.
    async with site(wait=30) as stage, stage.service("--env", "RESPONSE_TIMEOUT=90") as service:
        url = await service.ready()
        posts = [
            asyncio.create_task(post(http, url, {"nome": f"N{number}", "sobrenome": "X"}))
            for number in range(IN_FLIGHT)
        ]
        await all_started(stage.aws, IN_FLIGHT)
        assert not [task for task in posts if task.done()]
        await service.do("stop", "--time", str(STOP_SECONDS))
        # First the state: a killed service would only show as lost connections.
        state = await service.state()
        assert (state["Status"], state["ExitCode"], state["OOMKilled"]) == ("exited", 0, False)
        answers = await asyncio.gather(*posts)
        assert [status for status, _ in answers] == [200] * IN_FLIGHT
        assert [body["nome completo"] for _, body in answers] == [f"N{number} X" for number in range(IN_FLIGHT)]
        logs = await service.logs()
        assert [line["in_flight"] for line in logs if line["event"] == "stopping"] == [IN_FLIGHT]
        assert logs[-1]["event"] == "stopped"


async def test_a_signal_during_the_start_ends_it_even_as_process_one() -> None:
    # Python reports each import on standard error, so the signal can be sent between two of them.
    options = ("--entrypoint", "python", SERVE_IMAGE, "-X", "importtime", "-m", "service", "serve")
    async with running(*HARDENED, *options) as container:
        async with asyncio.timeout(20):
            while " argparse\n" not in await container.stderr():
                pass
        await container.do("kill", "--signal", "TERM")
        assert await container.do("wait") == "143"


async def test_an_executions_location_works_after_its_container_was_killed_and_restarted(
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
