"""The settings: environment variables, validated once and immutable."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from service import data_file
from service.app import setting_types
from service.app.validation import explain
from service.app.workflows import WorkflowSettings, parse_workflows
from service.stepfunctions import token_bucket
from service.stepfunctions.arn import StateMachineArn
from service.web import cors
from service.web.connections import KEEP_ALIVE_S
from service.web.schema import JsonSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

DEMO_SCHEMA: Final = data_file("request.schema.json")
"""The schema of the demonstration workflow's requests; API Gateway checks against the same file."""

_SECRET_ARN: Final = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+")


class SettingsError(ValueError):
    """The settings cannot be used; the message lists every problem, one per line."""


def _parse_arn(text: str | None) -> StateMachineArn | None:
    return None if text is None else StateMachineArn.parse(text)


class Settings(BaseSettings):
    """All settings of the service. Each field is the environment variable of the same name."""

    model_config = SettingsConfigDict(
        frozen=True, case_sensitive=True, extra="ignore", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )

    HOST: str = "0.0.0.0"
    """The address to listen on: `0.0.0.0` for every IPv4 address, `::` for every address; 127.0.0.1 with `local`."""

    PORT: int = Field(8080, ge=0, le=65535)
    """The port to listen on; 0 picks a free one."""

    WORKFLOWS: Annotated[tuple[WorkflowSettings, ...], NoDecode, BeforeValidator(parse_workflows)] = ()
    """The workflows: the path of a TOML file, or JSON text of the same form (docs/workflows.md). Without it,
    STATE_MACHINE_ARN and the settings that name it make up the only one."""

    STATE_MACHINE_ARN: Annotated[StateMachineArn | None, NoDecode, BeforeValidator(_parse_arn)] = Field(
        None, validate_default=True
    )
    """The workflow to start, by its ARN; required unless WORKFLOWS is set. The ARN's region is used for Step Functions,
    and for AppSync and Secrets Manager unless their own addresses name another."""

    APPSYNC_HTTP_URL: setting_types.EventsUrl
    """The HTTP endpoint of the AppSync Events API: https://<http-domain>/event."""

    APPSYNC_REALTIME_URL: setting_types.RealtimeUrl
    """The real-time endpoint of the AppSync Events API: wss://<realtime-domain>/event/realtime."""

    APPSYNC_NAMESPACE: setting_types.Namespace = "AsyncEvents"
    """The channel namespace in which workflows publish their replies."""

    APPSYNC_AUTH: Literal["api_key", "iam"] = "api_key"
    """How to authenticate to AppSync: `api_key`, or `iam` for the AWS SDK's credentials, which needs no key."""

    APPSYNC_API_KEY: setting_types.ApiKey | None = None
    """The API key. With APPSYNC_AUTH=api_key, either this or APPSYNC_API_KEY_SECRET is required."""

    APPSYNC_API_KEY_SECRET: str | None = Field(None, validate_default=True)
    """Name or ARN of the Secrets Manager secret that holds the API key, as text or as `api_key` of a JSON object. It is
    read again when the key is refused."""

    RESPONSE_TIMEOUT: float = Field(25, gt=0, le=900, allow_inf_nan=False)
    """Seconds that a request waits for its result by default, and the maximum that it can ask for."""

    STREAM_TIMEOUT: float = Field(0, gt=0, le=890, allow_inf_nan=False, validate_default=True)
    """The same for an event stream. If it is not set: RESPONSE_TIMEOUT, but at most 890."""

    KEEP_ALIVE_TIMEOUT: float = Field(KEEP_ALIVE_S, gt=0, le=4100, allow_inf_nan=False)
    """Seconds that an idle connection stays open: longer than the load balancer's idle timeout, which is 4,000 at
    most."""

    MAX_IN_FLIGHT: int = Field(10_000, ge=1, le=1_000_000)
    """Requests in flight at once; further requests get a 503. The limit of open files may lower it."""

    DRAIN_TIMEOUT: float = Field(35, ge=0, le=3600, allow_inf_nan=False)
    """Seconds after SIGTERM during which requests in flight are still answered."""

    DRAIN_DELAY: float = Field(5, ge=0, le=3600, allow_inf_nan=False)
    """Seconds after SIGTERM during which new requests are still accepted, until the load balancer has noticed; 0
    with `local`."""

    STAGE_PREFIX: setting_types.StagePrefix = ""
    """A path prefix that is accepted as well, and that every `Location` begins with: `dev` for /dev/event."""

    REQUEST_SCHEMA: Annotated[JsonSchema, NoDecode, BeforeValidator(JsonSchema.load)] = Field(
        DEMO_SCHEMA  # type: ignore[assignment]  # defaults are validated too, so this path is loaded like any other
    )
    """Path of the JSON Schema for request bodies; empty accepts any JSON object."""

    IDEMPOTENCY_SECRET: setting_types.Secret | None = None
    """A secret of at least 16 characters, the same on all instances, from which an Idempotency-Key's execution id is
    derived. APPSYNC_API_KEY is used if this is not set."""

    ID_SECRETS: setting_types.Secrets = Field("", validate_default=True)  # parsed like any other
    """Up to three secrets of at least 16 characters, separated by commas, the same on all instances: the first tags new
    execution ids, all verify them. IDEMPOTENCY_SECRET, or else APPSYNC_API_KEY, is used if this is not set."""

    READ_FOREIGN_EXECUTIONS: bool = False
    """Whether executions that this service did not start, or an older release did, can be read by their names."""

    CALLER_HEADER: setting_types.HeaderName | None = None
    """The header in which the gateway says who calls, overwriting what a client sent. Ids and keys then belong to their
    caller. Without it, all are one caller."""

    CALLER_SHARE: float = Field(0.5, gt=0, le=1, allow_inf_nan=False)
    """The part of MAX_IN_FLIGHT that each caller may have in flight; further requests get a 429. Only with
    CALLER_HEADER."""

    CALLER_RATE: setting_types.Quota | None = None
    """Requests that each caller may send, as a bucket's size/refill per second; further ones get a 429. Only with
    CALLER_HEADER. Without it, there is no such limit."""

    DESCRIBE_QUOTA: setting_types.Quota = token_bucket.DESCRIBE_EXECUTION_QUOTA
    """The account's quota for DescribeExecution: bucket size/refill per second."""

    HISTORY_QUOTA: setting_types.Quota = token_bucket.GET_EXECUTION_HISTORY_QUOTA
    """The account's quota for GetExecutionHistory: bucket size/refill per second."""

    LIST_QUOTA: setting_types.Quota = token_bucket.LIST_EXECUTIONS_QUOTA
    """The account's quota for ListExecutions: bucket size/refill per second."""

    CORS_ORIGINS: Annotated[frozenset[str], NoDecode, BeforeValidator(cors.parse_origins)] = frozenset()
    """Origins whose pages may call the service from a browser, separated by commas, or `*`."""

    PROGRESS: Literal["published", "states"] = "published"
    """What streams report: the progress that workflows publish, or also the `states` that executions enter, which are
    read from their history."""

    ON_CLIENT_GONE: Literal["keep", "stop"] = "keep"
    """Whether to `keep` or `stop` an execution when its caller disconnects; with an Idempotency-Key it is always kept.
    """

    LOCAL_AWS_PORT: int = Field(4566, ge=0, le=65535)
    """The port of the embedded AWS, for `local` only; 0 picks a free one."""

    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """The lowest level that is logged: DEBUG, INFO, WARNING, ERROR or CRITICAL, in upper or lower case."""

    EMF_INTERVAL: float = Field(0, ge=0, le=600, allow_inf_nan=False)
    """Seconds between two lines of CloudWatch metrics (Embedded Metric Format) on standard output; 0 writes none."""

    SERVICE_NAME: setting_types.ServiceName = "sync-front"
    """The value of the CloudWatch metrics' dimension `service`, and the service's name in traces."""

    LOG_FORMAT: Literal["json", "console"] = Field(default_factory=lambda: "console" if sys.stderr.isatty() else "json")
    """The format of the logs: `json` or `console`. On a terminal the default is `console`, elsewhere `json`."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Treat an empty variable as unset, except REQUEST_SCHEMA: there it means any JSON object."""
        return {
            name: value
            for name, value in values.items()
            if name == "REQUEST_SCHEMA" or not isinstance(value, str) or value.strip()
        }

    @field_validator("STREAM_TIMEOUT", mode="before")
    @classmethod
    def _as_long_as_a_response(cls, seconds: Any, info: ValidationInfo) -> Any:
        return seconds or min(info.data.get("RESPONSE_TIMEOUT", 25), 890)

    @field_validator("STATE_MACHINE_ARN")
    @classmethod
    def _some_workflow(cls, arn: StateMachineArn | None, info: ValidationInfo) -> StateMachineArn | None:
        if arn is None and not info.data.get("WORKFLOWS", True):
            raise ValueError("is required")
        return arn

    @property
    def workflows(self) -> tuple[WorkflowSettings, ...]:
        """The workflows; without WORKFLOWS the one that the other settings make up."""
        if self.WORKFLOWS or self.STATE_MACHINE_ARN is None:
            return self.WORKFLOWS
        return (WorkflowSettings(state_machine_arn=self.STATE_MACHINE_ARN, request_schema=self.REQUEST_SCHEMA),)

    @property
    def region(self) -> str:
        """The region of all state machines."""
        return self.workflows[0].state_machine_arn.region

    @property
    def key_secret(self) -> SecretStr | None:
        """The secret from which the ids of idempotency keys are derived; None if keys are not supported."""
        return self.IDEMPOTENCY_SECRET or self.APPSYNC_API_KEY

    @field_validator("STAGE_PREFIX", mode="before")
    @classmethod
    def _strip_slashes(cls, text: str) -> str:
        return text.strip("/")

    @field_validator("LOG_LEVEL", mode="before")
    @classmethod
    def _upper_case(cls, level: str) -> str:
        return level.upper()

    @field_validator("APPSYNC_API_KEY_SECRET")
    @classmethod
    def _exactly_one_key_source(cls, secret: str | None, info: ValidationInfo) -> str | None:
        secret = secret.strip() if secret else None
        if info.data.get("APPSYNC_AUTH") == "iam" or "APPSYNC_API_KEY" not in info.data:
            return secret  # neither the key nor the secret is used, or the key is there and wrong
        if (secret is None) == (info.data.get("APPSYNC_API_KEY") is None):
            raise ValueError("exactly one of APPSYNC_API_KEY and APPSYNC_API_KEY_SECRET is required")
        if secret is not None and secret.startswith("arn:") and _SECRET_ARN.fullmatch(secret) is None:
            raise ValueError("must look like arn:aws:secretsmanager:<region>:<account>:secret:<name>")
        return secret

    @field_validator("CALLER_HEADER")
    @classmethod
    def _no_foreign_executions(cls, header: str | None, info: ValidationInfo) -> str | None:
        if header is not None and info.data.get("READ_FOREIGN_EXECUTIONS"):
            raise ValueError("cannot be used with READ_FOREIGN_EXECUTIONS, which would show every caller's executions")
        return header

    @field_validator("CALLER_RATE")
    @classmethod
    def _only_known_callers(cls, rate: token_bucket.Quota | None, info: ValidationInfo) -> token_bucket.Quota | None:
        if rate is not None and info.data.get("CALLER_HEADER", "") is None:  # or another message says what is wrong
            raise ValueError("needs CALLER_HEADER: without it, all are one caller")
        return rate

    @field_validator("ID_SECRETS")
    @classmethod
    def _some_id_secret(cls, secrets: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
        """Fall back to a secret that all instances have anyway; one drawn by each would not verify the others' ids."""
        others = ("IDEMPOTENCY_SECRET", "APPSYNC_API_KEY")
        if secrets or any(name not in info.data for name in others):  # or another message says what is wrong
            return secrets
        fallback = [info.data[name] for name in others if info.data[name] is not None]
        if not fallback:
            raise ValueError("is required if neither IDEMPOTENCY_SECRET nor APPSYNC_API_KEY is set")
        return (fallback[0],)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, and nothing else."""
        return init_settings, env_settings


def load(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `overrides` win over the environment. Raise SettingsError."""
    try:
        return Settings(**overrides or {})
    except ValidationError as error:
        raise SettingsError(explain(error)) from None
