"""The embedded local AWS: Step Functions and AppSync Events in one server on one port."""

from __future__ import annotations

from collections import ChainMap
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Self, cast

from aiohttp import web

from service import data_file
from service.local.appsync_events import ANY_AUTH, AppSyncEvents
from service.local.asl.definition import DefinitionError, parse, placeholder_names, read, read_task_names
from service.local.asl.interpreter import Interpreter
from service.local.executions import Executions
from service.local.faults import Faults
from service.local.hosted import Definition, Hosted, unqualified
from service.local.http_task import HttpTask
from service.local.mocks import MocksError
from service.local.mocks import read as read_mocks
from service.local.nested import NestedExecutions
from service.local.quotas import ActionQuota, Quotas
from service.local.realtime import Realtime
from service.local.relay import ENDS, Relay
from service.local.step_functions import StepFunctions
from service.local.task_tokens import TaskTokens
from service.local.tasks import Tasks
from service.local.view import View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from service.local.asl.states import Machine
    from service.local.execution import Execution
    from service.local.json_text import Json
    from service.local.mocks import Mocks

WORKFLOW = data_file("workflow.asl.json")
RELAY = data_file("relay.asl.json")
_MAX_BODY_BYTES = 2 * 1024 * 1024  # more than the 1.2 MB that AppSync accepts in one publish
_SHUTDOWN_TIMEOUT_S = 0.3  # for requests in flight


def url(host: str, port: int) -> str:
    """Return the address of a local AWS; an IPv6 address is in brackets there (RFC 3986, 3.2.2)."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class LocalAws:
    """Step Functions and AppSync Events on one port of this machine, for tests and local development.

    `definition` is the workflow to run, with a file of `mocks` for its tasks, unless there are `machines`. `values` are
    those of placeholders, `relay` reports failures, and `wait` is how many seconds the demonstration waits. Port 0
    picks a free port; the addresses are known after the start. API calls are unlimited unless `quotas` is given
    (AWS_QUOTAS). Each state machine keeps its newest 100,000 ended executions, fewer if their data exceeds 256 MiB. Use
    it as an async context manager, or call start and stop.
    """

    region = "us-east-1"
    account = "000000000000"
    namespace = "AsyncEvents"
    api_key = "da2-local"
    auth_modes = ANY_AUTH
    state_machine_arn = f"arn:aws:states:{region}:{account}:stateMachine:event-workflow"
    connection_arn = f"arn:aws:events:{region}:{account}:connection/event-workflow/local"

    url: str
    """Step Functions, for AWS_ENDPOINT_URL_SFN."""
    http_url: str
    """AppSync Events: publishing over HTTP."""
    realtime_url: str
    """AppSync Events: WebSocket."""

    def __init__(  # noqa: PLR0913 - each is an option that is given by its name
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4566,
        wait: float = 10.0,
        definition: Path = WORKFLOW,
        machines: Sequence[Definition] = (),
        relay: Path = RELAY,
        values: Mapping[str, str] | None = None,
        mocks: Path | None = None,
        quotas: Mapping[str, ActionQuota] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._host, self._port, self._wait = host, port, wait
        self._definitions = machines or [Definition(self.state_machine_arn, definition, mocks=mocks)]
        self._relay_definition = relay
        self._values = values or {}
        self._quotas = Quotas(quotas or {})
        self.faults = faults or Faults()
        """Faults to inject on demand."""
        self.view = View(lambda: self.running, lambda: self.connections)
        """The live view at `/_local/`."""
        self._events = AppSyncEvents(self.namespace, self.api_key, self.faults, self.auth_modes)
        self.realtime = Realtime(self._events, self.view.journal)
        """Its `keep_alive_s` and `connection_timeout_ms` may be set for tests."""
        self._machines: dict[str, Hosted] = {}
        self._http_task: HttpTask | None = None
        self.relay: Relay | None = None
        """What reports failed executions; None before the start."""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; OSError if the port is taken, DefinitionError if the workflow cannot be run here."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        app.router.add_post("/", self._step_functions)
        app.router.add_post("/event", self._events.handle_publish)
        app.router.add_get("/event/realtime", self.realtime.handle)
        self.view.mount(app)
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
            self._start_workflow(runner.addresses[0][1])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Cancel executions and close every socket, within a second."""
        for hosted in self._machines.values():
            await hosted.executions.close()
        if self.relay is not None:
            await self.relay.close()
        if self._http_task is not None:
            await self._http_task.close()
        self.faults.close()
        await self.realtime.drop(1000)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def drop_connections(self, code: int = 1000) -> None:
        """Close every open WebSocket with this close code; 1006 drops them without a close frame."""
        await self.realtime.drop(code)

    @property
    def executions(self) -> Mapping[str, Execution]:
        """The executions' records by name, oldest first; read-only."""
        by_name = [cast("dict[str, Execution]", hosted.executions.by_name) for hosted in self._machines.values()]
        return ChainMap(*by_name)

    def hosted(self, arn: str | None = None) -> Hosted:
        """Return a state machine by its ARN, or the first one."""
        return next(iter(self._machines.values())) if arn is None else self._machines[unqualified(arn)]

    @property
    def connections(self) -> int:
        """WebSockets open at the moment."""
        return len(self.realtime.connections)

    @property
    def subscriptions(self) -> int:
        """Subscriptions of all open WebSockets."""
        return sum(len(connection.subscriptions) for connection in self.realtime.connections)

    @property
    def running(self) -> int:
        """Executions running at the moment."""
        return sum(hosted.executions.running for hosted in self._machines.values())

    @property
    def calls(self) -> Mapping[str, int]:
        """Step Functions API calls so far, by action."""
        return self._api.calls

    @property
    def throttled(self) -> Mapping[str, int]:
        """Calls so far that got ThrottlingException, by action."""
        return self._api.throttled

    def _start_workflow(self, port: int) -> None:
        """Compile the definition; it contains this server's own address."""
        self.url = url(self._host, port)
        self.http_url = f"{self.url}/event"
        self.realtime_url = f"{self.url.replace('http', 'ws', 1)}/event/realtime"
        values = {
            "partition": "aws",
            "endpoint": self.http_url,
            "connection_arn": self.connection_arn,
            "namespace": self.namespace,
            "wait_seconds": f"{self._wait:f}".rstrip("0").rstrip("."),
            "AWS::AccountId": self.account,
            "AWS::Partition": "aws",
            "AWS::Region": self.region,
            **self._values,
        }
        self._http_task = HttpTask({self.connection_arn: {"x-api-key": self.api_key}})
        self._tokens = TaskTokens()
        self._nested = NestedExecutions(self._machines, self._start_execution, self._tokens)
        self.relay = Relay(read(self._relay_definition, values), Interpreter(Tasks(self._http_task.invoke).run))
        self._machines.clear()
        for definition in self._definitions:
            try:
                self._add(definition, values)
            except DefinitionError as error:
                if len(self._definitions) == 1:
                    raise
                raise DefinitionError(*(f"{definition.file}: {fault}" for fault in error.faults)) from error
        self._check_values()
        self._api = StepFunctions(self._machines, self._create, self._quotas, self.faults)

    def _check_values(self) -> None:
        """Raise DefinitionError for values of placeholders that are in none of the definitions."""
        known = set().union(*(placeholder_names(definition.file) for definition in self._definitions))
        if unknown := self._values.keys() - known:
            existing = ", ".join(f"${{{name}}}" for name in sorted(known)) or "none"
            raise DefinitionError(
                *(
                    f"--set {name}: there is no placeholder ${{{name}}}; there are: {existing}"
                    for name in sorted(unknown)
                )
            )

    def _add(self, definition: Definition, values: Mapping[str, str]) -> None:
        """Hold a state machine with the version or the alias in its ARN, or add that to one that is held."""
        arn = unqualified(definition.arn)
        first = next(other for other in self._definitions if unqualified(other.arn) == arn)
        if (hosted := self._machines.get(arn)) is None:
            hosted = self._machines[arn] = self._hosted(definition, values)
        elif (definition.input, definition.mocks) == (first.input, first.mocks):
            hosted.replace(read(definition.file, values, hosted.tasks))
        else:
            raise DefinitionError(f"{definition.arn} and {first.arn} must have the same input and the same mocks")
        hosted.qualify(definition.arn)

    def _hosted(self, definition: Definition, values: Mapping[str, str]) -> Hosted:
        """Make a state machine of a file, and check that its mocks are for it."""
        arn = unqualified(definition.arn)
        with _named(definition.mocks):
            mocks = None if definition.mocks is None else read_mocks(definition.mocks, arn.rpartition(":")[2])
            if mocks is not None:  # first, since a task whose mock has a wrong name would seem to have none
                mocks.check_states(read_task_names(definition.file, values))
        tasks = self._tasks(mocks)
        machine = read(definition.file, values, tasks)
        return self._hold(arn, machine, tasks, definition.reported)

    def _create(self, arn: str, text: str) -> Hosted:
        """Make a state machine as CreateStateMachine does; the mocks of the first one may have some for it.

        Every end of it is relayed: it may not report its successes itself, and a repeated event does no harm.
        """
        mocks, file = None, self._definitions[0].mocks
        with suppress(MocksError):
            mocks = None if file is None else read_mocks(file, arn.rpartition(":")[2])
        tasks = self._tasks(mocks)
        return self._hold(arn, parse(text, tasks), tasks, ENDS)

    def _tasks(self, mocks: Mocks | None) -> Tasks:
        if self._http_task is None:
            raise RuntimeError("the server has not started")
        return Tasks(self._http_task.invoke, mocks, tokens=self._tokens, nested=self._nested)

    def _hold(self, arn: str, machine: Machine, tasks: Tasks, reported: Collection[str]) -> Hosted:
        interpreter = Interpreter(tasks.run, tasks.read_items, on_state=self.view.journal.state)
        on_change = partial(self._on_change, reported)
        return Hosted(arn, machine, Executions(machine, arn, interpreter, on_change=on_change), tasks)

    def _start_execution(self, arguments: Json) -> Json:
        return self._api.start_execution(arguments)

    def _on_change(self, reported: Collection[str], execution: Execution) -> None:
        self.view.journal.execution(execution)
        if self.relay is not None:
            self.relay.on_change(execution, reported)

    async def _step_functions(self, request: web.Request) -> web.Response:
        return await self._api.handle(request)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


@contextmanager
def _named(mocks: Path | None) -> Iterator[None]:
    """Name the file of the mocks in everything that is wrong with them."""
    try:
        yield
    except MocksError as error:
        raise DefinitionError(*(f"{mocks}: {fault}" for fault in error.faults)) from error
