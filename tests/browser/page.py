"""A page in headless Chromium, driven by Selenium in a thread so that the event loop stays free."""

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
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # it cannot be had as root, and nothing but this project's own pages is opened
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)


def missing() -> str | None:
    """Tell what is not there of all that a browser test needs; None if nothing is missing."""
    if find_spec("selenium") is None:
        return "Selenium is not installed (make test-browser does that)"
    for name, path in zip(("chromium", "chromium-driver"), _programs(), strict=True):
        if path is None:
            return f"{name} is not installed (apt-get install {name})"
    return None


@contextmanager
def browser() -> Iterator[Chrome]:
    """Start a browser, end it afterwards."""
    from selenium import webdriver  # noqa: PLC0415 - `make test` does without

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
    """One tab. Nothing waits longer than DEADLINE seconds."""

    def __init__(self, chrome: Chrome) -> None:
        self._chrome = chrome
        self.size(1280, 900)

    def size(self, width: int, height: int) -> None:
        """Set the size of the window, in pixels."""
        self._chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self._do(lambda: self._chrome.get(url))

    async def dark(self) -> None:
        """Prefer dark colours, as a person's system may."""
        features = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
        await self._do(lambda: self._chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", features))

    async def value(self, expression: str) -> Any:
        """Evaluate a JavaScript expression."""
        return await self._do(lambda: self._chrome.execute_script(f"return ({expression})"))

    async def text(self, selector: str) -> str:
        """Give the visible text of the first element that the CSS selector finds."""
        text: str = await self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return text

    async def until(self, expression: str) -> Any:
        """Wait until a JavaScript expression is true and give its value; TimeoutError with what the page shows."""
        shown = ""
        try:
            async with asyncio.timeout(DEADLINE):
                while not (value := await self.value(expression)):
                    shown = await self.text("body")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"never true: {expression}\nThe page shows:\n{shown}") from None
        return value

    async def click(self, selector: str) -> None:
        """Click the first element that the CSS selector finds, where it is."""
        from selenium.webdriver.common.by import By  # noqa: PLC0415 - `make test` does without

        await self._do(lambda: self._chrome.find_element(By.CSS_SELECTOR, selector).click())

    async def screenshot(self, path: Path) -> None:
        """Write a picture of the window as PNG."""
        await self._do(lambda: self._chrome.save_screenshot(str(path)))

    async def complaints(self) -> list[str]:
        """Give the errors of the console since the last call, which include what the page's policy refused."""
        return [entry["message"] for entry in await self._log("browser") if entry["level"] == "SEVERE"]

    async def hosts(self) -> set[str]:
        """Give every host that the page sent a request to since the last call."""
        messages = [json.loads(entry["message"])["message"] for entry in await self._log("performance")]
        urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).netloc for url in urls} - {""}  # data: and about: have none

    async def _log(self, kind: str) -> list[dict[str, Any]]:
        answer = await self._do(lambda: self._chrome.execute("getLog", {"type": kind}))
        entries: list[dict[str, Any]] = answer["value"]
        return entries

    async def _do(self, act: Callable[[], T]) -> T:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.to_thread(act)


def _programs() -> tuple[str | None, str | None]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    return chromium, os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
