from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from service.local import WORKFLOW, Definition, LocalAws
from service.local.__main__ import main, settings
from service.local.asl.definition import DefinitionError
from tests.local.conftest import DEADLINE, Aws, until

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator
    from pathlib import Path

import aiohttp


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def command(*arguments: str, port: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service.local",
        *arguments,
        env=os.environ | {"LOCAL_AWS_PORT": port},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def test_the_names_are_those_of_the_contract() -> None:
    assert (LocalAws.region, LocalAws.account, LocalAws.namespace) == ("us-east-1", "000000000000", "AsyncEvents")
    assert LocalAws.api_key == "da2-local"
    assert LocalAws.state_machine_arn == "arn:aws:states:us-east-1:000000000000:stateMachine:event-workflow"


async def test_the_addresses_contain_the_actual_port() -> None:
    async with LocalAws(port=0) as local:
        assert local.url.startswith("http://127.0.0.1:")
        assert not local.url.endswith(":0")
        assert local.http_url == local.url + "/event"
        assert local.realtime_url == local.url.replace("http", "ws") + "/event/realtime"


async def test_it_is_empty_before_its_start() -> None:
    local = LocalAws()
    assert (local.connections, local.subscriptions, local.running, dict(local.executions)) == (0, 0, 0, {})
    await local.stop()


async def test_a_busy_port_is_an_oserror_and_leaves_nothing_open() -> None:
    async with LocalAws(port=0) as local:
        other = LocalAws(port=int(local.url.rpartition(":")[2]))
        with pytest.raises(OSError, match="address already in use"):
            await other.start()


async def test_another_definition_can_be_run(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    states = {
        "Double": {"Type": "Pass", "Output": {"n": "{% $states.input.n * 2 %}"}, "Next": "Big"},
        "Big": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.n > 100 %}", "Next": "Done"}],
            "Default": "Double",
        },
        "Done": {"Type": "Succeed", "Output": "{% $states.input.n %}"},
    }
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({"QueryLanguage": "JSONata", "StartAt": "Double", "States": states}))
    async with LocalAws(port=0, definition=path) as local:
        aws = Aws(local, session)
        await aws.start("e", {"n": 5})
        described = await aws.ended("e")
        await aws.close()
    assert (described["status"], described["output"]) == ("SUCCEEDED", "160")


async def test_a_definition_that_cannot_be_run_is_rejected_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text('{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Loop", "End": true}}}')
    with pytest.raises(DefinitionError, match=r"state 'A', field Type: 'Loop' does not exist"):
        await LocalAws(port=0, definition=path).start()


LAMBDA = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": "arn:${x}:lambda:::f", "End": True}}}


async def test_a_task_that_nothing_can_run_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    path.write_text(json.dumps(LAMBDA))
    with pytest.raises(DefinitionError, match=r"state 'T', field Resource: 'arn:aws:lambda:::f' cannot be run here"):
        await LocalAws(port=0, definition=path, values={"x": "aws"}).start()


async def test_a_mock_answers_for_a_task_whose_placeholders_may_stay(tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text(json.dumps(LAMBDA))
    mocks = {"StateMachines": {"m": {"TestCases": {"c": {"T": {"Return": 5}}}}}}
    (tmp_path / "mocks.json").write_text(json.dumps(mocks))
    async with LocalAws(port=0, definition=tmp_path / "machine.json", mocks=tmp_path / "mocks.json") as local:
        execution = local.hosted().executions.start("e", "{}")
        await until(lambda: execution.status != "RUNNING")
    assert execution.output == "5"


@pytest.mark.parametrize(
    ("name", "text", "existing"),
    [
        ("machine.json", json.dumps(LAMBDA), "${x}"),
        ("machine.yaml", "StartAt: T\nStates: {T: {Type: Task, Resource: !GetAtt F.Arn, End: true}}", "${F.Arn}"),
        ("machine.json", json.dumps(LAMBDA).replace("${x}", "aws"), "none"),
    ],
)
async def test_a_value_of_a_placeholder_that_no_definition_has_is_refused(
    tmp_path: Path, name: str, text: str, existing: str
) -> None:
    (tmp_path / name).write_text(text)
    mocks = {"StateMachines": {"m": {"TestCases": {"c": {"T": {"Return": 5}}}}}}
    (tmp_path / "mocks.json").write_text(json.dumps(mocks))
    local = LocalAws(port=0, definition=tmp_path / name, mocks=tmp_path / "mocks.json", values={"y": "1", "z": "2"})
    with pytest.raises(DefinitionError) as caught:
        await local.start()
    assert caught.value.faults == tuple(
        f"--set {name}: there is no placeholder ${{{name}}}; there are: {existing}" for name in ("y", "z")
    )


async def test_a_value_may_be_for_one_of_several_definitions(tmp_path: Path) -> None:
    (tmp_path / "own.json").write_text('{"StartAt": "${x}", "States": {"A": {"Type": "Pass", "End": true}}}')
    own = Definition(LocalAws.state_machine_arn.replace("event-workflow", "own"), tmp_path / "own.json")
    demonstration = Definition(LocalAws.state_machine_arn, WORKFLOW)
    async with LocalAws(port=0, machines=[demonstration, own], values={"x": "A"}) as local:
        assert local.hosted(own.arn).machine.flow.start_at == "A"


@pytest.mark.parametrize("others", [{"*": {"Echo": True}, "T": {"Return": 5}}, {}], ids=["mocked", "without a mock"])
async def test_a_mock_of_a_state_that_does_not_exist_is_refused(tmp_path: Path, others: dict[str, Any]) -> None:
    (tmp_path / "machine.json").write_text(json.dumps(LAMBDA))
    cases = {"c": others | {"Typo": {"Return": 5}}}
    (tmp_path / "mocks.json").write_text(json.dumps({"StateMachines": {"m": {"TestCases": cases}}}))
    with pytest.raises(
        DefinitionError, match=r"mocks\.json: test case 'c', state 'Typo': the workflow has no"
    ) as caught:
        await LocalAws(port=0, definition=tmp_path / "machine.json", mocks=tmp_path / "mocks.json").start()
    assert len(caught.value.faults) == 1


async def test_mocks_that_cannot_be_used_are_named_with_their_file(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"none\.json: the file cannot be read"):
        await LocalAws(port=0, mocks=tmp_path / "none.json").start()


async def test_a_missing_definition_file_is_a_definition_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="the file cannot be read: No such file"):
        await LocalAws(port=0, definition=tmp_path / "none.json").start()


async def test_the_command_says_why_a_workflow_cannot_be_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve(aws: LocalAws) -> None:
        raise DefinitionError(f"no, not on {aws._host}:{aws._port} with {aws._wait}, {aws._definitions[0].file.name}")

    monkeypatch.setattr("service.local.__main__.serve", serve)
    monkeypatch.setattr("sys.argv", ["local"])
    monkeypatch.delenv("LOCAL_AWS_PORT", raising=False)
    assert await asyncio.to_thread(main) == 1
    reason = "no, not on 127.0.0.1:4566 with 10.0, workflow.asl.json"
    assert capsys.readouterr().err == f"the local AWS cannot run {WORKFLOW}:\n  {reason}\n"


async def test_a_stop_is_quick_with_executions_and_connections_open(
    session: aiohttp.ClientSession,
) -> None:
    loop = asyncio.get_running_loop()
    async with LocalAws(port=0, wait=200) as local:
        aws = Aws(local, session)
        silent = await aws.connect()
        await silent.subscribe("s", "/AsyncEvents/a")
        for number in range(20):
            await aws.start(f"e{number}", {"id": "a", "reply": {"channel": "b"}})
        assert local.running == 20
        began = loop.time()
    assert loop.time() - began < 1
    assert (local.running, local.connections) == (0, 0)
    await aws.close()


async def test_the_same_object_can_be_started_again(session: aiohttp.ClientSession) -> None:
    local = LocalAws(port=0, wait=0)
    for _ in range(2):
        async with local:
            aws = Aws(local, session)
            assert (await aws.publish("/AsyncEvents/a", ["1"]))[0] == 200
            await aws.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_prints_its_addresses_and_exits_cleanly_on_a_signal(
    number: signal.Signals, session: aiohttp.ClientSession
) -> None:
    process = await command("--wait", "0.5", port="0")
    async with asyncio.timeout(DEADLINE):
        assert process.stdout is not None
        first = (await process.stdout.readline()).decode()
        url = next(word for word in first.split() if word.startswith("http://"))
        async with session.post(f"{url}/event", json={}, headers={"x-api-key": "da2-local"}) as response:
            assert response.status == 400
        process.send_signal(number)
        began = asyncio.get_running_loop().time()
        output, errors = await process.communicate()
    assert asyncio.get_running_loop().time() - began < 2
    assert (process.returncode, errors) == (0, b"")
    assert output.decode() == settings(url)
    assert f"live view: {url}/_local/\n" in first


async def test_a_shell_can_source_the_settings_that_are_printed() -> None:
    printed = subprocess.run(  # noqa: ASYNC221 - it ends at once
        ["/bin/sh", "-c", f'eval "$({sys.executable} -m service.local --settings)"; env'],
        env=os.environ | {"LOCAL_AWS_PORT": "4999"},
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE,
    ).stdout
    async with LocalAws(port=0) as aws:
        expected = {
            "APPSYNC_HTTP_URL": aws.http_url,
            "APPSYNC_REALTIME_URL": aws.realtime_url,
            "AWS_ENDPOINT_URL_SFN": aws.url,
        }
        port = aws.url.rpartition(":")[2]
    for name, value in expected.items():
        assert f"\n{name}={value.replace(port, '4999')}\n" in f"\n{printed}"


@pytest.mark.parametrize(
    ("port", "host", "status", "printed"),
    [
        (" ", "::1", 0, "export AWS_ENDPOINT_URL_SFN='http://[::1]:4566'\n"),
        ("4999", "aws", 0, "export APPSYNC_REALTIME_URL=ws://aws:4999/event/realtime\n"),
        ("0", "aws", 1, "LOCAL_AWS_PORT=0 picks a free port"),
        ("4999x", "aws", 1, "LOCAL_AWS_PORT is not a port number: 4999x"),
    ],
)
def test_settings_have_addresses_that_can_be_used(
    port: str,
    host: str,
    status: int,
    printed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LOCAL_AWS_PORT", port)
    assert main(["--settings", "--host", host]) == status
    assert printed in "".join(capsys.readouterr())


async def test_an_ipv6_address_is_one_that_clients_can_use(session: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0, host="::1") as aws, session.post(aws.http_url, json={}) as response:
        assert response.status == 401
        assert aws.realtime_url.startswith("ws://[::1]:")


async def test_the_command_reports_a_busy_port_in_one_message() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        process = await command(port=port)
        async with asyncio.timeout(DEADLINE):
            output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert f"cannot listen on 127.0.0.1:{port}" in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_the_command_listens_on_the_given_host() -> None:
    process = await command("--host", "203.0.113.1", port="0")  # reserved for documentation, so no machine has it
    async with asyncio.timeout(DEADLINE):
        output, errors = await process.communicate()
    assert (process.returncode, output) == (1, b"")
    assert "cannot listen on 203.0.113.1:0" in errors.decode()
    assert "Traceback" not in errors.decode()


@pytest.mark.parametrize(
    ("arguments", "port", "status"),
    [((), "x", 1), ((), "70000", 1), (("--wait", "-1"), "0", 2), (("--wait", "nan"), "0", 2)],
)
async def test_the_command_rejects_invalid_settings(arguments: tuple[str, ...], port: str, status: int) -> None:
    process = await command(*arguments, port=port)
    async with asyncio.timeout(DEADLINE):
        _, errors = await process.communicate()
    assert process.returncode == status
    assert "Traceback" not in errors.decode()


async def test_a_client_that_never_closes_does_not_delay_the_stop(session: aiohttp.ClientSession) -> None:
    async with LocalAws(port=0) as local:
        aws = Aws(local, session)
        stuck = await aws.connect()
        await stuck.request(type="connection_init")
        await until(lambda: local.connections == 1)
        assert stuck.raw._conn is not None
        assert stuck.raw._conn.transport is not None
        stuck.raw._conn.transport.pause_reading()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.5
    stuck.raw._conn.transport.abort()
    await aws.close()
