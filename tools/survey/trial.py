"""The trial of one definition: whether it is accepted, and how it ends with sample data and mocks made of that."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from service.local.asl import placeholders, yaml_text
from service.local.asl.definition import DefinitionError, parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run
from service.local.mocks import Mocks
from service.local.tasks import Tasks
from tests.support.virtual_time import VirtualTimeLoop
from tools.survey.reads import reads
from tools.survey.samples import Style, document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service.local.asl.states import Machine
    from service.local.json_text import Json
    from tools.survey.reads import Read

_VARIANTS = 6
_ARN = "arn:aws:states:us-east-1:000000000000:execution:survey:trial"


class Outcome(NamedTuple):
    """How a trial ended: `refused`, `succeeded`, `failed` (in a Fail state of its own) or `stopped`, and why."""

    kind: str
    reason: str = ""


def try_file(path: Path) -> Outcome:
    """Try a definition in a file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix != ".json":
            text = json.dumps(yaml_text.loads(text))
        text = _filled_in(text)
        source = json.loads(text)
    except (ValueError, TypeError) as error:
        return Outcome("refused", f"not a definition: {error}")
    states = dict(_states(source))
    try:
        machine = parse(text, Tasks(_no_http, Mocks(_mocks(states, [{}]), "survey")))
    except DefinitionError as error:
        return Outcome("refused", "; ".join(error.faults))
    outcomes: list[Outcome] = []
    for samples in _attempts(list(reads(source))):
        outcomes.append(_try(machine, states, samples))
        if outcomes[-1].kind != "stopped":
            break
    return min(outcomes, key=lambda outcome: outcome.kind == "stopped")


def _attempts(found: list[Read]) -> Iterator[list[Json]]:
    """Yield the documents of each attempt: the input, and the results of each task in turn."""
    for lists, objects, first in product((True, False), (False, True), range(_VARIANTS)):
        style = Style(lists, objects)
        variants = [document(found, style, first + variant) for variant in range(_VARIANTS)]
        ended = [document(found, style._replace(ended=True), first + variant) for variant in range(_VARIANTS)]
        yield variants + ended * 5
        yield [[variants[0]], *variants, *ended * 5]


def _filled_in(text: str) -> str:
    """Give every placeholder its own name as its value, or 1 where no text can be."""
    names = placeholders.names(text)
    text = re.sub(r"(?<=[:\[,])\s*\$\{[\w.:-]+\}(?=\s*[,}\]])", " 1", text)
    return placeholders.fill_in(text, {name: re.sub(r"\W", "_", name) for name in names})


def _try(machine: Machine, states: dict[str, Json], samples: list[Json]) -> Outcome:
    tasks = Tasks(_no_http, Mocks(_mocks(states, samples), "survey"))
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_run(machine, tasks, samples[0]))


async def _run(machine: Machine, tasks: Tasks, sample: Json) -> Outcome:
    execution = {"Id": _ARN, "Input": sample, "Name": "trial", "RoleArn": "", "StartTime": "2024-01-01T00:00:00Z"}
    run = Run({"Execution": execution, "StateMachine": {"Id": "arn", "Name": "survey"}})
    entered: list[str] = []
    interpreter = Interpreter(tasks.run, tasks.read_items, on_state=lambda _, state: entered.append(state))
    try:
        await interpreter.run(machine.flow, sample, run)
    except StateError as error:
        if run.events[-1].kind == "FailStateEntered":
            return Outcome("failed", f"{entered[-1]}: {error.error}")
        return Outcome("stopped", f"{entered[-1]}: {error.error}: {error.cause}")
    except Exception as error:  # noqa: BLE001 - a fault of the local AWS is what a survey is to find
        return Outcome("stopped", f"a fault of the local AWS: {error!r}")
    return Outcome("succeeded")


async def _no_http(_: Json) -> Json:
    raise StateError("States.Runtime", "every task of a survey is mocked")


def _mocks(states: dict[str, Json], samples: list[Json]) -> Json:
    """Mock every task with the samples, in turn, and every reader of items with a list of them."""
    responses = {str(index): {"Return": sample} for index, sample in enumerate(samples)}
    case = {
        name: {"Return": [samples[0]]} if fields.get("Type") == "Map" else responses
        for name, fields in states.items()
        if fields.get("Type") == "Task" or "ItemReader" in fields
    }
    return {"StateMachines": {"survey": {"TestCases": {"survey": case}}}}


def _states(source: Json) -> Iterator[tuple[str, Json]]:
    """Yield the states at any depth."""
    if isinstance(source, dict):
        for name, value in source.items():
            if name == "States" and isinstance(value, dict):
                yield from ((state, fields) for state, fields in value.items() if isinstance(fields, dict))
            yield from _states(value)
    elif isinstance(source, list):
        for value in source:
            yield from _states(value)
