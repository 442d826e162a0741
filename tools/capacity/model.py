"""The arithmetic: tasks, quotas and dollars that a steady load needs. docs/capacity.md goes through it step by step.

Two designs are compared: this service behind API Gateway and a load balancer, and one Lambda function per request that
opens a WebSocket of its own and waits. Both start the same workflow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.capacity.figures import Figures

HOUR = 3600
MONTH = 730 * HOUR
"""Seconds, as AWS's own examples count them."""
MILLION = 1_000_000
_LCU = {"connections": 25, "active": 3000, "bytes": 1e9 / HOUR}
"""What one capacity unit of a load balancer carries: new ones a second, held ones, bytes a second.

Source: https://aws.amazon.com/elasticloadbalancing/pricing/. The fourth dimension, rule evaluations, is free for ten.
"""
_METERED = 5_000
"""Bytes of an AppSync event that are one operation. Source: https://aws.amazon.com/appsync/pricing/."""


@dataclass(frozen=True, slots=True)
class Load:
    """Requests a second, the seconds for which each is held, and the state transitions of its workflow."""

    rps: float
    seconds: float
    transitions: int

    @property
    def in_flight(self) -> float:
        """Requests held at once (Little's law)."""
        return self.rps * self.seconds

    @property
    def needs(self) -> Mapping[str, float]:
        """What counts against a quota, by the names that the data file uses."""
        return {"requests": self.rps, "transitions": self.rps * self.transitions, "in flight": self.in_flight}


@dataclass(frozen=True, slots=True)
class Demand:
    """How many tasks one resource asks for, and how many requests a second (or in flight) a task has room for."""

    tasks: int
    per_task: float


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota, what the load needs of it, and the requests a second at which it is used up."""

    name: str
    limit: float
    needed: float
    reached_at: float
    only: str | None


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars per million requests in both designs."""

    name: str
    service: float
    one_lambda_each: float


def transitions(definition: Mapping[str, Any]) -> int:
    """Count the states that an execution enters when nothing fails; a Choice takes its first rule.

    Each state that is entered is one transition, the first one (from the start) included: AWS counts one "each time a
    step of your workflow is executed" (https://aws.amazon.com/step-functions/pricing/).
    """
    entered: list[str] = []
    inner = 0
    name = definition["StartAt"]
    while name is not None and name not in entered:
        state = definition["States"][name]
        entered.append(name)
        inner += sum(transitions(branch) for branch in state.get("Branches", ()))
        name = state["Choices"][0]["Next"] if "Choices" in state else state.get("Next")
    return len(entered) + inner


def demands(load: Load, figures: Figures) -> dict[str, Demand]:
    """Return what each resource asks for; the most demanding one decides how many tasks there are."""
    share = figures["utilisation"]
    memory = figures["task_gb"] * 2**30 * share - figures["process_bytes"]
    room = {
        "CPU": (load.rps, figures["task_vcpu"] * share / figures["cpu_seconds"]),
        "requests in flight": (load.in_flight, figures["max_in_flight"] * figures["places_used"]),
        "memory": (load.in_flight, memory / figures["request_bytes_in_memory"]),
    }
    return {name: Demand(_whole(needed / per_task), per_task) for name, (needed, per_task) in room.items()}


def tasks(load: Load, figures: Figures) -> int:
    """Return how many tasks the load needs."""
    return max(int(figures["tasks_at_least"]), *(demand.tasks for demand in demands(load, figures).values()))


def quotas(load: Load, figures: Figures) -> list[QuotaUse]:
    """Return every quota, the one that is reached first in front."""
    uses = [_quota_use(load, entry) for entry in figures.quotas.values()]
    return sorted(uses, key=lambda use: use.reached_at)


def _quota_use(load: Load, entry: Mapping[str, Any]) -> QuotaUse:
    needed = load.needs[entry["needs"]]
    reached_at = load.rps * entry["value"] / needed
    return QuotaUse(entry["name"], entry["value"], needed, reached_at, entry.get("only"))


def costs(load: Load, figures: Figures) -> list[Cost]:
    """Return the dollars per million requests of every service that is paid for."""
    monthly = load.rps * MONTH
    gateway = MILLION * figures.average_price("api_request", monthly)
    steps = MILLION * (load.transitions * figures["transition"] + figures["http_task"])
    count = tasks(load, figures)
    task_hour = figures["task_vcpu"] * figures["fargate_vcpu_hour"] + figures["task_gb"] * figures["fargate_gb_hour"]
    gb_seconds = load.seconds * figures["lambda_gb"]
    gb_second = figures.average_price("lambda_gb_second", monthly * gb_seconds)
    # Each event is an operation on the way in and one on the way out; a Lambda connects and subscribes as well.
    events = 2 * math.ceil(figures["reply_bytes"] / _METERED)
    minute = figures["appsync_connection_minute"]
    balancer = figures["balancer_hour"] + capacity_units(load, figures) * figures["balancer_lcu_hour"]
    nat_hours = _per_million(load, figures["nat_gateways"] * figures["nat_hour"])
    return [
        Cost(f"Step Functions, {load.transitions} transitions", steps, steps),
        Cost("API Gateway", gateway + _per_million(load, figures["vpc_link_hour"]), gateway),
        Cost(
            "AppSync Events",
            MILLION * events * figures["appsync_operation"] + _per_million(load, 60 * count * minute),
            MILLION * ((events + 2) * figures["appsync_operation"] + load.seconds / 60 * minute),
        ),
        Cost("Fargate, Lambda", _per_million(load, count * task_hour), _lambda(gb_seconds * gb_second, figures)),
        Cost("Load balancer", _per_million(load, balancer), 0.0),
        Cost("NAT gateway", nat_hours + figures["nat_bytes"] / 1e9 * MILLION * figures["nat_gb"], 0.0),
        Cost("Logs", _logs(figures, "log_bytes"), _logs(figures, "lambda_log_bytes")),
    ]


def capacity_units(load: Load, figures: Figures) -> float:
    """Return the load balancer's capacity units: the dimension that needs most is paid for."""
    connections = figures["balancer_connections"]
    return max(
        load.rps * connections / _LCU["connections"],
        load.in_flight * connections / _LCU["active"],
        load.rps * figures["balancer_bytes"] / _LCU["bytes"],
    )


def total(rows: Iterable[Cost]) -> Cost:
    """Add up."""
    rows = list(rows)
    return Cost("Total", sum(row.service for row in rows), sum(row.one_lambda_each for row in rows))


def break_even(load: Load, figures: Figures) -> float:
    """Return the requests a second from which on this service costs less than one Lambda per request.

    Between 0.001 and a million; found by halving, as tasks come in whole numbers.
    """
    low, high = 0.001, 1e6
    for _ in range(60):
        middle = math.sqrt(low * high)
        both = total(costs(Load(middle, load.seconds, load.transitions), figures))
        low, high = (low, middle) if both.service < both.one_lambda_each else (middle, high)
    return high


def _per_million(load: Load, dollars_an_hour: float) -> float:
    return dollars_an_hour / (load.rps * HOUR) * MILLION


def _lambda(duration: float, figures: Figures) -> float:
    return MILLION * (duration + figures["lambda_request"])


def _logs(figures: Figures, name: str) -> float:
    return figures[name] / 1e9 * MILLION * figures["log_gb"]


def _whole(number: float) -> int:
    """Round up, to 1 at least, but not for the last digits of binary arithmetic: 3.0000000000000004 tasks are three."""
    return max(1, math.ceil(round(number, 9)))
