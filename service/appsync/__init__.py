"""A client for AWS AppSync Events: subscriptions over one WebSocket that is kept up for ever, publishing over HTTP.

    authorizer = ApiKey("https://example.appsync-api.eu-west-1.amazonaws.com/event", key)
    queue: asyncio.Queue[str] = asyncio.Queue()

    async with Link("wss://example.appsync-realtime-api.eu-west-1.amazonaws.com/event/realtime", authorizer) as link:
        subscription = link.subscribe("/default/*", queue.put_nowait)
        if await subscription.wait_live(timeout=5):
            event = json.loads(await queue.get())

Delivery is that of AppSync Events: at most once, unordered, perhaps repeated; what is published while the link is down
is not sent again. `link.subscribe(channel, on_event, on_change)` tells of each loss and each return; after a return,
what may have been published meanwhile has to be looked for elsewhere.
"""

from .auth import ApiKey, Authorizer, http_host
from .channels import MAX_SEGMENT_LENGTH, MAX_SEGMENTS, for_publish, for_subscribe, is_segment
from .errors import (
    AppSyncError,
    ChannelError,
    ConnectionLostError,
    ErrorDetail,
    LinkClosedError,
    PublishError,
    PublishRefusedError,
    PublishUnsentError,
    RefusedError,
    SubscribeError,
)
from .events import LinkEvent, LinkEventKind
from .link import Link
from .publisher import MAX_EVENTS, FailedEvent, Publisher, PublishResult, publish_body
from .subscription import Subscription
from .timing import Backoff, Renewal, Timeouts

__all__ = [
    "MAX_EVENTS",
    "MAX_SEGMENTS",
    "MAX_SEGMENT_LENGTH",
    "ApiKey",
    "AppSyncError",
    "Authorizer",
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
    "PublishUnsentError",
    "Publisher",
    "RefusedError",
    "Renewal",
    "SubscribeError",
    "Subscription",
    "Timeouts",
    "for_publish",
    "for_subscribe",
    "http_host",
    "is_segment",
    "publish_body",
]
