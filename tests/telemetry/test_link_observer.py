from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from service.appsync import LinkEvent, LinkEventKind
from service.telemetry.link_observer import LinkObserver
from tests.support.stage import Channel


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


async def test_the_time_without_replies_is_added_up_while_it_lasts_and_over_several_gaps(now: list[float]) -> None:
    watch, channel = LinkObserver(), Channel()
    watch.changed(channel)
    assert watch.disconnected == 0
    channel.go_down()
    now[0] += 2
    watch.changed(channel)
    assert watch.disconnected == 2
    now[0] += 1
    channel.come_up()
    watch.changed(channel)
    now[0] += 50
    watch.changed(channel)  # live as before: a silent connection was replaced
    assert watch.disconnected == 3
    channel.go_down()
    watch.changed(channel)
    now[0] += 4
    watch.changed(channel)  # refused meanwhile
    assert watch.disconnected == 7


async def test_the_time_before_the_first_connection_is_no_loss(now: list[float]) -> None:
    watch, channel = LinkObserver(), Channel()
    channel.ever_live = False
    channel.go_down()
    watch.changed(channel)
    now[0] += 5
    assert watch.disconnected == 0


@pytest.mark.parametrize("kind", LinkEventKind)
def test_every_event_is_counted_and_logged(kind: LinkEventKind) -> None:
    watch = LinkObserver()
    with capture_logs() as logs:
        watch.told(LinkEvent(kind=kind, channel="/ns/me/*", suppressed=2))
    assert watch.events == {kind: 3}
    good = {LinkEventKind.UP, LinkEventKind.RENEWED, LinkEventKind.SUBSCRIPTION_CONFIRMED}
    assert [(line["event"], line["log_level"]) for line in logs] == [
        (f"link_{kind}", "info" if kind in good else "warning")
    ]


def test_the_channels_of_single_executions_wake_nobody() -> None:
    watch = LinkObserver()
    with capture_logs() as logs:
        watch.told(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_CONFIRMED, channel="/ns/other/exec-1"))
        watch.told(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_REFUSED, channel="/ns/other/exec-1"))
    assert [line["log_level"] for line in logs] == ["debug", "warning"]
