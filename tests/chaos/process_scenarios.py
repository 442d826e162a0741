"""Scenarios for processes: one of two instances is stopped, killed, frozen or replaced."""

from __future__ import annotations

import asyncio
from typing import Final

from tests.chaos.callers import Mix
from tests.chaos.process import ProcessInstance
from tests.chaos.scenarios import scenario
from tests.chaos.stage import Stage, wait_until_ready
from tests.support.credentials import Fault

TWO_PROCESSES: Final = 2
FREEZE_S: Final = 30.0
SHORT_FREEZE_S: Final = 4.0
KEYED: Final = Mix(keyed=0.6)


def any_process(stage: Stage) -> ProcessInstance:
    """Choose one of the processes at random."""
    instance = stage.rng.choice(stage.instances)
    assert isinstance(instance, ProcessInstance)
    return instance


@scenario(processes=TWO_PROCESSES, may_refuse=False)
async def sigterm(stage: Stage) -> None:
    await stage.pause(0.2, 1.5)
    instance = any_process(stage)
    instance.terminate()
    await instance.wait_for_exit()


@scenario(processes=TWO_PROCESSES, may_break=True)
async def sigterm_twice(stage: Stage) -> None:
    """It stops before the load balancer notices: requests in flight get a response, new ones are cut off."""
    await stage.pause(0.2, 1.5)
    instance = any_process(stage)
    instance.terminate()
    await stage.pause(0.1, 0.3)
    instance.terminate()
    await instance.wait_for_exit(released_early=True)


@scenario(KEYED, processes=TWO_PROCESSES, may_break=True)
async def sigkill(stage: Stage) -> None:
    await stage.pause(0.2, 1.5)
    await any_process(stage).kill()


@scenario(KEYED, processes=TWO_PROCESSES, frozen_s=FREEZE_S)
async def sigstop(stage: Stage) -> None:
    await stage.pause(0.1, 1)
    await any_process(stage).freeze(FREEZE_S)


@scenario(KEYED, processes=TWO_PROCESSES, frozen_s=SHORT_FREEZE_S)
async def sigstop_for_a_moment(stage: Stage) -> None:
    """Shorter than most waits: pending requests continue afterwards."""
    await stage.pause(0.1, 1)
    await any_process(stage).freeze(stage.rng.uniform(0.5, SHORT_FREEZE_S))


@scenario(Mix(requests=80, seconds=10), processes=TWO_PROCESSES, may_refuse=False)
async def rolling_restart(stage: Stage) -> None:
    for old in list(stage.instances):
        assert isinstance(old, ProcessInstance)
        await stage.add_process()
        old.terminate()
        await old.wait_for_exit()
        await asyncio.sleep(0.1)


@scenario(Mix(keyed=0.2), processes=1, may_refuse=False, jumping=True)
async def clock_jumps(stage: Stage) -> None:
    for _ in range(stage.rng.randint(3, 6)):
        await stage.pause(0.1, 0.6)
        any_process(stage).jump()


@scenario(processes=TWO_PROCESSES, may_refuse=False, log="closed")
async def log_closed(stage: Stage) -> None:
    await drain_one(stage)


@scenario(processes=TWO_PROCESSES, may_refuse=False, log="full")
async def log_on_a_full_disk(stage: Stage) -> None:
    await drain_one(stage)


@scenario(processes=TWO_PROCESSES, may_refuse=False, log="left")
async def log_without_a_reader(stage: Stage) -> None:
    await drain_one(stage)


@scenario(processes=TWO_PROCESSES, may_refuse=False, log="unread")
async def log_not_read(stage: Stage) -> None:
    await drain_one(stage)


async def drain_one(stage: Stage) -> None:
    """Stop one of the processes while requests are in flight; the other one has to remain ready."""
    await stage.pause(0.2, 1.5)
    instance = any_process(stage)
    instance.terminate()
    await instance.wait_for_exit()
    for other in stage.instances:
        if other is not instance:
            await wait_until_ready(other.url)


@scenario(processes=1, proxied=True)
async def proxy_silent(stage: Stage) -> None:
    """New connections need a tunnel, and the proxy accepts the request for it and says nothing."""
    await stage.pause(0.1, 1)
    stage.tunnel.proxy.silent = True
    stage.api.reset()
    await stage.pause(4, 7)


RENEWED_AFTER_S: Final = 10.0
"""The second half of a short life is left for renewals."""


async def break_credentials(stage: Stage, *faults: Fault) -> None:
    """Let the source of credentials fail from before a renewal until a while after it."""
    stage.credentials.fault = stage.rng.choice(faults)
    await stage.credentials.arrived(stage.credentials.requests + 1)
    await stage.pause(0.5, 3)


@scenario(
    Mix(requests=80, seconds=RENEWED_AFTER_S + 2),
    processes=TWO_PROCESSES,
    may_refuse=False,
    credentials_s=2 * RENEWED_AFTER_S,
)
async def credentials_hanging(stage: Stage) -> None:
    """Valid credentials are left until the source works again."""
    await break_credentials(stage, "hang", "drip")


@scenario(
    Mix(requests=80, seconds=RENEWED_AFTER_S + 2),
    processes=TWO_PROCESSES,
    may_refuse=False,
    credentials_s=2 * RENEWED_AFTER_S,
)
async def credentials_failing(stage: Stage) -> None:
    """Valid credentials are left until the source works again."""
    await break_credentials(stage, "error", "refuse", "garbage", "no member", "line break", "expired")


@scenario(Mix(requests=80, seconds=12), processes=TWO_PROCESSES, credentials_s=4)
async def credentials_expired(stage: Stage) -> None:
    await break_credentials(stage, "hang", "drip", "error", "refuse", "garbage")
    await stage.pause(1, 5)
