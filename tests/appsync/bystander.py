"""A process of its own with one link, for tests that stop it: `python -m tests.appsync.bystander URL`."""

from __future__ import annotations

import asyncio
import sys

from service.appsync import ApiKey, Link, LinkEvent


def say(what: str, text: str) -> None:
    print(what, text, flush=True)  # noqa: T201 - how a test hears of it


async def main(url: str) -> None:
    def on_change(event: LinkEvent) -> None:
        say(event.kind, event.reason)

    async with Link(url, ApiKey("http://127.0.0.1/event", "da2-local"), on_link_event=on_change) as link:
        link.subscribe("/default/*", lambda event: say("event", event))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
