from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import boto3
import pytest
from botocore.config import Config

from service.local import LocalAws

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

DEADLINE = 20.0
KEY = {"x-api-key": LocalAws.api_key}
AUTHORISED = {"authorization": KEY}


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds; TimeoutError after the deadline."""
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.002)


class Aws:
    """A started local AWS with a boto3 client and an HTTP session; every call has a deadline."""

    def __init__(self, local: LocalAws, session: aiohttp.ClientSession) -> None:
        self.local = local
        self.session = session
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []
        self.sfn = boto3.client(
            "stepfunctions",
            endpoint_url=local.url,
            region_name=local.region,
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=10),
        )

    async def call(self, action: str, **arguments: Any) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE):
            response: dict[str, Any] = await asyncio.to_thread(getattr(self.sfn, action), **arguments)
        return response

    async def start(self, name: str, data: Any = None, **more: Any) -> str:
        arn: str = (
            await self.call(
                "start_execution",
                stateMachineArn=self.local.state_machine_arn,
                name=name,
                input=json.dumps(data or {}),
                **more,
            )
        )["executionArn"]
        return arn

    async def ended(self, name: str) -> dict[str, Any]:
        await until(lambda: self.local.executions[name].status != "RUNNING")
        return await self.call("describe_execution", executionArn=self.local.executions[name].arn)

    async def publish(self, channel: Any, events: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return await self.post(json.dumps({"channel": channel, "events": events}), headers)

    async def post(self, body: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        async with (
            asyncio.timeout(DEADLINE),
            self.session.post(self.local.http_url, data=body, headers=KEY if headers is None else headers) as response,
        ):
            return response.status, await response.json()

    async def connect(self, *protocols: str, headers: dict[str, str] | None = None) -> Socket:
        offered = protocols or ("aws-appsync-event-ws", credentials({"host": "h", **KEY}))
        async with asyncio.timeout(DEADLINE):
            raw = await self.session.ws_connect(self.local.realtime_url, protocols=offered, headers=headers)
        self.sockets.append(raw)
        return Socket(raw)

    async def close(self) -> None:
        self.sfn.close()
        async with asyncio.timeout(DEADLINE):
            for raw in self.sockets:
                await raw.close()


class Socket:
    """A WebSocket client for JSON; every operation has a deadline."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = raw

    async def send(self, **frame: Any) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.raw.send_str(json.dumps(frame))

    async def receive(self) -> Any:
        async with asyncio.timeout(DEADLINE):
            return json.loads(await self.raw.receive_str())

    async def request(self, **frame: Any) -> Any:
        await self.send(**frame)
        return await self.receive()

    async def subscribe(self, id_: str, channel: Any) -> Any:
        return await self.request(type="subscribe", id=id_, channel=channel, **AUTHORISED)

    async def closed(self) -> int | None:
        async with asyncio.timeout(DEADLINE):
            message = await self.raw.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
        return self.raw.close_code


def credentials(headers: dict[str, str], *, padded: bool = False) -> str:
    text = base64.urlsafe_b64encode(json.dumps(headers).encode()).decode()
    return "header-" + (text if padded else text.rstrip("="))


@pytest.fixture
async def local() -> AsyncIterator[LocalAws]:
    async with LocalAws(port=0, wait=0) as local:
        yield local


@pytest.fixture
async def aws(local: LocalAws) -> AsyncIterator[Aws]:
    async with aiohttp.ClientSession() as session:
        aws = Aws(local, session)
        yield aws
        await aws.close()
