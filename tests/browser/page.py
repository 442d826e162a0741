"""A page in headless Chromium; Selenium runs in a thread so that the event loop is not blocked."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

T = TypeVar("T")
DEADLINE = 20.0
"""Seconds for one operation or one wait."""
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # the sandbox does not work as root, and only this project's own pages are opened
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)


def missing() -> str | None:
    """Return what a browser test needs and does not find; None if nothing is missing."""
    if find_spec("selenium") is None:
        return "Selenium is not installed (make test-browser installs it)"
    for name, path in zip(("chromium", "chromium-driver"), _programs(), strict=True):
        if path is None:
            return f"{name} is not installed (apt-get install {name})"
    return None


@contextmanager
def browser() -> Iterator[Chrome]:
    """Start a browser and quit it afterwards."""
    from selenium import webdriver  # noqa: PLC0415 - `make test` runs without Selenium

    program, driver = _programs()
    assert program is not None, missing()
    assert driver is not None, missing()
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        chrome.set_page_load_timeout(DEADLINE)
        chrome.set_script_timeout(DEADLINE)
        yield chrome
    finally:
        chrome.quit()


class Page:
    """One browser tab."""

    def __init__(self, chrome: Chrome) -> None:
        self._chrome = chrome
        self.size(1280, 900)

    def size(self, width: int, height: int) -> None:
        """Set the size of the viewport in pixels."""
        self._chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    async def open(self, url: str) -> None:
        """Open a URL."""
        await self._run(lambda: self._chrome.get(url))

    async def dark(self) -> None:
        """Emulate a system that prefers dark colours."""
        features = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        await self._run(lambda: self._chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", features))

    async def value(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        return await self._run(lambda: self._chrome.execute_script(f"return ({expression})"))

    async def text(self, selector: str) -> str:
        """Return the visible text of the first element that matches the CSS selector."""
        text: str = await self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    async def until(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true and return it; TimeoutError includes the page's text."""
        shown = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not (value := await self.value(expression)):
                    shown = await self.text("body")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"still false: {expression}\nThe page shows:\n{shown}") from None
        return value

    async def click(self, selector: str) -> None:
        """Click the first element that matches the CSS selector."""
        from selenium.webdriver.common.by import By  # noqa: PLC0415 - `make test` runs without Selenium

        await self._run(lambda: self._chrome.find_element(By.CSS_SELECTOR, selector).click())

    async def screenshot(self, path: Path) -> None:
        """Save a screenshot as PNG."""
        await self._run(lambda: self._chrome.save_screenshot(str(path)))

    async def console_errors(self) -> list[str]:
        """Return the console's errors since the last call, including violations of the page's policy."""
        return [entry["message"] for entry in await self._log("browser") if entry["level"] == "SEVERE"]

    async def hosts(self) -> set[str]:
        """Return the hosts to which the page has sent requests since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in await self._log("performance")]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).netloc for url in urls} - {""}  # data: and about: have none

    async def _log(self, kind: str) -> list[dict[str, Any]]:
        response = await self._run(lambda: self._chrome.execute("getLog", {"type": kind}))
        entries: list[dict[str, Any]] = response["value"]
        return entries

    async def _run(self, action: Callable[[], T]) -> T:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.to_thread(action)


def _programs() -> tuple[str | None, str | None]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return chromium, os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
