"""Serving: listen, wait for shutdown, drain, flush."""

from __future__ import annotations

import errno
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import structlog

from service import __version__
from service.app.composition import Service, build
from service.app.settings import SettingsError
from service.app.shutdown import Shutdown, flush
from service.appsync import http_host
from service.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from service.app.aws import AwsAccess
    from service.app.settings import Settings

log = structlog.get_logger(__name__)

MAX_RESPONSE_TIMEOUT_S: Final = 285.0
"""The longest plain wait in seconds behind an API Gateway that streams: it ends a response after five minutes without a
byte ("Stream the integration response for your proxy integrations", API Gateway developer guide)."""

MAX_DRAIN_TIMEOUT_S: Final = 112.0
"""The longest drain in seconds that ends, flush included, before ECS kills a task on Fargate, 120 s after SIGTERM. A
longer wait is saved by the load balancer's deregistration, which comes before SIGTERM."""

_NOT_A_HOST: Final = (
    "HOST: {} is not an address of this machine; conda and some shells set this variable for themselves, "
    "so unset it, or set it to 127.0.0.1 or 0.0.0.0"
)


class CannotStartError(Exception):
    """Something outside the settings prevents the start, such as a port in use; the message says what."""


async def run(
    settings: Settings,
    aws: AwsAccess,
    shutdown: Shutdown,
    announce: Callable[[int], None],
    extend: Callable[[web.Application], None] = lambda _: None,
) -> bool:
    """Serve until shutdown is requested; call `announce` with the port once requests are accepted.

    `extend` may add to the application what only some commands need.

    Return whether all requests in flight then ended by themselves; False if some were released. Raise CannotStartError
    if the port is not available, SettingsError for what the SDK or the system refuses.
    """
    _warn_about_timeouts(settings)
    async with AsyncExitStack() as stack:
        service = await build(stack, settings, aws, extend)
        await serve(service, settings, shutdown, announce)
    released = service.admission.released_early
    log.info("stopped", released=released)
    return not released


async def serve(service: Service, settings: Settings, shutdown: Shutdown, announce: Callable[[int], None]) -> None:
    """Listen, wait until shutdown is requested, drain, and flush the last responses."""
    port = await _listen(service, settings)
    log.info(
        "started",
        version=__version__,
        port=port,
        instance=service.instance,
        max_in_flight=service.admission.limit,
        workflows={workflow.name: workflow.state_machine_arn.text for workflow in settings.workflows},
        region=settings.region,
        appsync_host=http_host(settings.APPSYNC_HTTP_URL),
        namespace=settings.APPSYNC_NAMESPACE,
    )
    announce(port)

    await shutdown.requested.wait()
    log.info("stopping", in_flight=service.admission.in_flight)
    shutdown.on_force(service.bridges.release)
    await service.bridges.drain(settings.DRAIN_TIMEOUT, settings.DRAIN_DELAY)
    await flush(service.runner, shutdown)


def _warn_about_timeouts(settings: Settings) -> None:
    """Log what is allowed but surprising: each timeout should be longer than the one inside it."""
    response = max(workflow.response_timeout or settings.RESPONSE_TIMEOUT for workflow in settings.workflows)
    if response > MAX_RESPONSE_TIMEOUT_S:
        log.warning("response_timeout_too_long", seconds=response, longest=MAX_RESPONSE_TIMEOUT_S)
    if min(response, MAX_DRAIN_TIMEOUT_S) > settings.DRAIN_TIMEOUT:
        log.warning("drain_timeout_too_short", seconds=settings.DRAIN_TIMEOUT, response=response)


async def _listen(service: Service, settings: Settings) -> int:
    """Accept connections; return the port."""
    site = Site(
        service.runner,
        settings.HOST,
        settings.PORT,
        backlog=service.limits.backlog,
        connections=service.connections,
    )
    try:
        await site.start()
    except OSError as error:
        # asyncio's own loop gives no number if it can bind to none of a host's addresses.
        if isinstance(error, socket.gaierror) or error.errno in {errno.EADDRNOTAVAIL, None}:
            raise SettingsError(_NOT_A_HOST.format(settings.HOST)) from error
        message = f"cannot listen on {settings.HOST}, port {settings.PORT} (HOST, PORT): {error.strerror}"
        raise CannotStartError(message) from error
    except UnicodeError as error:
        raise SettingsError(_NOT_A_HOST.format(settings.HOST)) from error
    port: int = service.runner.addresses[0][1]
    return port
