"""Unique words are planted in requests, workflows and secrets, and must not appear in any output."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from service.local import LocalAws
from tests.conftest import pytest_runtest_makereport
from tests.support.privacy import leaks
from tests.support.processes import Process, command, service, settings_for


class Planted:
    """Unique words, one for each place, and all output."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self.output: list[str] = []

    def __call__(self, place: str) -> str:
        return self.words.setdefault(place, f"{place}0{uuid4().hex[:12]}")

    def assert_not_in_output(self) -> None:
        text = "\n".join(self.output)
        assert len(text) > 100
        assert {
            place: text[max(0, text.find(word) - 80) :][:120] for place, word in self.words.items() if word in text
        } == {}

    def secrets(self) -> dict[str, str]:
        """Return settings with secret values."""
        return {
            "AWS_SECRET_ACCESS_KEY": self("awssecret"),
            "AWS_SESSION_TOKEN": self("awstoken"),
            "IDEMPOTENCY_SECRET": self("keysecret") + self("keysecret"),
            "ID_SECRETS": f"{self('idsecret')}{self('idsecret')},{self('oldsecret')}{self('oldsecret')}",
        }

    def headers(self) -> dict[str, str]:
        """Return headers that callers and proxies may send."""
        return {
            "Authorization": f"Bearer {self('bearer')}",
            "Cookie": f"session={self('cookie')}",
            "User-Agent": self("agent"),
            "X-Forwarded-For": self("address"),
            "X-Caller": self("caller"),
            "X-Request-Id": f"no id: {self('requestid')}",
            "tracestate": f"vendor={self('tracestate')}",
            "traceparent": f"00-{self('traceparent')}",
            "Prefer": f"wait=10, foo={self('prefer')}",
        }

    def people(self) -> dict[str, str]:
        """Return a body with a person's name."""
        return {"nome": self("name"), "sobrenome": f'"{self("surname")}"'}


class Caller:
    """Sends requests, and records problems and headers as output. Results are the caller's own."""

    def __init__(self, planted: Planted, http: aiohttp.ClientSession, url: str) -> None:
        self.planted, self.http, self.url = planted, http, url

    async def __call__(self, status: int, method: str = "POST", path: str = "/event", **options: Any) -> None:
        options["headers"] = self.planted.headers() | options.get("headers", {})
        async with self.http.request(method, self.url + path, **options) as response:
            text = await response.text()
            assert response.status == status, text
        if status != 200:
            body = json.loads(text) if text else {}
            body.pop("instance", None)  # the path that the caller requested
            self.planted.output.append(json.dumps(body, ensure_ascii=False))
        self.planted.output.append(str(response.headers))

    async def metrics(self) -> None:
        async with self.http.get(f"{self.url}/metrics") as response:
            self.planted.output.append(await response.text())


@pytest.fixture
def planted() -> Planted:
    return Planted()


@asynccontextmanager
async def staged(planted: Planted, **env: str) -> AsyncIterator[tuple[LocalAws, Process, Caller]]:
    env = planted.secrets() | {"LOG_LEVEL": "DEBUG", "EMF_INTERVAL": "0.2", "RESPONSE_TIMEOUT": "2"} | env
    async with (
        LocalAws(port=0, wait=0) as aws,
        service(aws, **env) as (process, url),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as http,
    ):
        yield aws, process, Caller(planted, http, url)
        await process.until(lambda: len(process.stdout) > 0)
        await process.end()
        planted.output += [*process.stdout, *process.stderr]
    planted.assert_not_in_output()


JSON = {"Content-Type": "application/json"}


async def test_no_refusal_reveals_what_it_refuses(planted: Planted) -> None:
    people = planted.people()
    async with staged(planted, CALLER_HEADER="X-Caller") as (_, process, call):
        await call(200, json=people)
        await call(200, json=people, headers={"Idempotency-Key": planted("key")})
        await call(422, json=people | {"more": 1}, headers={"Idempotency-Key": planted("key")})
        await call(400, json=people, headers={"Idempotency-Key": planted("longkey") * 20})
        await call(400, data=json.dumps(people)[:-3], headers=JSON)
        await call(
            400, data=gzip.compress(b"{")[:-4] + planted("gzip").encode(), headers=JSON | {"Content-Encoding": "gzip"}
        )
        await call(415, data=json.dumps(people), headers={"Content-Type": f"text/plain; name={planted('type')}"})
        await call(415, data=planted("encoded"), headers=JSON | {"Content-Encoding": planted("encoding")})
        await call(422, json={"nome": [planted("wrong")], planted("member"): 1})
        await call(413, json={"nome": planted("long") * 20_000, "sobrenome": "x"})
        await call(406, json=people, headers={"Accept": f"text/{planted('accept')}"})
        await call(404, path=f"/{planted('path')}?{planted('query')}=1")
        await call(404, "GET", f"/event/{planted('id')}")
        await call(500, json=people, headers={"X-Caller": ""})
        await call(405, "PUT", f"/event?{planted('query')}")
        port = int(call.url.rpartition(":")[2])
        for line in (f"GET /{planted('raw')} HTTP/9.9", f"{planted('method')} / HTTP/1.1\r\nContent-Length: x", "\0"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{line}\r\n{planted('rawheader')}: x\r\n\r\n".encode())
            async with asyncio.timeout(20):
                planted.output.append((await reader.read(65536)).decode())
            writer.close()
        await call.metrics()
        assert any(line.get("problem") == "schema-violation" for line in process.logs)


async def test_no_failure_reveals_private_data(planted: Planted) -> None:
    people = planted.people()
    async with staged(planted, REQUEST_SCHEMA="") as (aws, process, call):
        await call(502, json={"nome": {planted("nested"): planted("inner")}})
        aws.faults.throttle.on(actions={"StartExecution"}, times=2)
        await call(200, json=people)
        aws.faults.fail.on(actions={"StartExecution"})
        await call(503, json=people)
        aws.faults.off()
        aws.faults.mute.on()
        await call(200, json=people)  # found in the record
        aws.faults.off()
        # Anyone with the key can publish anything to this instance.
        instance = (await process.logged("started"))["instance"]
        events = [json.dumps(planted("event")), json.dumps({"id": planted("eventid"), "status": planted("status")})]
        publish = {"channel": f"{aws.namespace}/{instance}/{planted('channel')}", "events": events}
        async with call.http.post(aws.http_url, json=publish, headers={"x-api-key": aws.api_key}) as response:
            assert response.status == 200
        aws.faults.mute.on()
        started = aws.calls["StartExecution"]
        abandoned = asyncio.create_task(call(200, json=people))
        async with asyncio.timeout(20):
            while aws.calls["StartExecution"] == started:  # noqa: ASYNC110 - a count has no event to wait for
                await asyncio.sleep(0.01)
        abandoned.cancel()
        await asyncio.wait([abandoned])
        aws.faults.off()
        await aws.drop_connections(1006)
        await process.logged("link_down")
        await call(200, json=people)
        await call.metrics()
        process.send(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_refused_key_is_not_logged(planted: Planted) -> None:
    async with LocalAws(port=0, wait=0) as aws:
        env = (
            settings_for(aws)
            | planted.secrets()
            | {"APPSYNC_API_KEY": f"da2-{planted('apikey')}", "LOG_LEVEL": "DEBUG"}
        )
        async with command("service", "serve", env=env) as process:
            await process.logged("link_refused")
            await process.end()
            planted.output += [*process.stdout, *process.stderr]
    planted.assert_not_in_output()


async def test_invalid_settings_are_named_but_not_quoted(planted: Planted) -> None:
    wrong = {
        "STATE_MACHINE_ARN": planted("arn"),
        "APPSYNC_HTTP_URL": f"https://user:{planted('password')}@/event",
        "APPSYNC_REALTIME_URL": planted("url"),
        "APPSYNC_API_KEY": planted("apikey"),
        "APPSYNC_API_KEY_SECRET": planted("secretname"),
        "IDEMPOTENCY_SECRET": planted("s"),
        "ID_SECRETS": f"{planted('first')},{planted('second')},{planted('third')},{planted('fourth')}",
        "CALLER_HEADER": f"{planted('header')}:",
        "RESPONSE_TIMEOUT": planted("number"),
        "DESCRIBE_QUOTA": planted("quota"),
    }
    async with command("service", "serve", env=wrong) as process:
        assert await process.wait() == 2
        planted.output += [*process.stdout, *process.stderr]
    assert "STATE_MACHINE_ARN" in "\n".join(planted.output)
    planted.assert_not_in_output()


def test_the_leak_check_on_all_tests_finds_names_and_keys_and_fails_the_test() -> None:
    assert leaks('{"event": "request", "name": "Ricardo"}')
    assert leaks("x-api-key: da2-abc")
    assert not leaks('{"event": "link_up", "attempt": 1}')
    for caught, expected in (("all is well", "passed"), ("hello Marques", "failed")):
        report = pytest.TestReport(
            "t", ("t", 0, "t"), {}, "passed", None, "call", sections=[("Captured log call", caught)]
        )
        hook = pytest_runtest_makereport(item=_Item(), call=None)  # type: ignore[arg-type]
        next(hook)
        with pytest.raises(StopIteration) as end:
            hook.send(report)
        assert end.value.value.outcome == expected


class _Item:
    nodeid = "a test"
