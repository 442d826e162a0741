"""Pending replies: the requests that wait for an execution, and how a pushed event finds them."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import msgspec

from service.bridge.reply import decode
from service.bridge.timer_wheel import TimerWheel
from service.bridge.waiter import Waiter
from service.stepfunctions import json_text
from service.stepfunctions.outcomes import Aborted, Failed, Outcome, Succeeded, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge.reply import Reply
    from service.bridge.waiter import OnProgress
    from service.stepfunctions.reader import RecordReader

MAX_REMEMBERED_EXECUTIONS: Final = 10_000
"""Executions that are remembered after their last waiter has left, to distinguish late replies from unknown ones."""


class PendingReplies:
    """The table of waiters, several per execution if callers share it.

    An event names its execution in its own `id`: an AppSync Events data frame does not name the channel
    ("Understanding the Event API WebSocket protocol", AWS AppSync Events guide). Events come at most once, in any
    order, perhaps duplicated. Every event is counted once, by kind; one without a waiter changes nothing.
    """

    def __init__(self) -> None:
        self._waiters: dict[str, list[Waiter]] = {}
        self.on_ended: Callable[[str], None] | None = None
        """Called with the id of a pending execution that succeeded without a result in its event: it was too large."""
        self.on_end_reported: Callable[[str], None] | None = None
        """Called with the id of a pending execution whose end an event reports, perhaps that of an earlier run."""
        self.on_deadline_near: Callable[[str], None] | None = None
        """Called with the id of an execution shortly before the deadline of one of its waiters."""
        self.deadline_timers: TimerWheel[Waiter] = TimerWheel(self._deadline_near)
        # The executions whose last waiter has left most recently, and whether that waiter had an outcome.
        self._remembered: OrderedDict[str, bool] = OrderedDict()
        self._redrives: OrderedDict[str, int] = OrderedDict()
        self.result = 0
        """Outcomes that resolved a waiter."""
        self.progress = 0
        """Progress of running executions."""
        self.announced = 0
        """Ends without a result."""
        self.duplicate = 0
        """Outcomes that came again."""
        self.late = 0
        """Outcomes that came after the last waiter had left."""
        self.unknown = 0
        """Outcomes of executions that no request here has waited for recently."""
        self.malformed = 0
        """Events that are not replies."""

    def __len__(self) -> int:
        return len(self._waiters)

    def __contains__(self, execution_id: str) -> bool:
        return execution_id in self._waiters

    def was_pending(self, execution_id: str) -> bool:
        """Return whether a request has recently waited for the execution and left."""
        return execution_id in self._remembered

    def knows(self, execution_id: str) -> bool:
        """Return whether the execution was recently started here or seen to exist."""
        return execution_id in self._remembered or any(w.known for w in self._waiters.get(execution_id, ()))

    def remember(self, execution_id: str) -> None:
        """Know from now on that the execution exists."""
        self._remember(execution_id, resolved=self._remembered.get(execution_id, False))

    def redrives(self, execution_id: str) -> int:
        """Return how often the execution was redriven, as far as this instance knows."""
        return self._redrives.get(execution_id, 0)

    def redriven(self, execution_id: str, redrives: int) -> None:
        """Know from now on that the execution was redriven so often: an end before that no longer counts."""
        self._redrives[execution_id] = max(redrives, self.redrives(execution_id))
        self._redrives.move_to_end(execution_id)
        if len(self._redrives) > MAX_REMEMBERED_EXECUTIONS:
            self._redrives.popitem(last=False)
        for waiter in self._waiters.get(execution_id, ()):
            if not waiter.done():
                waiter.redrives = max(redrives, waiter.redrives)

    def expects_redrive(self, execution_id: str) -> bool:
        """Return whether only ends after a redrive count for a waiter."""
        return any(waiter.redrives for waiter in self._waiters.get(execution_id, ()))

    def pending(self, min_wait: float = float("-inf"), since: float = float("-inf")) -> list[str]:
        """Return the ids of all executions that have a waiter without an outcome, but for those that may be guesses.

        Leave out those whose waits are all shorter than `min_wait` seconds, or began before `since`, by the event
        loop's clock.
        """
        newest_first = reversed(self._waiters.items())
        return [
            key
            for key, waiters in takewhile(lambda item: item[1][0].since >= since, newest_first)
            if any(
                waiter.known and not waiter.done() and waiter.deadline - waiter.since >= min_wait for waiter in waiters
            )
        ]

    def record(self, execution_id: str) -> RecordReader | None:
        """Return where the outcome of a pending execution can be read; None if nowhere."""
        waiters = self._waiters.get(execution_id)
        return waiters[0].record if waiters else None

    def since(self, execution_id: str) -> float:
        """Return since when a request has been waiting for the execution, by the event loop's clock."""
        return min((waiter.since for waiter in self._waiters.get(execution_id, ())), default=0.0)

    def started_at(self, execution_id: str) -> float:
        """Return when an execution was started, in seconds since the epoch by AWS's clock; minus infinity if unknown.

        So it is after a redrive as well, as nothing tells where listings show the execution then.
        """
        waiters = self._waiters.get(execution_id, ())
        if any(waiter.redrives for waiter in waiters):
            return -math.inf
        return next((waiter.started_at for waiter in waiters if waiter.started_at is not None), -math.inf)

    def deadline(self, execution_id: str) -> float | None:
        """Return the earliest deadline among the waiters without an outcome; None if there are none."""
        waiting = (waiter.deadline for waiter in self._waiters.get(execution_id, ()) if not waiter.done())
        return min(waiting, default=None)

    def expect(
        self,
        execution_id: str,
        deadline: float = float("inf"),
        on_progress: OnProgress | None = None,
        record: RecordReader | None = None,
        redrives: int | None = None,
    ) -> Waiter:
        """Make a waiter for the outcome of an execution, which `record` may show; enter it to register it.

        An end counts after `redrives` redrives at least; by default, after those that are known.
        """
        if redrives is None:
            redrives = self.redrives(execution_id)
        return Waiter(self, execution_id, deadline, on_progress, record, redrives)

    def register(self, waiter: Waiter) -> None:
        """Add a waiter."""
        waiters = self._waiters.setdefault(waiter.execution_id, [])
        for other in waiters:
            # A waiter that arrives while the reply is being delivered gets it too; AppSync will not resend it.
            if other.resolved_at is not None and not waiter.done() and waiter.accepts(other.redrives):
                waiter.resolved_at = other.resolved_at
                waiter.set_result(other.result())
        waiters.append(waiter)

    def unregister(self, waiter: Waiter) -> None:
        """Remove a waiter."""
        waiters = self._waiters[waiter.execution_id]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[waiter.execution_id]
            if waiter.known or waiter.resolved_at is not None:
                self._remember(waiter.execution_id, resolved=waiter.resolved_at is not None)

    def deliver(self, event: str) -> None:
        """Give one event, as JSON text, to its waiters. Never raises."""
        try:
            reply = decode(event)
        except (ValueError, RecursionError):
            self.malformed += 1
            return
        match reply.status:
            case "RUNNING":
                self._deliver_progress(reply.id, bytes(reply.progress))
            case "SUCCEEDED":
                self._deliver_success(reply)
            case "FAILED":
                self._deliver_outcome(reply, Failed.named(reply.error))
            case "TIMED_OUT":
                self._deliver_outcome(reply, TimedOut())
            case "ABORTED":
                self._deliver_outcome(reply, Aborted())
            case _:
                self.malformed += 1

    def resolve(self, execution_id: str, outcome: Outcome, redrives: int | None = None) -> bool:
        """Give `outcome` to the waiters of the execution for which it counts; return whether any was still waiting.

        The execution ended so after `redrives` redrives; None if that is not known.
        """
        resolved = False
        for waiter in self._waiters.get(execution_id, ()):
            if not waiter.done() and waiter.accepts(redrives):
                waiter.resolved_at = waiter.get_loop().time()
                waiter.set_result(outcome)
                resolved = True
        return resolved

    def release(self) -> None:
        """End every wait without an outcome."""
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def _deadline_near(self, waiter: Waiter) -> None:
        waiter.expire_at_deadline()
        if self.on_deadline_near is not None:
            self.on_deadline_near(waiter.execution_id)

    def _remember(self, execution_id: str, *, resolved: bool) -> None:
        self._remembered[execution_id] = resolved
        self._remembered.move_to_end(execution_id)
        if len(self._remembered) > MAX_REMEMBERED_EXECUTIONS:
            self._remembered.popitem(last=False)

    def _deliver_success(self, reply: Reply) -> None:
        if isinstance(reply.output, msgspec.Raw):
            self._deliver_outcome(reply, Succeeded(bytes(reply.output)))
        elif reply.output_text is None:
            self._deliver_end(reply)
        else:
            try:
                output = json_text.raw(reply.output_text)
            except ValueError:
                self.malformed += 1
            else:
                self._deliver_outcome(reply, Succeeded(output))

    def _deliver_outcome(self, reply: Reply, outcome: Outcome) -> None:
        execution_id = reply.id
        if self.resolve(execution_id, outcome, reply.redrives):
            self.result += 1
        elif self.deadline(execution_id) is not None:
            self._deliver_doubtful(reply)
        elif execution_id in self._waiters or self._remembered.get(execution_id):
            self.duplicate += 1
        elif execution_id in self._remembered:
            self.late += 1
        else:
            self.unknown += 1

    def _deliver_progress(self, execution_id: str, progress: bytes) -> None:
        self.progress += 1
        for waiter in self._waiters.get(execution_id, ()):
            if waiter.on_progress is not None and not waiter.done():
                waiter.on_progress(execution_id, progress)

    def _deliver_end(self, reply: Reply) -> None:
        waiting = [waiter for waiter in self._waiters.get(reply.id, ()) if not waiter.done()]
        if waiting and not any(waiter.accepts(reply.redrives) for waiter in waiting):
            self._deliver_doubtful(reply)
            return
        self.announced += 1
        if waiting and self.on_ended is not None:
            self.on_ended(reply.id)

    def _deliver_doubtful(self, reply: Reply) -> None:
        """Handle an end that does not count as it is: of an earlier run, or without a word on which run it is about."""
        if reply.redrives is not None:
            self.late += 1
            return
        self.announced += 1
        if self.on_end_reported is not None:
            self.on_end_reported(reply.id)
