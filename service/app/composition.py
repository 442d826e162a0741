"""The composition root: makes every part of the service and wires them together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import web

from service.app.assembly import Shared, assemble
from service.app.collector import ServiceCollector
from service.app.fd_limits import ConnectionLimits, connection_limits, raise_open_files
from service.app.shutdown import FORCED_FLUSH_TIMEOUT_S
from service.appsync import ApiKey, Authorizer, Link, Subscription
from service.appsync.iam import Iam
from service.appsync.secrets_manager import SecretsManagerApiKey
from service.bridge.admission import Admission
from service.bridge.bridges import Bridges
from service.bridge.caller_rates import CallerRates
from service.bridge.ids import new_shard
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.reply_channels import ReplyChannels
from service.stepfunctions.budget import Budget
from service.stepfunctions.client import MAX_CALLS
from service.stepfunctions.read_budgets import ReadBudgets
from service.stepfunctions.slots import by_action
from service.stepfunctions.token_bucket import redrive_execution_quota, stop_execution_quota
from service.telemetry.emf import EmfWriter
from service.telemetry.link_observer import LinkObserver
from service.telemetry.metrics import Metrics
from service.telemetry.traces import from_environment
from service.web.callers import Callers
from service.web.connections import Connections
from service.web.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack

    from service.app.aws import AwsAccess
    from service.app.settings import Settings
    from service.bridge.reply_channel import ReplyChannel
    from service.telemetry.traces import Traces
    from service.web.workflow import Workflow

log = structlog.get_logger(__name__)

MAX_CONCURRENT_STARTS: Final = 256
"""Calls of StartExecution under way at once: at 50 ms a call, several times what its quotas allow."""

MIN_STARTS: Final = 16
"""Calls of StartExecution under way at once for one of many workflows: a throttled one takes no slot of another."""

RESERVED_FILES: Final = 64
"""Files that are open besides requests and calls to Step Functions: the link, sockets, libraries, streams."""

READY_GRACE_S: Final = 10.0
"""Seconds that the link may be down before the instance reports that it is not ready: a reconnect is faster."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that serving needs, ready to listen."""

    instance: str
    limits: ConnectionLimits
    bridges: Bridges
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
    instance, shard = uuid4().hex, new_shard()
    workflows = settings.workflows
    max_starts = max(MIN_STARTS, min(MAX_CONCURRENT_STARTS, settings.MAX_IN_FLIGHT) // len(workflows))
    calls = max_starts * len(workflows) + sum(MAX_CALLS.values())
    limits = _connection_limits(settings.MAX_IN_FLIGHT, calls + RESERVED_FILES + aws.open_files)
    admission = Admission(limits.in_flight, max(1, int(limits.in_flight * settings.CALLER_SHARE)))
    replies = PendingReplies()
    budgets = ReadBudgets(describe=settings.DESCRIBE_QUOTA, history=settings.HISTORY_QUOTA, list_=settings.LIST_QUOTA)
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
    replies.on_ended = recovery.lookup_ended
    replies.on_end_reported = recovery.lookup_reported
    replies.on_deadline_near = recovery.lookup_before_deadline

    def subscribe(channel: str, on_change: Callable[[Subscription], None]) -> Subscription:
        return link.subscribe(channel, replies.deliver, on_change)

    def on_own_change(own: ReplyChannels) -> None:
        observer.on_channel_change(own)
        if own.live:
            recovery.link_restored()
        else:
            recovery.link_lost()

    remote = RemoteSubscriptions(
        subscribe, recovery, replies, namespace=settings.APPSYNC_NAMESPACE, instance=instance, shard=shard
    )
    stack.push_async_callback(remote.aclose)
    channel = ReplyChannels(subscribe, remote.own_channels, on_own_change)
    shared = Shared(
        settings=settings,
        endpoint=await aws.step_functions(settings.region),
        slots=by_action(MAX_CALLS),
        max_starts=max_starts,
        budgets=budgets,
        stop_budget=Budget(stop_execution_quota(settings.region)),
        redrive_budget=Budget(redrive_execution_quota(settings.region)),
        replies=replies,
        recovery=recovery,
        remote=remote,
        channel=channel,
        admission=admission,
        shard=shard,
    )
    if settings.key_secret is None:
        log.warning("idempotency_keys_unavailable", missing="IDEMPOTENCY_SECRET")
    made = [await assemble(stack, workflow, shared) for workflow in workflows]
    bridges = Bridges(admission, replies, [one.workflow.bridge for one in made])

    def ready() -> str | None:
        reasons = [one.check.not_ready for one in made]
        return not_ready(admission, channel, reasons[0] if all(reasons) else None)

    connections = Connections(limits.connections, keep_alive=settings.KEEP_ALIVE_TIMEOUT)
    collector = ServiceCollector(
        admission=admission,
        replies=replies,
        recovery=recovery,
        budgets=budgets,
        clients=[one.client for one in made],
        link=link,
        channel=channel,
        observer=observer,
        connections=connections,
        not_ready=ready,
    )
    application = _application(
        stack,
        settings,
        [one.workflow for one in made],
        collector,
        instance=instance,
        ready=ready,
        draining=lambda: admission.draining,
    )
    extend(application)
    runner = await _runner(stack, application)
    return Service(instance, limits, bridges, admission, connections, runner)


def _application(
    stack: AsyncExitStack,
    settings: Settings,
    workflows: Sequence[Workflow],
    collector: ServiceCollector,
    *,
    instance: str,
    ready: Callable[[], str | None],
    draining: Callable[[], bool],
) -> web.Application:
    metrics = Metrics()
    metrics.registry.register(collector)
    traces = _export(stack, settings, metrics, instance)
    return Routes(
        workflows,
        metrics=metrics,
        callers=_callers(settings),
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
    region = settings.region
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
