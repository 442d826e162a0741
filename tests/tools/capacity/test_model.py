"""The arithmetic of `python -m tools.capacity`, its data file, and the document that repeats it by hand."""

from __future__ import annotations

import dataclasses
import doctest
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.app.settings import Settings
from service.local.asl.definition import parse, render
from service.local.asl.interpreter import Interpreter
from service.local.asl.run import Run
from service.web.events import COMMENT_INTERVAL_S
from tools.capacity import designs, model
from tools.capacity.figures import FILE, Figures
from tools.capacity.report import WORKFLOW

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "capacity.md"
EXAMPLE = model.Load(500, 11, 4)
FIGURES = Figures.load()


def figures(**values: float) -> Figures:
    """Return the data file's figures with these values replaced, so that no test depends on current prices."""
    changed = {name: {"value": value} for name, value in values.items()}
    assert changed.keys() <= FIGURES.named.keys()
    return dataclasses.replace(FIGURES, named={**FIGURES.named, **changed})


def tasks(rps: float, seconds: float, **values: float) -> int:
    sizes = {
        "utilisation": 0.5,
        "slots_used": 0.25,
        "min_tasks": 2,
        "task_vcpu": 1,
        "task_gb": 1,
        "max_in_flight": 10_000,
    }
    measured = {"cpu_seconds": 0.001, "request_bytes_in_memory": 1024, "process_bytes": 2**28}
    return model.tasks(model.Load(rps, seconds, 8), figures(**(sizes | measured | values)))


def row(name: str, load: model.Load, with_figures: Figures) -> model.Cost:
    return next(cost for cost in model.costs(load, with_figures) if cost.name.startswith(name))


async def test_the_deployed_workflows_transitions_are_the_states_that_it_enters() -> None:
    entered: list[str] = []

    async def publish(_: Any) -> Any:
        return {"ResponseBody": {"successful": [{}], "failed": []}}

    text = WORKFLOW.read_text(encoding="utf-8")
    values = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "0") | {"partition": "aws"}
    event = json.dumps({"nome": "Ricardo", "sobrenome": "Marques"})
    data = {"id": "exec-1", "event": event, "reply": {"channel": "/a/b/c"}}
    interpreter = Interpreter(publish, on_state=lambda _, state: entered.append(state))
    output = await interpreter.run(parse(render(text, values)).flow, data, Run())
    assert output == {"nome completo": "Ricardo Marques"}
    assert model.transitions(json.loads(text)) == len(entered)


def test_a_choice_takes_its_first_rule_and_all_branches_of_a_parallel_count() -> None:
    branch = {"StartAt": "X", "States": {"X": {"Next": "Y"}, "Y": {}}}
    states = {
        "A": {"Choices": [{"Next": "B"}, {"Next": "C"}], "Default": "C"},
        "B": {"Branches": [branch, branch], "Next": "A"},
        "C": {},
    }
    assert model.transitions({"StartAt": "A", "States": states}) == 2 + 2 * 2


def test_there_are_at_least_two_tasks() -> None:
    assert tasks(rps=1, seconds=1) == 2


def test_cpu_limits_short_requests() -> None:
    assert tasks(rps=2100, seconds=0.1) == 5  # 500 a second and task


def test_requests_in_flight_limit_long_requests() -> None:
    assert tasks(rps=1000, seconds=25.001, cpu_seconds=0.0001) == 11  # 2,500 a task


def test_memory_limits_large_requests() -> None:
    # Half of 1 GiB less 1/4 GiB is 256 MiB: 256 requests of 1 MiB.
    assert tasks(rps=257, seconds=3, request_bytes_in_memory=2**20) == 4


def test_a_stream_needs_cpu_for_its_comments_and_more_memory() -> None:
    plain, stream = (model.demands(model.Load(10, 600, 4, stream), FIGURES) for stream in (False, True))
    assert plain["CPU"].per_task / stream["CPU"].per_task == pytest.approx((0.0012 + 60 * 0.00012) / 0.0012)
    assert stream["memory"].per_task < plain["memory"].per_task
    assert stream["requests in flight"] == plain["requests in flight"]


def test_comments_come_as_often_as_the_service_sends_them() -> None:
    assert FIGURES["comment_interval"] == COMMENT_INTERVAL_S


def test_a_load_that_fills_the_tasks_exactly_needs_no_other_task() -> None:
    # 2100 / (1 * 0.7 / 0.001) is a little more than 3 in binary arithmetic.
    assert tasks(2100, 0.1, utilisation=0.7) == 3


LOADS = st.builds(model.Load, st.floats(0.01, 100_000), st.floats(0.1, 890), st.integers(1, 10_000), st.booleans())
no_deadline = settings(deadline=None)  # a busy machine may pause for any time


@no_deadline
@given(LOADS)
def test_no_task_exceeds_the_chosen_utilisation(load: model.Load) -> None:
    for name, demand in model.demands(load, FIGURES).items():
        needed = load.rps if name == "CPU" else load.in_flight
        assert needed / model.tasks(load, FIGURES) <= demand.per_task * (1 + 1e-6)


@no_deadline
@given(LOADS)
def test_a_quota_is_exhausted_at_the_rate_where_it_is_reached(load: model.Load) -> None:
    uses = model.quotas(load, FIGURES)
    assert [use.reached_at for use in uses] == sorted(use.reached_at for use in uses)
    for use in uses:
        at_the_limit = dataclasses.replace(load, rps=use.reached_at)
        assert next(u.needed for u in model.quotas(at_the_limit, FIGURES) if u.name == use.name) == pytest.approx(
            use.limit
        )


def test_a_price_tier_is_used_up_before_the_next_one() -> None:
    tiers = {"x": {"tiers": [[100, 3.0], [100, 2.0], [float("inf"), 1.0]]}}
    tiered = dataclasses.replace(FIGURES, named=tiers)
    assert tiered.average_price("x", 50) == 3.0
    assert tiered.average_price("x", 150) == pytest.approx((100 * 3 + 50 * 2) / 150)
    assert tiered.average_price("x", 400) == pytest.approx((100 * 3 + 100 * 2 + 200 * 1) / 400)


@pytest.mark.parametrize(
    ("rps", "seconds", "size", "units"),
    [(250, 1, 1, 10), (1, 30_000, 1, 10), (10, 1, 1e9 / 3600, 10)],
    ids=["new connections", "open connections", "bytes"],
)
def test_the_highest_dimension_of_the_load_balancer_is_billed(
    rps: float, seconds: float, size: float, units: float
) -> None:
    load = model.Load(rps, seconds, 8)
    assert model.capacity_units(load, figures(balancer_connections=1, balancer_bytes=size)) == pytest.approx(units)


@pytest.mark.parametrize(("size", "operations"), [(1, 2), (5000, 2), (5001, 4), (12_000, 6)])
def test_each_5_kb_of_a_reply_is_one_operation_in_and_one_out(size: int, operations: int) -> None:
    cost = row("AppSync", EXAMPLE, figures(reply_bytes=size, appsync_operation=1e-6, appsync_connection_minute=0))
    assert (cost.service, cost.one_lambda_each) == pytest.approx((operations, operations + 2))


def test_every_figure_has_a_unit_a_source_and_a_unique_name() -> None:
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    names = [name for section in ("prices", "measured", "chosen") for name in data[section]]
    assert len(names) == len(set(names))
    for section in ("prices", "quotas", "measured", "chosen"):
        for name, entry in data[section].items():
            assert entry["unit"], name
            assert ("value" in entry) != ("tiers" in entry), name
            assert entry.get("unconfirmed") != "", name
            if section in {"prices", "quotas"}:
                assert entry["source"].startswith(("https://aws.amazon.com/", "https://docs.aws.amazon.com/")), name
    assert all("source" in entry for entry in data["measured"].values())


def test_every_figure_is_used() -> None:
    code = "".join((FILE.parent / name).read_text(encoding="utf-8") for name in ("model.py", "designs.py"))
    used = set(re.findall(r'"(\w+)"', code))
    assert FIGURES.named.keys() <= used


def test_max_in_flight_is_the_settings_default() -> None:
    assert FIGURES["max_in_flight"] == Settings.model_fields["MAX_IN_FLIGHT"].default


def test_a_task_has_the_size_that_terraform_gives_it() -> None:
    terraform = "\n".join(
        file.read_text(encoding="utf-8")
        for file in (ROOT / "IaC" / "terraform" / "modules" / "sync-front").glob("*.tf")
    )

    def found(pattern: str) -> float:
        (text,) = re.findall(pattern, terraform)
        return float(text)

    assert FIGURES["task_vcpu"] * 1024 == found(r"\bcpu += optional\(number, (\d+)\)")
    assert FIGURES["task_gb"] * 1024 == found(r"\bmemory += optional\(number, (\d+)\)")
    assert FIGURES["min_tasks"] == found(r"\bmin += optional\(number, (\d+)\)")
    assert round(FIGURES["utilisation"] * 100) == found(r"\btarget_value += (\d+)")
    assert FIGURES["slots_used"] == 1 / found(r"\btarget_value += floor\(var\.max_in_flight / (\d+)\)")
    assert 'default     = "ARM64"' in terraform
    assert "Linux on ARM" in FIGURES.named["fargate_vcpu_hour"]["unit"]
    assert FIGURES["max_in_flight"] == found(r'variable "max_in_flight" \{[^}]*?default += (\d+)')


def test_the_documents_arithmetic_agrees_with_the_model() -> None:
    steps = doctest.DocTestParser().get_doctest(DOCUMENT.read_text(encoding="utf-8"), {}, "capacity.md", None, None)
    assert len(steps.examples) > 20
    by_hand = steps.globs
    problems: list[str] = []
    doctest.DocTestRunner().run(steps, out=problems.append, clear_globs=False)
    assert not problems, "".join(problems)

    costs = {cost.name.partition(",")[0]: cost for cost in model.costs(EXAMPLE, FIGURES)}
    demands = model.demands(EXAMPLE, FIGURES)
    reached = {use.name: use.reached_at for use in model.quotas(EXAMPLE, FIGURES)}
    total = model.total(costs.values())
    model_says = {
        "in_flight": EXAMPLE.in_flight,
        "cpu_room": demands["CPU"].per_task,
        "places": demands["requests in flight"].per_task,
        "memory_room": demands["memory"].per_task,
        "tasks": model.tasks(EXAMPLE, FIGURES),
        "stream_tasks": model.tasks(model.Load(10, 600, 4, stream=True), FIGURES),
        "stream_cpu_room": model.demands(model.Load(10, 600, 4, stream=True), FIGURES)["CPU"].per_task,
        "starts_reached_at": reached["Step Functions: StartExecution, a second"],
        "transitions_reached_at": reached["Step Functions: state transitions, a second"],
        "concurrency_reached_at": reached["Lambda: concurrent executions"],
        "step_functions": costs["Step Functions"].service,
        "api_gateway": costs["API Gateway"].service,
        "appsync": costs["AppSync Events"].service,
        "appsync_lambda": costs["AppSync Events"].one_lambda_each,
        "fargate": costs["Fargate"].service,
        "one_lambda": costs["Fargate"].one_lambda_each,
        "units": model.capacity_units(EXAMPLE, FIGURES),
        "balancer": costs["Load balancer"].service,
        "nat": costs["NAT gateway"].service,
        "logs": costs["Logs"].service,
        "logs_lambda": costs["Logs"].one_lambda_each,
        "total": total.service,
        "total_lambda": total.one_lambda_each,
        "event_mode": designs.event_mode(EXAMPLE, FIGURES),
        "express": designs.express(EXAMPLE, FIGURES),
        "durable": designs.durable_function(EXAMPLE, FIGURES),
        "idle": designs.idle(FIGURES, 0.5, 1),
    }
    assert {name: by_hand[name] for name in model_says} == pytest.approx(model_says)
