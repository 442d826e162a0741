"""The workflows behind one service: a TOML file, or JSON text of the same form."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from service.app.validation import problems
from service.stepfunctions.arn import StateMachineArn
from service.web.schema import JsonSchema

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = r"^[a-z][a-z0-9-]{0,30}$"

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")

RESERVED_PATHS: Final = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/_local")
"""The service's own paths, and all below them."""

_ERROR_NAME: Final = re.compile(r"[\x21-\x7e]+")


def _is_reserved(path: str) -> bool:
    return any(path == taken or path.startswith(f"{taken}/") for taken in RESERVED_PATHS)


def _schema(value: object, info: ValidationInfo) -> JsonSchema:
    """Return a schema, which is there itself or in a file; its path is relative to that of the workflows."""
    folder: Path | None = info.context
    match value:
        case JsonSchema():
            return value
        case dict() | bool():
            return JsonSchema.compile(value)
        case str() if folder is not None:
            return JsonSchema.load(folder / value)
    raise ValueError("must be a schema, or the path of one if this is a file")


def _arn(value: object) -> StateMachineArn:
    if isinstance(value, StateMachineArn):
        return value
    return StateMachineArn.parse(value if isinstance(value, str) else "")


def _file(path: object, info: ValidationInfo) -> object:
    folder: Path | None = info.context
    return path if folder is None or not isinstance(path, str) else folder / path


_Schema: TypeAlias = Annotated[JsonSchema, BeforeValidator(_schema)]
_File: TypeAlias = Annotated[Path, BeforeValidator(_file)]


class WorkflowSettings(BaseModel):
    """One workflow. What is None is as the settings of the whole service say."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(pattern=NAME)] = "event"
    """Its name in metrics and logs."""
    path: str = ""
    """Where requests go; the name with a slash unless set."""
    state_machine_arn: Annotated[StateMachineArn, BeforeValidator(_arn)]
    """The state machine, a version or an alias of it."""
    input: Literal["envelope", "event"] = "envelope"
    """Whether executions get the envelope or the event itself."""
    request_schema: _Schema | None = None
    """The schema of events; without one, an envelope takes any object, and an event is any JSON value."""
    result_schema: _Schema | None = None
    """The schema of outputs, for the description."""
    check_results: bool = False
    """Whether an output that does not match that schema is a problem instead of a result."""
    response_timeout: Annotated[float, Field(gt=0, le=900, allow_inf_nan=False)] | None = None
    stream_timeout: Annotated[float, Field(gt=0, le=890, allow_inf_nan=False)] | None = None
    max_in_flight: Annotated[int, Field(ge=1)] | None = None
    """How many of the requests in flight may be for this workflow."""
    on_client_gone: Literal["keep", "stop"] | None = None
    progress: Literal["published", "states"] | None = None
    """What streams report: what the workflow publishes, or the states that are entered."""
    errors: dict[str, Annotated[int, Field(ge=400, le=599)]] = Field(default_factory=dict)
    """HTTP statuses of errors, by their names; a name that ends with `*` is a prefix."""
    definition: _File | None = None
    """The definition that the local AWS runs under this ARN."""
    mocks: _File | None = None
    """Results of tasks for the local AWS."""

    @field_validator("path")
    @classmethod
    def _valid_path(cls, path: str) -> str:
        if path and _PATH.fullmatch(path) is None:
            raise ValueError("must look like /v1/orders, with letters, digits and . _ ~ - between slashes")
        if _is_reserved(path):
            raise ValueError("is a path of the service itself")
        return path

    @field_validator("errors")
    @classmethod
    def _valid_errors(cls, errors: dict[str, int]) -> dict[str, int]:
        if not all(_ERROR_NAME.fullmatch(name) and "*" not in name[:-1] for name in errors):
            raise ValueError("must have names of errors, with a * only at their ends")
        return errors

    @model_validator(mode="after")
    def _valid_check(self) -> Self:
        if self.check_results and self.result_schema is None:
            raise ValueError("check_results: needs a result_schema")
        return self

    @model_validator(mode="after")
    def _valid_default_path(self) -> Self:
        if _is_reserved(self.route):
            raise ValueError(f"path: must be set, because {self.route} is a path of the service itself")
        return self

    @property
    def route(self) -> str:
        """The path of its requests."""
        return self.path or f"/{self.name}"

    @property
    def schema_of_requests(self) -> JsonSchema:
        """The schema that request bodies must match."""
        return self.request_schema or JsonSchema(True if self.input == "event" else {"type": "object"})


def parse_workflows(text: object) -> object:
    """Read the file at a path, or JSON text; raise ValueError with one line for each thing that is wrong in it."""
    if not isinstance(text, str):
        return text
    if text.lstrip().startswith("{"):
        tables, folder = _json(text), None
    else:
        tables, folder = _toml(Path(text)), Path(text).parent
    faults: list[str] = []
    workflows: list[WorkflowSettings] = []
    for name, table in tables.items():
        try:
            values = table | {"name": name} if isinstance(table, dict) else table
            workflows.append(WorkflowSettings.model_validate(values, context=folder))
        except ValidationError as error:
            faults += [f"[{name}] {problem}" for problem in problems(error)]
    faults += _conflicts(workflows)
    if not tables:
        faults.append("has no workflow")
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(workflows)


def _json(text: str) -> dict[str, Any]:
    try:
        tables = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return tables if isinstance(tables, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise ValueError(f"{path} is not TOML: {error}") from None


def _conflicts(workflows: list[WorkflowSettings]) -> Iterator[str]:
    """Yield what does not fit together."""
    for route, number in Counter(workflow.route for workflow in workflows).items():
        if number > 1:
            yield f"{number} workflows have the path {route}"
    for workflow in workflows:
        if any(workflow.route.startswith(f"{other.route}/") for other in workflows):
            yield f"[{workflow.name}] path: is below the path of another workflow"
    for workflow in workflows:
        if _home(workflow) != _home(workflows[0]):
            yield f"[{workflow.name}] state_machine_arn: must be of the account and region of [{workflows[0].name}]"


def _home(workflow: WorkflowSettings) -> tuple[str, str, str]:
    arn = workflow.state_machine_arn
    return arn.partition, arn.region, arn.account
