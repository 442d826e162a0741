"""The collector of metrics that the parts of the service keep themselves, read on each scrape."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.appsync import LinkEventKind
from service.stepfunctions.client import ACTIONS
from service.telemetry.output import lost_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from prometheus_client import Metric

    from service.appsync import Link
    from service.bridge.admission import Admission
    from service.bridge.pending import PendingReplies
    from service.bridge.recovery import Recovery
    from service.bridge.reply_channel import ReplyChannel
    from service.stepfunctions.client import StepFunctionsClient
    from service.stepfunctions.read_budgets import ReadBudgets
    from service.telemetry.link_observer import LinkObserver
    from service.web.connections import Connections


class ServiceCollector(Collector):
    """A collector for the Prometheus registry."""

    def __init__(  # noqa: PLR0913 - one for each part of the service
        self,
        *,
        admission: Admission,
        replies: PendingReplies,
        recovery: Recovery,
        budgets: ReadBudgets,
        clients: Collection[StepFunctionsClient],
        link: Link,
        channel: ReplyChannel,
        observer: LinkObserver,
        connections: Connections,
        not_ready: Callable[[], str | None],
    ) -> None:
        self._admission = admission
        self._replies = replies
        self._recovery = recovery
        self._budgets = budgets
        self._clients = clients
        self._link = link
        self._channel = channel
        self._observer = observer
        self._connections = connections
        self._not_ready = not_ready

    def collect(self) -> Iterator[Metric]:
        """Read everything now."""
        yield from self._requests()
        yield from self._server()
        yield from self._link_state()
        yield from self._reply_counts()
        yield from self._recovery_state()

    def _requests(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sync_front_requests_in_flight", "Requests in flight.", self._admission.in_flight)
        yield GaugeMetricFamily(
            "sync_front_requests_in_flight_limit", "Maximum number of requests in flight.", self._admission.limit
        )
        yield GaugeMetricFamily(
            "sync_front_ready",
            "1 while the instance accepts traffic, as `/readyz` says.",
            float(self._not_ready() is None),
        )
        yield GaugeMetricFamily(
            "sync_front_draining", "1 once the instance is shutting down.", float(self._admission.draining)
        )
        throttles = CounterMetricFamily(
            "sync_front_throttled_calls", "Calls throttled by Step Functions, by action.", labels=["action"]
        )
        for action in ACTIONS:
            throttles.add_metric([action], sum(client.throttled.get(action, 0) for client in self._clients))
        yield throttles

    def _server(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("sync_front_connections", "Open client connections.", self._connections.open)
        yield CounterMetricFamily(
            "sync_front_connections_dropped",
            "Client connections that were cut or refused: too slow, or too many.",
            self._connections.dropped,
        )
        yield GaugeMetricFamily(
            "sync_front_event_loop_tasks",
            "Tasks in the event loop: about two per connection, a few permanent ones, and any leaks.",
            len(asyncio.all_tasks()),
        )
        lost = CounterMetricFamily(
            "sync_front_output_lines_lost",
            "Lines of logs and of metrics in EMF that could not be written, by output (stdout, stderr).",
            labels=["output"],
        )
        for output, count in lost_lines().items():
            lost.add_metric([output], count)
        yield lost

    def _link_state(self) -> Iterator[Metric]:
        down_since = self._channel.down_since
        yield GaugeMetricFamily(
            "sync_front_link_up", "1 while the subscription for replies is confirmed.", float(self._channel.live)
        )
        yield CounterMetricFamily(
            "sync_front_link_reconnects", "How many times the link was re-established.", self._link.reconnects
        )
        yield GaugeMetricFamily(
            "sync_front_link_down_seconds",
            "Seconds since the subscription for replies was lost; 0 while it is confirmed.",
            0.0 if down_since is None else max(0.0, time.monotonic() - down_since),
        )
        yield CounterMetricFamily(
            "sync_front_link_disconnected_seconds",
            "Total seconds without a confirmed subscription for replies since it was first confirmed.",
            self._observer.disconnected,
        )
        events = CounterMetricFamily(
            "sync_front_link_events", "Events of the link, by kind, as logged.", labels=["kind"]
        )
        for kind in LinkEventKind:
            events.add_metric([kind], self._observer.events[kind])
        yield events
        silence = self._link.silence
        if silence is not None:
            yield GaugeMetricFamily(
                "sync_front_link_frame_age_seconds", "Seconds since the last frame, keep-alives included.", silence
            )
        yield CounterMetricFamily(
            "sync_front_link_frames", "Frames received, keep-alives included.", self._link.frames_received
        )
        yield CounterMetricFamily(
            "sync_front_link_malformed_frames",
            "Frames that were not a message of the protocol.",
            self._link.malformed_frames,
        )

    def _reply_counts(self) -> Iterator[Metric]:
        replies = CounterMetricFamily(
            "sync_front_replies",
            "Events received, by kind: result (a request was waiting), progress, announced (an end without its "
            "result), late (its request had ended), duplicate, unknown, malformed.",
            labels=["kind"],
        )
        for kind in ("result", "progress", "announced", "late", "duplicate", "unknown", "malformed"):
            replies.add_metric([kind], getattr(self._replies, kind))
        yield replies
        yield GaugeMetricFamily(
            "sync_front_pending_executions", "Executions with a waiting request.", len(self._replies)
        )

    def _recovery_state(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "sync_front_recovered", "Executions whose outcome was read from the record.", self._recovery.recovered
        )
        tokens = GaugeMetricFamily(
            "sync_front_recovery_tokens",
            "Calls to read the record that are available now, by action; negative if future ones are reserved.",
            labels=["action"],
        )
        for action, bucket in self._budgets.buckets.items():
            tokens.add_metric([action], bucket.level)
        yield tokens
