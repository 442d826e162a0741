"""The composition root: makes every part of the service and wires them together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import web

from service.app.collector import ServiceCollector
from service.app.fd_limits import ConnectionLimits, connection_limits, raise_open_files
from service.app.shutdown import FORCED_FLUSH_TIMEOUT_S
from service.app.state_machine import StateMachineCheck
from service.appsync import ApiKey, Authorizer, Link, Subscription
from service.appsync.iam import Iam
from service.appsync.secrets_manager import SecretsManagerApiKey
from service.bridge.admission import Admission
from service.bridge.bridge import Bridge
from service.bridge.caller_rates import CallerRates
from service.bridge.ids import Ids
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.reply_channels import ReplyChannels
from service.bridge.starter import Starter
from service.bridge.state_feed import StateFeed
from service.stepfunctions.client import MAX_CALLS, StepFunctionsClient
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.reader import RecordReader
from service.stepfunctions.stopper import Stopper
from service.stepfunctions.token_bucket import stop_execution_quota
from service.telemetry.emf import EmfWriter
from service.telemetry.link_observer import LinkObserver
from service.telemetry.metrics import Metrics
from service.telemetry.traces import from_environment
from service.web.callers import Callers
from service.web.connections import Connections
from service.web.preferences import Waits
from service.web.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack

    from service.app.aws import AwsAccess
    from service.app.settings import Settings
    from service.bridge.reply_channel import ReplyChannel
    from service.telemetry.traces import Traces
    from service.web.events import WatchStates

log = structlog.get_logger(__name__)

MAX_CONCURRENT_STARTS: Final = 256
"""Calls of StartExecution under way at once: at 50 ms a call, several times what its quotas allow."""

RESERVED_FILES: Final = 64
"""Files that are open besides requests and calls to Step Functions: the link, sockets, libraries, streams."""

READY_GRACE_S: Final = 10.0
"""Seconds that the link may be down before the instance reports that it is not ready: a reconnect is faster."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that serving needs, ready to listen."""

    instance: str
    limits: ConnectionLimits
    bridge: Bridge
    admission: Admission
    connections: Connections
    runner: web.AppRunner


async def build(
    stack: AsyncExitStack, settings: Settings, aws: AwsAccess, extend: Callable[[web.Application], None]
) -> Service:
    """Make everything and wire it.

    `stack` closes it in reverse order: requests end before the bridge, the bridge before the subscriptions that its
    requests wait for, and the link and the client last.
    """
    instance = uuid4().hex
    max_starts = min(MAX_CONCURRENT_STARTS, settings.MAX_IN_FLIGHT)
    calls = max_starts + sum(MAX_CALLS.values())
    limits = _connection_limits(settings.MAX_IN_FLIGHT, calls + RESERVED_FILES + aws.open_files)
    admission = Admission(limits.in_flight, max(1, int(limits.in_flight * settings.CALLER_SHARE)))
    replies = PendingReplies()

    endpoint = await aws.step_functions(settings.STATE_MACHINE_ARN)
    client = await stack.enter_async_context(
        StepFunctionsClient(endpoint, settings.STATE_MACHINE_ARN, max_starts=max_starts)
    )
    budgets = ReadBudgets(describe=settings.DESCRIBE_QUOTA, history=settings.HISTORY_QUOTA, list_=settings.LIST_QUOTA)
    record = RecordReader(client, budgets)
    observer = LinkObserver()
    link = await stack.enter_async_context(
        Link(
            settings.APPSYNC_REALTIME_URL,
            await _authorizer(settings, aws),
            on_link_event=observer.on_event,
            ssl_context=aws.network.tls,
            proxy=aws.network.proxy_for(settings.APPSYNC_REALTIME_URL),
        )
    )
    recovery = await stack.enter_async_context(Recovery(replies, budgets))
    states = await stack.enter_async_context(StateFeed(record, recovery.lookup_ended))
    replies.on_ended = recovery.lookup_ended
    replies.on_deadline_near = recovery.lookup_before_deadline

    def subscribe(channel: str, on_change: Callable[[Subscription], None]) -> Subscription:
        return link.subscribe(channel, replies.deliver, on_change)

    def on_own_change(own: ReplyChannels) -> None:
        observer.on_channel_change(own)
        if own.live:
            recovery.link_restored()
        else:
            recovery.link_lost()

    ids = _ids(settings)
    remote = RemoteSubscriptions(
        subscribe, recovery, replies, namespace=settings.APPSYNC_NAMESPACE, instance=instance, shard=ids.shard
    )
    stack.push_async_callback(remote.aclose)
    channel = ReplyChannels(subscribe, remote.own_channels, on_own_change)
    bridge = Bridge(
        Starter(client, channel),
        Stopper(client, stop_execution_quota(settings.STATE_MACHINE_ARN.region)),
        record,
        replies,
        recovery,
        remote,
        admission,
        stop_abandoned=settings.ON_CLIENT_GONE == "stop",
    )
    stack.push_async_callback(bridge.aclose)

    def without_record() -> None:
        record.kept = False
        ids.keys_enabled = False

    machine = await stack.enter_async_context(StateMachineCheck(client, settings.STATE_MACHINE_ARN, without_record))

    def ready() -> str | None:
        return not_ready(admission, channel, machine.not_ready)

    connections = Connections(limits.connections, keep_alive=settings.KEEP_ALIVE_TIMEOUT)
    collector = ServiceCollector(
        admission=admission,
        replies=replies,
        recovery=recovery,
        budgets=budgets,
        client=client,
        link=link,
        channel=channel,
        observer=observer,
        connections=connections,
        not_ready=ready,
    )
    application = _application(
        stack,
        settings,
        bridge,
        collector,
        instance=instance,
        ids=ids,
        watch_states=states.watching if settings.PROGRESS == "states" else None,
        ready=ready,
        draining=lambda: admission.draining,
    )
    extend(application)
    runner = await _runner(stack, application)
    return Service(instance, limits, bridge, admission, connections, runner)


def _application(  # noqa: PLR0913 - what the routes need, and what is exported about them
    stack: AsyncExitStack,
    settings: Settings,
    bridge: Bridge,
    collector: ServiceCollector,
    *,
    instance: str,
    ids: Ids,
    watch_states: WatchStates | None,
    ready: Callable[[], str | None],
    draining: Callable[[], bool],
) -> web.Application:
    metrics = Metrics()
    metrics.registry.register(collector)
    traces = _export(stack, settings, metrics, instance)
    return Routes(
        bridge,
        settings.REQUEST_SCHEMA,
        metrics=metrics,
        ids=ids,
        callers=_callers(settings),
        waits=Waits(settings.RESPONSE_TIMEOUT, settings.STREAM_TIMEOUT),
        watch_states=watch_states,
        stage_prefix=settings.STAGE_PREFIX,
        ready=ready,
        draining=draining,
        cors_origins=settings.CORS_ORIGINS,
        read_foreign=settings.READ_FOREIGN_EXECUTIONS,
    ).application(traces)


def _export(stack: AsyncExitStack, settings: Settings, metrics: Metrics, instance: str) -> Traces | None:
    """Start the exports that the settings ask for; return where traces are written, if anywhere."""
    stack.callback(asyncio.create_task(metrics.watch_loop()).cancel)
    if settings.EMF_INTERVAL:
        emf = EmfWriter(metrics, settings.SERVICE_NAME)
        stack.callback(emf.write)  # what was counted since the last time, while the link is still up
        stack.callback(asyncio.create_task(emf.run(settings.EMF_INTERVAL)).cancel)
    traces = from_environment(settings.SERVICE_NAME, instance)
    if traces is not None:
        stack.push_async_callback(traces.aclose)
    return traces


async def _runner(stack: AsyncExitStack, application: web.Application) -> web.AppRunner:
    runner = web.AppRunner(
        application,
        handler_cancellation=True,  # a caller that leaves frees its slot at once
        shutdown_timeout=FORCED_FLUSH_TIMEOUT_S,  # what remains then has already had FLUSH_TIMEOUT_S
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _ids(settings: Settings) -> Ids:
    """Return the ids, made with secrets that all instances share."""
    key_secret = settings.IDEMPOTENCY_SECRET or settings.APPSYNC_API_KEY
    if key_secret is None:
        log.warning("idempotency_keys_unavailable", missing="IDEMPOTENCY_SECRET")
    return Ids(
        "event",
        [secret.get_secret_value() for secret in settings.ID_SECRETS],
        None if key_secret is None else key_secret.get_secret_value(),
    )


def _callers(settings: Settings) -> Callers:
    rates = None if settings.CALLER_RATE is None else CallerRates(settings.CALLER_RATE)
    return Callers(settings.CALLER_HEADER, settings.ID_SECRETS[0].get_secret_value(), rates)


def _connection_limits(requested: int, reserved: int) -> ConnectionLimits:
    open_files = raise_open_files()
    limits = connection_limits(requested, open_files, reserved)
    if limits.in_flight < requested:
        log.warning("max_in_flight_lowered", wanted=requested, lowered_to=limits.in_flight, open_files=open_files)
    return limits


async def _authorizer(settings: Settings, aws: AwsAccess) -> Authorizer:
    region = settings.STATE_MACHINE_ARN.region
    if settings.APPSYNC_AUTH == "iam":
        return Iam(settings.APPSYNC_HTTP_URL, aws.session, region)
    # The settings hold exactly one of the two.
    if settings.APPSYNC_API_KEY is not None:
        return ApiKey(settings.APPSYNC_HTTP_URL, settings.APPSYNC_API_KEY.get_secret_value())
    secret = settings.APPSYNC_API_KEY_SECRET or ""
    key = SecretsManagerApiKey(settings.APPSYNC_HTTP_URL, aws.session, secret, region)
    await aws.check_secrets_manager(key.region)
    return key


def not_ready(admission: Admission, channel: ReplyChannel, machine: str | None) -> str | None:
    """Return why the instance must not receive traffic, or None if it may.

    `machine` is why no execution can be started, None if one can.
    """
    if admission.draining:
        return "draining"
    if machine is not None:
        return machine
    if not channel.ever_live:
        return "link never up"
    down_since = channel.down_since
    if down_since is not None and time.monotonic() - down_since > READY_GRACE_S:
        return "link down"
    return None
