"""Applications that have ended but that aiohttp still references."""

from __future__ import annotations

from aiohttp import web_app


def forget() -> None:
    """Let the garbage collector free them.

    aiohttp caches the handlers of the last 1,024 routes that were requested, and with them their applications. A
    process that starts hundreds would grow to gigabytes, and each full collection would block it for seconds.
    """
    web_app._cached_build_middleware.cache_clear()
