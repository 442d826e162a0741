"""Event requests, read once into everything that the bridge and the response need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import hdrs

from service.bridge.ids import is_id
from service.errors import IdempotencyUnavailable, UnknownExecution
from service.stepfunctions.arn import is_execution_name
from service.web import bodies, idempotency, negotiation, preferences
from service.web.context import CONTEXT
from service.web.events import LAST_EVENT_ID
from service.web.preferences import Preferences

if TYPE_CHECKING:
    from aiohttp import web

    from service.web.callers import Callers
    from service.web.workflow import Workflow


# Not frozen: that alone would cost each request a microsecond.
@dataclass(slots=True)
class EventRequest:
    """What the requests that wait for a result have in common."""

    preferences: Preferences
    """How long to wait, and what `Preference-Applied` says."""
    stream: bool
    """Whether the response is a stream of events rather than JSON."""


@dataclass(slots=True)
class StartRequest(EventRequest):
    """POST: start an execution and wait for its result."""

    event: str
    """The request body: JSON text exactly as the caller sent it."""
    execution_id: str
    """The id of the execution to start."""
    keyed: bool
    """Whether the id comes from an idempotency key, so that other requests may name the same execution."""


@dataclass(slots=True)
class FollowRequest(EventRequest):
    """GET: read the result of an execution, or wait for it; POST to its `retry`: run it again first."""

    execution_id: str
    """The execution that the path names."""
    foreign: bool
    """Whether this service did not make the id, so that there may be no such execution."""
    last_event_id: str
    """`Last-Event-ID` of a caller that takes up a stream again, empty otherwise."""


class RequestReader:
    """Reads requests as a workflow accepts them.

    With `read_foreign`, executions that were started elsewhere can be read, but not stopped.
    """

    def __init__(self, workflow: Workflow, callers: Callers, *, read_foreign: bool = False) -> None:
        self._schema = workflow.schema
        self._ids = workflow.ids
        self._callers = callers
        self._read_foreign = read_foreign
        self._full_response = Preferences(workflow.waits.response)
        self._full_stream = Preferences(workflow.waits.stream)
        self._no_wait = Preferences(0.0)

    async def start(self, request: web.Request) -> StartRequest:
        """Read a POST.

        Raise CallerUnknown, CallerRateExceeded, NotAcceptable, what `bodies.read_event` raises, InvalidIdempotencyKey
        or IdempotencyUnavailable.
        """
        caller = self._callers.identify(request)
        stream = _wants_stream(request)
        event = await bodies.read_event(request, self._schema)
        key = self._key(request)
        return StartRequest(
            preferences=self._preferences(request, stream=stream),
            stream=stream,
            event=event,
            execution_id=self._ids.new(caller) if key is None else self._ids.for_key(key, caller),
            keyed=key is not None,
        )

    def follow(self, request: web.Request) -> FollowRequest:
        """Read a GET; raise CallerUnknown, CallerRateExceeded, UnknownExecution or NotAcceptable."""
        id_, foreign = self._existing(request)
        if foreign and not (self._read_foreign and is_execution_name(id_)):
            raise _unknown()
        stream = _wants_stream(request)
        return FollowRequest(
            # Without a preference, JSON reports what is known now, while a stream stays open.
            preferences=self._preferences(request, stream=stream, default=None if stream else self._no_wait),
            stream=stream,
            execution_id=id_,
            foreign=foreign,
            last_event_id=request.headers.get(LAST_EVENT_ID, "") if stream else "",
        )

    def retry(self, request: web.Request) -> FollowRequest:
        """Read a POST to `retry`; raise CallerUnknown, CallerRateExceeded, UnknownExecution or NotAcceptable."""
        id_, foreign = self._existing(request)
        if foreign:
            raise _unknown()
        stream = _wants_stream(request)
        return FollowRequest(
            preferences=self._preferences(request, stream=stream),
            stream=stream,
            execution_id=id_,
            foreign=False,
            last_event_id=request.headers.get(LAST_EVENT_ID, "") if stream else "",
        )

    def stop(self, request: web.Request) -> str:
        """Read a DELETE and return the id; raise CallerUnknown, CallerRateExceeded or UnknownExecution."""
        id_, foreign = self._existing(request)
        if foreign:
            raise _unknown()
        return id_

    def _existing(self, request: web.Request) -> tuple[str, bool]:
        """Return the id in the path, and whether it is foreign: not made by this service for this caller."""
        caller = self._callers.identify(request)
        id_ = request.match_info["id"]
        if is_id(id_):  # other texts may be private
            request[CONTEXT].execution_id = id_
        return id_, not self._ids.verify(id_, caller)

    def _preferences(self, request: web.Request, *, stream: bool, default: Preferences | None = None) -> Preferences:
        """Read the preferences; the longest wait of the representation that is sent is the limit, and the default."""
        full = self._full_stream if stream else self._full_response
        headers = request.headers.getall("Prefer", ())
        return preferences.parse(headers, default=default or full, limit=full.wait)

    def _key(self, request: web.Request) -> str | None:
        key = idempotency.parse(request.headers.getall("Idempotency-Key", ()))
        if key is not None and not self._ids.keys_enabled:
            raise IdempotencyUnavailable("Idempotency keys need IDEMPOTENCY_SECRET to be set and a STANDARD workflow.")
        return key


def _unknown() -> UnknownExecution:
    return UnknownExecution("There is no execution with this id.")


def _wants_stream(request: web.Request) -> bool:
    wanted = negotiation.wants_stream(request.headers.getall(hdrs.ACCEPT, ()))
    return wanted and request.method != hdrs.METH_HEAD
