"""Text report of the calculation, for planning a deployment."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tools.capacity import designs, model
from tools.capacity.figures import Figures

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOW = Path(__file__).parents[2] / "IaC" / "workflow.asl.json"
MAX_PLAIN_S = 285
MAX_STREAM_S = 890
"""The longest waits behind an API Gateway that streams responses: it ends them after five minutes of silence, or after
15 in all. Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html
"""


class LoadError(ValueError):
    """An invalid number on the command line; the message is one line."""


def report(rps: str, seconds: str, transitions: str | None, *, stream: bool = False) -> str:
    """Return the report for a load as it was typed; raise LoadError if it is invalid.

    `stream` says whether requests are answered by event streams. `transitions` defaults to the number of the deployed
    workflow.
    """
    load = model.Load(
        _number("--rps", rps, 0.01, 100_000),
        _number("--seconds", seconds, 0.1, MAX_STREAM_S if stream else MAX_PLAIN_S),
        _deployed() if transitions is None else _whole_number("--transitions", transitions, 1, 10_000),
        stream,
    )
    figures = Figures.load()
    parts = [
        _head(load, figures),
        _tasks(load, figures),
        _quotas(load, figures),
        _costs(load, figures),
        _designs(load, figures),
        _idle(figures),
        _unconfirmed(figures),
    ]
    return "\n".join("\n".join(part) for part in parts)


def _number(option: str, text: str, minimum: float, maximum: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not minimum <= number <= maximum:
        raise LoadError(f"{option} must be a number from {minimum:,g} to {maximum:,.0f}, not {text!r}")
    return number


def _whole_number(option: str, text: str, minimum: int, maximum: int) -> int:
    number = _number(option, text, minimum, maximum)
    if not number.is_integer():
        raise LoadError(f"{option} must be a whole number, not {text!r}")
    return int(number)


def _deployed() -> int:
    return model.transitions(json.loads(WORKFLOW.read_text(encoding="utf-8")))


def _head(load: model.Load, figures: Figures) -> Iterator[str]:
    kind = " as a stream" if load.stream else ""
    yield f"{_plain(load.rps)} requests a second, each in flight for {_plain(load.seconds)} seconds{kind}"
    yield f"{figures.region}, prices and default quotas as of {figures.date}"
    yield ""


def _tasks(load: model.Load, figures: Figures) -> Iterator[str]:
    count = model.tasks(load, figures)
    size = f"{figures['task_vcpu']:g} vCPU and {figures['task_gb']:g} GB"
    vcpu = count * figures["task_vcpu"]
    yield f"Tasks: {count:,} of {size}, {vcpu:,g} vCPU in total"
    units = {"CPU": "requests/s", "requests in flight": "in flight", "memory": "in flight"}
    for name, demand in model.demands(load, figures).items():
        yield f"  {name:<30}{demand.tasks:>10,}   {demand.per_task:,.0f} {units[name]} a task"
    yield f"  {'minimum':<30}{figures['min_tasks']:>10,.0f}"
    yield ""


def _quotas(load: model.Load, figures: Figures) -> Iterator[str]:
    yield f"{'Quotas, in the order they are reached':<46}{'limit':>10}{'needed':>14}{'reached at':>18}"
    for use in model.quotas(load, figures):
        name = f"{use.name} *" if use.only else use.name
        mark = "  OVER" if use.needed > use.limit else ""
        yield f"  {name:<44}{use.limit:>10,.0f}{_plain(use.needed):>14}{_plain(use.reached_at):>12} req/s{mark}"
    yield "  * one Lambda per request only"
    yield ""


def _costs(load: model.Load, figures: Figures) -> Iterator[str]:
    rows = model.costs(load, figures)
    differing = [row for row in rows if row.service != row.one_lambda_each]
    sums = [("Total", model.total(rows)), ("Total of the costs that differ", model.total(differing))]
    yield f"{'Dollars per million requests':<46}{'this service':>14}{'one Lambda each':>18}"
    for name, row in [*((row.name, row) for row in rows), *sums]:
        yield f"  {name:<44}{row.service:>14,.2f}{row.one_lambda_each:>18,.2f}"
    yield ""


def _designs(load: model.Load, figures: Figures) -> Iterator[str]:
    rates = (1, 10, 100, 1000)
    yield f"{'Dollars per million requests, at a rate of':<46}" + "".join(f"{f'{rate:,}/s':>10}" for rate in rates)
    for name, price in designs.DESIGNS.items():
        costs = (price(replace(load, rps=rate), figures) for rate in rates)
        yield f"  {name:<44}" + "".join(f"{cost:>10,.2f}" for cost in costs)
    yield ""
    for name, price in list(designs.DESIGNS.items())[:2]:
        for other, its_price in list(designs.DESIGNS.items())[2:]:
            yield f"{name} costs less than {other}: {_crossing(price, its_price, load, figures)}"
    yield ""


def _crossing(one: designs.Price, other: designs.Price, load: model.Load, figures: Figures) -> str:
    rate = designs.crossing(one, other, load, figures, by="rps", most=10_000)
    if rate is not None:
        return f"above {rate:,.2g} requests a second"
    longest = designs.MAX_EXPRESS_S if other is designs.express else MAX_STREAM_S
    seconds = designs.crossing(one, other, load, figures, by="seconds", most=longest)
    return "never" if seconds is None else f"above {seconds:,.0f} seconds each"


def _idle(figures: Figures) -> Iterator[str]:
    count = figures["min_tasks"]
    yield "Dollars a month without any request"
    for vcpu, gb in designs.TASK_SIZES:
        yield f"  {f'{count:.0f} tasks of {vcpu:g} vCPU and {gb:g} GB':<44}{designs.idle(figures, vcpu, gb):>14,.2f}"
    yield ""


def _unconfirmed(figures: Figures) -> Iterator[str]:
    yield f"Not confirmed (see tools/capacity/figures.toml): {', '.join(figures.unconfirmed())}."


def _plain(number: float) -> str:
    """Format a number briefly: 5,500 and 90.9 and 0.25."""
    return f"{number:,.0f}" if number >= 100 or number == round(number) else f"{number:,.3g}"
