from __future__ import annotations

from aiohttp import web

from service.web.connections import Connections
from service.web.site import Site


async def test_a_site_is_named_by_its_url_in_aiohttps_list_of_sites() -> None:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        site = Site(runner, "127.0.0.1", 8123, backlog=1, connections=Connections(1))
        assert site.name == "http://127.0.0.1:8123"
    finally:
        await runner.cleanup()
