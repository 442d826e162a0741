"""TestState as Step Functions answers it, by the interpreter of the local AWS.

Source: API reference, "TestState"; Developer Guide, "Testing state machines with TestState API".
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from service.local.asl.definition import DefinitionError, parse
from service.local.asl.interpreter import Interpreter, Visit
from service.local.asl.retry import StateError
from service.local.asl.run import Run, Trail
from service.local.asl.states import Parallel

Json = Any


class RefusedError(Exception):
    """A request that TestState does not accept."""


class _Mocked(Interpreter):
    """An interpreter whose states do nothing but take the mock's result or error."""

    def __init__(self, mock: Json) -> None:
        super().__init__(self._outcome)
        self._mock = mock

    async def _outcome(self, _: Any) -> Json:
        if "errorOutput" in self._mock:
            raise StateError(self._mock["errorOutput"]["error"], self._mock["errorOutput"]["cause"])
        return json.loads(self._mock["result"])

    async def _parallel(self, state: Parallel, data: Json, visit: Visit) -> Any:
        del state, data
        return await self._outcome(visit)


def run_state(asked: Json) -> Json:
    """Answer a call of TestState; RefusedError with AWS's message for one that it does not accept."""
    definition, mock = json.loads(asked["definition"]), asked.get("mock")
    _check(definition, mock)
    variables = json.loads(asked.get("variables", "{}"))
    compiled = _compile(definition, variables)
    visit = Visit("state", compiled, json.loads(asked["input"]), {}, variables, Run(), Trail([]))
    try:
        name, output = asyncio.run(_Mocked(mock).visit(visit))
    except StateError as error:
        return {"status": "FAILED", "error": error.error, "cause": error.cause}
    after = json.dumps({**variables, **visit.scope.assigned})
    caught = "errorOutput" in visit.scope.states
    answer = {"status": "CAUGHT_ERROR" if caught else "SUCCEEDED", "output": json.dumps(output)}
    return answer | {"inspectionData": {"variables": after}} | ({"nextState": name} if name else {})


def _check(definition: Json, mock: Json) -> None:
    kind = definition["Type"]
    if mock is None and kind in {"Parallel", "Map"}:
        raise RefusedError("TestState API does not support Map or Parallel states.")
    if mock is None and kind == "Task":
        raise RefusedError("RoleArn must be specified when testing a Task state")
    if mock is not None and kind in {"Pass", "Fail", "Succeed"}:
        raise RefusedError(f"State type '{kind}' is not supported when a mock is specified")


def _compile(definition: Json, variables: Json) -> Any:
    """Compile the state in a machine that has the states and variables to which it refers."""
    following = {definition.get("Next"), definition.get("Default")}
    following |= {item["Next"] for field in ("Choices", "Catch") for item in definition.get(field, ())}
    others = {name: {"Type": "Succeed"} for name in following - {None}}
    assigning = {"Type": "Pass", "Assign": dict.fromkeys(variables, 0), "End": True}
    # The interpreter would really wait.
    state = {name: value for name, value in definition.items() if name not in {"QueryLanguage", "Retry"}}
    if "Seconds" in state:
        state["Seconds"] = 0
    machine = {
        "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
        "StartAt": "state",
        "States": {"state": state, "assigning": assigning, **others},
    }
    try:
        return parse(json.dumps(machine)).flow.states["state"]
    except DefinitionError as error:
        raise RefusedError(str(error)) from error
