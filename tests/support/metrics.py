"""Requests to a running service, and its metrics."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.privacy import assert_nothing_private

NAMES = {"nome": "Ricardo", "sobrenome": "Marques"}


class Scrape:
    """One response of `/metrics`. The name of the workflow is left out if it is `event`, the only one of most tests."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = {
            (
                sample.name,
                *sorted(value for name, value in sample.labels.items() if (name, value) != ("workflow", "event")),
            ): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def __call__(self, name: str, *labels: str) -> float:
        return self.samples.get((f"sync_front_{name}", *sorted(labels)), 0.0)


async def scrape(http: aiohttp.ClientSession, url: str) -> Scrape:
    async with http.get(f"{url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=1.0.0")
        text = await response.text()
        assert_nothing_private([text])
        return Scrape(text)


async def post(http: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with http.post(f"{url}/event", json=NAMES, headers=headers) as response:
        await response.read()
        return response.status
