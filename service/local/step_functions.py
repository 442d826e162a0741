"""The Step Functions API in the AWS JSON 1.0 protocol.

Source: AWS Step Functions API Reference (each action's page, "Common Errors").
"""

from __future__ import annotations

import asyncio
import math
import re
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web

from service.local import history
from service.local.alias_api import AliasApi
from service.local.api_arguments import ApiError, arn_of, invalid, page_size, page_token, string, token_of
from service.local.asl.limits import MAX_DATA_BYTES
from service.local.description import description, summary
from service.local.executions import AlreadyExistsError, NotRedrivableError
from service.local.hosted import Hosted, Target, of_execution, unqualified
from service.local.json_text import Json, encode, loads
from service.local.machine_api import MachineApi
from service.local.task_api import TaskApi
from service.local.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from service.local.execution import Execution
    from service.local.faults import Faults
    from service.local.quotas import Quotas

_NO_RESPONSE_TIMEOUT_S: Final = 5.0  # until a call that gets no response is disconnected
_SIGV4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/\d{8}/[^/, ]+/[^/, ]+/aws4_request, ?SignedHeaders=\S+, ?Signature=\S+"
)
# Names exclude white space, brackets, wildcards, the special characters of the API reference and control characters.
_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,80}""")
_TOKEN = re.compile(r"[!-~]+")
_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")


class StepFunctions:
    """The handler of `POST /` with an `X-Amz-Target`.

    `calls` counts all calls by action, `throttled` those that were over a quota.
    """

    def __init__(
        self, machines: MutableMapping[str, Hosted], host: Callable[[str, str], Hosted], quotas: Quotas, faults: Faults
    ) -> None:
        """Take the state machines by their unqualified ARNs, and what makes one of an ARN and a definition's text."""
        self._machines = machines
        first = next(iter(machines.values()))  # all have the same tokens, and run the same tasks
        self._quotas = quotas
        self._faults = faults
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self._actions = {
            "StartExecution": self.start_execution,
            "DescribeExecution": self._describe_execution,
            "GetExecutionHistory": self._get_execution_history,
            "ListExecutions": self._list_executions,
            "StopExecution": self._stop_execution,
            "RedriveExecution": self._redrive_execution,
            "DescribeStateMachine": self._describe_state_machine,
            "ListStateMachines": self._list_state_machines,
            "DescribeStateMachineForExecution": self._describe_state_machine_for_execution,
            "ValidateStateMachineDefinition": lambda arguments: validate(arguments, first.tasks),
            **TaskApi(first.tasks.tokens).actions,
            **MachineApi(machines, host, first.arn.removesuffix(first.name)).actions,
            **AliasApi(machines).actions,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one API call."""
        try:
            name, arguments = await self._read(request)
            result = self._call(name, arguments)
        except ApiError as error:
            return _json_response(error.status, {"__type": error.kind, "message": error.message})
        if self._faults.drop_response.triggers(name):
            await asyncio.sleep(_NO_RESPONSE_TIMEOUT_S)
            if request.transport is not None:
                request.transport.abort()
        return _json_response(200, result)

    async def _read(self, request: web.Request) -> tuple[str, Json]:
        # Any credentials are accepted, but a client that does not sign would fail against AWS.
        if not _SIGV4.fullmatch(request.headers.get("Authorization", "")):
            raise ApiError("MissingAuthenticationToken", "Missing Authentication Token", 403)
        service, _, name = request.headers.get("X-Amz-Target", "").partition(".")
        if service != "AWSStepFunctions" or name not in self._actions:
            raise ApiError("UnknownOperationException", "the local AWS does not implement this operation")
        try:
            arguments = loads(await request.read())
        except ValueError as error:
            raise ApiError("SerializationException", "the body must be JSON") from error
        if not isinstance(arguments, dict):
            raise ApiError("SerializationException", "the body must be a JSON object")
        return name, arguments

    def _call(self, name: str, arguments: Json) -> Json:
        self.calls[name] += 1
        if not self._quotas.take(name) or self._faults.throttle.triggers(name):
            self.throttled[name] += 1
            raise ApiError("ThrottlingException", "Rate exceeded")
        if self._faults.fail.triggers(name):
            raise ApiError("InternalFailure", "injected fault of the local AWS", 500)
        return self._actions[name](arguments)

    def start_execution(self, arguments: Json) -> Json:
        """Start an execution and return the response; ApiError for what AWS refuses. It takes nothing of a quota."""
        hosted, target, test_case = self._test_case(arguments)
        if hosted.name in self._faults.throttled_machines:
            self.throttled["StartExecution"] += 1
            raise ApiError("ThrottlingException", "Rate exceeded")
        name = string(arguments, "name", required=False)
        if name is not None and not 1 <= len(name) <= 80:
            raise invalid("name", "Member must have length between 1 and 80")
        if name is not None and not _NAME.fullmatch(name):
            raise ApiError("InvalidName", f"Invalid Name: '{name}'")
        text = string(arguments, "input", required=False, length=MAX_DATA_BYTES) or "{}"
        trace_header = string(arguments, "traceHeader", required=False, length=256)
        try:
            execution = hosted.executions.start(name, text, trace_header, test_case, target)
        except AlreadyExistsError as error:
            raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{error}'") from error
        except ValueError as error:
            raise ApiError("InvalidExecutionInput", "Invalid State Machine Execution Input: not JSON") from error
        return {"executionArn": execution.arn, "startDate": execution.start_date}

    def _describe_execution(self, arguments: Json) -> Json:
        _, execution = self._execution(arguments, "DescribeExecution")
        return description(execution)

    def _get_execution_history(self, arguments: Json) -> Json:
        _, execution = self._execution(arguments, "GetExecutionHistory")
        events = history.events(execution, data=arguments.get("includeExecutionData") is not False)
        if arguments.get("reverseOrder") is True:
            events.reverse()
        size, start = page_size(arguments), page_token(arguments) or 0
        result: dict[str, Json] = {"events": events[start : start + size]}
        if len(events) > start + size:
            result["nextToken"] = token_of(start + size)
        return result

    def _list_executions(self, arguments: Json) -> Json:
        hosted, _ = self._hosted(arguments)
        status = string(arguments, "statusFilter", required=False)
        if status is not None and status not in _STATUSES:
            raise invalid("statusFilter", f"Member must satisfy enum value set: {list(_STATUSES)}")
        size = page_size(arguments)
        # One more than requested shows whether there is a next page.
        found = hosted.executions.list_newest(
            status, page_token(arguments), size + 1, self._visible_until("ListExecutions")
        )
        result: dict[str, Json] = {"executions": [summary(item) for item in found[:size]]}
        if len(found) > size:
            result["nextToken"] = token_of(found[size - 1].number)
        return result

    def _stop_execution(self, arguments: Json) -> Json:
        error = string(arguments, "error", required=False, length=256)
        cause = string(arguments, "cause", required=False, length=32768)
        hosted, execution = self._execution(arguments)
        return {"stopDate": hosted.executions.stop(execution.name, error, cause).stop_date}

    def _redrive_execution(self, arguments: Json) -> Json:
        token = string(arguments, "clientToken", required=False, length=64)
        if token is not None and not _TOKEN.fullmatch(token):
            raise invalid("clientToken", "Member must satisfy regular expression pattern: [!-~]+")
        hosted, execution = self._execution(arguments)
        if hosted.kind == "EXPRESS":
            raise ApiError("InvalidArn", f"Invalid Arn: '{execution.arn}'")
        try:
            return {"redriveDate": hosted.executions.redrive(execution.name, token)}
        except NotRedrivableError as error:
            raise ApiError("ExecutionNotRedrivable", str(error)) from error

    def _describe_state_machine(self, arguments: Json) -> Json:
        hosted, target = self._hosted(arguments)
        return _machine_summary(hosted) | {
            "definition": target.machine.text,
            "roleArn": hosted.arn.replace(":states:", ":iam:").partition(":stateMachine:")[0] + ":role/local",
            "status": "ACTIVE",
        }

    def _describe_state_machine_for_execution(self, arguments: Json) -> Json:
        hosted, *_ = self._execution(arguments)
        described = self._describe_state_machine({"stateMachineArn": hosted.arn})
        described["updateDate"] = described.pop("creationDate")
        return {name: value for name, value in described.items() if name not in {"status", "type"}}

    def _list_state_machines(self, arguments: Json) -> Json:
        page_size(arguments)
        return {"stateMachines": [_machine_summary(hosted) for hosted in self._machines.values()]}

    def _test_case(self, arguments: Json) -> tuple[Hosted, Target, str | None]:
        """Return what to start, and the test case after its ARN if there is one, as Step Functions Local does."""
        arn, _, test_case = (string(arguments, "stateMachineArn", length=256) or "").partition("#")
        hosted, target = self._hosted({"stateMachineArn": arn})
        if test_case and test_case not in hosted.tasks.test_cases:
            raise invalid("stateMachineArn", f"the mocks have no test case '{test_case}'")
        return hosted, target, test_case or None

    def _hosted(self, arguments: Json) -> tuple[Hosted, Target]:
        """Return the state machine, and what its ARN means, which may have a version or an alias."""
        arn = arn_of(arguments, "stateMachineArn")
        try:
            hosted = self._machines[unqualified(arn)]
            return hosted, hosted.target(arn)
        except KeyError:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'") from None

    def _execution(self, arguments: Json, action: str | None = None) -> tuple[Hosted, Execution]:
        """Return the execution as this action sees it, with its state machine."""
        arn = arn_of(arguments, "executionArn")
        hosted = self._machines.get(of_execution(arn))
        execution = None if hosted is None else hosted.executions.by_name.get(arn.rpartition(":")[2])
        seen = None if execution is None else execution.as_of(self._visible_until(action))
        if hosted is None or seen is None:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return hosted, seen

    def _visible_until(self, action: str | None) -> float:
        """Return the moment up to which this action sees the record."""
        lag = self._faults.read_lag_s.get(action or "", 0.0)
        return time.time() - lag if lag else math.inf


def _machine_summary(hosted: Hosted) -> dict[str, Json]:
    return {"stateMachineArn": hosted.arn, "name": hosted.name, "type": hosted.kind, "creationDate": hosted.created}


def _json_response(status: int, body: Json) -> web.Response:
    return web.Response(
        status=status,
        body=encode(body),
        content_type="application/x-amz-json-1.0",
        headers={"x-amzn-RequestId": str(uuid.uuid4())},
    )
