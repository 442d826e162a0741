"""Mocks: what tasks return without being run, in the file format of AWS Step Functions Local, with small rules.

Source: AWS Step Functions Developer Guide, "Configuration file for mocked service integrations in Step Functions
Local" (MockConfigFile.json). Added to it: `Echo`, `WaitForTaskToken`, `DelaySeconds`, responses in place of their
names, and `*` as a state's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from service.local.asl.language import is_seconds
from service.local.asl.resources import is_http_invoke
from service.local.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from service.local.json_text import Json

_RULES: Final = ("Return", "Throw", "Echo", "WaitForTaskToken")
_INVOCATIONS = re.compile(r"(\d+)(?:-(\d+))?")
_EVERY_STATE: Final = "*"


class MocksError(ValueError):
    """The mocks cannot be used."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
        """Everything that is wrong."""


class Response(NamedTuple):
    """What happens at an invocation."""

    rule: str
    """`Return`, `Throw`, `Echo` (return the arguments) or `WaitForTaskToken` (wait until somebody ends the task)."""
    value: Json
    delay_s: float = 0.0


class Mocks:
    """The responses of one state machine, by test case, state and invocation."""

    def __init__(self, source: Json, machine: str) -> None:
        """Compile the content of a file; MocksError if anything is wrong.

        A file for one state machine is used whatever its name; of several, the one of this name.
        """
        self._faults: list[str] = []
        self._named = self._part(source, "MockedResponses", "the mocks")
        machines = self._part(source, "StateMachines", "the mocks")
        chosen = machines.get(machine) if len(machines) != 1 else next(iter(machines.values()))
        if chosen is None:
            self._faults.append(f"StateMachines has no {machine!r}")
        cases = {} if chosen is None else self._part(chosen, "TestCases", "the state machine")
        self._cases = {name: dict(self._case(name, case)) for name, case in cases.items()}
        if not self._cases and not self._faults:
            self._faults.append("there is no test case")
        if self._faults:
            raise MocksError(*self._faults)

    @property
    def test_cases(self) -> tuple[str, ...]:
        """The test cases; the first is used unless a start names another one."""
        return tuple(self._cases)

    def has(self, state: str, resource: str = "") -> bool:
        """Return whether any test case has a response for this state; `*` does not stand for http:invoke."""
        every = bool(resource) and not is_http_invoke(resource)
        return any(state in case or (every and _EVERY_STATE in case) for case in self._cases.values())

    def check_states(self, known: AbstractSet[str]) -> None:
        """Raise MocksError for states that are not among the known names: a mock of theirs would never be used."""
        if faults := [
            f"test case {name!r}, state {state!r}: the workflow has no such Task or Map"
            for name, case in self._cases.items()
            for state in case
            if state not in known and state != _EVERY_STATE
        ]:
            raise MocksError(*faults)

    def response(self, test_case: str | None, state: str, resource: str, invocation: int) -> Response | None:
        """Return the response to an invocation, numbered from 0; after the last one in the file it is repeated."""
        case = self._cases[test_case or self.test_cases[0]]
        responses = case.get(state)
        if responses is None and resource and not is_http_invoke(resource):
            responses = case.get(_EVERY_STATE)
        if responses is None:
            return None
        return next((response for last, response in responses if invocation <= last), responses[-1][1])

    def _part(self, source: Json, name: str, where: str) -> Mapping[str, Json]:
        part = source.get(name, {} if name == "MockedResponses" else None) if isinstance(source, dict) else None
        if isinstance(part, dict):
            return part
        self._faults.append(f"{where} must have an object {name}")
        return {}

    def _case(self, case: str, states: Json) -> Iterator[tuple[str, list[tuple[int, Response]]]]:
        if not isinstance(states, dict):
            self._faults.append(f"test case {case!r} must be an object")
            return
        for state, mock in states.items():
            where = f"test case {case!r}, state {state!r}"
            if isinstance(mock, str) and mock not in self._named:
                self._faults.append(f"{where}: MockedResponses has no {mock!r}")
                continue
            source = self._named[mock] if isinstance(mock, str) else mock
            if isinstance(source, dict) and source.keys() & set(_RULES):
                source = {"0": source}
            if responses := list(self._responses(where, source)):
                yield state, responses

    def _responses(self, where: str, source: Json) -> Iterator[tuple[int, Response]]:
        """Yield the responses, each with the number of the last invocation that it is for."""
        if not isinstance(source, dict) or not source:
            self._faults.append(f"{where}: the responses must be an object such as {{'0': {{'Return': ...}}}}")
            return
        following = 0
        for key, value in source.items():
            match = _INVOCATIONS.fullmatch(key)
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (-1, -1)
            if match is None:
                self._faults.append(
                    f"{where}: {key!r} must be one of {', '.join(_RULES)}, or invocations such as 0 or 1-2"
                )
                return
            if first != following or last < first:
                self._faults.append(f"{where}: {key!r} must follow the invocations before, from {following}")
                return
            following = last + 1
            if (response := self._response(f"{where}, {key!r}", value)) is not None:
                yield last, response

    def _response(self, where: str, source: Json) -> Response | None:
        rules = [name for name in _RULES if isinstance(source, dict) and name in source]
        delay = source.get("DelaySeconds", 0) if isinstance(source, dict) else 0
        if len(rules) != 1 or source.keys() - {*rules, "DelaySeconds"}:
            self._faults.append(f"{where}: must have one of {', '.join(_RULES)}, and DelaySeconds if needed")
        elif not is_seconds(delay):
            self._faults.append(f"{where}: DelaySeconds must be a number of seconds")
        elif rules[0] == "Throw" and not (isinstance(source["Throw"], dict) and _is_error(source["Throw"])):
            self._faults.append(f"{where}: Throw must have an Error, and may have a Cause; both are strings")
        else:
            return Response(rules[0], source[rules[0]], float(delay))
        return None


def read(path: Path, machine: str) -> Mocks:
    """Compile the mocks in a file; MocksError if anything is wrong."""
    try:
        return Mocks(loads(path.read_bytes()), machine)
    except OSError as error:
        raise MocksError(f"the file cannot be read: {error.strerror}") from error
    except MocksError:
        raise
    except ValueError as error:
        raise MocksError(f"the file is not JSON: {error}") from error


def _is_error(source: Mapping[str, Json]) -> bool:
    return isinstance(source.get("Error"), str) and isinstance(source.get("Cause", ""), str)
