"""What other designs cost, and where two of them cost the same."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.capacity import designs, model
from tools.capacity.figures import Figures

FIGURES = Figures.load()
LOADS = st.builds(model.Load, st.floats(0.01, 10_000), st.floats(0.1, 285), st.integers(1, 100), st.booleans())
no_deadline = settings(deadline=None)  # a busy machine may pause for any time


def tiers(**prices: float) -> Figures:
    """Return the figures with these prices, the same for any number of units."""
    changed = {name: {"tiers": [[float("inf"), price]]} for name, price in prices.items()}
    return dataclasses.replace(FIGURES, named={**FIGURES.named, **changed})


@no_deadline
@given(LOADS)
def test_this_service_is_cheaper_than_one_lambda_each_only_above_the_crossing(load: model.Load) -> None:
    pair = designs.this_service, designs.one_lambda_each
    rate = designs.crossing(*pair, load, FIGURES, by="rps", most=1e6)
    assert rate is not None
    below, above = (dataclasses.replace(load, rps=rate * factor) for factor in (0.999, 1.001))
    assert pair[0](below, FIGURES) > pair[1](below, FIGURES)
    assert pair[0](above, FIGURES) < pair[1](above, FIGURES)


def test_express_runs_cost_more_than_transitions_from_some_duration_on() -> None:
    figures = tiers(express_gb_second=0.00001667)
    load = model.Load(100, 10, 4)
    seconds = designs.crossing(designs.this_service, designs.express, load, figures, by="seconds", most=300)
    assert seconds is not None
    # 100 dollars for transitions are as much as 96 seconds of 64 MB; the rest is what the two designs add to that.
    assert seconds == pytest.approx(100 / (0.0625 * 16.67), rel=0.1)
    assert designs.crossing(designs.this_service, designs.express, load, figures, by="seconds", most=20) is None


@no_deadline
@given(LOADS)
def test_event_mode_saves_a_transition_and_costs_a_run_of_the_relay(load: model.Load) -> None:
    saved = designs.this_service(load, FIGURES) - designs.event_mode(load, FIGURES)
    relay = 1 + 0.2 * 0.0625 * 16.67
    assert 25 - relay <= saved + 1e-9 <= 25 - 1 + 1e-9


@pytest.mark.parametrize(("seconds", "billed"), [(0.01, 0.1), (0.1, 0.1), (0.11, 0.2), (10, 10)])
def test_express_runs_are_billed_by_a_tenth_of_a_second(seconds: float, billed: float) -> None:
    figures = tiers(express_gb_second=1e-5, api_request=0)
    cost = designs.express(model.Load(1, seconds, 4), figures)
    assert cost == pytest.approx(1 + billed * 0.0625 * 10)


def test_a_durable_function_costs_nothing_while_it_waits() -> None:
    short, long = (designs.durable_function(model.Load(1, seconds, 4), FIGURES) for seconds in (1, 800))
    assert short == long


def test_larger_tasks_cost_more_without_any_request() -> None:
    costs = [designs.idle(FIGURES, vcpu, gb) for vcpu, gb in designs.TASK_SIZES]
    assert costs == sorted(costs)
