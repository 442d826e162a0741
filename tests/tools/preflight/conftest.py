"""An account to look at, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.tools.preflight.example import REGION
from tests.tools.preflight.stand_in import Server, StandIn, served
from tools.preflight.aws import Aws


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # they take half a second
        with served() as server:
            yield server


@pytest.fixture
def account(server: Server, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A new account, which an AWS SDK uses."""
    account = server.open()
    for name, value in account.environment.items():
        monkeypatch.setenv(name, value)
    return account


@pytest.fixture(scope="session")
def connected(server: Server) -> Aws:
    """A connection with clients that all tests share, because each takes a while to create."""
    del server  # its address does not change
    return Aws(REGION)


@pytest.fixture
def aws(account: StandIn, connected: Aws) -> Aws:
    del account  # it is in the environment, where new clients look
    return connected
