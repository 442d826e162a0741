from __future__ import annotations

import re

import pytest

from service.web.docs import HOME
from tests.support.front import front


@pytest.mark.parametrize("prefix", ["", "dev"])
async def test_the_page_and_everything_that_it_loads_are_served_here(prefix: str) -> None:
    base = f"/{prefix}" if prefix else ""
    async with front(stage_prefix=prefix) as it:
        async with it.client.get(f"{base}/docs") as response:
            assert response.content_type == "text/html"
            page = await response.text()
        addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert "data:," in addresses
        loaded = [address for address in addresses if address != "data:,"]
        assert len(loaded) == 2
        for address in [*loaded, "openapi.json"]:
            async with it.client.get(f"{base}/{address}") as response:
                assert response.status == 200
                assert len(await response.read()) > 1000


async def test_the_policy_lets_the_page_load_nothing_from_elsewhere() -> None:
    async with front() as it, it.client.get("/docs") as response:
        policy = response.headers["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(("path", "target"), [("/", "/docs"), ("/dev/", "/dev/docs")])
async def test_the_root_leads_to_the_page(path: str, target: str) -> None:
    async with front(stage_prefix="dev") as it, it.client.get(path, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, target)


async def test_the_root_can_lead_elsewhere() -> None:
    async with front() as it:
        it.app._state[HOME] = "/_local/"  # as before it was frozen
        async with it.client.get("/", allow_redirects=False) as response:
            assert response.headers["Location"] == "/_local/"
