"""Other designs that answer a request with the result of a workflow, and what they cost at the same load."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from tools.capacity import model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tools.capacity.figures import Figures
    from tools.capacity.model import Load

Price: TypeAlias = "Callable[[Load, Figures], float]"
"""Dollars per million requests."""

MAX_EXPRESS_S = 300
"""The longest run of an Express workflow. Source: the Step Functions Developer Guide, "Service quotas"."""

TASK_SIZES = ((0.25, 0.5), (0.5, 1.0), (1.0, 2.0))
"""vCPU and GB of tasks whose cost without any request is shown."""


def this_service(load: Load, figures: Figures) -> float:
    """Return the cost of this service with a workflow that publishes its own result."""
    return model.total(model.costs(load, figures)).service


def event_mode(load: Load, figures: Figures) -> float:
    """Return the cost in event mode: without the state that publishes, but with a run of the relay for each end.

    EventBridge charges nothing for events of AWS's own services, nor for starting the relay.
    """
    shorter = replace(load, transitions=load.transitions - 1)
    return this_service(shorter, figures) + _express(load.rps, figures["relay_seconds"], figures)


def one_lambda_each(load: Load, figures: Figures) -> float:
    """Return the cost of one Lambda invocation per request, which waits with a WebSocket of its own."""
    return model.total(model.costs(load, figures)).one_lambda_each


def express(load: Load, figures: Figures) -> float:
    """Return the cost of an Express workflow that API Gateway calls with StartSyncExecution."""
    return _gateway(load, figures) + _express(load.rps, load.seconds, figures)


def durable_function(load: Load, figures: Figures) -> float:
    """Return the cost of a Lambda durable function, which API Gateway invokes and which is suspended while it waits.

    Each transition of the workflow, without the one that publishes, and the start are an operation.
    """
    invocations, seconds = figures["durable_invocations"], figures["durable_seconds"]
    gb_seconds = invocations * seconds * figures["lambda_gb"]
    price = figures.average_price("lambda_gb_second", load.rps * model.MONTH_S * gb_seconds)
    stored = figures["durable_bytes"] / 1e9 * (figures["durable_gb"] + figures["durable_gb_month"] * _RETAINED_MONTHS)
    operations = load.transitions * figures["durable_operation"]
    calls = invocations * figures["lambda_request"] + gb_seconds * price
    return _gateway(load, figures) + model.MILLION * (calls + operations + stored)


DESIGNS: Mapping[str, Price] = {
    "this service": this_service,
    "this service, event mode": event_mode,
    "one Lambda each": one_lambda_each,
    "Express, StartSyncExecution": express,
    "Lambda durable function": durable_function,
}

_RETAINED_MONTHS = 14 / 30
"""How long the history of a durable function is kept by default."""


def crossing(one: Price, other: Price, load: Load, figures: Figures, *, by: str, most: float) -> float | None:
    """Return the `rps` or `seconds` (`by`) of the load above which `one` costs less than `other`.

    None if it does not at `most`. Found by bisection, because the number of tasks is an integer.
    """

    def cheaper(value: float) -> bool:
        at = replace(load, rps=value) if by == "rps" else replace(load, seconds=value)
        return one(at, figures) < other(at, figures)

    low, high = 0.001, most
    if not cheaper(high):
        return None
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if cheaper(middle) else (middle, high)
    return high


def idle(figures: Figures, vcpu: float, gb: float) -> float:
    """Return the dollars a month of this service without any request, with tasks of this size."""
    tasks = figures["min_tasks"] * (vcpu * figures["fargate_vcpu_hour"] + gb * figures["fargate_gb_hour"])
    links = figures["min_tasks"] * 60 * figures["appsync_connection_minute"]
    others = figures["balancer_hour"] + figures["vpc_link_hour"] + figures["nat_gateways"] * figures["nat_hour"]
    return (tasks + links + others) * model.MONTH_S / model.HOUR_S


def _gateway(load: Load, figures: Figures) -> float:
    return model.MILLION * figures.average_price("api_request", load.rps * model.MONTH_S)


def _express(rps: float, seconds: float, figures: Figures) -> float:
    """Return the cost of a million runs of an Express workflow, billed by 100 ms and 64 MB."""
    gb_seconds = math.ceil(round(seconds * 10, 6)) / 10 * figures["express_gb"]
    price = figures.average_price("express_gb_second", rps * model.MONTH_S * gb_seconds)
    return model.MILLION * (figures["express_request"] + gb_seconds * price)
