from __future__ import annotations

import asyncio

import pytest

from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.token_bucket import Quota
from tests.support.virtual_time import VirtualTimeLoop


def test_states_are_read_with_what_leaves_half_of_the_quota_to_recovery() -> None:
    """In virtual time: a bucket of 10, refilled once a second."""

    async def run() -> None:
        clock = asyncio.get_running_loop().time
        budgets = ReadBudgets(history=Quota(10, 1), clock=clock)
        began = clock()
        for _ in range(9):
            await budgets.claim_history()
        assert clock() - began == pytest.approx(4)
        assert budgets.history.bucket.level == pytest.approx(5)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())
