"""What the parts of the service know of themselves, read when somebody asks for the metrics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.appsync import LinkEventKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from service.appsync import Link
    from service.bridge.bridge import Bridge
    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.starter import ReplyChannel
    from service.stepfunctions.client import StepFunctionsClient
    from service.stepfunctions.reader import RecordReader
    from service.telemetry.link_observer import LinkObserver
    from service.web.connections import Connections


class ServiceCollector(Collector):
    """A collector for the Prometheus registry."""

    def __init__(  # noqa: PLR0913 - one for each part of the service
        self,
        *,
        bridge: Bridge,
        replies: PendingReplies,
        recovery: Recovery,
        record: RecordReader,
        workflows: StepFunctionsClient,
        link: Link,
        channel: ReplyChannel,
        watch: LinkObserver,
        connections: Connections,
    ) -> None:
        self._bridge = bridge
        self._replies = replies
        self._recovery = recovery
        self._record = record
        self._workflows = workflows
        self._link = link
        self._channel = channel
        self._watch = watch
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        yield from self._requests()
        yield from self._server()
        yield from self._link_state()
        yield from self._reply_counts()
        yield from self._recovery_state()

    def _requests(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sync_front_requests_in_flight", "Requests held now.", self._bridge.in_flight)
        yield GaugeMetricFamily(
            "sync_front_requests_in_flight_limit", "Requests that may be held at once.", self._bridge.max_in_flight
        )
        yield GaugeMetricFamily(
            "sync_front_draining", "1 once the instance is about to stop.", float(self._bridge.draining)
        )
        throttles = CounterMetricFamily(
            "sync_front_throttled_calls", "Calls that Step Functions throttled, by action.", labels=["action"]
        )
        for action, count in sorted(self._workflows.throttled.items()):
            throttles.add_metric([action], count)
        yield throttles

    def _server(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sync_front_connections", "Connections of callers now.", self._connections.open)
        yield CounterMetricFamily(
            "sync_front_connections_dropped",
            "Connections that were cut or turned away: too slow, or one too many.",
            self._connections.dropped,
        )
        yield GaugeMetricFamily(
            "sync_front_event_loop_tasks",
            "Tasks of the event loop: two or so for each connection, some lasting ones, and whatever leaks.",
            len(asyncio.all_tasks()),
        )

    def _link_state(self) -> Iterator[Metric]:
        down_since = self._channel.down_since
        yield GaugeMetricFamily(
            "sync_front_link_up", "1 while the subscription for replies is confirmed.", float(self._channel.live)
        )
        yield CounterMetricFamily(
            "sync_front_link_reconnects", "How often the link came up again.", self._link.reconnects
        )
        yield GaugeMetricFamily(
            "sync_front_link_down_seconds",
            "How long the subscription for replies has been down; 0 while it is confirmed.",
            0.0 if down_since is None else max(0.0, time.monotonic() - down_since),
        )
        yield CounterMetricFamily(
            "sync_front_link_disconnected_seconds",
            "How long no reply could be heard, in all, since the first time that one could.",
            self._watch.disconnected,
        )
        events = CounterMetricFamily(
            "sync_front_link_events", "What happened to the link, by kind, as it is logged.", labels=["kind"]
        )
        for kind in LinkEventKind:
            events.add_metric([kind], self._watch.events[kind])
        yield events
        silence = self._link.silence
        if silence is not None:
            yield GaugeMetricFamily(
                "sync_front_link_frame_age_seconds", "How long ago the last frame came, keep-alives included.", silence
            )
        yield CounterMetricFamily(
            "sync_front_link_frames", "Frames received, keep-alives included.", self._link.frames_received
        )
        yield CounterMetricFamily(
            "sync_front_link_malformed_frames",
            "Frames that were no message of the protocol.",
            self._link.malformed_frames,
        )

    def _reply_counts(self) -> Iterator[Metric]:
        replies = CounterMetricFamily(
            "sync_front_replies",
            "Events received, by what they were: result (somebody waited), progress, announced (an end without its "
            "result), late (its request had ended), repeated, unknown, malformed.",
            labels=["kind"],
        )
        for kind in ("result", "progress", "announced", "late", "repeated", "unknown", "malformed"):
            replies.add_metric([kind], getattr(self._replies, kind))
        yield replies
        yield GaugeMetricFamily(
            "sync_front_pending_executions", "Executions that somebody waits for.", len(self._replies)
        )

    def _recovery_state(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sync_front_recovered", "Executions whose outcome was found in the record.", self._recovery.recovered
        )
        budget = GaugeMetricFamily(
            "sync_front_recovery_tokens",
            "Calls that may be made at once to read the record, by action; below 0 when later ones are promised.",
            labels=["action"],
        )
        for action, bucket in self._record.buckets.items():
            budget.add_metric([action], bucket.level)
        yield budget
