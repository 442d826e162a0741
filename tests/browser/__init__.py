"""Tests that look at a page as a person does, in headless Chromium.

    make test-browser

installs Selenium, which `make test` does without, and runs them. They need Debian's `chromium` and `chromium-driver`
(or `CHROMIUM` and `CHROMEDRIVER` with the paths of both programs) and are skipped with a word of why where those are
missing. A test takes the fixture `page`, a fresh tab of one browser for the whole run (tests/browser/page.py), and
says in JavaScript what it waits for or wants to know:

    async def test_the_page_says_hello(page: Page) -> None:
        async with local("--wait", "0") as (_, url):
            await page.open(f"{url}/")
            await page.until("document.querySelector('h1')?.textContent === 'Hello'")

After each test the fixture itself checks that the console had no error (which includes what a Content-Security-Policy
refused) and that the page asked for nothing but what its own server has. The browser resolves no names.
"""
