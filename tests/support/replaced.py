"""Two instances behind the stand-in for API Gateway, of which the first is replaced by the second."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from service.local import LocalAws
from tests.support.gateway import STREAMED, Gateway, gateway
from tests.support.publishing import publishing
from tests.support.served import NAMES, Served, served

STATES = ["First", "Second", "Third", "Reply"]
"""The states of the workflow, in their order; it waits in each but the last."""


def workflow(seconds: float) -> str:
    """Return a workflow that waits for so many seconds in each of its states, and replies at its end."""
    waits = {
        name: {"Type": "Wait", "Seconds": f"{{% {seconds} %}}", "Next": following}
        for name, following in itertools.pairwise(STATES)
    }
    states = waits | {STATES[-1]: publishing("{'done': true}")}
    return json.dumps({"QueryLanguage": "JSONata", "StartAt": STATES[0], "States": states})


class Replaced:
    """The deployment: `url` is the gateway's, which sends each request to the instance in service."""

    def __init__(self, front: Gateway, instances: list[Served]) -> None:
        self.front = front
        self.url = front.url
        self._instances = instances

    def replace(self) -> None:
        """Stop the first instance at once, as SIGTERM with a drain of no length does."""
        self._instances.pop(0).shutdown.request()

    async def start(self) -> str:
        """Start an execution; return its URL."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.url}/event", json=NAMES, headers={"Prefer": "respond-async"}) as response,
        ):
            assert response.status == 202
            return self.url + response.headers["Location"]


@asynccontextmanager
async def two_instances(folder: Path, seconds: float, **settings: str) -> AsyncIterator[Replaced]:
    """Serve with two instances, whose streams report the states of a workflow; `seconds` is how long each takes."""
    definition = folder / "workflow.asl.json"
    definition.write_text(workflow(seconds))
    settings = {"PROGRESS": "states", "DRAIN_TIMEOUT": "0", "STREAM_TIMEOUT": "60"} | settings
    async with (
        LocalAws(port=0, definition=definition) as aws,
        served(aws, settings) as first,
        served(aws, settings) as second,
    ):
        instances = [first, second]
        async with gateway(lambda: instances[0].url, STREAMED) as front:
            yield Replaced(front, instances)
            await asyncio.sleep(0)
