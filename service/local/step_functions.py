"""The Step Functions API in the AWS JSON 1.0 protocol, for one state machine.

Source: AWS Step Functions API Reference (each action's page, "Common Errors").
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp import web

from service.local import history
from service.local.executions import AlreadyExistsError, Execution, Executions
from service.local.interpreter import MAX_DATA_BYTES
from service.local.json_text import Json, encode, loads

if TYPE_CHECKING:
    from service.local.faults import Faults
    from service.local.quotas import Quotas
    from service.local.states import Machine

_NO_RESPONSE_TIMEOUT_S: Final = 5.0  # until a call that gets no response is disconnected
_SIGV4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/\d{8}/[^/, ]+/[^/, ]+/aws4_request, ?SignedHeaders=\S+, ?Signature=\S+"
)
# Names exclude white space, brackets, wildcards, the special characters of the API reference and control characters.
_NAME = re.compile(r"""[^\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{1,80}""")
_ARN = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(stateMachine|execution):[^:]+(:[^:]+)?")
_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")


class _ApiError(Exception):
    """An error response of the API."""

    def __init__(self, kind: str, message: str, status: int = 400) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
        self.status = status


class StepFunctions:
    """The handler of `POST /` with an `X-Amz-Target`.

    `calls` counts all calls by action, `throttled` those that were over a quota.
    """

    def __init__(self, arn: str, machine: Machine, executions: Executions, quotas: Quotas, faults: Faults) -> None:
        self._arn = arn
        self._machine = machine
        self._executions = executions
        self._quotas = quotas
        self._faults = faults
        self.calls: Counter[str] = Counter()
        self.throttled: Counter[str] = Counter()
        self._created = time.time()
        self._state_types = history.state_types(machine.text)
        self._actions = {
            "StartExecution": self._start_execution,
            "DescribeExecution": self._describe_execution,
            "GetExecutionHistory": self._get_execution_history,
            "ListExecutions": self._list_executions,
            "StopExecution": self._stop_execution,
            "DescribeStateMachine": self._describe_state_machine,
            "ListStateMachines": self._list_state_machines,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Handle one API call."""
        try:
            name, arguments = await self._read(request)
            result = self._call(name, arguments)
        except _ApiError as error:
            return _json_response(error.status, {"__type": error.kind, "message": error.message})
        if self._faults.drop_response.triggers(name):
            await asyncio.sleep(_NO_RESPONSE_TIMEOUT_S)
            if request.transport is not None:
                request.transport.abort()
        return _json_response(200, result)

    async def _read(self, request: web.Request) -> tuple[str, Json]:
        # Any credentials are accepted, but a client that does not sign would fail against AWS.
        if not _SIGV4.fullmatch(request.headers.get("Authorization", "")):
            raise _ApiError("MissingAuthenticationToken", "Missing Authentication Token", 403)
        service, _, name = request.headers.get("X-Amz-Target", "").partition(".")
        if service != "AWSStepFunctions" or name not in self._actions:
            raise _ApiError("UnknownOperationException", "the local AWS does not implement this operation")
        try:
            arguments = loads(await request.read())
        except ValueError as error:
            raise _ApiError("SerializationException", "the body must be JSON") from error
        if not isinstance(arguments, dict):
            raise _ApiError("SerializationException", "the body must be a JSON object")
        return name, arguments

    def _call(self, name: str, arguments: Json) -> Json:
        self.calls[name] += 1
        if not self._quotas.take(name) or self._faults.throttle.triggers(name):
            self.throttled[name] += 1
            raise _ApiError("ThrottlingException", "Rate exceeded")
        if self._faults.fail.triggers(name):
            raise _ApiError("InternalFailure", "injected fault of the local AWS", 500)
        return self._actions[name](arguments)

    def _start_execution(self, arguments: Json) -> Json:
        self._check_machine(arguments)
        name = _string(arguments, "name", required=False)
        if name is not None and not 1 <= len(name) <= 80:
            raise _invalid("name", "Member must have length between 1 and 80")
        if name is not None and not _NAME.fullmatch(name):
            raise _ApiError("InvalidName", f"Invalid Name: '{name}'")
        text = _string(arguments, "input", required=False, length=MAX_DATA_BYTES) or "{}"
        trace_header = _string(arguments, "traceHeader", required=False, length=256)
        try:
            execution = self._executions.start(name, text, trace_header)
        except AlreadyExistsError as error:
            raise _ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{error}'") from error
        except ValueError as error:
            raise _ApiError("InvalidExecutionInput", "Invalid State Machine Execution Input: not JSON") from error
        return {"executionArn": execution.arn, "startDate": execution.start_date}

    def _describe_execution(self, arguments: Json) -> Json:
        execution, status = self._execution(arguments, "DescribeExecution")
        result = self._summary(execution, status) | {"input": execution.input, "inputDetails": {"included": True}}
        if status == "RUNNING":
            return result | ({} if execution.trace_header is None else {"traceHeader": execution.trace_header})
        if execution.output is not None:
            result |= {"output": execution.output, "outputDetails": {"included": True}}
        optional = {"error": execution.error, "cause": execution.cause, "traceHeader": execution.trace_header}
        return result | {name: value for name, value in optional.items() if value is not None}

    def _get_execution_history(self, arguments: Json) -> Json:
        execution, status = self._execution(arguments, "GetExecutionHistory")
        data = arguments.get("includeExecutionData") is not False
        events = history.events(execution, status, self._state_types, data=data)
        if arguments.get("reverseOrder") is True:
            events.reverse()
        size, start = _page_size(arguments), _page_token(arguments) or 0
        result: dict[str, Json] = {"events": events[start : start + size]}
        if len(events) > start + size:
            result["nextToken"] = _token(start + size)
        return result

    def _list_executions(self, arguments: Json) -> Json:
        self._check_machine(arguments)
        status = _string(arguments, "statusFilter", required=False)
        if status is not None and status not in _STATUSES:
            raise _invalid("statusFilter", f"Member must satisfy enum value set: {list(_STATUSES)}")
        size = _page_size(arguments)
        # One more than requested shows whether there is a next page.
        found = self._executions.list_newest(
            status, _page_token(arguments), size + 1, self._visible_until("ListExecutions")
        )
        result: dict[str, Json] = {"executions": [self._summary(*item) for item in found[:size]]}
        if len(found) > size:
            result["nextToken"] = _token(found[size - 1][0].number)
        return result

    def _stop_execution(self, arguments: Json) -> Json:
        error = _string(arguments, "error", required=False, length=256)
        cause = _string(arguments, "cause", required=False, length=32768)
        return {"stopDate": self._executions.stop(self._execution(arguments)[0].name, error, cause).stop_date}

    def _describe_state_machine(self, arguments: Json) -> Json:
        self._check_machine(arguments)
        return self._machine_summary() | {
            "definition": self._machine.text,
            "roleArn": self._arn.replace(":states:", ":iam:").partition(":stateMachine:")[0] + ":role/local",
            "status": "ACTIVE",
        }

    def _list_state_machines(self, arguments: Json) -> Json:
        _page_size(arguments)
        return {"stateMachines": [self._machine_summary()]}

    def _machine_summary(self) -> dict[str, Json]:
        name = self._arn.rpartition(":")[2]
        return {"stateMachineArn": self._arn, "name": name, "type": "STANDARD", "creationDate": self._created}

    def _check_machine(self, arguments: Json) -> None:
        arn = _arn(arguments, "stateMachineArn")
        if arn != self._arn:
            raise _ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")

    def _execution(self, arguments: Json, action: str | None = None) -> tuple[Execution, str]:
        """Return the execution and the status that this action sees."""
        arn = _arn(arguments, "executionArn")
        execution = self._executions.by_name.get(arn.rpartition(":")[2])
        status = None if execution is None else execution.status_at(self._visible_until(action))
        if execution is None or execution.arn != arn or status is None:
            raise _ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return execution, status

    def _visible_until(self, action: str | None) -> float:
        """Return the moment up to which this action sees the record."""
        lag = self._faults.read_lag_s.get(action or "", 0.0)
        return time.time() - lag if lag else math.inf

    def _summary(self, execution: Execution, status: str) -> dict[str, Json]:
        summary: dict[str, Json] = {
            "executionArn": execution.arn,
            "stateMachineArn": self._arn,
            "name": execution.name,
            "status": status,
            "startDate": execution.start_date,
        }
        return summary if status == "RUNNING" else summary | {"stopDate": execution.stop_date}


def _json_response(status: int, body: Json) -> web.Response:
    return web.Response(
        status=status,
        body=encode(body),
        content_type="application/x-amz-json-1.0",
        headers={"x-amzn-RequestId": str(uuid.uuid4())},
    )


def _invalid(member: str, constraint: str) -> _ApiError:
    message = f"1 validation error detected: Value at '{member}' failed to satisfy constraint: {constraint}"
    return _ApiError("ValidationException", message)


def _string(arguments: Json, member: str, *, required: bool = True, length: int | None = None) -> str | None:
    value = arguments.get(member)
    if value is None and not required:
        return None
    if value is None:
        raise _invalid(member, "Member must not be null")
    if not isinstance(value, str):
        raise _ApiError("SerializationException", f"{member} must be a string")
    if length is not None and len(value.encode(errors="surrogatepass")) > length:
        raise _invalid(member, f"Member must have length less than or equal to {length}")
    return value


def _arn(arguments: Json, member: str) -> str:
    value = _string(arguments, member, length=256) or ""
    if not _ARN.fullmatch(value):
        raise _ApiError("InvalidArn", f"Invalid Arn: '{value}'")
    return value


def _page_size(arguments: Json) -> int:
    size = arguments.get("maxResults", 0)
    if not isinstance(size, int) or not 0 <= size <= 1000:
        raise _invalid("maxResults", "Member must have value between 0 and 1000")
    return size or 100


def _page_token(arguments: Json) -> int | None:
    token = _string(arguments, "nextToken", required=False, length=1024)
    try:
        return None if token is None else int(base64.b64decode(token, validate=True))
    except ValueError as error:
        raise _ApiError("InvalidToken", "Invalid Token: 'nextToken'") from error


def _token(number: int) -> str:
    return base64.b64encode(str(number).encode()).decode()
