"""The measurements: at saturation, at half of it, and with growing numbers of requests in flight at one rate."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.bench.load import Load, Tally
from tests.bench.stand_in import StandIn
from tests.bench.subjects import Design, Subject, running

CALLERS: Final = 512
"""Requests in flight at saturation: more than a design that does all of the work can answer within WORKFLOW_S."""

WORKFLOW_S: Final = 0.05
"""Duration of the workflow at saturation and at half of it."""

WARM_UP_S: Final = 6.0
"""Duration of the load before the curve, in seconds."""

MIN_RESPONSES: Final = 50
"""The fewest responses in a window; it lasts longer if necessary."""

STARTUP_S: Final = 1.5
"""Time that a design takes to start, for the progress bar."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure: in each round, `turns` windows of `seconds` per design, each after a warm-up."""

    rounds: int
    turns: int
    warm_up: float
    seconds: float
    curve_rounds: int
    levels: tuple[int, ...]
    rate: float
    """Requests per second on the curve: the same at each level, so that only the number in flight differs."""

    def total(self, designs: int, on_curve: int) -> float:
        """Return the approximate duration of all measurements, in seconds."""
        pair = STARTUP_S + (2 * self.turns + 1) * (self.warm_up + self.seconds)
        curve = (
            STARTUP_S
            + WARM_UP_S
            + sum(
                2 * level / self.rate + self.warm_up + self.turns * self.seconds
                for level in (*self.levels, self.levels[0])
            )
        )
        return self.rounds * designs * pair + self.curve_rounds * on_curve * curve


@dataclass(frozen=True, slots=True)
class Pair:
    """One design in one round: at saturation, and at half of that rate."""

    design: str
    requests_per_second: float
    cpu_us: float
    """CPU time per request at saturation, in microseconds."""
    half_cpu_us: float
    p50_ms: float
    """Response time beyond the workflow's own, at half of saturation, in milliseconds."""
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Point:
    """One design with `level` requests in flight."""

    design: str
    level: int
    requests_per_second: float
    cpu_us: float
    rss: int
    """Resident memory in bytes."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A running design, with its stand-in for AWS and its load."""

    design: Design
    aws: StandIn
    subject: Subject
    load: Load


@dataclass(slots=True)
class Window:
    """What was measured in one or more periods of time, in seconds."""

    responses: int = 0
    cpu: float = 0.0
    seconds: float = 0.0
    overheads: list[float] = field(default_factory=list)

    def add(self, other: Window) -> None:
        """Add another period."""
        self.responses += other.responses
        self.cpu += other.cpu
        self.seconds += other.seconds
        self.overheads += other.overheads

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.responses / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time per response, in microseconds."""
        return self.cpu / self.responses * 1e6


@contextmanager
def awake() -> Iterator[None]:
    """Keep this process from sleeping inside the block.

    To wake a process that sleeps on another core, the kernel sends an interrupt, which takes 5 to 10 us of the writer's
    CPU time on a virtual machine. Across a network there is nobody to wake.
    """

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - it waits for nothing
            await asyncio.sleep(0)

    spinning = asyncio.get_running_loop().create_task(spin())
    try:
        yield
    finally:
        spinning.cancel()


class Bench:
    """The measurements of all designs, over TLS if there is a `certificate` for the stand-in.

    `progress` is called with a title and the seconds that have passed.
    """

    def __init__(
        self,
        effort: Effort,
        core: int | None,
        progress: Callable[[str, float], None],
        certificate: Path | None = None,
    ) -> None:
        self._effort = effort
        self._core = core
        self._progress = progress
        self._certificate = certificate
        self._rng = random.Random(1)

    async def round(self, designs: Sequence[Design]) -> list[Pair]:
        """Measure throughput and CPU time at saturation, then overhead at half of it.

        All designs run at the same time and take short turns, so that a slow phase of the machine affects all of them.
        """
        async with AsyncExitStack() as stack:
            stages = [await stack.enter_async_context(self._staged(design)) for design in designs]
            full = [Window() for _ in stages]
            half = [Window() for _ in stages]
            for stage in stages:
                stage.aws.delay = WORKFLOW_S
            for turn in range(self._effort.turns + 1):
                for stage, window in zip(stages, full, strict=True):
                    await stage.load.connect(CALLERS)
                    stage.load.keep_busy(CALLERS)
                    await self._pass(self._effort.warm_up, stage.design.title)
                    taken = await self._window(stage)
                    stage.load.stop()
                    await stage.load.wait_idle()
                    if turn:  # the first turn warms up the process
                        window.add(taken)
            for _ in range(self._effort.turns):
                for stage, saturated, window in zip(stages, full, half, strict=True):
                    await stage.load.connect(4 * CALLERS)
                    sending = asyncio.create_task(stage.load.at_rate(saturated.rate / 2, self._rng))
                    await self._pass(self._effort.warm_up, stage.design.title)
                    window.add(await self._window(stage))
                    stage.load.stop()
                    await sending
                    await stage.load.wait_idle()
        return [self._pair(stage.design, *windows) for stage, *windows in zip(stages, full, half, strict=True)]

    @staticmethod
    def _pair(design: Design, full: Window, half: Window) -> Pair:
        quantiles = statistics.quantiles(half.overheads, n=100)
        return Pair(design.name, full.rate, full.cpu_us, half.cpu_us, quantiles[49] * 1e3, quantiles[98] * 1e3)

    async def curve(self, design: Design) -> list[Point]:
        """Measure CPU time and memory with growing numbers of requests in flight, at the same rate.

        The lowest level is measured again at the end, and its CPU time is the mean of both, so that a change in the
        speed of the machine is not mistaken for growth.
        """
        points: list[Point] = []
        lowest, *_ = levels = self._effort.levels
        async with self._staged(design) as stage:
            load = stage.load
            await load.connect(lowest)
            stage.aws.delay = WORKFLOW_S
            load.keep_busy(lowest)
            await self._pass(WARM_UP_S, design.title)  # until what it remembers of ended executions grows no more
            load.stop()
            await load.wait_idle()
            for level in (*levels, lowest):
                await load.connect(level)
                stage.aws.delay = level / self._effort.rate
                await asyncio.gather(
                    load.ramp_up(level, self._effort.rate),
                    self._pass(stage.aws.delay + self._effort.warm_up, design.title),
                )
                window = await self._window(stage, self._effort.turns)
                points.append(Point(design.name, level, window.rate, window.cpu_us, stage.subject.rss()))
                load.stop()
                await load.wait_idle()
        first, *others, again = points
        return [replace(first, cpu_us=(first.cpu_us + again.cpu_us) / 2), *others]

    async def _window(self, stage: Stage, turns: int = 1) -> Window:
        """Count the responses and the CPU time of the next seconds."""
        load = stage.load
        load.tally = Tally()
        cpu, began = stage.subject.cpu(), time.perf_counter()
        await self._pass(self._effort.seconds * turns, "")
        async with asyncio.timeout(60):
            # On a shared machine, other processes may use up a whole window.
            while load.tally.responses < MIN_RESPONSES and not load.errors:  # noqa: ASYNC110 - no event marks the last response
                await asyncio.sleep(0.05)
        tally, load.tally = load.tally, Tally()
        cpu, seconds = stage.subject.cpu() - cpu, time.perf_counter() - began
        if load.errors:
            raise RuntimeError(f"{len(load.errors)} errors, the first: {load.errors[0]}")
        return Window(tally.responses, cpu, seconds, tally.overheads)

    async def _pass(self, seconds: float, title: str) -> None:
        while seconds > 0:
            step = min(1.0, seconds)
            await asyncio.sleep(step)
            self._progress(title, step)
            seconds -= step

    @asynccontextmanager
    async def _staged(self, design: Design) -> AsyncIterator[Stage]:
        aws = StandIn(self._certificate)
        await aws.open()
        try:
            async with running(design, aws.environment(), self._core) as subject:
                self._progress(design.title, STARTUP_S)
                load = Load(subject.port, aws.durations)
                yield Stage(design, aws, subject, load)
                load.close()
            if aws.errors:
                raise RuntimeError(f"{design.title}: {aws.errors[0]}")
        finally:
            aws.close()
