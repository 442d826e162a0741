"""Components of the OpenAPI description: schemas, parameters, headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from service.web import idempotency
from service.web.problems import ENCODINGS, MAX_RETRY_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.web.workflow import Workflow

EXECUTION_ID: Final = "exec-38ecfe24-32d2-443c-813f-97d797a8a2f9"
"""An example execution id."""


def ref(kind: str, name: str) -> dict[str, str]:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


_ANY_RESULT: Final = {
    "type": "object",
    "description": "The execution id and the output's members; `output` if that is not an object.",
    "required": ["id"],
    "properties": {"id": ref("schemas", "Id")},
    "additionalProperties": True,
    "examples": [{"id": EXECUTION_ID, "output": 42}],
}


def request_schema_name(workflow: Workflow) -> str:
    """Return the name of the schema of a workflow's events."""
    return f"{workflow.title}Request"


def result_schema_name(workflow: Workflow) -> str:
    """Return the name of the schema of a workflow's results."""
    return "Result" if workflow.result_schema is None else f"{workflow.title}Result"


def components(workflows: Sequence[Workflow], *, read_foreign: bool = False) -> dict[str, Any]:
    """Describe schemas, parameters and headers for these workflows.

    With `read_foreign`, any name of an execution may be an id.
    """
    response, stream = (max(getattr(one.waits, kind) for one in workflows) for kind in ("response", "stream"))
    each = "" if len(workflows) == 1 else ", less for some workflows"
    text, seconds = {"type": "string"}, {"type": "integer", "minimum": 1, "maximum": MAX_RETRY_AFTER_S}
    pattern = "^[A-Za-z0-9_-]{1,80}$" if read_foreign else "^exec-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
    id_ = {"type": "string", "pattern": pattern, "examples": [EXECUTION_ID]}
    violation = {"type": "object", "required": ["pointer", "detail"], "properties": {"pointer": text, "detail": text}}
    problem = {
        "type": "object",
        "description": "Problem details (RFC 9457). Programs should rely on `type` alone.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "request_id": text,
            "id": ref("schemas", "Id"),
            "error": {"type": "string", "description": "The name of the workflow's error."},
            "errors": {"type": "array", "items": violation},
        },
    }
    return {
        "schemas": {
            "Id": id_,
            **_schemas(workflows),
            "Running": {
                "type": "object",
                "required": ["id", "status"],
                "properties": {"id": ref("schemas", "Id"), "status": {"const": "RUNNING"}},
                "examples": [{"id": EXECUTION_ID, "status": "RUNNING"}],
            },
            "Status": {"type": "object", "required": ["status"], "properties": {"status": text}},
            "Problem": problem,
        },
        "parameters": {
            "Id": {
                "name": "id",
                "in": "path",
                "required": True,
                "description": "The execution id.",
                "schema": ref("schemas", "Id"),
            },
            "Prefer": _header(
                "Prefer",
                f"`wait=N`: seconds to wait, up to {response:g}, or {stream:g} for a stream{each}. "
                "`respond-async`: do not wait (RFC 7240).",
                text,
                "wait=5",
            ),
            "IdempotencyKey": _header(
                "Idempotency-Key",
                "Requests with the same key and body share one execution and its result.",
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": idempotency.MAX_KEY_LENGTH,
                    "pattern": "^[\\x21\\x23-\\x2b\\x2d-\\x5b\\x5d-\\x7e]+$",
                },
                "8e03978e-40d5-43e8-bc93-6894a57f9324",
            ),
            "RequestId": _header(
                "X-Request-Id", "Identifies the request in the log; generated if missing or invalid.", text, "abc-1"
            ),
            "LastEventId": _header(
                "Last-Event-ID", "The id of the last event received, to take up a stream again.", text, "3"
            ),
            "Traceparent": _header(
                "traceparent",
                "The trace that the execution joins (W3C Trace Context).",
                text,
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        },
        "headers": {
            "X-Request-Id": {"description": "Identifies the request in the log.", "required": True, "schema": text},
            "ETag": {"description": "Identifies this version of the document.", "required": True, "schema": text},
            "Location": {"description": "Where to get the result.", "required": True, "schema": text},
            "Retry-After": {
                "description": "Seconds to wait before the next request.",
                "required": True,
                "schema": seconds,
            },
            "Preference-Applied": {"description": "The preferences that were applied.", "schema": text},
            "Server-Timing": {
                "description": "Milliseconds to start the execution, in the workflow, and in this service (`bridge`).",
                "schema": text,
                "example": "start;dur=31.2, workflow;dur=10042.7, bridge;dur=1.4",
            },
            "Accept-Encoding": {
                "description": "The supported content encodings.",
                "schema": text,
                "example": ", ".join(ENCODINGS),
            },
        },
    }


def _schemas(workflows: Sequence[Workflow]) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for workflow in workflows:
        name = request_schema_name(workflow)
        schemas[name] = _relocated(workflow.schema.document, name)
        name = result_schema_name(workflow)
        schemas[name] = (
            _ANY_RESULT if workflow.result_schema is None else _result(workflow.result_schema.document, name)
        )
    return schemas


def _result(output: dict[str, Any] | bool, name: str) -> Any:
    """Describe the body of a response by the schema of outputs: an object has the id as well, other values a place."""
    if not isinstance(output, dict):
        return _ANY_RESULT
    id_, kind = {"id": ref("schemas", "Id")}, output.get("type", ["object"])
    if "object" not in kind:
        value = _relocated(output, f"{name}/properties/output")
        return {"type": "object", "required": ["id", "output"], "properties": id_ | {"output": value}}
    own: dict[str, Any] = _relocated(output, name)
    if kind != "object":  # it may be one
        return own
    return own | {"required": ["id", *own.get("required", ())], "properties": id_ | own.get("properties", {})}


def _header(name: str, description: str, schema: dict[str, Any], sample: str) -> dict[str, Any]:
    # The sample stands in the text: as `example` it would be what "try it out" sends, the same key again and again.
    return {"name": name, "in": "header", "description": f"{description} Example: `{sample}`.", "schema": schema}


def _relocated(schema: Any, name: str) -> Any:
    """Rewrite references within a schema to its place, `name`, in this document; drop its own base URI and dialect."""
    if isinstance(schema, dict):
        return {
            key: f"#/components/schemas/{name}{value[1:]}"
            if key == "$ref" and isinstance(value, str) and value.startswith("#")
            else _relocated(value, name)
            for key, value in schema.items()
            if not (key in {"$id", "id", "$schema"} and isinstance(value, str))
        }
    return [_relocated(item, name) for item in schema] if isinstance(schema, list) else schema
