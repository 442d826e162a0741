from __future__ import annotations

import pytest

from service.errors import (
    Throttled,
)
from service.stepfunctions.token_bucket import Quota
from tests.support.stage import stage
from tests.support.step_functions import (
    described,
    error,
)


async def test_a_record_that_lags_behind_is_read_again() -> None:
    async with stage() as made:
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"), described("RUNNING"))
        assert (await made.bridge.follow("exec-1", 0)).outcome is None


async def test_no_execution_is_called_unknown_if_the_quota_does_not_allow_a_second_read() -> None:
    async with stage(quotas={"describe": Quota(2, 1)}) as made:
        made.endpoint.script("DescribeExecution", error("ExecutionDoesNotExist"))
        with pytest.raises(Throttled):
            await made.bridge.follow("exec-1", 0)
        assert made.endpoint.count("DescribeExecution") <= 2
