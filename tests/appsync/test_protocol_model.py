"""The protocol against a model of it, with any messages in any sequence."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.appsync.protocol import Confirmed, Counters, Data, Protocol, SubscribeRefused, Unsubscribed

KINDS = [
    "connection_ack",
    "connection_error",
    "subscribe_success",
    "subscribe_error",
    "unsubscribe_success",
    "unsubscribe_error",
    "data",
    "broadcast_error",
    "publish_success",
    "publish_error",
    "error",
    "ka",
]
# Numbers that every JSON library reads alike.
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
IDS = st.integers(1, 12).map(str)  # some are used, some are not


class ProtocolMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.counters = Counters()
        self.protocol = Protocol(self.now, self.counters)
        self.received = 0
        self.used: set[str] = set()
        self.pending: set[str] = set()
        self.live: set[str] = set()
        self.unsubscribing: set[str] = set()

    def receive(self, frame: str | bytes) -> object:
        self.received += 1
        self.now += 1
        event = self.protocol.receive(frame, self.now)
        assert self.protocol.deadline == self.now + self.protocol.timeout
        return event

    def respond(self, kind: str, **members: object) -> object:
        return self.receive(json.dumps({"type": kind, **members}))

    @rule()
    def subscribe(self) -> None:
        id_, frame = self.protocol.subscribe("/default/*", {"host": "h"})
        assert id_ not in self.used
        assert json.loads(frame)["id"] == id_
        self.used.add(id_)
        self.pending.add(id_)

    @rule(id_=IDS)
    def unsubscribe(self, id_: str) -> None:
        try:
            self.protocol.unsubscribe(id_)
        except ValueError:
            assert id_ not in self.live
        else:
            self.live.remove(id_)
            self.unsubscribing.add(id_)

    @rule(id_=IDS)
    def succeed(self, id_: str) -> None:
        event = self.respond("subscribe_success", id=id_)
        assert (event == Confirmed(id_)) is (id_ in self.pending)
        if id_ in self.pending:
            self.pending.remove(id_)
            self.live.add(id_)

    @rule(id_=IDS)
    def refuse(self, id_: str) -> None:
        event = self.respond("subscribe_error", id=id_, errors=[])
        assert (event == SubscribeRefused(id_, ())) is (id_ in self.pending | self.live)
        assert (event == Unsubscribed(id_)) is (id_ in self.unsubscribing)
        for ids in (self.pending, self.live, self.unsubscribing):
            ids.discard(id_)

    @rule(id_=IDS, kind=st.sampled_from(["unsubscribe_success", "unsubscribe_error"]))
    def unsubscribed(self, id_: str, kind: str) -> None:
        event = self.respond(kind, id=id_)
        assert (event == Unsubscribed(id_)) is (id_ in self.unsubscribing)
        self.unsubscribing.discard(id_)

    @rule(id_=IDS, texts=st.lists(st.text(max_size=3), max_size=3), single=st.booleans())
    def data(self, id_: str, texts: list[str], *, single: bool) -> None:
        event = self.respond("data", id=id_, event="".join(texts) if single else texts)
        if id_ in self.pending | self.live:
            assert isinstance(event, Data)
            assert event.id == id_
            assert list(event.events) == (["".join(texts)] if single else texts)
        else:
            assert event is None

    @rule(frame=st.binary(max_size=20) | st.text(max_size=20) | JSON.map(json.dumps))
    def receive_nonsense(self, frame: str | bytes) -> None:
        self.receive(frame)

    @rule(kind=st.sampled_from(KINDS) | JSON, members=st.dictionaries(st.sampled_from(["event", "errors", "x"]), JSON))
    def receive_something_odd(self, kind: object, members: dict[str, object]) -> None:
        self.receive(json.dumps({**members, "type": kind}))

    @rule(timeout=JSON)
    def acknowledge(self, timeout: Any) -> None:
        before = self.protocol.timeout
        self.respond("connection_ack", connectionTimeoutMs=timeout)
        assert self.protocol.acknowledged
        usable = type(timeout) in {int, float} and timeout >= 1
        assert self.protocol.timeout == (timeout / 1000 if usable else before)

    @invariant()
    def a_confirmed_subscription_is_one_that_got_success_and_was_not_ended(self) -> None:
        assert self.protocol.live == self.live

    @invariant()
    def every_frame_is_counted(self) -> None:
        assert self.counters.frames == self.received
        assert self.counters.malformed + self.counters.unknown_ids + self.counters.unknown_types <= self.received


ProtocolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_the_protocol_behaves_like_its_model = ProtocolMachine.TestCase
