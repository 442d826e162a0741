"""A stand-in for AWS: moto, with answers for what moto lacks, and with refusals and faults on demand."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from moto.backends import get_backend
from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server import threaded_moto_server
from moto.server import ThreadedMotoServer

from service.local.asl.definition import DefinitionError, parse
from tests.iac.applied.calls import Call, decode
from tests.tools.preflight.one_state import RefusedError, run_state

Parameters = dict[str, Any]

ACCOUNT = "123456789012"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/session"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/deployer"


class Fault(Exception):
    """An error that AWS answers."""

    def __init__(self, code: str, text: str = "scripted", status: int = 400) -> None:
        super().__init__(code, text)
        self.code, self.text, self.status = code, text, status


@dataclass
class StandIn:
    """The account: what it answers, and what it was asked."""

    url: str
    answers: dict[str, Callable[[Parameters], Any]] = field(default_factory=dict)
    """By `service:Operation`; an answer may raise a Fault. Operations without one are moto's."""
    calls: list[Call] = field(default_factory=list)
    quotas: dict[str, float] = field(default_factory=dict)
    """The account's own quotas, by code; the others are AWS's defaults."""
    findings: dict[str, list[str]] = field(default_factory=dict)
    """Types of the findings about a policy, by a text in it."""
    denied: set[str] = field(default_factory=set)
    """Actions that the caller lacks, in the answers of SimulatePrincipalPolicy."""

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which an AWS SDK uses this account."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def deny(self, operation: str) -> None:
        """Refuse an operation."""

        def refuse(_: Parameters) -> Any:
            raise Fault("AccessDeniedException", "not authorized", 403)

        self.answers[operation] = refuse

    def operations(self, service: str) -> list[str]:
        """Return the operations of a service that were called, in order."""
        return [call.operation for call in self.calls if call.service == service]


DEFAULT_QUOTAS = {
    "L-A0B4DA4A": 300.0,
    "L-4A5FADE3": 15.0,
    "L-7A4BEE15": 200.0,
    "L-1342F2DA": 5.0,
    "L-F9699A68": 400.0,
    "L-144D81B0": 20.0,
    "L-1B55A735": 300.0,
    "L-3032A538": 6.0,
    "L-E5AE38E3": 29000.0,
    "L-0263D0A3": 5.0,
}


def standard_answers(account: StandIn) -> dict[str, Callable[[Parameters], Any]]:
    """Return the answers of an account in which all is well."""

    def own_quota(asked: Parameters) -> Any:
        if asked["QuotaCode"] not in account.quotas:
            raise Fault("NoSuchResourceException")
        return {"Quota": {"Value": account.quotas[asked["QuotaCode"]]}}

    def validate_policy(asked: Parameters) -> Any:
        types = [kind for text, kinds in account.findings.items() if text in asked["policyDocument"] for kind in kinds]
        return {
            "findings": [
                {
                    "findingType": kind,
                    "issueCode": "INVALID_ACTION",
                    "findingDetails": "The action does not exist.",
                    "learnMoreLink": "https://docs.aws.amazon.com",
                    "locations": [],
                }
                for kind in types
            ]
        }

    return {
        "stepfunctions:ValidateStateMachineDefinition": _validate_definition,
        "stepfunctions:TestState": _test_state,
        "events:TestEventPattern": lambda asked: {"Result": matches(json.loads(asked["EventPattern"]), _event(asked))},
        "accessanalyzer:ValidatePolicy": validate_policy,
        "service-quotas:GetServiceQuota": own_quota,
        "service-quotas:GetAWSDefaultServiceQuota": lambda asked: {
            "Quota": {"Value": DEFAULT_QUOTAS[asked["QuotaCode"]]}
        },
        "sts:GetCallerIdentity": _identity,
        "iam:SimulatePrincipalPolicy": lambda asked: _simulation(asked, account.denied),
    }


@contextmanager
def served() -> Iterator[Server]:
    """Serve an account in which all is well."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # errors only, not a line for each request
    server = Server()
    dispatcher: Any = threaded_moto_server.DomainDispatcherApplication  # type: ignore[attr-defined]
    with patch.object(
        threaded_moto_server, "DomainDispatcherApplication", lambda create: _Application(dispatcher(create), server)
    ):
        moto = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
        moto.start()
    try:
        host, port = moto.get_host_and_port()
        server.url = f"http://{host}:{port}"
        server.open()
        yield server
    finally:
        moto.stop()


class Server:
    """The stand-in's address, and the account at it."""

    def __init__(self) -> None:
        self.url = ""
        self.account = StandIn("")

    def open(self) -> StandIn:
        """Open a new account."""
        moto_api_backend.reset()
        iam: Any = get_backend("iam")[ACCOUNT]["aws"]
        iam.create_role("deployer", "{}", "/team/", None, "", [], 3600)
        self.account = StandIn(self.url)
        self.account.answers = standard_answers(self.account)
        return self.account


class _Application:
    """A WSGI application that answers what the account has answers for, and passes the rest to moto."""

    def __init__(self, moto: Callable[[dict[str, Any], Any], Iterable[bytes]], server: Server) -> None:
        self._moto = moto
        self._server = server

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        call = decode(_recorded(environ, body))
        account = self._server.account
        account.calls.append(call)
        answer = account.answers.get(call.name)
        if answer is None:
            return self._moto(environ, start_response)
        status, content, headers = _answered(call, answer)
        start_response(status, headers)
        return [content.encode()]


def _answered(call: Call, answer: Callable[[Parameters], Any]) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the status, the body and the headers of a response in the service's protocol."""
    is_xml = call.service in {"cloudformation", "ec2", "iam", "sts"}
    headers = [("Content-Type", "text/xml" if is_xml else "application/json")]
    try:
        content = answer(call.parameters if call.body is None else call.body)
    except Fault as fault:
        body = _xml_error(fault, call.service) if is_xml else json.dumps({"__type": fault.code, "message": fault.text})
        return f"{fault.status} Error", body, [*headers, ("x-amzn-ErrorType", fault.code)]
    return "200 OK", content if is_xml else json.dumps(content), headers


def _recorded(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    names = {name.removeprefix("HTTP_").replace("_", "-"): value for name, value in environ.items()}
    wanted = ("AUTHORIZATION", "X-AMZ-TARGET", "CONTENT-TYPE")
    return {
        "method": environ["REQUEST_METHOD"],
        "url": environ["REQUEST_URI"],
        "headers": {name: names[name] for name in wanted if name in names},
        "body": base64.b64encode(body).decode(),
    }


def _validate_definition(asked: Parameters) -> Any:
    try:
        parse(asked["definition"])
    except DefinitionError as error:
        problem = {
            "severity": "ERROR",
            "code": "SCHEMA_VALIDATION_FAILED",
            "message": str(error),
            "location": "/States",
        }
        return {"result": "FAIL", "diagnostics": [problem]}
    return {"result": "OK", "diagnostics": []}


def _test_state(asked: Parameters) -> Any:
    try:
        return run_state(asked)
    except RefusedError as refused:
        raise Fault("ValidationException", str(refused)) from refused


def _event(asked: Parameters) -> Any:
    event = json.loads(asked["Event"])
    required = {"id", "account", "source", "time", "region", "resources", "detail-type"}
    if not required <= event.keys():
        raise Fault("InvalidEventPatternException", "Event is not valid.")
    return event


def matches(pattern: Any, value: Any) -> bool:
    """Return whether EventBridge's pattern matches a value (EventBridge User Guide, "Creating event patterns")."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(matches(inner, value.get(name)) for name, inner in pattern.items())
    return any(
        isinstance(value, str) and value.startswith(option["prefix"]) if isinstance(option, dict) else option == value
        for option in pattern
    )


def _identity(_: Parameters) -> str:
    return xml("GetCallerIdentity", f"<Arn>{CALLER}</Arn><UserId>x:session</UserId><Account>{ACCOUNT}</Account>")


def _simulation(asked: Parameters, denied: set[str]) -> str:
    if asked["PolicySourceArn"] != ROLE:
        raise Fault("InvalidInput", f"{asked['PolicySourceArn']} is no user, group or role")
    results = "".join(
        f"<member><EvalActionName>{name}</EvalActionName>"
        f"<EvalDecision>{'implicitDeny' if name in denied else 'allowed'}</EvalDecision></member>"
        for name in asked["ActionNames"]
    )
    return xml("SimulatePrincipalPolicy", f"<EvaluationResults>{results}</EvaluationResults>")


def xml(operation: str, result: str) -> str:
    """Return a response of the query protocol."""
    return f"<{operation}Response><{operation}Result>{result}</{operation}Result></{operation}Response>"


def _xml_error(fault: Fault, service: str) -> str:
    error = f"<Error><Type>Sender</Type><Code>{fault.code}</Code><Message>{fault.text}</Message></Error>"
    if service == "ec2":
        return f"<Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>"
    return f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>"
