"""The client against the embedded local AWS, which was written independently from the documentation."""

from __future__ import annotations

import asyncio
import json
import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from service import appsync
from service.appsync import ApiKey, Link, LinkEventKind, Publisher, PublishRefusedError
from service.local import LocalAws
from service.local.realtime import MAX_SUBSCRIPTIONS

from .conftest import SHORT_BACKOFF, TIMEOUTS, Changes, Inbox, remains

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def aws() -> AsyncIterator[LocalAws]:
    async with LocalAws(port=0) as aws:
        yield aws


@pytest.fixture
async def link(aws: LocalAws, changes: Changes) -> AsyncIterator[Link]:
    authorizer = ApiKey(aws.http_url, aws.api_key)
    async with Link(
        aws.realtime_url, authorizer, on_link_event=changes, timeouts=TIMEOUTS, backoff=SHORT_BACKOFF
    ) as link:
        yield link
    assert remains() == []


@pytest.fixture
async def publisher(aws: LocalAws) -> AsyncIterator[Publisher]:
    async with Publisher(aws.http_url, ApiKey(aws.http_url, aws.api_key)) as publisher:
        yield publisher


async def test_events_that_match_a_wildcard_are_received(
    aws: LocalAws, link: Link, publisher: Publisher, inbox: Inbox
) -> None:
    assert await link.subscribe(f"/{aws.namespace}/instance/*", inbox).wait_live(10)
    event = '{"id": "1", "text": "quoted \\" and ü"}'
    result = await publisher.publish(f"/{aws.namespace}/instance/1", [event])
    assert (result.successful, result.failed) == ((0,), ())
    await inbox.until(event)


async def test_five_events_of_one_request_are_delivered_one_by_one(
    aws: LocalAws, link: Link, publisher: Publisher, inbox: Inbox
) -> None:
    assert await link.subscribe(f"/{aws.namespace}/*", inbox).wait_live(10)
    events = [str(number) for number in range(5)]
    result = await publisher.publish(f"/{aws.namespace}/instance/1", events)
    assert result.successful == (0, 1, 2, 3, 4)
    await inbox.until(*events)


async def test_an_ended_subscription_receives_no_more_events(
    aws: LocalAws, link: Link, publisher: Publisher, inbox: Inbox
) -> None:
    ended: list[str] = []
    subscription = link.subscribe(f"/{aws.namespace}/a", ended.append)
    assert await subscription.wait_live(10)
    assert await link.subscribe(f"/{aws.namespace}/*", inbox).wait_live(10)
    await subscription.unsubscribe()
    await publisher.publish(f"/{aws.namespace}/a", ["1"])
    await inbox.until("1")
    assert ended == []


async def test_a_subscription_over_the_limit_is_refused_and_the_others_are_unaffected(
    aws: LocalAws, link: Link, publisher: Publisher, inbox: Inbox, changes: Changes
) -> None:
    own = link.subscribe(f"/{aws.namespace}/own/*", inbox)
    others = [link.subscribe(f"/{aws.namespace}/other/{number}", print) for number in range(MAX_SUBSCRIPTIONS - 1)]
    assert all(await asyncio.gather(*(one.wait_live(10) for one in [own, *others])))
    extra = link.subscribe(f"/{aws.namespace}/other/extra", inbox)
    assert not await extra.wait_answered(10)
    assert extra.refused is not None
    assert extra.refused.error_type == "MaxSubscriptionsReachedError"
    await publisher.publish(f"/{aws.namespace}/own/1", ["1"])
    await inbox.until("1")
    await others[0].unsubscribe()
    assert await extra.wait_live(10)
    await publisher.publish(f"/{aws.namespace}/other/extra", ["2"])
    await inbox.until("1", "2")
    assert (own.live, aws.connections, changes.of(LinkEventKind.DOWN)) == (True, 1, [])


async def test_the_link_reconnects_after_a_dropped_connection(
    aws: LocalAws, link: Link, publisher: Publisher, inbox: Inbox, changes: Changes
) -> None:
    subscription = link.subscribe(f"/{aws.namespace}/*", inbox)
    assert await subscription.wait_live(10)
    await aws.realtime.drop(1001)
    assert (await changes.until(LinkEventKind.DOWN)).close_code == 1001
    assert await subscription.wait_live(10)
    await publisher.publish(f"/{aws.namespace}/a", ["1"])
    await inbox.until("1")


async def test_an_unknown_namespace_is_refused(link: Link, publisher: Publisher, changes: Changes) -> None:
    link.subscribe("/unknown/*", print)
    refused = await changes.until(LinkEventKind.SUBSCRIPTION_REFUSED)
    assert refused.error_type == "UnauthorizedException"
    with pytest.raises(PublishRefusedError):
        await publisher.publish("/unknown/a", ["1"])


async def test_a_wrong_key_is_refused(aws: LocalAws, changes: Changes) -> None:
    authorizer = ApiKey(aws.http_url, "da2-wrong")
    async with Link(aws.realtime_url, authorizer, on_link_event=changes, backoff=SHORT_BACKOFF):
        refused = await changes.until(LinkEventKind.REFUSED, times=2)
        assert refused.error_type == "UnauthorizedException"
    async with Publisher(aws.http_url, authorizer) as publisher:
        with pytest.raises(PublishRefusedError):
            await publisher.publish(f"/{aws.namespace}/a", ["1"])
    assert "da2-wrong" not in repr(changes)


async def test_the_example_in_the_packages_docstring_works(aws: LocalAws, capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^(?: {4}.*)?\n", appsync.__doc__ or "", re.MULTILINE)
    example = "".join(lines).replace("/default/", f"/{aws.namespace}/")
    example = re.sub(r"wss://[^\"]+", aws.realtime_url, re.sub(r"https://[^\"]+", aws.http_url, example))
    names = vars(appsync) | {"asyncio": asyncio, "json": json, "key": aws.api_key}
    source = "async def example():\n" + textwrap.indent(textwrap.dedent(example), "    ")
    exec(source, names)  # noqa: S102 - the source is the package's own docstring
    await names["example"]()
    assert capsys.readouterr().out == "hello\n"
