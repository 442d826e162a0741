"""A leak check: serve, send requests that end in various ways, report what remains.

Run it with `python -m tests.support.leak_check`.

The settings come from the environment, as for `serve`; the local AWS runs elsewhere. The report is one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import Counter
from pathlib import Path

import aioboto3
import aiohttp

from service.app import serve, settings
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.shutdown import Shutdown
from service.bridge.admission import Admission
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.shared_starts import SharedStarts

REQUESTS = 600
MAX_CONCURRENT_REQUESTS = 30
JSON = {"Content-Type": "application/json"}
NAMES = b'{"nome": "A", "sobrenome": "B"}'


async def send_request(url: str, number: int) -> str:
    """Send one request in one of several ways; return how it ended."""
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        match number % 9:
            case 0:  # a client that disconnects at some point during its request
                try:
                    async with asyncio.timeout(number % 50 / 1000), http.post(url, data=NAMES, headers=JSON):
                        return "ended before it left"
                except TimeoutError:
                    return "left"
            case 1:
                headers, body = JSON | {"Prefer": "respond-async"}, NAMES
            case 6:
                headers, body = JSON | {"Idempotency-Key": f"key-{number % 20}"}, NAMES
            case 7:
                headers, body = JSON | {"Accept": "text/event-stream"}, NAMES
            case 8:  # a read that waits for an execution that is stopped
                async with http.post(url, data=NAMES, headers=JSON | {"Prefer": "respond-async"}) as response:
                    location = f"{url}/{(await response.json())['id']}"
                read = asyncio.create_task(http.get(location, headers={"Prefer": "wait=5"}))
                async with http.delete(location), await read as response:
                    return f"read {response.status}"
            case 2:
                headers, body = JSON, b'{"nome": 1}'
            case 3:
                headers, body = JSON, b"{"
            case _:
                headers, body = JSON, NAMES
        async with http.post(url, data=body, headers=headers) as response:
            await response.read()
            return str(response.status)


def left_over() -> dict[str, int]:
    """Count objects of which an idle service should have few."""
    gc.collect()
    objects = gc.get_objects()
    return {
        "tasks": len(asyncio.all_tasks()),
        "futures": sum(isinstance(item, asyncio.Future) for item in objects),
        "files": len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0,
        "table": sum(
            len(item) for item in objects if type(item) in {PendingReplies, SharedStarts, RemoteSubscriptions}
        ),
        "lookups": sum(len(item._lookups) + len(item._polled) for item in objects if type(item) is Recovery),
        "in_flight": sum(item.in_flight for item in objects if type(item) is Admission),
    }


async def round_of_requests(url: str) -> tuple[Counter[str], dict[str, int]]:
    """Send all requests, wait until the service is idle, and count."""
    # Without this limit, the size of the connection pool would hide growth per request.
    slots = asyncio.Semaphore(MAX_CONCURRENT_REQUESTS)

    async def one(number: int) -> str:
        async with slots:
            return await send_request(url, number)

    ends = Counter(await asyncio.gather(*(one(number) for number in range(REQUESTS))))
    async with asyncio.timeout(20):
        # When idle, only this task and the seven of the service, its link, its recovery and its metrics remain.
        while len(asyncio.all_tasks()) > 8:  # noqa: ASYNC110 - asyncio has no event for the end of any task
            await asyncio.sleep(0.05)
    return ends, left_over()


async def main() -> None:
    """Serve, run two rounds of requests, shut down, and report what remains after each step."""
    shutdown = Shutdown()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    session = aioboto3.Session()
    serving = asyncio.create_task(
        serve.run(settings.load(), AwsAccess(session, Network.direct()), shutdown, port.set_result)
    )
    url = f"http://127.0.0.1:{await port}/event"
    async with aiohttp.ClientSession() as http, asyncio.timeout(20):
        while True:
            async with http.get(url.replace("/event", "/readyz")) as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.05)
    first, baseline = await round_of_requests(url)
    second, after = await round_of_requests(url)
    shutdown.request()
    await serving
    del serving, port
    report = {"ends": first + second, "baseline": baseline, "after": after, "stopped": left_over()}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
