"""aiohttp's references to applications that have ended."""

from __future__ import annotations

from aiohttp import web_app


def forget() -> None:
    """Drop them, so that the garbage collector frees the applications.

    aiohttp caches the handlers of the last 1,024 requested routes, and through them their applications. A process that
    starts hundreds of applications would grow to gigabytes, and each full collection would block it for seconds.
    """
    web_app._cached_build_middleware.cache_clear()
