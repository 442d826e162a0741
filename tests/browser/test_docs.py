"""The documentation page, as a person sees it."""

from __future__ import annotations

import pytest

from tests.browser.page import Page
from tests.support.processes import local


@pytest.mark.parametrize("prefix", ["", "/dev"])
async def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(page: Page, prefix: str) -> None:
    async with local("--wait", "0", STAGE_PREFIX=prefix) as (_, url):
        await page.open(f"{url}{prefix}/docs")
        await page.until("document.querySelector('h1')?.textContent === 'sync-front'")
        shown = await page.value("[...document.querySelectorAll('main > details')].map((one) => one.id)")
        assert shown[:4] == ["createEvent", "readEvent", "headEvent", "stopEvent"]
        assert {"readiness", "description", "documentation"} <= set(shown)
        await page.value("document.querySelector('#createEvent').open = true")
        text = await page.text("#createEvent")
        for word in ("Idempotency-Key", "nome", "202", "503", "application/json"):
            assert word in text


async def test_a_description_that_cannot_be_had_is_said_to_be_missing(page: Page) -> None:
    async with local("--wait", "0") as (_, url):
        await page.open(f"{url}/docs")
        await page.until("document.querySelector('h1') !== null")
        await page.value("render({info: {title: '<b>x</b>', summary: '', version: ''}, servers: [{}], paths: {}})")
        assert await page.text("h1") == "<b>x</b>"
