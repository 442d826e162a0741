from __future__ import annotations

import pytest

from service.app import composition
from service.errors import Draining
from tests.support.stage import stage


async def test_an_instance_is_ready_while_its_subscription_is_live() -> None:
    async with stage() as made:
        assert composition.not_ready(made.admission, made.channel) is None


async def test_an_instance_whose_link_was_never_up_is_not_ready() -> None:
    async with stage() as made:
        made.channel.ever_live = False
        made.channel.go_down()
        assert composition.not_ready(made.admission, made.channel) == "link never up"


async def test_a_short_reconnect_does_not_take_an_instance_out_of_service_but_a_long_outage_does() -> None:
    async with stage() as made:
        made.channel.go_down(since=composition.READY_GRACE_S / 2)
        assert composition.not_ready(made.admission, made.channel) is None
        made.channel.go_down(since=composition.READY_GRACE_S + 1)
        assert composition.not_ready(made.admission, made.channel) == "link down"
        made.channel.come_up()
        assert composition.not_ready(made.admission, made.channel) is None


async def test_a_draining_instance_is_not_ready() -> None:
    async with stage() as made:
        await made.bridge.drain(1)
        assert composition.not_ready(made.admission, made.channel) == "draining"
        with pytest.raises(Draining):
            await made.bridge.submit("{}", 1)
