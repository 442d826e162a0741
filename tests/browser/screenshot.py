"""The README's screenshot of the live view: `python -m tests.browser.screenshot [FILE]`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from tests.browser.page import Page, browser, missing
from tests.support.processes import local

SCREENSHOT = Path(__file__).parents[2] / "docs" / "live-view.png"
PEOPLE = (("Ada", "Lovelace"), ("Grace", "Hopper"), ("Ricardo", "Marques"))


async def take(page: Page, path: Path) -> None:
    """Take a screenshot with one request that has its response and two in flight."""
    async with (
        local("--wait", "4") as (_, url),
        aiohttp.ClientSession(f"{url}/", timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):

        async def post(nome: str, sobrenome: str) -> None:
            async with http.post("event", json={"nome": nome, "sobrenome": sobrenome}) as response:
                response.raise_for_status()

        page.size(1140, 740)
        await page.open(f"{url}/_local/")
        await post(*PEOPLE[0])
        in_flight = [asyncio.create_task(post(*person)) for person in PEOPLE[1:]]
        await page.until("document.getElementById('requests-now').textContent === '2'")
        await page.until("document.querySelectorAll('#executions [aria-current]').length === 2")
        await page.screenshot(path)
        await asyncio.gather(*in_flight)


def main() -> int:
    """Write the screenshot; the exit status is 1 without a browser."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else SCREENSHOT
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"cannot take the screenshot: {reason}\n")
        return 1
    with browser() as chrome:
        asyncio.run(take(Page(chrome), path))
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
