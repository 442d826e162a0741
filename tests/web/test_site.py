from __future__ import annotations

import pytest
from aiohttp import web

from service.web.connections import Connections
from service.web.site import Site


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:8123"), ("::", "http://[::]:8123")])
async def test_a_site_is_named_by_its_url_in_aiohttps_list_of_sites(host: str, url: str) -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        site = Site(runner, host, 8123, backlog=1, connections=Connections(1))
        assert site.name == url
    finally:
        await runner.cleanup()
