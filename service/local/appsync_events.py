"""The Event API of AppSync: channels, authorisation, subscriptions, and publishing over HTTP.

Source: AWS AppSync Events Developer Guide, "Understanding channel namespaces", "Publish events via HTTP", "AWS AppSync
endpoints and quotas"; error texts as observed by public client test suites.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from aiohttp import web

from service.local.json_text import Json, encode, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from service.local.faults import Faults

    Deliver: TypeAlias = Callable[[str], None]
    Call: TypeAlias = Literal["connect", "subscribe", "publish"]
    AuthModes: TypeAlias = Mapping[Call, Collection[str]]
    """Who may do what: API_KEY, AWS_IAM or both for each kind of call."""

ANY_AUTH: Final[AuthModes] = dict.fromkeys(("connect", "subscribe", "publish"), ("API_KEY", "AWS_IAM"))
MAX_EVENT_BYTES = 240 * 1024  # in UTF-8
MAX_EVENTS_PER_PUBLISH = 5
_SEGMENT = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?"
_PUBLISH_CHANNEL = re.compile(rf"/?({_SEGMENT}(?:/{_SEGMENT}){{0,4}})/?")
_SUBSCRIBE_CHANNEL = re.compile(rf"/?({_SEGMENT}(?:/{_SEGMENT}){{0,4}}|{_SEGMENT}(?:/{_SEGMENT}){{0,3}}/\*)/?")

_SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/(?P<day>[0-9]{8})/[a-z0-9-]+/appsync/aws4_request, "
    r"SignedHeaders=(?P<names>[a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_DATE = re.compile(r"(?P<day>[0-9]{8})T[0-9]{6}Z")


class EventsError(Exception):
    """An error of the Event API; `status` is the HTTP status, and the `errorCode` of a connection_error."""

    def __init__(self, kind: str, message: str | None = None, status: int = 400) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status

    @property
    def entry(self) -> dict[str, Json]:
        """The entry for an `errors` list; `message` may be absent."""
        return {"errorType": self.kind} | ({} if self.message is None else {"message": self.message})


class TooManyEventsError(EventsError):
    """A publish has too many events."""

    def __init__(self) -> None:
        super().__init__("BadRequestException", f"Input exceeded {MAX_EVENTS_PER_PUBLISH} event limit")


@dataclass(frozen=True, slots=True)
class Publication:
    """An accepted publish: the response to the publisher and the event texts for the subscribers."""

    path: str
    events: list[str]
    response: dict[str, Json]


class AppSyncEvents:
    """One Event API with one namespace and one API key."""

    def __init__(self, namespace: str, api_key: str, faults: Faults, auth_modes: AuthModes = ANY_AUTH) -> None:
        self._namespace = namespace
        self._api_key = api_key
        self._auth_modes = auth_modes
        self._faults = faults
        self._subscribers: defaultdict[str, dict[object, Deliver]] = defaultdict(dict)

    def authorize(self, credentials: Mapping[str, Json], call: Call) -> None:
        """Accept the API key or any well-formed signature, if the call has this auth mode; EventsError otherwise.

        Names are case-insensitive.
        """
        headers = {name.lower(): value for name, value in credentials.items()}
        modes = self._auth_modes[call]
        has_key = "API_KEY" in modes and headers.get("x-api-key") == self._api_key
        if not has_key and not ("AWS_IAM" in modes and _is_signed(headers)):
            raise EventsError("UnauthorizedException", "You are not authorized to make this call.", 401)

    def subscribe(self, channel: Json, token: object, deliver: Deliver) -> str:
        """Add a subscriber and return the path to unsubscribe with; EventsError for an invalid channel or namespace."""
        path = self._path(_SUBSCRIBE_CHANNEL, channel)
        self._subscribers[path][token] = deliver
        return path

    def unsubscribe(self, path: str, token: object) -> None:
        """Remove a subscriber that `subscribe` added."""
        subscribers = self._subscribers[path]
        del subscribers[token]
        if not subscribers:
            del self._subscribers[path]

    def accept(self, channel: Json, events: Json) -> Publication:
        """Validate a publish; EventsError rejects all of it, single events may be listed as failed."""
        path = self._path(_PUBLISH_CHANNEL, channel)
        if not isinstance(events, list) or not events:
            raise EventsError("BadRequestException", "events must be a non-empty list of JSON texts")
        if len(events) > MAX_EVENTS_PER_PUBLISH:
            raise TooManyEventsError
        for event in events:
            _check_json_text(event)
        accepted: list[str] = []
        response: dict[str, list[Json]] = {"failed": [], "successful": []}
        for index, event in enumerate(events):
            entry = {"identifier": str(uuid.uuid4()), "index": index}
            if len(event.encode(errors="surrogatepass")) > MAX_EVENT_BYTES:
                message = "Transformed event is larger than 240KB"
                response["failed"].append(entry | {"code": "EventTooLargeException", "message": message})
            else:
                response["successful"].append(entry)
                accepted.append(event)
        return Publication(path, accepted, response)

    def broadcast(self, publication: Publication) -> None:
        """Deliver each event to every subscription that matches its channel."""
        segments = publication.path.split("/")
        wildcards = ["/".join([*segments[:length], "*"]) for length in range(1, len(segments))]
        for event in publication.events:
            for path in (publication.path, *wildcards):
                for deliver in list(self._subscribers.get(path, {}).values()):
                    self._faults.deliver(event, deliver)

    async def handle_publish(self, request: web.Request) -> web.Response:
        """Handle `POST /event`."""
        try:
            self.authorize(request.headers, "publish")
            body = _parse_object(await request.read())
            publication = self.accept(body.get("channel"), body.get("events"))
        except EventsError as error:
            return _json_response(error.status, {"errors": [error.entry]})
        self.broadcast(publication)
        return _json_response(200, publication.response)

    def _path(self, grammar: re.Pattern[str], channel: Json) -> str:
        match = grammar.fullmatch(channel) if isinstance(channel, str) else None
        if match is None:
            raise EventsError("BadRequestException", "Invalid Channel Format")
        path = match[1]
        if path.partition("/")[0] != self._namespace:
            raise EventsError("UnauthorizedException", status=401)
        return path


def _is_signed(headers: Mapping[str, Json]) -> bool:
    """Check what needs no secret key: the signed service and date, and that the signed headers are present."""
    match = _SIGNATURE.fullmatch(str(headers.get("authorization")))
    date = _DATE.fullmatch(str(headers.get("x-amz-date")))
    if match is None or date is None or match["day"] != date["day"]:
        return False
    return {"host", "x-amz-date"} <= set(match["names"].split(";")) <= headers.keys()


def _check_json_text(event: Json) -> None:
    try:
        if isinstance(event, str):
            loads(event)
            return
    except ValueError:
        pass
    raise EventsError("BadRequestException", "every event must be a string that contains JSON")


def _parse_object(body: bytes) -> dict[str, Json]:
    try:
        value = loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EventsError("BadRequestException", "the body must be a JSON object")
    return value


def _json_response(status: int, body: Json) -> web.Response:
    return web.Response(status=status, body=encode(body), content_type="application/json")
