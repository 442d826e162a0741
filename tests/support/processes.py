"""The project's commands as processes, with their logs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from service.local import LocalAws
from tests.support.ids import ID_SECRET
from tests.support.privacy import assert_nothing_private

CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("AWS_", "APPSYNC_", "REQUESTS_", "SSL_")) and not name.lower().endswith("_proxy")
}
"""The environment without the developer's own settings, for processes under test."""


READ_BY_IMPORTS: Final = ("SSL_", "PYTHON")
"""The beginnings of environment variables that imports depend on."""


class Forked:
    """A process of the fork server; it has the part of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, status: asyncio.StreamReader, pid: int, outputs: Sequence[asyncio.StreamReader | None]) -> None:
        self.stdout, self.stderr = outputs
        self.returncode: int | None = None
        self.pid = pid
        self._ended = asyncio.create_task(self._end(status))

    async def _end(self, status: asyncio.StreamReader) -> int:
        self.returncode = int(await status.readline())
        await status.read()  # to its end, which closes it
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)


@cache
def fork_server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the fork server once; return it and the socket for requests to it."""
    requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = (sys.executable, "-W", "error", "-m", "tests.support.fork_server")
        return subprocess.Popen(command, stdin=theirs.fileno(), env=CLEAN), requests


def end_fork_server() -> None:
    """End the fork server, if there is one, so that its coverage data is written."""
    if fork_server.cache_info().currsize:
        server, requests = fork_server()
        requests.close()
        server.wait(30)
        fork_server.cache_clear()


async def fork(arguments: Sequence[str], env: Mapping[str, str], stdout: int, stderr: int) -> Forked:
    """Let the fork server run `python -m service`."""
    status, reported = os.pipe()
    pipes = [os.pipe() if output == PIPE else None for output in (stdout, stderr)]
    outputs = [pipe[1] if pipe else output for pipe, output in zip(pipes, (stdout, stderr), strict=True)]
    request = {"arguments": arguments, "env": dict(env), "folder": str(Path.cwd())}
    _, requests = fork_server()
    socket.send_fds(requests, [json.dumps(request).encode()], [*outputs, reported])
    for descriptor in (reported, *(pipe[1] for pipe in pipes if pipe)):
        os.close(descriptor)
    lines = await reader(status)
    readers = [await reader(pipe[0]) if pipe else None for pipe in pipes]
    async with asyncio.timeout(30):
        return Forked(lines, int(await lines.readline()), readers)


async def reader(descriptor: int) -> asyncio.StreamReader:
    """Return a reader of a pipe."""
    made = asyncio.StreamReader()
    file = os.fdopen(descriptor, "rb", 0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(made), file)
    return made


class Process:
    """A running command; its standard output and standard error are read continuously."""

    def __init__(self, process: asyncio.subprocess.Process | Forked) -> None:
        self._process = process
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._changed = asyncio.Condition()
        streams = ((process.stdout, self.stdout), (process.stderr, self.stderr))
        self._readers = [
            asyncio.create_task(self._read(stream, lines)) for stream, lines in streams if stream is not None
        ]

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        async for line in stream:
            async with self._changed:
                lines.append(line.decode().rstrip("\n"))
                self._changed.notify_all()

    @property
    def logs(self) -> list[dict[str, Any]]:
        """The log lines written so far."""
        return [json.loads(line) for line in self.stderr]

    async def logged(self, event: str) -> dict[str, Any]:
        """Wait for a log line with this event and return it."""
        found: list[dict[str, Any]] = []

        def find() -> bool:
            found[:] = [line for line in self.logs if line["event"] == event]
            return bool(found)

        await self.until(find)
        return found[0]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the output meets a condition."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(condition)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        with suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self, timeout: float = 30) -> int:
        """Wait until the process ends; return its exit status."""
        async with asyncio.timeout(timeout):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
        return status

    async def end(self) -> None:
        """End the process if it still runs; interrupt it first, so that it can write its coverage data."""
        if self._process.returncode is None:
            self.send(signal.SIGINT)
        try:
            await self.wait(10)
        except TimeoutError:
            self._process.kill()
            await self.wait()
        # Only lines of JSON (metrics) are checked: `local` also prints an example with a name for the user.
        assert_nothing_private([*self.stderr, *(line for line in self.stdout if line.startswith("{"))])


@asynccontextmanager
async def command(
    module: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
) -> AsyncIterator[Process]:
    """Run `python -m ...` as `running` does; forked, unless that could make a difference.

    On macOS, some libraries do not work when forked.
    """
    env = env or {}
    starts_anew = sys.platform != "linux" or any(name.startswith(READ_BY_IMPORTS) for name in env)
    if module != "service" or starts_anew or stdout is None or stderr is None:
        async with running("-m", module, *arguments, env=env, stdout=stdout, stderr=stderr) as process:
            yield process
    else:
        async with ended(Process(await fork(arguments, {**CLEAN, **env}, stdout, stderr))) as process:
            yield process


@asynccontextmanager
async def running(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdout: int | None = PIPE,
    stderr: int | None = PIPE,
) -> AsyncIterator[Process]:
    """Run `python ...` with warnings as errors; its output goes to these files, None for a closed one."""
    closed = [redirection for file, redirection in ((stdout, ">&-"), (stderr, "2>&-")) if file is None]
    process = Process(
        await asyncio.create_subprocess_exec(
            *("sh", "-c", " ".join(['exec "$@"', *closed]), "sh", sys.executable),
            *("-W", "error"),
            *arguments,
            env={**CLEAN, **(env or {})},
            stdout=stdout,
            stderr=stderr,
        )
    )
    async with ended(process):
        yield process


@asynccontextmanager
async def ended(process: Process) -> AsyncIterator[Process]:
    """End a process with the block."""
    try:
        yield process
    finally:
        await process.end()


def free_port() -> int:
    """Return a port that is free now, for a command whose log cannot be read."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def settings_for(aws: LocalAws) -> dict[str, str]:
    """Return the environment variables that make the service use this local AWS."""
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "LOG_FORMAT": "json",
        "DRAIN_DELAY": "0",
        "STATE_MACHINE_ARN": aws.state_machine_arn,
        "APPSYNC_HTTP_URL": aws.http_url,
        "APPSYNC_REALTIME_URL": aws.realtime_url,
        "APPSYNC_API_KEY": aws.api_key,
        "ID_SECRETS": ID_SECRET,
        "AWS_ENDPOINT_URL_SFN": aws.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


@asynccontextmanager
async def service(aws: LocalAws, **env: str) -> AsyncIterator[tuple[Process, str]]:
    """Run `serve`; yield its process and its URL once its subscription is confirmed."""
    async with command("service", "serve", env=settings_for(aws) | env) as process:
        port = (await process.logged("started"))["port"]
        await process.logged("link_subscription_confirmed")
        yield process, f"http://127.0.0.1:{port}"


@asynccontextmanager
async def local(*arguments: str, **env: str) -> AsyncIterator[tuple[Process, str]]:
    """Run `local` on free ports; yield its process and its URL once its subscription is confirmed."""
    free = {"HOST": "127.0.0.1", "PORT": "0", "LOCAL_AWS_PORT": "0", "LOG_FORMAT": "json"}
    async with command("service", "local", *arguments, env=free | env) as process:
        port = (await process.logged("started"))["port"]
        await process.logged("link_subscription_confirmed")
        yield process, f"http://127.0.0.1:{port}"
