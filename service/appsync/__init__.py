"""A client for AWS AppSync Events.

A link keeps one WebSocket connected and carries any number of subscriptions; a publisher sends over HTTP:

    authorizer = ApiKey("https://example.appsync-api.eu-west-1.amazonaws.com/event", key)
    queue: asyncio.Queue[str] = asyncio.Queue()

    async with (
        Link("wss://example.appsync-realtime-api.eu-west-1.amazonaws.com/event/realtime", authorizer) as link,
        Publisher("https://example.appsync-api.eu-west-1.amazonaws.com/event", authorizer) as publisher,
    ):
        subscription = link.subscribe("/default/*", queue.put_nowait)
        if await subscription.wait_live(timeout=5):
            await publisher.publish("/default/greetings", ['"hello"'])
            print(json.loads(await queue.get()))

Delivery is that of AppSync Events: at most once, unordered, possibly repeated. Events that are published while the link
is down are not sent again. `link.subscribe(channel, on_event, on_change)` reports each loss and each return; after a
return, an application has to find elsewhere what it may have missed.

The package needs `websockets`, `aiohttp` and `orjson`, and imports nothing from the rest of the service. Import
`iam` (needs botocore) and `secrets_manager` (needs aioboto3) by name.
"""

from .auth import ApiKey, Authorizer, clean_key, http_host
from .channels import MAX_SEGMENT_LENGTH, MAX_SEGMENTS, for_publish, for_subscribe, is_segment
from .connection import is_loopback
from .errors import (
    AppSyncError,
    AuthorizerError,
    ChannelError,
    ConnectionLostError,
    ErrorDetail,
    LinkClosedError,
    PublishError,
    PublishRefusedError,
    PublishUnconfirmedError,
    RefusedError,
    SubscribeError,
)
from .events import LinkEvent, LinkEventKind
from .link import Link
from .publisher import MAX_EVENTS_PER_REQUEST, FailedEvent, Publisher, PublishResult, publish_body
from .subscription import Subscription
from .timing import Backoff, Renewal, Timeouts

__all__ = [
    "MAX_EVENTS_PER_REQUEST",
    "MAX_SEGMENTS",
    "MAX_SEGMENT_LENGTH",
    "ApiKey",
    "AppSyncError",
    "Authorizer",
    "AuthorizerError",
    "Backoff",
    "ChannelError",
    "ConnectionLostError",
    "ErrorDetail",
    "FailedEvent",
    "Link",
    "LinkClosedError",
    "LinkEvent",
    "LinkEventKind",
    "PublishError",
    "PublishRefusedError",
    "PublishResult",
    "PublishUnconfirmedError",
    "Publisher",
    "RefusedError",
    "Renewal",
    "SubscribeError",
    "Subscription",
    "Timeouts",
    "clean_key",
    "for_publish",
    "for_subscribe",
    "http_host",
    "is_loopback",
    "is_segment",
    "publish_body",
]
