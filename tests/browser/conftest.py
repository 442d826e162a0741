from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.page import Page, browser, missing

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def chrome() -> Iterator[Chrome]:
    reason = missing()
    if reason is not None:
        pytest.skip(f"cannot run browser tests: {reason}")
    with browser() as chrome:
        yield chrome


@pytest.fixture
async def page(chrome: Chrome) -> AsyncIterator[Page]:
    first = chrome.current_window_handle
    chrome.switch_to.new_window("tab")
    page = Page(chrome)
    await page.console_errors()
    await page.hosts()
    try:
        yield page
        assert await page.console_errors() == []
        assert len(await page.hosts()) == 1
    finally:
        chrome.close()
        chrome.switch_to.window(first)
