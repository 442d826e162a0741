"""A process with one link, for tests that suspend it: `python -m tests.appsync.link_process URL`."""

from __future__ import annotations

import asyncio
import sys

from service.appsync import ApiKey, Link, LinkEvent


def report(what: str, text: str) -> None:
    print(what, text, flush=True)  # noqa: T201 - the test reads it


async def main(url: str) -> None:
    def on_link_event(event: LinkEvent) -> None:
        report(event.kind, event.reason)

    async with Link(url, ApiKey("http://127.0.0.1/event", "da2-local"), on_link_event=on_link_event) as link:
        link.subscribe("/default/*", lambda event: report("event", event))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
