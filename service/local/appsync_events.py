"""AppSync Events without a transport: channels, authorisation, subscriptions and publishing; and publishing over HTTP.

Source: AWS AppSync Events Developer Guide, "Understanding channel namespaces", "Publish events via HTTP", "AWS AppSync
endpoints and quotas"; error texts as public client test suites observed them.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aiohttp import web

from service.local.json_text import Json, encode, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.local.faults import Faults

    Deliver: TypeAlias = Callable[[str], None]

EVENT_LIMIT = 240 * 1024  # bytes of one event's text
BATCH_LIMIT = 5  # events per publish
_SEGMENT = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?"
_PUBLISH_CHANNEL = re.compile(rf"/?({_SEGMENT}(?:/{_SEGMENT}){{0,4}})/?")
_SUBSCRIBE_CHANNEL = re.compile(rf"/?({_SEGMENT}(?:/{_SEGMENT}){{0,4}}|{_SEGMENT}(?:/{_SEGMENT}){{0,3}}/\*)/?")

_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/(?P<day>[0-9]{8})/[a-z0-9-]+/appsync/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_DATE = re.compile(r"(?P<day>[0-9]{8})T[0-9]{6}Z")


class EventsError(Exception):
    """A refusal; `status` is the HTTP status, and the `errorCode` of a connection_error."""

    def __init__(self, kind: str, message: str | None = None, status: int = 400) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status

    @property
    def item(self) -> dict[str, Json]:
        """The element of an `errors` list; `message` may be absent."""
        return {"errorType": self.kind} | ({} if self.message is None else {"message": self.message})


class TooManyEventsError(EventsError):
    """More events in one publish than the limit."""

    def __init__(self) -> None:
        super().__init__("BadRequestException", f"Input exceeded {BATCH_LIMIT} event limit")


@dataclass(frozen=True, slots=True)
class Publication:
    """A publish that was accepted: the answer for the publisher, the event texts for the subscribers."""

    path: str
    events: list[str]
    answer: dict[str, Json]


class AppSyncEvents:
    """One Event API with one namespace and one API key."""

    def __init__(self, namespace: str, api_key: str, faults: Faults) -> None:
        self._namespace = namespace
        self._api_key = api_key
        self._faults = faults
        self._subscribers: defaultdict[str, dict[object, Deliver]] = defaultdict(dict)

    def authorise(self, credentials: Mapping[str, Json]) -> None:
        """Accept the API key or any signature of the right form, whatever the case of names; EventsError otherwise."""
        shown = {name.lower(): value for name, value in credentials.items()}
        if shown.get("x-api-key") != self._api_key and not _is_signed(shown):
            raise EventsError("UnauthorizedException", "You are not authorized to make this call.", 401)

    def subscribe(self, channel: Json, token: object, deliver: Deliver) -> str:
        """Register and give the key to unsubscribe with; EventsError for a wrong channel or namespace."""
        path = self._path(_SUBSCRIBE_CHANNEL, channel)
        self._subscribers[path][token] = deliver
        return path

    def unsubscribe(self, path: str, token: object) -> None:
        """Forget what `subscribe` registered."""
        subscribers = self._subscribers[path]
        del subscribers[token]
        if not subscribers:
            del self._subscribers[path]

    def accept(self, channel: Json, events: Json) -> Publication:
        """Check a publish; EventsError when all of it is refused, single events are listed as failed."""
        path = self._path(_PUBLISH_CHANNEL, channel)
        if not isinstance(events, list) or not events:
            raise EventsError("BadRequestException", "events must be a list of JSON texts")
        if len(events) > BATCH_LIMIT:
            raise TooManyEventsError
        for event in events:
            _check_json_text(event)
        accepted: list[str] = []
        answer: dict[str, list[Json]] = {"failed": [], "successful": []}
        for index, event in enumerate(events):
            place = {"identifier": str(uuid.uuid4()), "index": index}
            if len(event.encode(errors="surrogatepass")) > EVENT_LIMIT:
                message = "Transformed event is larger than 240KB"
                answer["failed"].append(place | {"code": "EventTooLargeException", "message": message})
            else:
                answer["successful"].append(place)
                accepted.append(event)
        return Publication(path, accepted, answer)

    def broadcast(self, publication: Publication) -> None:
        """Hand each event to each subscription that its channel matches."""
        segments = publication.path.split("/")
        wildcards = ["/".join([*segments[:length], "*"]) for length in range(1, len(segments))]
        for event in publication.events:
            for path in (publication.path, *wildcards):
                for deliver in list(self._subscribers.get(path, {}).values()):
                    self._faults.deliver(event, deliver)

    async def handle_publish(self, request: web.Request) -> web.Response:
        """Answer `POST /event`."""
        try:
            self.authorise(request.headers)
            body = _object(await request.read())
            publication = self.accept(body.get("channel"), body.get("events"))
        except EventsError as error:
            return _answer(error.status, {"errors": [error.item]})
        self.broadcast(publication)
        return _answer(200, publication.answer)

    def _path(self, grammar: re.Pattern[str], channel: Json) -> str:
        match = grammar.fullmatch(channel) if isinstance(channel, str) else None
        if match is None:
            raise EventsError("BadRequestException", "Invalid Channel Format")
        path = match[1]
        if path.partition("/")[0] != self._namespace:
            raise EventsError("UnauthorizedException", status=401)
        return path


def _is_signed(shown: Mapping[str, Json]) -> bool:
    """Check what can be checked without the secret key: that this service, this day and what is shown were signed."""
    match = _SIGNATURE.fullmatch(str(shown.get("authorization")))
    date = _DATE.fullmatch(str(shown.get("x-amz-date")))
    if match is None or date is None or match["day"] != date["day"]:
        return False
    return {"host", "x-amz-date"} <= set(match["names"].split(";")) <= shown.keys()


def _check_json_text(event: Json) -> None:
    try:
        if isinstance(event, str):
            loads(event)
            return
    except ValueError:
        pass
    raise EventsError("BadRequestException", "every event must be a string that holds a JSON value")


def _object(body: bytes) -> dict[str, Json]:
    try:
        value = loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EventsError("BadRequestException", "the body must be a JSON object")
    return value


def _answer(status: int, body: Json) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")
