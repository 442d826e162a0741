"""The share that one workflow has of the room for requests in flight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.bridge.in_flight import InFlightCount
from service.errors import AtCapacity, CallerShareExceeded, Problem

if TYPE_CHECKING:
    from service.bridge.admission import Admission, Cancellable


class Share:
    """Counts the requests of one workflow, up to `limit`; they count for the whole instance as well.

    So a slow workflow cannot take the room of the others. One caller may have the same part of it as of the instance.
    """

    def __init__(self, admission: Admission, limit: int | None = None) -> None:
        self.limit = admission.limit if limit is None else limit
        self.caller_limit = max(1, self.limit * admission.caller_limit // max(1, admission.limit))
        self._count = InFlightCount()
        self._of_nobody = InFlight(self, None)
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

    def request(self, caller: str | None) -> InFlight:
        """Return a context manager that counts a request of `caller`, if callers are known, until its block ends."""
        return self._of_nobody if caller is None else InFlight(self, caller)

    def begin(self, caller: str | None) -> None:
        """Count a request, of this workflow and of the instance."""
        self._count.begin(caller)
        self._admission.begin(caller)

    def end(self, caller: str | None) -> None:
        """Count a request no longer."""
        self._count.end(caller)
        self._admission.end(caller)

    def cancellable(self) -> Cancellable:
        """Let the end of a drain cancel the task that runs the block."""
        return self._admission.cancellable()


class InFlight:
    """One request in flight, for the duration of a `with` block; a generator would need more time and memory."""

    __slots__ = ("_caller", "_share")

    def __init__(self, share: Share, caller: str | None) -> None:
        self._share = share
        self._caller = caller

    def __enter__(self) -> None:
        self._share.begin(self._caller)

    def __exit__(self, *_: object) -> None:
        self._share.end(self._caller)
