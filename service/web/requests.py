"""Event requests, read once into everything that the bridge and the response need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs

from service.errors import IdempotencyUnavailable, UnknownExecution
from service.web import bodies, idempotency, negotiation, preferences
from service.web.context import CONTEXT
from service.web.events import LAST_EVENT_ID
from service.web.preferences import Preferences

if TYPE_CHECKING:
    from aiohttp import web

    from service.bridge.idempotency_keys import IdempotencyKeys
    from service.web.schema import RequestSchema

_EXECUTION_ID: Final = re.compile(r"exec-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# Not frozen: that alone would cost each request a microsecond.
@dataclass(slots=True)
class EventRequest:
    """What the requests that wait for a result have in common."""

    preferences: Preferences
    """How long to wait, and what `Preference-Applied` says."""
    stream: bool
    """Whether the response is a stream of events rather than JSON."""
    last_event_id: str
    """`Last-Event-ID` of a caller that reconnects to a stream, empty otherwise."""


@dataclass(slots=True)
class StartRequest(EventRequest):
    """POST /event: start an execution and wait for its result."""

    event: str
    """The request body: JSON text exactly as the caller sent it."""
    execution_id: str | None
    """The execution id derived from the idempotency key, or None without a key."""


@dataclass(slots=True)
class FollowRequest(EventRequest):
    """GET /event/{id}: read the result of an execution, or wait for it."""

    execution_id: str
    """The execution that the path names."""


class RequestReader:
    """Reads requests as this deployment accepts them."""

    def __init__(self, schema: RequestSchema, keys: IdempotencyKeys | None, response_timeout: float) -> None:
        self._schema = schema
        self._keys = keys
        self._response_timeout = response_timeout
        self._full_wait = Preferences(response_timeout)
        self._no_wait = Preferences(0.0)

    async def start(self, request: web.Request) -> StartRequest:
        """Read POST /event.

        Raise NotAcceptable, what `bodies.read_event` raises, InvalidIdempotencyKey or IdempotencyUnavailable.
        """
        stream = _wants_stream(request)
        event = await bodies.read_event(request, self._schema)
        return StartRequest(
            preferences=self._preferences(request, default=self._full_wait),
            stream=stream,
            last_event_id=request.headers.get(LAST_EVENT_ID, "") if stream else "",
            event=event,
            execution_id=self._id_from_key(request),
        )

    def follow(self, request: web.Request) -> FollowRequest:
        """Read GET /event/{id}; raise UnknownExecution or NotAcceptable."""
        id_ = execution_id(request)
        stream = _wants_stream(request)
        return FollowRequest(
            # Without a preference, JSON reports what is known now, while a stream stays open.
            preferences=self._preferences(request, default=self._full_wait if stream else self._no_wait),
            stream=stream,
            last_event_id=request.headers.get(LAST_EVENT_ID, "") if stream else "",
            execution_id=id_,
        )

    def _preferences(self, request: web.Request, *, default: Preferences) -> Preferences:
        headers = request.headers.getall("Prefer", ())
        return preferences.parse(headers, default=default, limit=self._response_timeout)

    def _id_from_key(self, request: web.Request) -> str | None:
        key = idempotency.parse(request.headers.getall("Idempotency-Key", ()))
        if key is None:
            return None
        if self._keys is None or not self._keys.enabled:
            raise IdempotencyUnavailable("Idempotency keys need IDEMPOTENCY_SECRET to be set and a STANDARD workflow.")
        return self._keys.execution_id(key)


def execution_id(request: web.Request) -> str:
    """Return the execution id in the path; raise UnknownExecution if it cannot be one."""
    id_ = request.match_info["id"]
    if _EXECUTION_ID.fullmatch(id_) is None:
        raise UnknownExecution("An execution id has the form exec-<uuid>.")
    request[CONTEXT].execution_id = id_
    return id_


def _wants_stream(request: web.Request) -> bool:
    wanted = negotiation.wants_stream(request.headers.getall(hdrs.ACCEPT, ()))
    return wanted and request.method != hdrs.METH_HEAD
