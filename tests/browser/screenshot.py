"""Takes the README's picture of the live view: `python -m tests.browser.screenshot [FILE]`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp

from tests.browser.page import Page, browser, missing
from tests.support.processes import local

PICTURE = Path(__file__).parents[2] / "docs" / "live-view.png"
PEOPLE = (("Ada", "Lovelace"), ("Grace", "Hopper"), ("Ricardo", "Marques"))


async def take(page: Page, path: Path) -> None:
    """Show one request that is answered and two that still wait, and take the picture."""
    async with (
        local("--wait", "4") as (_, url),
        aiohttp.ClientSession(f"{url}/", timeout=aiohttp.ClientTimeout(total=30)) as http,
    ):

        async def ask(nome: str, sobrenome: str) -> None:
            async with http.post("event", json={"nome": nome, "sobrenome": sobrenome}) as answer:
                answer.raise_for_status()

        page.size(1140, 740)
        await page.open(f"{url}/_local/")
        await ask(*PEOPLE[0])
        waiting = [asyncio.create_task(ask(*person)) for person in PEOPLE[1:]]
        await page.until("document.getElementById('requests-now').textContent === '2'")
        await page.until("document.querySelectorAll('#executions [aria-current]').length === 2")
        await page.screenshot(path)
        await asyncio.gather(*waiting)


def main() -> int:
    """Write the picture; the exit status is 1 when there is no browser to take it with."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    reason = missing()
    if reason is not None:
        sys.stderr.write(f"no browser to take the picture with: {reason}\n")
        return 1
    with browser() as chrome:
        asyncio.run(take(Page(chrome), path))
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
