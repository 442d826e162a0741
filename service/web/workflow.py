"""What the routes know of one workflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from service.web.error_statuses import ErrorStatuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.bridge.bridge import Bridge
    from service.bridge.ids import Ids
    from service.bridge.retries import Retries
    from service.web.events import WatchStates
    from service.web.preferences import Waits
    from service.web.schema import JsonSchema


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow that requests start."""

    name: str
    """Its name in metrics, logs and the description."""
    path: str
    """Where requests go, such as `/event`."""
    bridge: Bridge
    retries: Retries
    ids: Ids
    schema: JsonSchema
    """What request bodies must match."""
    waits: Waits
    watch_states: WatchStates | None = None
    """Reports the states that executions enter, for streams that include them."""
    result_schema: JsonSchema | None = None
    """What outputs look like, for the description."""
    check_results: bool = False
    """Whether outputs are checked against that schema."""
    errors: ErrorStatuses = field(default_factory=lambda: ErrorStatuses({}))
    """The statuses of its errors."""
    not_startable: Callable[[], str | None] = lambda: None
    """Return why no execution can be started, if that is known before any attempt."""

    @property
    def title(self) -> str:
        """Its name as a part of other names: `Orders` of `orders`."""
        return "".join(part.capitalize() for part in self.name.split("-"))
