"""The live view of the real `local` command."""

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


def shows(selector: str, text: str) -> str:
    """Return the JavaScript expression that an element contains this text."""
    return f"document.querySelector('{selector}')?.innerText.includes('{text}')"


async def test_a_request_is_shown_with_its_execution_its_states_and_its_reply_frame(page: Page) -> None:
    async with local("--wait", "3") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(shows("#connection", "live"))
        request = asyncio.create_task(http.post("event", json=RICARDO))
        await page.until(shows("#requests", "in flight"))
        await page.until(shows("#executions [aria-current=step]", "Wait"))
        assert await page.text("#requests-now") == "1"
        assert await page.text("#executions-now") == "1"
        async with await request as response:
            name = (await response.json())["id"]
        await page.until(shows("#requests", "200"))
        await page.until(shows("#executions", "SUCCEEDED"))
        executions = await page.text("#executions")
        assert name in executions
        for state in ("Wait", "ConvertJson", "BindName", "Publish"):
            assert state in executions
        assert await page.value("document.querySelector('[aria-current]')") is None
        await page.until(shows("#frames", "Ricardo Marques"))
        assert await page.text("#requests-now") == "0"
        assert await page.text("#connections-now") == "1"


async def test_what_a_caller_sends_is_shown_as_text_and_never_becomes_markup(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        async with http.post("event", json={"nome": MARKUP, "sobrenome": MARKUP}) as response:
            assert response.status == 200
        async with http.get(f"{MARKUP}/x") as response:
            assert response.status == 404
        for table in ("#requests", "#executions", "#frames"):
            await page.until(shows(table, "<img src=x onerror="))
        assert await page.value("document.querySelectorAll('main img, main script').length") == 0
        assert await page.value("document.title") == "sync-front, local"


async def test_a_paused_page_does_not_change_and_catches_up_when_resumed(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(shows("#connection", "live"))
        await page.click("#pause")
        assert await page.text("#connection") == "paused"
        assert await page.value("document.querySelector('#pause').ariaPressed") == "true"
        async with http.post("event", json=RICARDO) as response:
            assert response.status == 200
        assert await page.text("#executions") == ""
        await page.click("#pause")
        await page.until(shows("#executions", "Ricardo"))
        assert await page.value("document.querySelectorAll('#requests tr').length") == 1


async def test_the_page_shows_when_the_service_is_gone_and_reconnects_when_it_is_back(page: Page) -> None:
    async with local("--wait", "0") as (process, url):
        await page.open(f"{url}/_local/")
        await page.until(shows("#connection", "live"))
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
        await page.until(shows("#connection", "not connected"))
    async with local("--wait", "0", PORT=url.rpartition(":")[2]) as (_, url), client(url) as http:
        async with http.post("event", json=RICARDO) as response:
            assert response.status == 200
        await page.until(shows("#connection", "live"))
        await page.until(shows("#executions", "Ricardo"))
        # The browser itself reports the lost connection; that is not an error of the page.
        assert all("net::ERR_" in error for error in await page.console_errors())


async def test_a_page_that_gets_an_error_response_reconnects(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    async with LocalAws(port=0) as aws:
        monkeypatch.setattr(feed, "MAX_VIEWERS", 0)
        await page.open(f"{aws.url}/_local/")
        await page.until(shows("#connection", "not connected"))
        monkeypatch.setattr(feed, "MAX_VIEWERS", 1)
        await page.until(shows("#connection", "live"))
        assert await page.value("document.querySelector('#requests-part').hidden")
        assert all("status of 503" in error for error in await page.console_errors())


async def test_old_rows_are_removed_when_there_are_many(page: Page) -> None:
    async with local("--wait", "0") as (_, url), client(url) as http:
        await page.open(f"{url}/_local/")
        await page.until(shows("#connection", "live"))

        async def post() -> None:
            async with http.post("event", json=RICARDO) as response:
                assert response.status == 200

        await asyncio.gather(*(post() for _ in range(120)))
        await page.until("document.querySelectorAll('#requests tr').length === 50")
        await page.until(shows("#requests-now", "0"))
        assert await page.value("document.querySelectorAll('#executions > li').length") == 50
        assert await page.value("document.querySelectorAll('#frames tr').length") == 100


async def test_light_and_dark_colours_have_enough_contrast(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(f"{url}/_local/")
        for prefer in (None, page.dark):
            if prefer is not None:
                await prefer()
            text, background = [await _luminance(page, property_) for property_ in ("color", "backgroundColor")]
            light, dark = max(text, background), min(text, background)
            assert (light + 0.05) / (dark + 0.05) > 7  # contrast ratio of WCAG 2.2, level AAA
            assert (background < 0.1) == (prefer is not None)


async def _luminance(page: Page, property_: str) -> float:
    """Return the relative luminance (WCAG 2.2) of one of the body's colours."""
    colour: str = await page.value(f"getComputedStyle(document.body).{property_}")
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_every_table_region_and_control_has_an_accessible_name(page: Page) -> None:
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
