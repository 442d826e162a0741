from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service.stepfunctions.budget import MAX_CONCURRENT_GUESSES
from service.stepfunctions.stopper import Stopper
from service.stepfunctions.token_bucket import Quota


class Client:
    """Calls that take a moment; `most` is how many were under way at once."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def stop(self, _execution_id: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1


@pytest.mark.parametrize("known", [True, False])
async def test_only_stops_of_unknown_ids_wait_for_each_other(known: bool) -> None:
    client: Any = Client()
    stopper = Stopper(client, Quota(1000, 1000))
    stops = MAX_CONCURRENT_GUESSES + 5
    await asyncio.gather(*(stopper.stop(f"exec-{number}", known=known) for number in range(stops)))
    assert client.most == (stops if known else MAX_CONCURRENT_GUESSES)
