"""The embedded local AWS: one server, one port, started and stopped as one thing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from aiohttp import web

from service.data_files import data_file
from service.local.appsync_events import AppSyncEvents, EventsError
from service.local.definition import DefinitionError, parse, render
from service.local.executions import Execution, Executions
from service.local.faults import Faults
from service.local.http_task import HttpTask
from service.local.interpreter import Interpreter
from service.local.json_text import dumps
from service.local.quotas import Quota, Quotas
from service.local.realtime import Realtime
from service.local.step_functions import StepFunctions
from service.local.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

WORKFLOW = data_file("workflow.asl.json")
_BODY_LIMIT = 2 * 1024 * 1024  # bytes; above the 1.2 MB that AppSync takes in one publish
_STOP_TIMEOUT = 0.3  # seconds that requests in hand have to end
_HINT_DELAY = 0.2  # seconds from the end of an execution until EventBridge's rule has told of it


class LocalAws:
    """Step Functions and AppSync Events on one port of this machine, for tests and laptops.

    `wait` is the demonstration workflow's wait in seconds; port 0 takes a free one; `definition` is the workflow that
    runs. The addresses are known once started. Calls are unlimited unless `quotas` says otherwise (AWS_QUOTAS). The
    newest 100,000 ended executions are remembered, fewer if their data exceeds 256 MiB. Use as an async context
    manager, or start and stop.
    """

    region = "us-east-1"
    account = "000000000000"
    namespace = "AsyncEvents"
    api_key = "da2-local"
    state_machine_arn = f"arn:aws:states:{region}:{account}:stateMachine:event-workflow"
    connection_arn = f"arn:aws:events:{region}:{account}:connection/event-workflow/local"

    url: str
    """Step Functions, for AWS_ENDPOINT_URL_SFN."""
    http_url: str
    """AppSync Events, publishing."""
    realtime_url: str
    """AppSync Events, WebSocket."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4566,
        wait: float = 10.0,
        definition: Path = WORKFLOW,
        quotas: Mapping[str, Quota] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._host, self._port, self._wait, self._definition = host, port, wait, definition
        self._quotas = Quotas(quotas or {})
        self.faults = faults or Faults()
        """What goes wrong, on demand."""
        self.view = View(lambda: self.running, lambda: self.connections)
        """The page that shows what happens here."""
        self._events = AppSyncEvents(self.namespace, self.api_key, self.faults)
        self.realtime = Realtime(self._events, self.view.journal)
        """Its `keep_alive` and `connection_timeout_ms` may be set for tests."""
        self._executions: Executions | None = None
        self._http_task: HttpTask | None = None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; OSError when the port is taken, DefinitionError when the workflow cannot be run here."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_post("/", self._step_functions)
        app.router.add_post("/event", self._events.handle_publish)
        app.router.add_get("/event/realtime", self.realtime.handle)
        self.view.mount(app)
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_TIMEOUT)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
            self._start_workflow(runner.addresses[0][1])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cancel executions and close every socket, within a second."""
        if self._executions is not None:
            await self._executions.close()
        if self._http_task is not None:
            await self._http_task.close()
        self.faults.close()
        await self.realtime.drop(1000)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def drop_connections(self, code: int = 1000) -> None:
        """Close every open WebSocket with this close code, as a fault would; 1006 cuts them without a close frame."""
        await self.realtime.drop(code)

    @property
    def executions(self) -> Mapping[str, Execution]:
        """The records of executions by name, oldest first; read them only."""
        return {} if self._executions is None else self._executions.by_name

    @property
    def connections(self) -> int:
        """WebSockets open now."""
        return len(self.realtime.connections)

    @property
    def subscriptions(self) -> int:
        """Live subscriptions over all WebSockets."""
        return sum(len(connection.subscriptions) for connection in self.realtime.connections)

    @property
    def running(self) -> int:
        """Executions now running."""
        return 0 if self._executions is None else self._executions.running

    @property
    def calls(self) -> Mapping[str, int]:
        """Calls of the Step Functions API so far, by action."""
        return self._api.calls

    @property
    def throttled(self) -> Mapping[str, int]:
        """Those of them that got ThrottlingException."""
        return self._api.throttled

    def _start_workflow(self, port: int) -> None:
        """Compile the definition, which names this server's own address."""
        self.url = f"http://{self._host}:{port}"
        self.http_url = f"{self.url}/event"
        self.realtime_url = f"ws://{self._host}:{port}/event/realtime"
        values = {
            "partition": "aws",
            "endpoint": self.http_url,
            "connection_arn": self.connection_arn,
            "wait_seconds": f"{self._wait:f}".rstrip("0").rstrip("."),
        }
        try:
            text = self._definition.read_text(encoding="utf-8")
        except OSError as error:
            raise DefinitionError(f"cannot read {self._definition}: {error.strerror}") from error
        machine = parse(render(text, values))
        self._http_task = HttpTask({self.connection_arn: {"x-api-key": self.api_key}})
        interpreter = Interpreter(self._http_task.invoke, on_state=self.view.journal.state)
        self._executions = Executions(machine, self.state_machine_arn, interpreter, on_change=self._changed)
        self._api = StepFunctions(self.state_machine_arn, machine, self._executions, self._quotas, self.faults)

    def _changed(self, execution: Execution) -> None:
        """Show it; and publish, as the deployed EventBridge rule does, an end that no state can tell."""
        self.view.journal.execution(execution)
        if execution.status in {"FAILED", "TIMED_OUT", "ABORTED"}:
            asyncio.get_running_loop().call_later(_HINT_DELAY, self._publish_end, execution.name)

    def _publish_end(self, name: str) -> None:
        try:
            publication = self._events.accept(
                f"{self.namespace}/ended/{name}", [dumps({"id": name, "status": "ENDED"})]
            )
        except EventsError:
            return  # a name that no channel can have is not one that the service gave
        self._events.broadcast(publication)

    async def _step_functions(self, request: web.Request) -> web.Response:
        return await self._api.handle(request)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
