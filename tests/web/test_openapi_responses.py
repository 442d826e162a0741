"""Real responses of every operation and status, compared with the OpenAPI description of them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jsonschema_rs
import pytest

from service.bridge import retries
from service.bridge.caller_rates import CallerRates
from service.stepfunctions import reader
from service.stepfunctions.token_bucket import Quota
from service.web import bodies
from tests.support.front import JSON, NAMES, Front, front
from tests.support.ids import ID
from tests.support.shared_execution import EXISTS, input_of
from tests.support.step_functions import STARTED, described, error, ok
from tests.web.test_openapi import described as description
from tests.web.test_openapi import operations

WAIT = {"Prefer": "wait=1"}
STREAM = {"Accept": "text/event-stream"}
RETRY = f"/event/{ID}/retry"
EXISTING = (*((method, f"/event/{ID}") for method in ("GET", "HEAD", "DELETE")), ("POST", RETRY))

EVERYWHERE = {
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "server",
    "transfer-encoding",
    "vary",
    "x-accel-buffering",
    "x-content-type-options",
}
"""Headers that need no description: of HTTP itself, of browsers and of proxies."""


@dataclass(frozen=True)
class Seen:
    """One response."""

    operation: str
    status: str
    content_type: str
    headers: frozenset[str]
    body: Any


class Caller:
    """Sends requests and keeps the responses."""

    def __init__(self, it: Front, seen: list[Seen]) -> None:
        self.it = it
        self.seen = seen
        self.record = it.stage.endpoint.script

    async def __call__(self, method: str, path: str, **options: Any) -> None:
        async with self.it.client.request(method, path, **options) as response:
            await self.keep(f"{method} {path.replace(ID, '{id}')}", response)

    async def keep(self, operation: str, response: aiohttp.ClientResponse) -> None:
        text = await response.text()
        body = json.loads(text) if text and response.content_type.endswith("json") else None
        kind = response.content_type if text else ""
        headers = frozenset(name.lower() for name in response.headers) - EVERYWHERE
        self.seen.append(Seen(operation, str(response.status), kind, headers, body))

    async def end(self, **event: str) -> None:
        """POST an event whose execution ends with this reply."""
        before = self.it.stage.endpoint.count("StartExecution")
        request = asyncio.create_task(self("POST", "/event", json=NAMES, headers=WAIT))
        execution_id = await self.it.stage.started(before + 1)
        self.it.stage.replies.deliver(json.dumps({"id": execution_id} | event))
        await request

    async def end_retry(self, **event: str) -> None:
        """Retry an execution that ends again with this report."""
        self.record("DescribeExecution", described("FAILED", input=input_of(channel=f"ns/me/{ID}")))
        self.record("RedriveExecution", ok(redriveDate=2.0))
        before = self.it.stage.endpoint.count("RedriveExecution")
        request = asyncio.create_task(self("POST", RETRY, headers=WAIT))
        await self.it.stage.endpoint.arrived("RedriveExecution", before + 1)
        self.it.stage.replies.deliver(json.dumps({"id": ID, "redrives": 1} | event))
        await request


async def results(call: Caller) -> None:
    """Get every response to a good request."""
    await call.end(status="SUCCEEDED", output="text")
    await call("POST", "/event", json=NAMES, headers={"Prefer": "respond-async"})
    await call.end(status="FAILED", error="Broken")
    for status in ("ABORTED", "TIMED_OUT"):
        await call.end(status=status)
    for method in ("GET", "HEAD"):
        for status in ("SUCCEEDED", "RUNNING", "FAILED", "ABORTED", "TIMED_OUT"):
            call.record("DescribeExecution", described(status, output="{}", input="{}"))
            for headers in ({"Prefer": "respond-async"}, WAIT if status == "SUCCEEDED" else {}):
                await call(method, f"/event/{ID}", headers=headers)
    call.record("DescribeExecution", described("SUCCEEDED", output="{}"))
    await call("GET", f"/event/{ID}", headers=STREAM)
    await call("GET", f"/event/{ID}", headers=STREAM | {"Last-Event-ID": "end"})
    call.record("StopExecution", ok(stopDate=1.0))
    await call("DELETE", f"/event/{ID}")
    await call.end_retry(status="SUCCEEDED", outputText="{}")
    await call("POST", RETRY, headers={"Prefer": "respond-async"})
    for status in ("FAILED", "ABORTED", "TIMED_OUT"):
        await call.end_retry(status=status)
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
        await call("GET", path)
    for path in ("/openapi.json", "/docs"):
        await call("GET", path, headers={"If-None-Match": "*"})


async def rejections(call: Caller) -> None:
    """Get every response to a bad request."""

    async def never() -> AsyncIterator[bytes]:
        yield b'{"nome": '
        await asyncio.Event().wait()

    key = {"Idempotency-Key": "8e03978e"}
    await call("POST", "/event", data=b"{", headers=JSON)
    await call("POST", "/event", json=NAMES, headers={"Idempotency-Key": '"'})
    await call("POST", "/event", data=never(), headers=JSON)
    await call("POST", "/event", json=NAMES | {"more": "x" * 300_000})
    await call("POST", "/event", data=b"{}", headers={"Content-Type": "text/plain"})
    await call("POST", "/event", data=gzip.compress(b"{}"), headers=JSON | {"Content-Encoding": "compress"})
    await call("POST", "/event", json={"nome": ""})
    for method, path in (("POST", "/event"), ("GET", f"/event/{ID}"), ("HEAD", f"/event/{ID}"), ("POST", RETRY)):
        await call(method, path, json=NAMES, headers={"Accept": "image/png"})
    call.record("StartExecution", EXISTS)
    call.record("DescribeExecution", described("SUCCEEDED", input="{}", output="{}"))
    await call("POST", "/event", json=NAMES, headers=key)
    call.record("DescribeExecution", described("SUCCEEDED", input=input_of("other"), output="{}"))
    await call("POST", "/event", json=NAMES, headers=key)
    await call("POST", RETRY)
    call.record("DescribeExecution", error("ExecutionDoesNotExist"))
    call.record("StopExecution", error("ExecutionDoesNotExist"))
    for method, path in EXISTING:
        await call(method, path)


async def failures(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Get every response of a service that cannot do what it is asked to."""
    for action in ("StartExecution", "DescribeExecution", "StopExecution"):
        call.record(action, error("AccessDeniedException"))
    await call("POST", "/event", json=NAMES)
    for method, path in EXISTING:
        await call(method, path)

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    for name in ("submit", "follow", "stop"):
        monkeypatch.setattr(call.it.stage.bridge, name, broken)
    monkeypatch.setattr(call.it.stage.retries, "retry", broken)
    await call("POST", "/event", json=NAMES)
    for method, path in EXISTING:
        await call(method, path)


async def before_routing(call: Caller) -> None:
    """Get every response to a request that reaches no route."""
    for path, method, _ in operations():
        real = path.replace("{id}", ID)
        await call(method.upper(), real, headers={"Expect": "nothing"})
        if method != "head":  # whoever cannot read a head does not know that it is HEAD
            await call(method.upper(), real, headers={"X-Long": "x" * 9000})
            await call(method.upper(), real, headers={"Transfer-Encoding": "gzip, chunked, gzip"})


async def collect() -> list[Seen]:
    seen: list[Seen] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 0.05)
        monkeypatch.setattr(reader, "UNKNOWN_RETRY_DELAYS_S", (0.0,))
        monkeypatch.setattr(retries, "EXISTING_RETRY_DELAYS_S", ())
        async with front(timeout=0.5, response_timeout=2) as it:
            it.stage.endpoint.script("StartExecution", STARTED)
            await results(Caller(it, seen))
            await rejections(Caller(it, seen))
            await before_routing(Caller(it, seen))
            await failures(Caller(it, seen), monkeypatch)
        async with front(ready="link down", keys=False) as it:
            await Caller(it, seen)("GET", "/readyz")
            await Caller(it, seen)("POST", "/event", json=NAMES, headers={"Idempotency-Key": "a"})
        async with front(caller_header="X-Caller", caller_rates=CallerRates(Quota(1, 1 / 60))) as it:
            for method, path in (("GET", f"/event/{ID}"), ("POST", "/event"), *EXISTING):
                await Caller(it, seen)(method, path, json=NAMES, headers={"X-Caller": "alice"})
    return seen


@pytest.fixture(scope="module")
def seen() -> list[Seen]:
    return asyncio.run(collect())


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the description with every member refused that it does not describe, other than those of a result."""
    strict: dict[str, Any] = closed(description())
    del strict["components"]["schemas"]["Result"]["additionalProperties"]  # the output's members
    return strict


def closed(node: Any) -> Any:
    """Refuse other members than those described."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    more = {"additionalProperties": False} if isinstance(node.get("properties"), dict) and "required" in node else {}
    return {name: closed(value) for name, value in node.items()} | more


def errors(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Return what the schema refuses."""
    whole = {"components": document["components"]} | schema
    return [error.message for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(value)]


def responses(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield operation, status and description of each response."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                for status, response in operation["responses"].items():
                    yield f"{method.upper()} {path}", status, response


def test_every_status_that_is_described_occurs_and_no_other(seen: list[Seen], document: dict[str, Any]) -> None:
    unreadable = {("HEAD /event/{id}", "400"), ("HEAD /event/{id}", "431")}
    occurring = {(it.operation, it.status) for it in seen} | unreadable
    assert occurring == {(operation, status) for operation, status, _ in responses(document)}


def test_every_body_has_the_media_type_and_the_members_described(seen: list[Seen], document: dict[str, Any]) -> None:
    found = {(operation, status): response for operation, status, response in responses(document)}
    for it in seen:
        content = found[it.operation, it.status].get("content", {})
        assert it.content_type in (content or {""}), it
        if it.body is not None:
            assert errors(document, content[it.content_type]["schema"], it.body) == [], it


def test_every_header_that_is_described_is_sent_and_no_other(seen: list[Seen], document: dict[str, Any]) -> None:
    for operation, status, response in responses(document):
        sent = [it.headers for it in seen if (it.operation, it.status) == (operation, status)]
        headers = {name.lower() for name in response.get("headers", {})}
        assert not sent or frozenset[str]().union(*sent) == headers, (operation, status)


def test_a_header_is_required_if_it_is_always_sent(seen: list[Seen], document: dict[str, Any]) -> None:
    for name, header in document["components"]["headers"].items():
        of = {(operation, status) for operation, status, it in responses(document) if name in it.get("headers", {})}
        sent = {name.lower() in it.headers for it in seen if (it.operation, it.status) in of}
        assert header.get("required", False) == (sent == {True}), name


def test_every_member_of_a_problem_that_is_described_occurs(seen: list[Seen], document: dict[str, Any]) -> None:
    members = {member for it in seen if it.status >= "400" and it.body and "type" in it.body for member in it.body}
    assert members == set(document["components"]["schemas"]["Problem"]["properties"])


def test_every_example_has_the_members_of_a_real_response(seen: list[Seen], document: dict[str, Any]) -> None:
    constant = {"type", "title", "status"}
    for operation, status, response in responses(document):
        real = [it.body for it in seen if (it.operation, it.status) == (operation, status) and it.body]
        for media in response.get("content", {}).values():
            examples = [example["value"] for example in media.get("examples", {}).values()]
            for example in [*examples, *([media["example"]] if "example" in media else [])]:
                assert errors(document, media["schema"], example) == []
                if "type" in example:
                    assert example["status"] == int(status)
                    same = [body for body in real if body["type"] == example["type"]]
                    assert all(set(example) <= set(body) for body in same), example
                    assert all(example[name] == body[name] for body in same for name in constant)


def test_every_example_of_a_schema_is_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    examples = [(name, example) for name, schema in schemas.items() for example in schema.get("examples", ())]
    assert {name for name, _ in examples} == {"Id", "Result", "Running"}
    for name, example in examples:
        assert errors(document, {"$ref": f"#/components/schemas/{name}"}, example) == [], example
