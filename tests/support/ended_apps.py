"""What aiohttp keeps of applications that have ended."""

from __future__ import annotations

from aiohttp import web_app


def forget() -> None:
    """Let the collector have them.

    aiohttp remembers the handlers of the last 1,024 routes that were asked, and through them their applications: a
    process that starts hundreds would grow to gigabytes, and stand still for seconds at each full collection.
    """
    web_app._cached_build_middleware.cache_clear()
