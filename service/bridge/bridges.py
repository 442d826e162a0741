"""The bridges of all workflows of an instance, and how they stop together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from service.bridge.admission import Admission
    from service.bridge.bridge import Bridge
    from service.bridge.pending import PendingReplies


class Bridges:
    """One bridge per workflow. They share the admission of the instance and its table of waiters."""

    def __init__(self, admission: Admission, replies: PendingReplies, bridges: Collection[Bridge]) -> None:
        self._admission = admission
        self._replies = replies
        self._bridges = bridges

    async def drain(self, timeout: float, delay: float = 0.0) -> None:
        """Shut down gracefully: accept requests for `delay` more seconds, then finish those in flight.

        The load balancer notices during `delay` that the instance is stopping. Requests that are still in flight
        `timeout` seconds from now are released.
        """
        if not await self._admission.drain(timeout, delay):
            self.release()

    def release(self) -> None:
        """Refuse new requests and end those in flight now.

        A request that waits for its outcome is answered with where to read it; one that waits for its start is answered
        that this instance is stopping; the work for callers that have left is cancelled.
        """
        self._admission.release()
        self._replies.release()
        for bridge in self._bridges:
            bridge.release()
