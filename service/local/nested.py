"""Tasks that run another state machine: `states:startExecution`, in each of its integration patterns.

Source: AWS Step Functions Developer Guide, "Start a new AWS Step Functions state machine from a running execution" and
"Discover service integration patterns in Step Functions". The guide does not show the results and the causes of
failures; their form is that of recorded executions: DescribeExecution's response with capital initials, in alphabetical
order, with dates in milliseconds.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Final

from service.local.api_arguments import ApiError
from service.local.asl.resources import details
from service.local.asl.retry import RUNTIME, StateError
from service.local.description import description
from service.local.hosted import of_execution
from service.local.json_text import dumps, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from service.local.asl.run import TaskCall
    from service.local.hosted import Hosted
    from service.local.json_text import Json
    from service.local.task_tokens import TaskTokens

_RESOURCE = re.compile(r"arn:[a-z-]+:states:::states:startExecution(?:\.(sync|sync:2|waitForTaskToken))?")
_ARGUMENTS: Final = {"StateMachineArn": "stateMachineArn", "Name": "name", "Input": "input"}


def is_start_execution(resource: str) -> bool:
    """Return whether a task of this resource runs another state machine."""
    return _RESOURCE.fullmatch(resource) is not None


def argument_faults(arguments: Json) -> Iterator[tuple[str, str]]:
    """Yield name and reason for each argument that is missing or unknown; those yet to be evaluated pass."""
    if arguments is None:
        yield "", "is missing"
    elif isinstance(arguments, dict):
        names = {name.removesuffix(".$") for name in arguments}
        if "StateMachineArn" not in names:
            yield "StateMachineArn", "is missing"
        for name in sorted(names - _ARGUMENTS.keys()):
            yield name, "is not an argument of startExecution"


class NestedExecutions:
    """Runs executions that tasks start."""

    def __init__(
        self, machines: Mapping[str, Hosted], start_execution: Callable[[Json], Json], tokens: TaskTokens
    ) -> None:
        """Take the state machines by their unqualified ARNs, the API's StartExecution, and what waits for tokens."""
        self._machines = machines
        self._start_execution = start_execution
        self._tokens = tokens

    async def run(self, call: TaskCall) -> Json:
        """Return the result of the task; StateError if the execution cannot be started or does not succeed.

        One that the task waits for is stopped if the task ends first.
        """
        match = _RESOURCE.fullmatch(call.resource)
        pattern = None if match is None else match[1]
        response = self._started(call)
        if pattern is None:
            metadata = {"SdkHttpMetadata": {"HttpStatusCode": 200}, "SdkResponseMetadata": {"RequestId": _request_id()}}
            return response | metadata
        arn = response["ExecutionArn"]
        executions = self._machines[of_execution(arn)].executions
        execution = executions.by_name[arn.rpartition(":")[2]]
        if pattern == "waitForTaskToken":
            call.trail.add("TaskSubmitted", **details(call.resource), output=response)
            return await self._tokens.wait(call.token, call.heartbeat_s)
        try:
            call.trail.add("TaskSubmitted", **details(call.resource), output=response)
            await executions.wait_for_end(execution)
        finally:
            if execution.status == "RUNNING":
                executions.stop(execution.name, None, _managed_by(call))
        result = _in_task_form(description(execution))
        if execution.status != "SUCCEEDED":
            raise StateError("States.TaskFailed", dumps(result))
        if pattern == "sync:2":
            result |= {name: loads(result[name]) for name in ("Input", "Output")}
        return result

    def _started(self, call: TaskCall) -> dict[str, Json]:
        """Start the execution and return the response; StateError if it is refused."""
        if not isinstance(call.arguments, dict):
            raise StateError(RUNTIME, f"state {call.state!r}: the arguments of startExecution must be an object")
        arguments = {api: call.arguments[name] for name, api in _ARGUMENTS.items() if name in call.arguments}
        text = arguments.get("input")
        if text is not None and not isinstance(text, str):
            arguments["input"] = dumps(text)
        try:
            return _in_task_form(self._start_execution(arguments))
        except ApiError as error:
            name = f"{error.kind.removesuffix('Exception')}Exception"
            cause = f"Service: AWSStepFunctions; Status Code: {error.status}; Error Code: {error.kind}; "
            cause += f"Request ID: {_request_id()}; Proxy: null"
            raise StateError(f"StepFunctions.{name}", f"{error.message} ({cause})") from error


def _in_task_form(response: Mapping[str, Json]) -> dict[str, Json]:
    """Return a response of the API as tasks get it."""
    form: dict[str, Json] = {}
    for name in sorted(response):
        value = response[name]
        if name.endswith("Date"):
            value = round(value * 1000)
        elif isinstance(value, dict):
            value = _in_task_form(value)
        form[f"{name[0].upper()}{name[1:]}"] = value
    return form


def _managed_by(call: TaskCall) -> str:
    """Return the cause of the end of an execution whose task has ended."""
    arn = call.run.context.get("Execution", {}).get("Id", "")
    return f"The Task state in AWS Step Functions execution [{arn}] which was managing this resource was aborted"


def _request_id() -> str:
    return str(uuid.uuid4())
