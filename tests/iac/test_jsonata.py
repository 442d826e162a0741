"""JSONata: the local AWS evaluates every expression of every workflow as the reference implementation does"""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.local.asl.expressions import compile_expression
from service.local.asl.scope import EvaluationError
from tests.iac.conftest import not_verified
from tests.iac.files import IAC, ROOT
from tools.preflight import samples

pytestmark = [pytest.mark.iac, pytest.mark.timeout(300)]

REFERENCE = Path(__file__).parent / "jsonata"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:event-workflow"
WORKFLOWS = sorted([*IAC.glob("*.asl.json"), *(ROOT / "examples").glob("*.asl.json")])

# JSON texts that are unusual, or none.
TEXTS = [
    '{"nome": "A", "sobrenome": "B"}',
    '{"nome": "\\u0000\N{LATIN SMALL LETTER E WITH ACUTE}\\ud83d\\ude00\\"\\\\", "sobrenome": "\\u2028"}',
    '{"nome": "\\ud800", "sobrenome": "x"}',
    '{"nome": "a", "nome": "b", "sobrenome": "c"}',
    ' {"nome": "a", "sobrenome": "b"}\n',
    '[{"nome": "a", "sobrenome": "b"}]',
    '{"customer": "Ada", "lines": [{"quantity": 2, "price": 1.5}, {"quantity": 3, "price": 10}]}',
    '{"customer": "Ada", "lines": {"quantity": 2, "price": 1.5}}',
    '{"customer": "Ada", "lines": [{"quantity": "2", "price": 1}]}',
    '{"customer": null, "lines": []}',
    "",
    "not json",
    "{'nome': 'a'}",
    '{"nome": NaN}',
    "[1, 2",
    "0.1",
    "-0",
    "1e-7",
    '"text"',
    '{"seconds": 55}',
]

# JavaScript reads this as Infinity, Python's orjson refuses it. AWS's documentation does not say what AWS does.
DIFFERENT = "1e400"

# What AppSync and EventBridge answer and send.
BODIES = [
    {"failed": [], "successful": [{"index": 0, "identifier": "i"}]},
    {"failed": [{"index": 0}], "successful": []},
    {"failed": {}},
    {"failed": None},
    {"failed": [[]]},
    '{"failed": []}',
]


def expressions() -> dict[str, list[str]]:
    """Return the expressions of each workflow."""
    return {path.name: sorted(set(_expressions(json.loads(path.read_text(encoding="utf-8"))))) for path in WORKFLOWS}


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("{%"):
        yield value.removeprefix("{%").removesuffix("%}").strip().replace("${wait_seconds}", "10")
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _expressions(item)


def values(count: int) -> Iterator[Any]:
    """Yield JSON values, always the same ones."""
    generator = random.Random(1)
    names = ["nome", "sobrenome", "error", "cause", "lines", "customer", "quantity", "price", "x"]
    scalars = [None, True, False, 0, -1, 1.5, 2**53, "", "a", "\N{GRINNING FACE}", '"\\\n\x00', "a" * 61_000]

    def value(depth: int) -> Any:
        kind = generator.random()
        if depth == 0 or kind < 0.3:
            return generator.choice(scalars)
        size = generator.randrange(4)
        if kind < 0.5:
            return [value(depth - 1) for _ in range(size)]
        return {name: value(depth - 1) for name in generator.sample(names, size + 1)}

    yield from (value(3) for _ in range(count))


def inputs() -> list[dict[str, Any]]:
    """Return the variables for the expressions: those of a run, with unusual data in each place; last the exception."""
    usual = {"nome": "A", "sobrenome": "B", "error": "E", "cause": "c"}
    return [
        *(variables(envelope(text)) for text in TEXTS),
        *(variables(usual, {"ResponseBody": body}, delivered=True) for body in BODIES),
        variables(usual, [usual], order=json.loads(TEXTS[6]), total=3.5, delivered=False),
        variables(json.loads(TEXTS[6]), {"Output": {"total": 33}}),
        variables(None, None, order=None, total=None, delivered=None),
        *(
            variables(samples.status_change(MACHINE, status, usual, "n"))
            for status in ("RUNNING", "SUCCEEDED", "FAILED")
        ),
        *(variables(envelope(json.dumps(value))) for value in values(40)),
        *(variables(value, [value], order=value, total=value, delivered=value) for value in values(60)),
        *(variables(usual, {"ResponseBody": value}) for value in values(40)),
        variables(envelope(DIFFERENT)),
    ]


def envelope(event: str) -> dict[str, Any]:
    """Return the input of an execution."""
    return {"id": "exec-1", "event": event, "reply": {"channel": "/n/c/exec-1"}}


def variables(data: Any, result: Any = None, **assigned: Any) -> dict[str, Any]:
    """Return the variables that the workflows use: those of the language, and what they assign."""
    cause = '{"Error": "OutOfStock", "Status": "FAILED"}'
    states = {
        "input": data,
        "result": result,
        "errorOutput": {"Error": "States.TaskFailed", "Cause": cause},
        "context": {"StateMachine": {"Id": MACHINE.replace("event-workflow", "checkout")}},
    }
    return {"states": states, "id": "exec-1", "channel": "/n/c"} | assigned


def reference(folder: Path, expressions: list[str], inputs: list[dict[str, Any]]) -> Any:
    """Return the results of the reference implementation."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            not_verified(f"{command} is not on the PATH")
    shutil.copytree(REFERENCE, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True, timeout=120)  # noqa: S607 - the user's Node.js
    done = subprocess.run(
        ["node", "evaluate.mjs"],  # noqa: S607 - the same
        cwd=folder,
        input=json.dumps({"expressions": expressions, "inputs": inputs}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout)


def local(expression: str, given: dict[str, Any]) -> Any:
    """Return the result of the local AWS, in the form of the reference."""
    try:
        return {"value": compile_expression(expression).evaluate(given)}
    except EvaluationError as error:
        return {"error": str(error)}


def comparable(result: Any) -> Any:
    """Return a result in a form that is the same in both.

    Of an error that it is one; of JSON text the value in it, since 1.0 and 1 are the same number, and which characters
    are escaped, since that decides how long it is.
    """
    if "error" in result:
        return "an error"
    value = result["value"]
    if isinstance(value, str) and value.startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            return ["text", json.loads(value), sorted(set(re.findall(r"\\u[0-9a-f]{4}", value)))]
    return ["value", value]


@dataclass
class Evaluated:
    """An expression with one input, and both results."""

    expression: str
    given: dict[str, Any]
    reference: Any
    local: Any

    @property
    def is_the_known_difference(self) -> bool:
        data = self.given["states"]["input"]
        return data == envelope(DIFFERENT) and self.expression == "$parse($states.input.event)"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> list[Evaluated]:
    every = sorted({text for texts in expressions().values() for text in texts})
    expected = reference(tmp_path_factory.mktemp("node") / "jsonata", every, inputs())
    return [
        Evaluated(text, given, comparable(theirs), comparable(local(text, given)))
        for text, row in zip(every, expected, strict=True)
        for given, theirs in zip(inputs(), row, strict=True)
    ]


def test_every_workflow_has_expressions() -> None:
    assert {"workflow.asl.json", "relay.asl.json", "three-steps.asl.json"} <= expressions().keys()
    assert all(expressions().values())


def test_every_expression_has_a_value_for_some_inputs(evaluated: list[Evaluated]) -> None:
    with_value = {case.expression for case in evaluated if case.reference != "an error"}
    assert {case.expression for case in evaluated} - with_value == set()


def test_both_implementations_agree(evaluated: list[Evaluated]) -> None:
    assert len(evaluated) > 2000
    assert [
        f"{case.expression} of {json.dumps(case.given)[:300]}: {str(case.reference)[:300]}, not {str(case.local)[:300]}"
        for case in evaluated
        if case.reference != case.local and not case.is_the_known_difference
    ] == []


def test_the_one_known_difference_still_exists(evaluated: list[Evaluated]) -> None:
    (case,) = [case for case in evaluated if case.is_the_known_difference]
    assert case.reference != case.local
