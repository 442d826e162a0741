"""An account to look at, and a configuration to look for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.preflight.example import REGION
from tests.tools.preflight.stand_in import StandIn, stand_in
from tools.preflight.aws import Aws


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with stand_in() as account:
        for name, value in account.environment.items():
            monkeypatch.setenv(name, value)
        yield account


@pytest.fixture
def aws(account: StandIn) -> Aws:
    del account  # its address is in the environment
    return Aws(REGION)
