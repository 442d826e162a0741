"""The composition root: builds everything, and owns the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import structlog
from aiohttp import web
from botocore.exceptions import BotoCoreError

from service.app.collector import ServiceCollector
from service.app.fd_limits import Room, fit, raise_open_files
from service.app.settings import SettingsError
from service.app.shutdown import FORCED_FLUSH_TIMEOUT, Stop, flush
from service.appsync import ApiKey, Authorizer, Link, Subscription
from service.appsync.iam import Iam
from service.appsync.secrets_manager import SecretsManagerApiKey
from service.bridge.bridge import Bridge
from service.bridge.idempotency_keys import IdempotencyKeys
from service.bridge.pending import PendingReplies
from service.bridge.recovery import Recovery
from service.bridge.remote import RemoteSubscriptions
from service.bridge.starter import ReplyChannel, Starter
from service.errors import Problem
from service.stepfunctions.client import MAX_OTHER_CALLS, StepFunctionsClient
from service.stepfunctions.reader import RecordReader
from service.telemetry.emf import EmfWriter
from service.telemetry.link_observer import LinkObserver
from service.telemetry.metrics import Metrics
from service.telemetry.traces import from_environment
from service.web.connections import Connections, Site
from service.web.routes import Routes

if TYPE_CHECKING:
    from collections.abc import Callable

    import aioboto3

    from service.app.settings import Settings
    from service.telemetry.traces import Traces

log = structlog.get_logger(__name__)

SFN_POOL: Final = 256
"""Starts under way at the most: at 50 ms a call, several times what its quotas let through."""

OTHER_FILES: Final = 64
"""Files that are open apart from requests and calls to Step Functions: the link, sockets, libraries, streams."""

READY_GRACE: Final = 10.0
"""Seconds that the link may be down before the instance reports that it is not ready: a reconnect is shorter."""

API_GATEWAY_TIMEOUT: Final = 29.0
"""Seconds after which API Gateway gives up on an integration, unless its quota was raised."""


class CannotStartError(Exception):
    """Something outside the settings is in the way, such as a port that is taken; the message says what."""


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How AWS is reached: the SDK's session, and an endpoint of Step Functions if it is not the SDK's own.

    `files` says how many files the other side opens in this process, where it is embedded.
    """

    session: aioboto3.Session
    sfn_url: str | None = None
    files: int = 0


async def run(
    settings: Settings,
    aws: AwsAccess,
    stop: Stop,
    announce: Callable[[int], None],
    extend: Callable[[web.Application], None] = lambda _: None,
) -> bool:
    """Serve until `stop` is requested; call `announce` with the port once requests are accepted.

    `extend` may add to the application what only some commands have.

    Return whether all that was held then came to its own end; False if some of it was released. Raise CannotStartError
    if the port cannot be had, SettingsError for what the SDK or the system refuses.
    """
    _warn_of_short_bounds(settings)
    instance = uuid4().hex
    pool = min(SFN_POOL, settings.MAX_IN_FLIGHT)
    room = _room(settings.MAX_IN_FLIGHT, pool + MAX_OTHER_CALLS + OTHER_FILES + aws.files)
    max_in_flight = room.in_flight
    replies = PendingReplies()

    async with AsyncExitStack() as stack:
        # What is entered last is left first: the link outlives every request that waits on it.
        workflows = await _enter(
            stack, StepFunctionsClient(aws.session, settings.STATE_MACHINE_ARN, pool=pool, endpoint_url=aws.sfn_url)
        )
        record = RecordReader(
            workflows,
            describe=settings.DESCRIBE_QUOTA,
            history=settings.HISTORY_QUOTA,
            list_=settings.LIST_QUOTA,
        )
        express = await _is_express(workflows)
        watch = LinkObserver()
        link = await stack.enter_async_context(
            Link(settings.APPSYNC_REALTIME_URL, _authorizer(settings, aws.session), on_change=watch.on_event)
        )
        recovery = await stack.enter_async_context(Recovery(replies, record, enabled=not express))

        def hear(channel: str, on_change: Callable[[Subscription], None] | None = None) -> Subscription:
            return link.subscribe(channel, replies.deliver, on_change)

        def on_replies(own: Subscription) -> None:
            watch.on_channel_change(own)
            if own.live:
                recovery.link_back()
            else:
                recovery.link_lost()

        prefix = f"{settings.APPSYNC_NAMESPACE}/{instance}/"
        channel = hear(f"{prefix}*", on_replies)
        # What no workflow can tell of itself (a time-out, an abort) is told to all instances.
        hear(f"{settings.APPSYNC_NAMESPACE}/ended/*")
        joins = RemoteSubscriptions(hear, prefix, recovery, replies)
        stack.push_async_callback(joins.aclose)
        bridge = Bridge(
            Starter(workflows, channel),
            replies,
            record,
            recovery,
            joins,
            prefix=prefix,
            max_in_flight=max_in_flight,
            stop_abandoned=settings.ON_CLIENT_GONE == "stop",
        )
        stack.push_async_callback(bridge.aclose)
        connections = Connections(room.connections)
        metrics = Metrics()
        metrics.registry.register(
            ServiceCollector(
                bridge=bridge,
                replies=replies,
                recovery=recovery,
                record=record,
                workflows=workflows,
                link=link,
                channel=channel,
                watch=watch,
                connections=connections,
            )
        )
        traces = _export(stack, settings, metrics, instance)
        routes = Routes(
            bridge,
            settings.REQUEST_SCHEMA,
            metrics=metrics,
            keys=None if express else _keys(settings),
            response_timeout=settings.RESPONSE_TIMEOUT,
            stage_prefix=settings.STAGE_PREFIX,
            ready=lambda: not_ready(bridge, channel),
            cors_origins=settings.CORS_ORIGINS,
        )
        application = routes.application(traces)
        extend(application)
        runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,  # a caller that leaves frees its place at once
            shutdown_timeout=FORCED_FLUSH_TIMEOUT,  # what is left to do then was given FLUSH_TIMEOUT before
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        port = await _listen(runner, settings, room.backlog, connections)
        log.info("started", port=port, instance=instance, max_in_flight=max_in_flight)
        announce(port)

        await stop.requested.wait()
        log.info("stopping", held=bridge.in_flight)
        stop.on_force(bridge.release)
        await bridge.drain(settings.DRAIN_TIMEOUT, settings.DRAIN_DELAY)
        await flush(runner, stop)
    log.info("stopped", released=bridge.released_early)
    return not bridge.released_early


def _export(stack: AsyncExitStack, settings: Settings, metrics: Metrics, instance: str) -> Traces | None:
    """Begin to write what was chosen to be written; return where traces go, if anywhere."""
    stack.callback(asyncio.create_task(metrics.watch_loop()).cancel)
    if settings.EMF_INTERVAL:
        emf = EmfWriter(metrics, settings.SERVICE_NAME)
        stack.callback(emf.write)  # what was counted since the last time, while the link is up yet
        stack.callback(asyncio.create_task(emf.run(settings.EMF_INTERVAL)).cancel)
    traces = from_environment(settings.SERVICE_NAME, instance)
    if traces is not None:
        stack.push_async_callback(traces.aclose)
    return traces


async def _is_express(workflows: StepFunctionsClient) -> bool:
    """Tell whether nothing can be recovered, because the state machine keeps no record; say so in the log."""
    try:
        express = await workflows.is_express()
    except Problem as problem:
        # Without the right to ask it is taken for what nearly all are.
        log.warning("state_machine_type_unknown", problem=problem.slug)
        return False
    if express:
        log.warning("express_state_machine", recovery=False, idempotency_keys=False)
    return express


def _keys(settings: Settings) -> IdempotencyKeys | None:
    """Make ids from keys with a secret that all instances share; None where there is none."""
    secret = settings.IDEMPOTENCY_SECRET or settings.APPSYNC_API_KEY
    if secret is None:
        log.warning("idempotency_keys_unavailable", missing="IDEMPOTENCY_SECRET")
        return None
    return IdempotencyKeys(secret.get_secret_value())


async def _enter(stack: AsyncExitStack, workflows: StepFunctionsClient) -> StepFunctionsClient:
    try:
        return await stack.enter_async_context(workflows)
    except (BotoCoreError, ValueError) as error:  # an endpoint that is no URL, a broken profile
        raise SettingsError(f"the AWS SDK cannot be set up: {error}") from error


def _warn_of_short_bounds(settings: Settings) -> None:
    """Say what is allowed but will surprise: each bound has to be longer than the one inside it."""
    if settings.RESPONSE_TIMEOUT >= API_GATEWAY_TIMEOUT:
        log.warning("response_timeout_too_long", seconds=settings.RESPONSE_TIMEOUT, api_gateway=API_GATEWAY_TIMEOUT)
    if settings.DRAIN_TIMEOUT < settings.RESPONSE_TIMEOUT:
        log.warning("drain_timeout_too_short", seconds=settings.DRAIN_TIMEOUT, response=settings.RESPONSE_TIMEOUT)


def _room(wanted: int, reserved: int) -> Room:
    open_files = raise_open_files()
    room = fit(wanted, open_files, reserved)
    if room.in_flight < wanted:
        log.warning("max_in_flight_lowered", wanted=wanted, lowered_to=room.in_flight, open_files=open_files)
    return room


def _authorizer(settings: Settings, session: aioboto3.Session) -> Authorizer:
    region = settings.STATE_MACHINE_ARN.region
    if settings.APPSYNC_AUTH == "iam":
        return Iam(settings.APPSYNC_HTTP_URL, session, region)
    # The settings hold exactly one of the two.
    if settings.APPSYNC_API_KEY is not None:
        return ApiKey(settings.APPSYNC_HTTP_URL, settings.APPSYNC_API_KEY.get_secret_value())
    secret = settings.APPSYNC_API_KEY_SECRET or ""
    return SecretsManagerApiKey(settings.APPSYNC_HTTP_URL, session, secret, region)


def not_ready(bridge: Bridge, channel: ReplyChannel) -> str | None:
    """Tell why an instance may not take traffic; None if it may."""
    if bridge.draining:
        return "draining"
    if not channel.ever_live:
        return "link never up"
    down_since = channel.down_since
    if down_since is not None and time.monotonic() - down_since > READY_GRACE:
        return "link down"
    return None


async def _listen(runner: web.AppRunner, settings: Settings, backlog: int, connections: Connections) -> int:
    site = Site(runner, settings.HOST, settings.PORT, backlog=backlog, connections=connections)
    try:
        await site.start()
    except OSError as error:
        raise CannotStartError(f"cannot listen on {settings.HOST}, port {settings.PORT}: {error.strerror}") from error
    except UnicodeError as error:
        raise SettingsError(f"HOST: {settings.HOST} is no host name") from error
    port: int = runner.addresses[0][1]
    return port
