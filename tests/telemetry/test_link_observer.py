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


async def test_the_time_without_a_link_adds_up_during_a_gap_and_over_several(now: list[float]) -> None:
    observer, channel = LinkObserver(), Channel()
    observer.on_channel_change(channel)
    assert observer.disconnected == 0
    channel.go_down()
    now[0] += 2
    observer.on_channel_change(channel)
    assert observer.disconnected == 2
    now[0] += 1
    channel.come_up()
    observer.on_channel_change(channel)
    now[0] += 50
    observer.on_channel_change(channel)  # still live: a silent connection was replaced
    assert observer.disconnected == 3
    channel.go_down()
    observer.on_channel_change(channel)
    now[0] += 4
    observer.on_channel_change(channel)  # it was refused in the meantime
    assert observer.disconnected == 7


async def test_the_time_before_the_first_connection_does_not_count(now: list[float]) -> None:
    observer, channel = LinkObserver(), Channel()
    channel.ever_live = False
    channel.go_down()
    observer.on_channel_change(channel)
    now[0] += 5
    assert observer.disconnected == 0


@pytest.mark.parametrize("kind", LinkEventKind)
def test_every_event_is_counted_and_logged(kind: LinkEventKind) -> None:
    observer = LinkObserver()
    with capture_logs() as logs:
        observer.on_event(LinkEvent(kind=kind, host="example.com", channel="/ns/me/*", suppressed=2))
    assert observer.events == {kind: 3}
    good = {LinkEventKind.UP, LinkEventKind.RENEWED, LinkEventKind.SUBSCRIPTION_CONFIRMED}
    (line,) = logs
    assert (line["event"], line["log_level"]) == (f"link_{kind}", "info" if kind in good else "warning")
    assert (line["host"], line["channel"]) == ("example.com", "/ns/me/*")


def test_confirmed_channels_of_single_executions_are_logged_at_debug() -> None:
    observer = LinkObserver()
    with capture_logs() as logs:
        observer.on_event(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_CONFIRMED, channel="/ns/other/exec-1"))
        observer.on_event(LinkEvent(kind=LinkEventKind.SUBSCRIPTION_REFUSED, channel="/ns/other/exec-1"))
    assert [line["log_level"] for line in logs] == ["debug", "warning"]


def test_a_change_that_cannot_be_noted_is_logged_and_keeps_nobody_from_hearing_of_it() -> None:
    with capture_logs() as logs:
        LinkObserver().on_channel_change(object())  # type: ignore[arg-type]  # has none of the attributes
    assert [line["event"] for line in logs] == ["telemetry_failed"]
