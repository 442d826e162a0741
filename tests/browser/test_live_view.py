"""The live view as a person sees it, over the real command."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import pytest

from service.local import LocalAws
from service.local.view import feed
from tests.browser.page import Page
from tests.support.processes import local

MARKUP = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
RICARDO = {"nome": "Ricardo", "sobrenome": "Marques"}


def client(url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(f"{url}/", timeout=aiohttp.ClientTimeout(total=30))


def says(selector: str, text: str) -> str:
    """Write the expression that an element has this text."""
    return f"document.querySelector('{selector}')?.innerText.includes('{text}')"


async def test_a_request_its_execution_its_states_and_the_frame_that_answers_it_are_shown(page: Page) -> None:
    async with local("--wait", "3") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(says("#connection", "live"))
        held = asyncio.create_task(http.post("event", json=RICARDO))
        await page.until(says("#requests", "in flight"))
        await page.until(says("#executions [aria-current=step]", "Wait"))
        assert await page.text("#requests-now") == "1"
        assert await page.text("#executions-now") == "1"
        async with await held as response:
            name = (await response.json())["id"]
        await page.until(says("#requests", "200"))
        await page.until(says("#executions", "SUCCEEDED"))
        executions = await page.text("#executions")
        assert name in executions
        for state in ("Wait", "Convert", "HasNames", "BindName", "PublishResult", "Done"):
            assert state in executions
        assert await page.value("document.querySelector('[aria-current]')") is None
        await page.until(says("#frames", "Ricardo Marques"))
        assert await page.text("#requests-now") == "0"
        assert await page.text("#connections-now") == "1"


async def test_what_a_caller_sends_is_shown_as_text_and_never_becomes_markup(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        async with http.post("event", json={"nome": MARKUP, "sobrenome": MARKUP}) as response:
            assert response.status == 200
        async with http.get(f"{MARKUP}/x") as response:
            assert response.status == 404
        for place in ("#requests", "#executions", "#frames"):
            await page.until(says(place, "<img src=x onerror="))
        assert await page.value("document.querySelectorAll('main img, main script').length") == 0
        assert await page.value("document.title") == "sync-front, local"


async def test_paused_the_page_stands_still_and_resumed_it_shows_what_happened_meanwhile(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(says("#connection", "live"))
        await page.click("#pause")
        assert await page.text("#connection") == "paused"
        assert await page.value("document.querySelector('#pause').ariaPressed") == "true"
        async with http.post("event", json=RICARDO) as response:
            assert response.status == 200
        assert await page.text("#executions") == ""
        await page.click("#pause")
        await page.until(says("#executions", "Ricardo"))
        assert await page.value("document.querySelectorAll('#requests tr').length") == 1


async def test_the_page_says_when_the_service_is_gone_and_shows_it_when_it_is_back(page: Page) -> None:
    async with local("--wait", "0") as (process, url):
        await page.open(f"{url}/_local/")
        await page.until(says("#connection", "live"))
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
        await page.until(says("#connection", "not connected"))
    async with local("--wait", "0", PORT=url.rpartition(":")[2]) as (_, url), client(url) as http:
        async with http.post("event", json=RICARDO) as response:
            assert response.status == 200
        await page.until(says("#connection", "live"))
        await page.until(says("#executions", "Ricardo"))
        # The browser's own word about the lost connection is no fault of the page.
        assert all("net::ERR_" in complaint for complaint in await page.complaints())


async def test_a_page_that_was_refused_asks_again(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalAws(port=0) as aws:
        monkeypatch.setattr(feed, "MAX_VIEWERS", 0)
        await page.open(f"{aws.url}/_local/")
        await page.until(says("#connection", "not connected"))
        monkeypatch.setattr(feed, "MAX_VIEWERS", 1)
        await page.until(says("#connection", "live"))
        assert await page.value("document.querySelector('#requests-part').hidden")
        assert all("status of 503" in complaint for complaint in await page.complaints())


async def test_old_rows_leave_the_page_under_a_flood(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(says("#connection", "live"))

        async def ask() -> None:
            async with http.post("event", json=RICARDO) as response:
                assert response.status == 200

        await asyncio.gather(*(ask() for _ in range(120)))
        await page.until("document.querySelectorAll('#requests tr').length === 50")
        await page.until(says("#requests-now", "0"))
        assert await page.value("document.querySelectorAll('#executions > li').length") == 50
        assert await page.value("document.querySelectorAll('#frames tr').length") == 100


async def test_dark_colours_are_used_where_they_are_preferred_and_can_be_read(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(f"{url}/_local/")
        for prefer in (None, page.dark):
            if prefer is not None:
                await prefer()
            text, ground = [await _brightness(page, property_) for property_ in ("color", "backgroundColor")]
            light, dark = max(text, ground), min(text, ground)
            assert (light + 0.05) / (dark + 0.05) > 7  # contrast as WCAG 2.2 reckons it, its strictest level
            assert (ground < 0.1) == (prefer is not None)


async def _brightness(page: Page, property_: str) -> float:
    """Reckon the relative luminance (WCAG 2.2) of a colour of the body."""
    colour: str = await page.value(f"getComputedStyle(document.body).{property_}")
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_every_table_region_and_control_has_a_name_for_those_who_cannot_see_it(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(f"{url}/_local/")
        assert await page.value("document.documentElement.lang") == "en"
        labels = "[...document.querySelectorAll('[aria-labelledby]')].map((e) => e.getAttribute('aria-labelledby'))"
        assert len(await page.value(labels)) == 6
        assert all([await page.text(f"#{label}") for label in await page.value(labels)])
        assert await page.value(
            "[...document.querySelectorAll('th')].every((th) => th.scope === 'col' && th.innerText)"
        )
        assert await page.value("[...document.querySelectorAll('.scroll')].every((box) => box.tabIndex === 0)")
        assert await page.value("document.querySelector('#connection').role") == "status"
