"""Tests of the web pages in headless Chromium.

    make test-browser

installs Selenium, which `make test` does not need, and runs them. They need Debian's `chromium` and `chromium-driver`
(or the paths of both programs in `CHROMIUM` and `CHROMEDRIVER`); without them they are skipped, with the reason. A
test uses the fixture `page`, a new tab of one browser that is shared by the whole run (tests/browser/page.py), and
waits for JavaScript expressions or reads their values:

    async def test_the_page_says_hello(page: Page) -> None:
        async with local("--wait", "0") as (_, url):
            await page.open(f"{url}/")
            await page.until("document.querySelector('h1')?.textContent === 'Hello'")

After each test the fixture checks that the console has no errors, which include violations of the
Content-Security-Policy, and that the page sent requests to its own server only. The browser resolves no names.
"""
