"""The embedded local AWS: one server, one port, started and stopped as one thing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

WORKFLOW = Path(__file__).parents[2] / "IaC" / "workflow.asl.json"


class LocalAws:
    """Step Functions and AppSync Events on one port of this machine."""

    region = "us-east-1"
    account = "000000000000"
    namespace = "AsyncEvents"
    api_key = "da2-local"
    state_machine_arn = "arn:aws:states:us-east-1:000000000000:stateMachine:event-workflow"

    url: str
    http_url: str
    realtime_url: str

    def __init__(
        self, *, host: str = "127.0.0.1", port: int = 4566, wait: float = 10.0, definition: Path = WORKFLOW
    ) -> None:
        self._host, self._port, self._wait, self._definition = host, port, wait, definition

    async def start(self) -> None:
        """Listen; OSError when the port is taken."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Cancel executions and close every socket."""
        raise NotImplementedError

    async def drop_connections(self, code: int = 1000) -> None:
        """Close every open WebSocket with this close code, as a fault would."""
        raise NotImplementedError

    @property
    def connections(self) -> int:
        """WebSockets open now."""
        raise NotImplementedError

    @property
    def subscriptions(self) -> int:
        """Live subscriptions over all WebSockets."""
        raise NotImplementedError

    @property
    def running(self) -> int:
        """Executions now running."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
