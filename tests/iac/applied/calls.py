"""Recorded calls of AWS, decoded and compared with botocore's service models.

moto decodes a call by the same models, but checks little of what AWS checks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import regex
from botocore.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

# Names of services in a signature that differ from botocore's.
SIGNED_AS = {
    "access-analyzer": "accessanalyzer",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
}

# All characters beyond the basic plane, as a range in UTF-16, which is how some models write it, and in Unicode.
UTF16_RANGE, UNICODE_RANGE = r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"

# A shape of a model. botocore's types know only the members that all kinds of shapes have.
Shape = Any

_session = botocore.session.get_session()


@dataclass(frozen=True)
class Call:
    """One call: its operation, and the parameters that were sent."""

    service: str
    operation: str
    parameters: dict[str, Any]
    body: Any
    """The JSON document that was sent; None if the protocol has none."""

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def violations(self) -> list[str]:
        """Return each rule of the service's model that the call breaks."""
        shape = service_model(self.service).operation_model(self.operation).input_shape
        if shape is None:
            return []
        found = [*_broken(shape, self.parameters, ""), *_unknown(shape, self.body, "")]
        return [f"{self.name}{problem}" for problem in found]


def read(file: Path) -> list[Call]:
    """Return the calls in a recorder's file."""
    return [decode(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def decode(recorded: dict[str, Any]) -> Call:
    """Return a recorded call; raise if it is none of the service for which it was signed."""
    request = Request.from_primitives(
        recorded["method"],
        f"http://aws{recorded['url']}",
        recorded["headers"],
        base64.b64decode(recorded["body"]),
    )
    service = _service(request)
    operation, labels = get_service_router(service).match(request)
    protocol = determine_request_protocol(get_service_model(service), request.content_type)
    parts: Any = {
        "method": request.method,
        "values": request.values,
        "headers": request.headers,
        "body": request.data,
        "url_path": request.path,
        "url_params": labels,
    }
    has_document = "json" in protocol and request.data and not _payload(operation)
    return Call(
        service,
        operation.name,
        PROTOCOL_PARSERS[protocol](operation).parse(parts),
        json.loads(request.data) if has_document else None,
    )


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's own model of a service; moto changes some of them."""
    return _session.get_service_model(service)


def _service(request: Request) -> str:
    """Return botocore's name of the service that a call is signed for."""
    match = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", request.headers.get("Authorization", ""))
    assert match, f"{request.path} is not signed"
    name = SIGNED_AS.get(match[1], match[1])
    return "apigatewayv2" if name == "apigateway" and request.path.startswith("/v2/") else name


def _payload(operation: OperationModel) -> bool:
    """Return whether one member is the whole body, in a format of its own."""
    return operation.input_shape is not None and "payload" in operation.input_shape.serialization


def _broken(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Yield where a value breaks `required`, `enum`, `pattern`, `min` or `max`."""
    match shape.type_name, value:
        case "structure", dict():
            for name in shape.required_members:
                if value.get(name) is None:
                    yield f"{path}.{name}: is required"
        case "string", str():
            yield from _malformed(shape, value, path)
            yield from _out_of_bounds(shape, len(value), path)
        case "list" | "map", list() | dict():
            yield from _out_of_bounds(shape, len(value), path)
        case "integer" | "long" | "float" | "double", int() | float():
            yield from _out_of_bounds(shape, value, path)
    for inner, item, step in _parts(shape, value):
        yield from _broken(inner, item, f"{path}{step}")


def _parts(shape: Shape, value: Any) -> Iterator[tuple[Shape, Any, str]]:
    """Yield the shape, value and path of each part of a structure, a list or a map."""
    match shape.type_name, value:
        case "structure", dict():
            yield from ((shape.members[name], member, f".{name}") for name, member in value.items())
        case "list", list():
            yield from ((shape.member, item, "[]") for item in value)
        case "map", dict():
            yield from ((shape.key, key, "{key}") for key in value)
            yield from ((shape.value, item, "{}") for item in value.values())


def _out_of_bounds(shape: Shape, size: float, path: str) -> Iterator[str]:
    for bound, broken in (
        ("min", size < shape.metadata.get("min", size)),
        ("max", size > shape.metadata.get("max", size)),
    ):
        if broken:
            yield f"{path}: {size} breaks {bound} {shape.metadata[bound]}"


def _malformed(shape: Shape, value: str, path: str) -> Iterator[str]:
    pattern = shape.metadata.get("pattern")
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {', '.join(shape.enum)}"
    # Python's own `re` lacks the character classes that some models use, such as \p{L}.
    if pattern and not regex.fullmatch(pattern.replace(UTF16_RANGE, UNICODE_RANGE), value):
        yield f"{path}: {value[:160]!r} does not match {pattern}"


def _unknown(shape: Shape, document: Any, path: str) -> Iterator[str]:
    """Yield the members of a JSON document that the model does not have."""
    if shape.type_name == "structure" and isinstance(document, dict):
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        yield from (f"{path}.{name}: is unknown" for name in document if name not in names)
        document = {names[name]: value for name, value in document.items() if name in names}
    for inner, item, step in _parts(shape, document):
        yield from _unknown(inner, item, f"{path}{step}")
