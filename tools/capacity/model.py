"""The arithmetic: tasks, quotas and dollars that a steady load needs. docs/capacity.md explains it step by step.

It compares two designs that start the same workflow: this service behind API Gateway and a load balancer, and one
Lambda function per request, which opens its own WebSocket and waits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tools.capacity.figures import Figures

HOUR_S = 3600
MONTH_S = 730 * HOUR_S
"""730 hours, as in AWS's own examples."""
MILLION = 1_000_000
_LCU_LIMITS = {"connections": 25, "active": 3000, "bytes": 1e9 / HOUR_S}
"""What one capacity unit of a load balancer includes: new connections a second, open connections, bytes a second.

Source: https://aws.amazon.com/elasticloadbalancing/pricing/. The fourth dimension is rule evaluations: ten are free.
"""
_APPSYNC_OPERATION_BYTES = 5_000
"""The part of an AppSync event that is metered as one operation. Source: https://aws.amazon.com/appsync/pricing/."""


@dataclass(frozen=True, slots=True)
class Load:
    """A steady load."""

    rps: float
    """Requests a second."""
    seconds: float
    """How long each request is in flight."""
    transitions: int
    """State transitions of each workflow execution."""
    stream: bool = False
    """Whether each request is answered by an event stream."""

    @property
    def in_flight(self) -> float:
        """Requests in flight at once (Little's law)."""
        return self.rps * self.seconds

    @property
    def needs(self) -> Mapping[str, float]:
        """The amounts that count against quotas, by their names in the data file."""
        return {"requests": self.rps, "transitions": self.rps * self.transitions, "in flight": self.in_flight}


@dataclass(frozen=True, slots=True)
class Demand:
    """What one resource demands."""

    tasks: int
    """Tasks that have enough of the resource."""
    per_task: float
    """Requests a second, or in flight, that one task has room for."""


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota and the load's use of it."""

    name: str
    limit: float
    needed: float
    reached_at: float
    """The requests a second that exhaust it."""
    only: str | None
    """The only design that it applies to; None if it applies to both."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars per million requests in both designs."""

    name: str
    service: float
    one_lambda_each: float


def transitions(definition: Mapping[str, Any]) -> int:
    """Count the states that an execution enters if nothing fails and each Choice takes its first rule.

    Each state is one transition, including the first: AWS counts one "each time a step of your workflow is executed"
    (https://aws.amazon.com/step-functions/pricing/).
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
    """Return the demand of each resource; the highest one determines the number of tasks."""
    share = figures["utilisation"]
    memory = figures["task_gb"] * 2**30 * share - figures["process_bytes"]
    size = figures["stream_bytes_in_memory" if load.stream else "request_bytes_in_memory"]
    room = {
        "CPU": (load.rps, figures["task_vcpu"] * share / cpu_seconds(load, figures)),
        "requests in flight": (load.in_flight, figures["max_in_flight"] * figures["slots_used"]),
        "memory": (load.in_flight, memory / size),
    }
    return {name: Demand(_round_up(needed / per_task), per_task) for name, (needed, per_task) in room.items()}


def cpu_seconds(load: Load, figures: Figures) -> float:
    """Return the CPU time of one request: a plain wait uses none, a stream sends comments meanwhile."""
    comments = load.seconds / figures["comment_interval"] if load.stream else 0.0
    return figures["cpu_seconds"] + comments * figures["comment_cpu_seconds"]


def tasks(load: Load, figures: Figures) -> int:
    """Return the number of tasks that the load needs."""
    return max(int(figures["min_tasks"]), *(demand.tasks for demand in demands(load, figures).values()))


def quotas(load: Load, figures: Figures) -> list[QuotaUse]:
    """Return every quota, in the order in which a growing load reaches them."""
    uses = [_quota_use(load, entry) for entry in figures.quotas.values()]
    return sorted(uses, key=lambda use: use.reached_at)


def _quota_use(load: Load, entry: Mapping[str, Any]) -> QuotaUse:
    needed = load.needs[entry["needs"]]
    reached_at = load.rps * entry["value"] / needed
    return QuotaUse(entry["name"], entry["value"], needed, reached_at, entry.get("only"))


def costs(load: Load, figures: Figures) -> list[Cost]:
    """Return the dollars per million requests of each AWS service."""
    monthly = load.rps * MONTH_S
    gateway = MILLION * figures.average_price("api_request", monthly)
    steps = MILLION * (load.transitions * figures["transition"] + figures["http_task"])
    count = tasks(load, figures)
    task_hour = figures["task_vcpu"] * figures["fargate_vcpu_hour"] + figures["task_gb"] * figures["fargate_gb_hour"]
    gb_seconds = load.seconds * figures["lambda_gb"]
    gb_second = figures.average_price("lambda_gb_second", monthly * gb_seconds)
    # An event is one operation when published and one when delivered; a Lambda also connects and subscribes.
    events = 2 * math.ceil(figures["reply_bytes"] / _APPSYNC_OPERATION_BYTES)
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
    """Return the load balancer's capacity units: only the dimension with the highest use is billed."""
    connections = figures["balancer_connections"]
    return max(
        load.rps * connections / _LCU_LIMITS["connections"],
        load.in_flight * connections / _LCU_LIMITS["active"],
        load.rps * figures["balancer_bytes"] / _LCU_LIMITS["bytes"],
    )


def total(rows: Iterable[Cost]) -> Cost:
    """Add up all costs."""
    rows = list(rows)
    return Cost("Total", sum(row.service for row in rows), sum(row.one_lambda_each for row in rows))


def _per_million(load: Load, dollars_an_hour: float) -> float:
    return dollars_an_hour / (load.rps * HOUR_S) * MILLION


def _lambda(duration: float, figures: Figures) -> float:
    return MILLION * (duration + figures["lambda_request"])


def _logs(figures: Figures, name: str) -> float:
    return figures[name] / 1e9 * MILLION * figures["log_gb"]


def _round_up(number: float) -> int:
    """Round up to at least 1, ignoring floating-point errors: 3.0000000000000004 tasks are three."""
    return max(1, math.ceil(round(number, 9)))
