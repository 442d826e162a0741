"""The share that one workflow has of the room for requests in flight."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.bridge.in_flight import InFlightCount
from service.errors import AtCapacity, CallerShareExceeded, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from service.bridge.admission import Admission


class Share:
    """Counts the requests of one workflow, up to `limit`; they count for the whole instance as well.

    So a slow workflow cannot take the room of the others. One caller may have the same part of it as of the instance.
    """

    def __init__(self, admission: Admission, limit: int | None = None) -> None:
        self.limit = admission.limit if limit is None else limit
        self.caller_limit = max(1, self.limit * admission.caller_limit // max(1, admission.limit))
        self._count = InFlightCount()
        self._admission = admission

    @property
    def released(self) -> bool:
        """Whether all requests in flight have to end now."""
        return self._admission.released

    def check(self, caller: str | None, typical_seconds: float = 0.0) -> None:
        """Raise what `Admission.check` does, for the instance or for this workflow's share of it."""
        self._admission.check(caller, typical_seconds)
        if caller is not None and self._count.of(caller) >= self.caller_limit:
            detail = f"Each caller may have {self.caller_limit} requests for this workflow in flight."
            raise CallerShareExceeded(detail, retry_after=typical_seconds / 2)
        if self._count.total >= self.limit:
            detail = f"{self._count.total} requests for this workflow are already in flight."
            raise AtCapacity(detail, retry_after=typical_seconds / 2)

    def admits(self, caller: str | None) -> bool:
        """Return whether a new request of `caller` would be accepted."""
        try:
            self.check(caller)
        except Problem:
            return False
        return True

    @contextmanager
    def request(self, caller: str | None) -> Iterator[None]:
        """Count a request of `caller` until the block ends."""
        self._count.begin(caller)
        try:
            with self._admission.request(caller):
                yield
        finally:
            self._count.end(caller)

    def cancellable(self) -> AbstractContextManager[None]:
        """Let the end of a drain cancel the task that runs the block."""
        return self._admission.cancellable()
