"""One run of a scenario: local AWS, proxies, service and callers, then a fault, then the check."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from service.local import AWS_QUOTAS, WORKFLOW, Definition, Faults, LocalAws
from tests.chaos.callers import CALLER_HEADER, REQUEST_TIMEOUT_S, Callers, Mix
from tests.chaos.history import Record, check, crowded_out, disturbed, missed_outcomes
from tests.chaos.instance import Instance
from tests.chaos.names import Name
from tests.chaos.process import Balancer, ProcessInstance
from tests.chaos.proxy import Proxy
from tests.chaos.tunnel import Tunnel
from tests.support import ended_apps
from tests.support.credentials import CredentialsEndpoint

RESPONSE_TIMEOUT_S: Final = 5.0
"""Short, so that many seeds can be run."""

MAX_OVERRUN_S: Final = 10.0
"""Every request must have its response within this time after the timeout, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """The faults of a run and the requests that are sent meanwhile."""

    name: str
    inject: Callable[[Stage], Awaitable[None]]
    """Injects the faults; all of them are turned off after it."""
    mix: Mix = field(default_factory=Mix)
    """The requests."""
    threads: int = 1
    """Instances of the service in threads."""
    processes: int = 0
    """Instances of the service in processes."""
    may_break: bool = False
    """Whether connections to the service may break."""
    may_refuse: bool = True
    """Whether the service may respond with 503."""
    recovers: bool = False
    """Whether every outcome that the record has had for a while must be returned."""
    crowded: bool = False
    """Whether others send many requests, for which no caller may be turned away."""
    jumping: bool = False
    """Whether the clocks of the processes can be moved."""
    log: str | None = None
    """What is wrong with the standard error of the processes."""
    proxied: bool = False
    """Whether processes call Step Functions by https through a proxy."""
    frozen_s: float = 0.0
    """How long a process may be frozen."""
    workflows: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"event": {}})
    """The workflows and their settings, by name; each has a state machine of its own."""
    standstill: str | None = None
    """The workflow whose starts are all throttled, which no other may notice."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Settings of the service that differ."""
    credentials_s: float | None = None
    """How long the credentials of the processes are valid, which come from an endpoint; None for those that last."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run."""

    scenario: str
    seed: int
    faults: list[str]
    """Broken guarantees."""
    responses: Counter[str]
    """Numbers of responses by kind."""
    seconds: float
    """Duration of the run."""
    slowest: float = 0.0
    """Duration of the slowest request, in seconds."""


class Stage:
    """Everything that one run needs, as an async context manager."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.rng = random.Random(f"{scenario.name} {seed}")
        self._apart = self.rng.random() < 0.5 and "READ_FOREIGN_EXECUTIONS" not in scenario.environment
        """Whether the service keeps callers apart."""
        self._scenario = scenario
        self._stack = AsyncExitStack()
        self._balancer = Balancer()
        self.instances: list[Instance | ProcessInstance] = []
        self.aws: LocalAws
        self.link: Proxy
        """Between the service and AppSync's WebSocket."""
        self.api: Proxy
        """Between the service and Step Functions."""
        self.tunnel: Tunnel
        """Between processes and Step Functions, if the scenario is `proxied`."""
        self.name: Name
        """The name by which instances in threads know Step Functions."""
        self.callers: Callers
        self.credentials = CredentialsEndpoint()
        """Where the processes of some scenarios get their credentials."""

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _set_up(self) -> None:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        definition = Path(folder) / "workflow.asl.json"
        definition.write_text(workflow())
        faults = Faults(self.rng.getrandbits(32))
        machines = [Definition(_arn(name), definition) for name in self._scenario.workflows]
        aws = self.aws = LocalAws(port=0, machines=machines, quotas=AWS_QUOTAS, faults=faults)
        aws.realtime.keep_alive_s = 0.3
        if self._scenario.may_refuse:
            # A dead link must be detected within a short run. Where the link must not fail, the timeout of AWS stays:
            # on a busy machine the local AWS may get no processor time for two seconds.
            aws.realtime.connection_timeout_ms = 1500
        await self._stack.enter_async_context(aws)
        self.link = await self._stack.enter_async_context(Proxy(aws.realtime_url, self.rng))
        self.api = await self._stack.enter_async_context(Proxy(aws.url, self.rng))
        if self._scenario.proxied:
            self.tunnel = await self._stack.enter_async_context(Tunnel(self.api.url, Path(folder)))
        self.name = Name()
        self._stack.callback(self.name.close)
        self.credentials.valid_for_s = self._scenario.credentials_s or self.credentials.valid_for_s
        await self._stack.enter_async_context(self.credentials)
        paths = [f"/{name}" for name in self._scenario.workflows]
        self.callers = Callers(self._balancer.choose, self.rng, apart=self._apart, paths=paths)
        self._stack.push_async_callback(self.callers.close)
        for _ in range(self._scenario.threads):
            named = self.api.url.replace("127.0.0.1", self.name.host)
            await self._add(Instance(named, self._environment()))
        await asyncio.gather(*(self.add_process() for _ in range(self._scenario.processes)))
        watching = asyncio.create_task(self._balancer.watch())
        self._stack.callback(watching.cancel)

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        ended_apps.forget()

    def _environment(self) -> dict[str, str]:
        return {
            "HOST": "127.0.0.1",
            "PORT": "0",
            "WORKFLOWS": json.dumps(
                {name: {"state_machine_arn": _arn(name), **own} for name, own in self._scenario.workflows.items()}
            ),
            "APPSYNC_HTTP_URL": self.aws.http_url,
            "APPSYNC_REALTIME_URL": self.link.url,
            "APPSYNC_API_KEY": self.aws.api_key,
            "RESPONSE_TIMEOUT": str(RESPONSE_TIMEOUT_S),
            # The load balancer of these runs checks ten times per second; threads are not behind it.
            "DRAIN_DELAY": "1" if self._scenario.processes else "0",
            **({"CALLER_HEADER": CALLER_HEADER} if self._apart else {}),
            **self._scenario.environment,
        }

    async def add_process(self) -> None:
        """Start another process and add it to the load balancer."""
        url, environment = self.api.url, self._environment()
        if self._scenario.proxied:
            url, environment = self.tunnel.url, environment | self.tunnel.environment
        if self._scenario.credentials_s is not None:
            environment |= self.credentials.environment
        process = ProcessInstance(url, environment, jumping=self._scenario.jumping, log=self._scenario.log)
        self._stack.push_async_callback(process.stop)
        await self._add(process)

    async def _add(self, instance: Instance | ProcessInstance) -> None:
        await instance.start()
        await wait_until_ready(instance.url)
        self.instances.append(instance)
        self._balancer.targets.append(instance.url)

    def calm(self) -> None:
        """Turn every fault off."""
        self.aws.faults.off()
        self.link.calm()
        self.api.calm()
        self.name.answer()
        if self._scenario.proxied:
            self.tunnel.proxy.silent = False
        self.credentials.fault = None

    async def pause(self, minimum_s: float, maximum_s: float) -> None:
        """Sleep for a random time in this range."""
        await asyncio.sleep(self.rng.uniform(minimum_s, maximum_s))

    async def wait_until_idle(self) -> dict[str, int]:
        """Wait until no waiters and subscriptions of requests are left; return how many are."""
        left: dict[str, int] = {}
        end = time.monotonic() + 10
        while time.monotonic() < end:
            counts = [await instance.counts() for instance in self.instances]
            # Each instance has permanent subscriptions for replies and for ends; others belong to single executions.
            subscriptions = max(0, self.aws.subscriptions - 3 * len(self.instances))
            left = {"waiters": sum(count["waiters"] for count in counts), "subscriptions": subscriptions}
            if not any(left.values()):
                break
            await asyncio.sleep(0.05)
        return left

    async def stop(self) -> dict[str, int]:
        """Stop every instance and return what is left over."""
        left: Counter[str] = Counter()
        for instance in self.instances:
            await instance.stop()
            left.update(instance.left_over)
        end = time.monotonic() + 10  # a close is slow through a proxy that has just been slow
        while self.aws.connections and time.monotonic() < end:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.05)
        left["connections of AppSync"] = self.aws.connections
        left["subscriptions of AppSync"] = self.aws.subscriptions
        return dict(left)


async def run(scenario: Scenario, seed: int, barrier: asyncio.Barrier) -> Report:
    """Run a scenario once; `barrier` delays it until others have started too, as a start keeps a processor busy."""
    async with Stage(scenario, seed) as stage:
        await barrier.wait()
        began = time.monotonic()
        load = asyncio.create_task(stage.callers.play(scenario.mix))
        try:
            await scenario.inject(stage)
        finally:
            stage.calm()
        await load
        await stage.callers.resolve()
        left = await stage.wait_until_idle()
        left |= await stage.stop()
        records = {name: Record.read(execution) for name, execution in stage.aws.executions.items()}
        faults = check(stage.callers.history, records, left)
        faults += [fault for instance in stage.instances for fault in instance.faults]
        if not scenario.may_break:
            faults += [f"{call.ended}: {call}"[:400] for call in stage.callers.history if "broken" in call.ended]
        if scenario.recovers:
            faults += missed_outcomes(stage.callers.history, records)
        if not scenario.may_refuse:
            faults += [f"refused: {call}"[:400] for call in stage.callers.history if call.status == 503]
        if scenario.standstill is not None:
            faults += disturbed(stage.callers.history, f"/{scenario.standstill}")
        if scenario.crowded:
            faults += crowded_out(stage.callers.history)
        faults += [
            f"response only after {call.seconds:.1f} s: {call}"[:400]
            for call in stage.callers.history
            if call.seconds > RESPONSE_TIMEOUT_S + MAX_OVERRUN_S + scenario.frozen_s and call.key is None
        ]
        responses = Counter(call.ending.partition(":")[0] for call in stage.callers.history)
        slowest = max(call.seconds for call in stage.callers.history)
    return Report(scenario.name, seed, faults, responses, time.monotonic() - began, slowest)


async def wait_until_ready(url: str) -> None:
    """Wait until an instance is ready."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(REQUEST_TIMEOUT_S):
        while True:
            try:
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


def _arn(workflow: str) -> str:
    """Return the ARN of a workflow's state machine."""
    return LocalAws.state_machine_arn.replace("event-workflow", workflow)


def workflow() -> str:
    """Return the deployed workflow with a wait that each event sets: `wait` seconds, or `until` an epoch second.

    A negative wait fails at once.
    """
    text = WORKFLOW.read_text(encoding="utf-8")
    wait = "($e := $parse($states.input.event); $exists($e.until) ? $max([0, $e.until - $millis() / 1000]) : $e.wait)"
    changed = text.replace("${wait_seconds}", wait)
    assert changed != text
    return changed
