from __future__ import annotations

import asyncio
from typing import Any

from service.stepfunctions.budget import Budget
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


async def test_stops_do_not_wait_for_each_other() -> None:
    client: Any = Client()
    stopper = Stopper(client, Budget(Quota(1000, 1000)))
    await asyncio.gather(*(stopper.stop(f"exec-{number}") for number in range(20)))
    assert client.most == 20
