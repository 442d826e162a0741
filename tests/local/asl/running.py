"""Run state machines of a few states, with a stand-in for their tasks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.local.asl.definition import parse
from service.local.asl.interpreter import Interpreter
from service.local.asl.retry import StateError
from service.local.asl.run import Run, TaskCall
from tests.local.conftest import DEADLINE

CONTEXT = {"Execution": {"Name": "e", "Input": {"x": 1}}, "StateMachine": {"Name": "m"}}


class AnyResource:
    """Takes every resource for one that can be run."""

    def mocked(self, state: str, resource: str = "") -> bool:
        del state, resource
        return False

    def refusal(self, resource: str, arguments: Any) -> list[tuple[str, str]]:
        del resource, arguments
        return []


class Resource:
    """A stand-in for what tasks call: returns or raises one result per call, and repeats the last one."""

    def __init__(self, *results: Any) -> None:
        self.results = results
        self.calls: list[TaskCall] = []

    async def __call__(self, call: TaskCall) -> Any:
        result = self.results[min(len(self.calls), len(self.results) - 1)]
        self.calls.append(call)
        if isinstance(result, StateError):
            raise result
        return result(call.arguments) if callable(result) else result

    @property
    def arguments(self) -> list[Any]:
        return [call.arguments for call in self.calls]


async def run(states: dict[str, Any], data: Any = None, resource: Any = None, run: Run | None = None) -> Any:
    """Run a JSONPath state machine made of these states, starting at the first one."""
    machine = parse(json.dumps({"StartAt": next(iter(states)), "States": states}), AnyResource())
    async with asyncio.timeout(DEADLINE):
        return await Interpreter(resource or Resource(None)).run(machine.flow, data, run or Run(CONTEXT))


async def failure(states: dict[str, Any], data: Any = None, resource: Any = None) -> tuple[str, str]:
    with pytest.raises(StateError) as caught:
        await run(states, data, resource)
    return caught.value.error, caught.value.cause


def task(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:f", "End": True} | fields


def flow(**states: Any) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}
