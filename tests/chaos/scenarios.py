"""The scenarios: each injects one fault, or several, while callers send requests."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tests.chaos.callers import Mix
from tests.chaos.instance import Instance
from tests.chaos.stage import Scenario, Stage

SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(
    mix: Mix | None = None,
    *,
    threads: int = 1,
    processes: int = 0,
    may_break: bool = False,
    may_refuse: bool = True,
    recovers: bool = False,
    crowded: bool = False,
    workflows: Mapping[str, Mapping[str, Any]] | None = None,
    standstill: str | None = None,
    jumping: bool = False,
    log: str | None = None,
    proxied: bool = False,
    frozen_s: float = 0.0,
    environment: Mapping[str, str] | None = None,
    credentials_s: float | None = None,
) -> Callable[[Callable[[Stage], Awaitable[None]]], Callable[[Stage], Awaitable[None]]]:
    """Register a scenario under its function's name."""

    def register(inject: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
        name = inject.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(
            name,
            inject,
            mix or Mix(),
            threads=0 if processes else threads,
            processes=processes,
            may_break=may_break,
            may_refuse=may_refuse,
            recovers=recovers,
            crowded=crowded,
            workflows=workflows or {"event": {}},
            standstill=standstill,
            environment=environment or {},
            jumping=jumping,
            log=log,
            proxied=proxied,
            frozen_s=frozen_s,
            credentials_s=credentials_s,
        )
        return inject

    return register


@scenario(recovers=True)
async def nothing_goes_wrong(stage: Stage) -> None:
    await stage.pause(1, 2)


@scenario(recovers=True)
async def link_slow(stage: Stage) -> None:
    stage.link.latency = stage.rng.uniform(0, 1)
    stage.link.jitter = stage.rng.uniform(0, 1)
    await stage.pause(1, 3)


@scenario(recovers=True)
async def link_narrow(stage: Stage) -> None:
    stage.link.bandwidth = stage.rng.uniform(1000, 5000)
    await stage.pause(1, 3)


@scenario(recovers=True)
async def link_reset(stage: Stage) -> None:
    for _ in range(stage.rng.randint(1, 4)):
        await stage.pause(0.1, 0.8)
        stage.link.reset()


@scenario(recovers=True)
async def link_closed_with_a_code(stage: Stage) -> None:
    for _ in range(stage.rng.randint(1, 3)):
        await stage.pause(0.1, 0.8)
        await stage.aws.drop_connections(stage.rng.choice([1000, 1001, 1006, 1011, 1012, 4000]))


@scenario(recovers=True)
async def link_black_hole(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    stage.link.black_hole = True
    await stage.pause(0.5, 2.5)
    stage.link.calm()
    stage.link.reset()


@scenario(recovers=True)
async def link_half_open(stage: Stage) -> None:
    """No connection is closed, so only the watchdog can detect it."""
    await stage.pause(0.1, 1)
    stage.link.black_hole = True
    await stage.pause(2, 4)


@scenario(recovers=True)
async def link_half_closed(stage: Stage) -> None:
    await stage.pause(0.1, 1.5)
    stage.link.half_close()
    await stage.pause(0.5, 1)


@scenario(recovers=True)
async def link_refused(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    stage.link.refusing = True
    stage.link.reset()
    await stage.pause(0.5, 4)


@scenario(recovers=True)
async def replies_muted(stage: Stage) -> None:
    stage.aws.faults.mute.on(stage.rng.uniform(0.2, 1))
    await stage.pause(1, 4)


@scenario(recovers=True)
async def replies_repeated_reordered_late_and_among_junk(stage: Stage) -> None:
    stage.aws.faults.duplicate.on(stage.rng.uniform(0.2, 1))
    stage.aws.faults.junk.on(stage.rng.uniform(0.2, 1))
    stage.aws.faults.delay.on(stage.rng.uniform(0.2, 1))
    stage.aws.faults.max_delay_s = stage.rng.uniform(0.1, 3)
    await stage.pause(2, 3)


@scenario()
async def api_throttled(stage: Stage) -> None:
    stage.aws.faults.throttle.on(stage.rng.uniform(0.3, 1))
    await stage.pause(0.5, 3)


@scenario(
    Mix(seconds=5.0),
    workflows={"event": {}, "orders": {}, "refunds": {"max_in_flight": 24}},
    standstill="refunds",
    environment={"MAX_IN_FLIGHT": "48"},
)
async def one_of_three_workflows_throttled(stage: Stage) -> None:
    """No execution of one workflow can be started, and it has its whole share of the requests in flight."""
    stage.aws.faults.throttled_machines.add("refunds")
    assert "throttled" in await stage.callers.flood("/refunds", 60, stage.rng.uniform(3, 4))


@scenario()
async def api_fails(stage: Stage) -> None:
    stage.aws.faults.fail.on(stage.rng.uniform(0.3, 1))
    await stage.pause(0.5, 3)


@scenario()
async def start_carried_out_but_not_answered(stage: Stage) -> None:
    stage.aws.faults.drop_response.on(stage.rng.uniform(0.2, 1), actions={"StartExecution"})
    await stage.pause(0.5, 3)


@scenario(
    Mix(requests=40, seconds=6.0, asynchronous=0.5),
    crowded=True,
    environment={"DESCRIBE_QUOTA": "150/15", "READ_FOREIGN_EXECUTIONS": "true"},
)
async def made_up_ids(stage: Stage) -> None:
    """A flood of reads of ids that do not exist, some of which wait: several times what the quota allows."""
    await stage.pause(0.1, 0.5)
    plain, waiting = await asyncio.gather(
        stage.callers.make_up("GET", 100, 5), stage.callers.make_up("GET", 30, 5, Prefer="wait=2")
    )
    assert set(plain + waiting) == {404, 503}, plain + waiting


@scenario(Mix(requests=40, seconds=5.0, asynchronous=0.5), crowded=True)
async def made_up_stops(stage: Stage) -> None:
    """A flood of stops of ids that do not exist."""
    await stage.pause(0.1, 0.5)
    statuses = await stage.callers.make_up("DELETE", 200, 4)
    assert set(statuses) == {404}, statuses
    assert stage.aws.calls["StopExecution"] <= 40  # those of other callers
    took = [seconds for call in stage.callers.history for _, seconds in call.reads]
    assert not took or statistics.median(took) < 0.5, took


@scenario()
async def api_slow(stage: Stage) -> None:
    stage.api.latency = stage.rng.uniform(0, 0.5)
    stage.api.jitter = stage.rng.uniform(0, 1)
    await stage.pause(1, 3)


@scenario()
async def api_reset(stage: Stage) -> None:
    for _ in range(stage.rng.randint(2, 10)):
        await stage.pause(0, 0.5)
        stage.api.reset()


@scenario()
async def api_black_hole(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    stage.api.black_hole = True
    await stage.pause(0.5, 4)
    stage.api.calm()
    stage.api.reset()


@scenario()
async def api_refused(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    stage.api.refusing = True
    stage.api.reset()
    await stage.pause(0.5, 4)


@scenario()
async def name_server_silent(stage: Stage) -> None:
    """New connections need a lookup, and get none."""
    await stage.pause(0.1, 1)
    stage.name.hang()
    stage.api.reset()
    await stage.pause(4, 7)


@scenario()
async def record_behind(stage: Stage) -> None:
    """Replies are lost while listings and records are eventually consistent."""
    for action in ("ListExecutions", "DescribeExecution", "GetExecutionHistory"):
        stage.aws.faults.read_lag_s[action] = stage.rng.uniform(0, 2 if action == "ListExecutions" else 0.5)
    await stage.pause(0.1, 1)
    stage.link.reset()
    await stage.pause(1, 3)


@scenario(Mix(large=0.3), recovers=True)
async def results_too_large_for_an_event(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    stage.link.reset()
    await stage.pause(1, 2)


@scenario()
async def event_loop_blocked(stage: Stage) -> None:
    for _ in range(stage.rng.randint(1, 3)):
        await stage.pause(0.1, 1)
        for instance in stage.instances:
            assert isinstance(instance, Instance)
            instance.block(stage.rng.uniform(0.2, 3))


async def random_faults(stage: Stage) -> None:
    """Inject random faults, several at a time."""
    faults = stage.aws.faults
    for _ in range(stage.rng.randint(3, 6)):
        match stage.rng.randrange(8):
            case 0:
                faults.mute.on(stage.rng.random())
            case 1:
                faults.throttle.on(stage.rng.random() / 2)
            case 2:
                faults.fail.on(stage.rng.random() / 2)
            case 3:
                faults.drop_response.on(stage.rng.random() / 2, actions={"StartExecution"})
            case 4:
                stage.link.reset()
            case 5:
                stage.api.reset()
            case 6:
                stage.link.latency = stage.rng.uniform(0, 1)
            case _:
                faults.read_lag_s["ListExecutions"] = 1.0
        await stage.pause(0.1, 0.8)
        if stage.rng.random() < 0.3:
            stage.calm()


@scenario()
async def all_at_once(stage: Stage) -> None:
    await random_faults(stage)


@scenario(Mix(keyed=0.4, asynchronous=0.5), threads=2)
async def all_at_once_at_two_instances(stage: Stage) -> None:
    await random_faults(stage)


@scenario(Mix(keyed=0.5), threads=2)
async def keys_at_two_instances(stage: Stage) -> None:
    for _ in range(stage.rng.randint(1, 3)):
        await stage.pause(0.1, 1)
        stage.rng.choice([stage.link, stage.api]).reset()
