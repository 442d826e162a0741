"""One execution with a fixed id, which another instance may have started."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from service.bridge.result import Result
from tests.support.stage import Channel, Stage
from tests.support.step_functions import error

ID = "exec-11ed1625-10bf-46ea-bf94-1edf5c10947a"


EXISTS = error("ExecutionAlreadyExists")


def input_of(event: str = "{}", channel: str = f"ns/other/{ID}") -> str:
    return json.dumps({"id": ID, "event": event, "reply": {"channel": channel}})


def submit(made: Stage, event: str = "{}", wait: float = 20) -> asyncio.Task[Result]:
    return asyncio.create_task(made.submit(event, wait, execution_id=ID))


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - several objects without events
            await asyncio.sleep(0.005)


async def subscribed(made: Stage, channel: str = f"ns/other/{ID}") -> Channel:
    await until(lambda: channel in made.subscribed)
    return made.subscribed[channel]
