"""A browser's own EventSource, whose instance is replaced while it listens."""

from __future__ import annotations

from pathlib import Path

from tests.browser.page import Page
from tests.support.replaced import STATES, two_instances

FOLLOW = """
window.seen = [];
const source = new EventSource(%r);
const note = (event) => window.seen.push([event.type, event.lastEventId, JSON.parse(event.data)]);
for (const name of ["running", "progress", "result", "problem"]) source.addEventListener(name, note);
source.addEventListener("error", () => window.seen.push(["error", source.readyState]));
window.source = source;
"""


async def test_a_browser_goes_on_at_another_instance_and_stops_after_the_result(page: Page, tmp_path: Path) -> None:
    async with two_instances(tmp_path, 2) as it:
        await page.open(f"{it.url}/docs")
        await page.value(f"(() => {{ {FOLLOW % await it.start()} return true; }})()")
        await page.until("window.seen.filter(([name]) => name === 'progress').length === 2")
        it.replace()
        await page.until("window.seen.some(([name]) => name === 'result')")
        # It reconnects once more, with the id of the result, and the 204 ends it.
        await page.until("window.source.readyState === EventSource.CLOSED")
        seen = await page.value("window.seen")
    assert [one[2]["progress"]["state"] for one in seen if one[0] == "progress"] in (STATES, STATES[:-1])
    assert [one[0] for one in seen].count("result") == 1
    assert [one[0] for one in seen].count("error") == 3  # the ends of two connections, and the 204
