"""The commands as a user at a terminal runs them."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from service.local import WORKFLOW, LocalAws
from tests.support.processes import command, local, running, service, settings_for

LOCAL = {"HOST": "127.0.0.1", "PORT": "0", "LOCAL_AWS_PORT": "0", "LOG_FORMAT": "json"}
QUICK_EXIT_TIMEOUT_S = 3.0
"""A few tenths of a second are enough on an idle machine."""
EXAMPLES = Path("examples")
RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}


async def test_serve_without_settings_names_every_missing_one_and_exits_with_status_two() -> None:
    async with command("service", "serve") as process:
        assert await process.wait() == 2
        message = "\n".join(process.stderr)
        for name in ("STATE_MACHINE_ARN", "APPSYNC_HTTP_URL", "APPSYNC_REALTIME_URL", "APPSYNC_API_KEY"):
            assert name in message
        assert "Traceback" not in message


async def test_serve_without_credentials_says_so_and_exits_with_status_two() -> None:
    async with LocalAws(port=0) as aws:
        env = {name: value for name, value in settings_for(aws).items() if not name.startswith("AWS_")}
        nowhere = {
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        async with command("service", "serve", env=env | nowhere) as process:
            assert await process.wait() == 2
            assert "credentials" in process.stderr[-1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "no-such-profile"),
        ("AWS_ENDPOINT_URL_SFN", "foo"),
        ("AWS_ENDPOINT_URL_SFN", "http://"),
        ("HOST", "a..b"),
    ],
)
async def test_settings_that_only_the_sdk_or_the_system_rejects_are_one_message_too(name: str, value: str) -> None:
    async with LocalAws(port=0) as aws, command("service", "serve", env=settings_for(aws) | {name: value}) as process:
        assert await process.wait() == 2
        messages = [line for line in process.stderr if not line.startswith("{")]
        assert len(messages) == 1


async def test_ctrl_c_during_the_start_ends_it_without_a_traceback() -> None:
    # Python reports each import on standard error, so the signal can be sent while the imports are running.
    async with running("-X", "importtime", "-m", "service", "local", env=LOCAL) as process:
        await process.until(lambda: any(line.endswith(" argparse") for line in process.stderr))
        process.send(signal.SIGINT)
        assert await process.wait(QUICK_EXIT_TIMEOUT_S) == -signal.SIGINT
        assert not any("Traceback" in line for line in process.stderr)


@pytest.mark.parametrize("variable", ["PORT", "LOCAL_AWS_PORT"])
async def test_a_busy_port_is_one_clear_message(variable: str) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = str(busy.getsockname()[1])
        async with command("service", "local", env=LOCAL | {variable: port}) as process:
            assert await process.wait() == 1
            messages = [line for line in process.stderr if not line.startswith("{")]
            assert len(messages) == 1
            assert port in messages[0]


async def test_a_workflow_that_cannot_be_run_is_one_clear_message(tmp_path: Path) -> None:
    definition = tmp_path / "workflow.asl.json"
    definition.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Resultpath": "$", "End": true}}}')
    async with command("service", "local", "--workflow", str(definition), env=LOCAL) as process:
        assert await process.wait() == 1
        messages = [line for line in process.stderr if not line.startswith("{")]
        assert len(messages) == 2
        assert str(definition) in messages[0]
        assert "'A'" in messages[1]
        assert "Resultpath" in messages[1]


@pytest.mark.parametrize("arguments", [["local", "--wait", "-1"], ["local", "--wait", "soon"], ["dance"], []])
async def test_an_invalid_command_line_prints_the_usage_and_exits_with_status_two(arguments: list[str]) -> None:
    async with command("service", *arguments, env=LOCAL) as process:
        assert await process.wait() == 2
        assert process.stderr[0].startswith("usage: python -m service")


@pytest.mark.parametrize(
    ("workflow", "schema", "expected"),
    [
        (WORKFLOW, WORKFLOW.with_name("request.schema.json"), b'"nome completo":"Ricardo Marques"'),
        (EXAMPLES / "three-steps.asl.json", EXAMPLES / "three-steps.schema.json", b'"customer":"Ricardo"'),
    ],
)
async def test_local_prints_a_curl_line_that_works_and_ctrl_c_ends_it_quickly_and_quietly(
    workflow: Path, schema: Path, expected: bytes
) -> None:
    environment = LOCAL | {"REQUEST_SCHEMA": str(schema)}
    async with command("service", "local", "--wait", "0", "--workflow", str(workflow), env=environment) as process:
        port = (await process.logged("started"))["port"]
        await process.until(lambda: len(process.stdout) >= 4)
        printed = "\n".join(process.stdout)
        assert f"curl -s http://127.0.0.1:{port}/event" in printed
        await process.logged("link_subscription_confirmed")
        line = "".join(process.stdout[2:4]).replace("\\", "")
        curl = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(20):
            out, _ = await curl.communicate()
        assert expected in out
        process.send(signal.SIGINT)
        assert await process.wait(QUICK_EXIT_TIMEOUT_S) == 0
        assert not [line for line in process.stderr if not line.startswith("{")]
        assert {line["level"] for line in process.logs} == {"info"}


async def test_ctrl_c_with_a_request_in_flight_still_ends_quickly() -> None:
    async with (
        command("service", "local", "--wait", "60", env=LOCAL) as process,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        url = f"http://127.0.0.1:{(await process.logged('started'))['port']}/event"
        await process.logged("link_subscription_confirmed")
        key = {"Idempotency-Key": '"order 17"'}
        waiting = asyncio.create_task(http.post(url, json=RICARDO, headers=key))
        async with asyncio.timeout(20):
            while "sync_front_requests_in_flight 1.0" not in await text(http, url.replace("/event", "/metrics")):
                pass
        # With the same key, this request shares the start of the first one and gets its response once that is done.
        async with http.post(url, json=RICARDO, headers=key | {"Prefer": "respond-async"}) as response:
            assert response.status == 202
        process.send(signal.SIGINT)
        assert await process.wait(QUICK_EXIT_TIMEOUT_S) == 0
        assert (await waiting).status == 202


async def text(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as response:
        return await response.text()


async def test_local_has_a_live_view_that_does_not_delay_its_shutdown() -> None:
    async with (
        local("--wait", "0") as (process, url),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        await process.until(lambda: any(line.endswith(f" {url}/_local/") for line in process.stdout))
        async with http.get(f"{url}/_local/") as page:
            assert (page.status, page.content_type) == (200, "text/html")
        async with http.get(f"{url}/_local/feed") as feed:
            assert (await feed.content.readany()).startswith(b"data: ")
            process.send(signal.SIGTERM)
            assert await process.wait(QUICK_EXIT_TIMEOUT_S) == 0


async def test_serve_has_no_live_view() -> None:
    async with LocalAws(port=0) as aws, service(aws) as (_, url), aiohttp.ClientSession() as http:
        for path in ("/_local", "/_local/", "/_local/feed", "/_local/view.js"):
            async with http.get(url + path) as response:
                assert response.status == 404


async def test_local_ignores_the_users_aws_settings() -> None:
    env = LOCAL | {
        "AWS_PROFILE": "no-such-profile",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
        "APPSYNC_API_KEY_SECRET": "production-key",
        "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:production",
    }
    async with (
        command("service", "local", "--wait", "0", env=env) as process,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        port = (await process.logged("started"))["port"]
        await process.logged("link_subscription_confirmed")
        async with http.post(f"http://127.0.0.1:{port}/event", json=RICARDO) as response:
            assert response.status == 200


async def test_a_limit_of_open_files_lowers_max_in_flight_with_one_warning() -> None:
    script = (
        "import resource, runpy, sys;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000));"
        "sys.argv = ['service', 'local'];"
        "runpy.run_module('service', run_name='__main__')"
    )
    async with running("-c", script, env=LOCAL) as process:
        assert (await process.logged("started"))["max_in_flight"] == 110
        assert [line["event"] for line in process.logs if line["level"] == "warning"] == ["max_in_flight_lowered"]
        process.send(signal.SIGTERM)
        assert await process.wait() == 0


async def test_hundreds_of_idle_connections_leave_files_for_the_link_and_for_clients() -> None:
    script = (
        "import resource, runpy, sys;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1000, 1000));"
        "sys.argv = ['service', 'serve'];"
        "runpy.run_module('service', run_name='__main__')"
    )
    async with LocalAws(port=0, wait=0) as aws, running("-c", script, env=settings_for(aws)) as process:
        started = await process.logged("started")
        await process.logged("link_subscription_confirmed")
        with ExitStack() as connections:
            for _ in range(1100):
                connection = connections.enter_context(socket.socket())
                connection.setblocking(False)
                await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", started["port"]))
            await aws.drop_connections(1006)  # the link has to open a new file now
            await process.until(lambda: [line["event"] for line in process.logs].count("link_up") == 2)
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
                http.post(f"http://127.0.0.1:{started['port']}/event", json=RICARDO) as response,
            ):
                assert response.status == 200
        assert not [line for line in process.logs if line["level"] == "error"]
