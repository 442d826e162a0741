"""The documentation page, as a person sees it."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.support.processes import local


@pytest.mark.parametrize("prefix", ["", "/dev"])
async def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(page: Page, prefix: str) -> None:
    async with local("--wait", "0", STAGE_PREFIX=prefix) as (_, url):
        await page.open(f"{url}{prefix}/docs")
        await page.until("document.querySelectorAll('.opblock').length > 8")
        shown = await page.value("[...document.querySelectorAll('.opblock')].map((one) => one.id.split('-').at(-1))")
        assert shown[:5] == ["createEvent", "readEvent", "headEvent", "stopEvent", "retryEvent"]
        assert {"readiness", "description", "documentation"} <= set(shown)
        await page.value("document.querySelector('[id$=createEvent] button').click()")
        await page.until("document.querySelector('[id$=createEvent] .parameters') !== null")
        text = await page.text("[id$=createEvent]")
        assert "nome" in await page.value("document.querySelector('[id$=createEvent] textarea').value")
        for word in ("Idempotency-Key", "202", "503", "application/json"):
            assert word in text


async def test_an_operation_can_be_tried_out(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(f"{url}/docs")
        await page.until("document.querySelector('[id$=createEvent] button') !== null")
        await page.value("document.querySelector('[id$=createEvent] button').click()")
        await page.until("document.querySelector('[id$=createEvent] .execute') !== null")
        # Swagger UI ignores a click that comes a few milliseconds after it has shown the button.
        await page.until(
            "document.querySelector('[id$=createEvent] .btn-clear') !== null ||"
            " document.querySelector('[id$=createEvent] .execute').click()"
        )
        await page.until(
            "document.querySelector('[id$=createEvent] .live-responses-table tbody .response-col_status') !== null"
        )
        assert "200" in await page.text("[id$=createEvent] .live-responses-table tbody .response-col_status")
        assert "nome completo" in await page.text("[id$=createEvent] .live-responses-table")


async def test_the_root_leads_to_the_live_view_in_local_use(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(url)
        await page.until("location.pathname === '/_local/'")
