"""The environment, checked once and frozen: every setting with its meaning, and one message for all that is wrong."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

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
from service.stepfunctions import token_bucket
from service.stepfunctions.arn import StateMachineArn
from service.web import cors
from service.web.schema import RequestSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

DEMO_SCHEMA: Final = data_file("request.schema.json")
"""The schema of the demonstration workflow's requests; API Gateway checks against the same file."""


_SECRET_ARN: Final = re.compile(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+")
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]+")


_Quota: TypeAlias = Annotated[token_bucket.Quota, NoDecode, BeforeValidator(token_bucket.Quota.parse)]


class SettingsError(ValueError):
    """The settings cannot be used; the message lists everything that is wrong, a line each."""


def _url(text: str, schemes: tuple[str, str], path: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:  # a port that is none, a broken IPv6 address
        raise ValueError(f"must look like {schemes[0]}://<domain>{path}") from None
    if _HOST.fullmatch(host or "") is None or parts.scheme not in schemes or parts.path != path:
        raise ValueError(f"must look like {schemes[0]}://<domain>{path}")
    return text


class Settings(BaseSettings):
    """All settings of the service. Each field is the environment variable of the same name."""

    model_config = SettingsConfigDict(
        frozen=True, case_sensitive=True, extra="ignore", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )

    HOST: str = "0.0.0.0"
    """The address to listen on."""
    PORT: int = Field(8080, ge=0, le=65535)
    """The port to listen on."""
    STATE_MACHINE_ARN: Annotated[StateMachineArn, NoDecode, BeforeValidator(StateMachineArn.parse)]
    """The workflow to start; its region is used for AWS."""
    APPSYNC_HTTP_URL: str
    """https://<http-domain>/event"""
    APPSYNC_REALTIME_URL: str
    """wss://<realtime-domain>/event/realtime"""
    APPSYNC_NAMESPACE: str = Field("AsyncEvents", pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$")
    """The channel namespace."""
    APPSYNC_AUTH: Literal["api_key", "iam"] = "api_key"
    """How to connect to AppSync: with an api_key, or with iam and the AWS SDK's credentials, without a key."""
    APPSYNC_API_KEY: SecretStr | None = None
    """The API key. This or APPSYNC_API_KEY_SECRET is required for api_key."""
    APPSYNC_API_KEY_SECRET: str | None = Field(None, validate_default=True)
    """Name or ARN of the Secrets Manager secret that holds the API key, as text or as `api_key` of a JSON object."""
    RESPONSE_TIMEOUT: float = Field(25, gt=0, le=900, allow_inf_nan=False)
    """Seconds that a request waits by default, and the maximum that it can ask for."""
    MAX_IN_FLIGHT: int = Field(10_000, ge=1, le=1_000_000)
    """Requests in flight at once before the answer is 503; the limit of open files may lower it."""
    DRAIN_TIMEOUT: float = Field(35, ge=0, le=3600, allow_inf_nan=False)
    """Seconds after SIGTERM during which requests in flight are still answered."""
    DRAIN_DELAY: float = Field(5, ge=0, le=3600, allow_inf_nan=False)
    """Seconds after SIGTERM during which new requests are still accepted; `local` defaults to 0."""
    STAGE_PREFIX: str = Field("", pattern=r"^[A-Za-z0-9_-]*$")
    """A path prefix that is accepted as well: `dev` for /dev/event."""
    REQUEST_SCHEMA: Annotated[RequestSchema, NoDecode, BeforeValidator(RequestSchema.load)] = Field(
        DEMO_SCHEMA  # type: ignore[assignment]  # defaults are validated too, so this path is loaded like any other
    )
    """Path of the JSON Schema for request bodies; empty accepts any JSON object."""
    IDEMPOTENCY_SECRET: SecretStr | None = Field(None, min_length=16)
    """At least 16 characters, the same on all instances, to derive execution ids from an Idempotency-Key;
    APPSYNC_API_KEY is used if this is not set."""
    DESCRIBE_QUOTA: _Quota = token_bucket.DESCRIBE_EXECUTION_QUOTA
    """The account's quota for DescribeExecution: bucket/refill per second."""
    HISTORY_QUOTA: _Quota = token_bucket.GET_EXECUTION_HISTORY_QUOTA
    """The account's quota for GetExecutionHistory."""
    LIST_QUOTA: _Quota = token_bucket.LIST_EXECUTIONS_QUOTA
    """The account's quota for ListExecutions."""
    CORS_ORIGINS: Annotated[frozenset[str], NoDecode, BeforeValidator(cors.parse_origins)] = frozenset()
    """Origins whose pages may call the service from a browser, separated by commas, or `*`."""
    ON_CLIENT_GONE: Literal["keep", "stop"] = "keep"
    """Whether to keep or stop the execution when its caller disconnects."""
    LOCAL_AWS_PORT: int = Field(4566, ge=0, le=65535)
    """`local` only: the port of the embedded AWS."""
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    """DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    EMF_INTERVAL: float = Field(0, ge=0, le=600, allow_inf_nan=False)
    """Seconds between two lines of metrics for CloudWatch on standard output; 0 writes none."""
    SERVICE_NAME: str = Field("sync-front", min_length=1, max_length=250, pattern=r"^[\x21-\x7e]+$")
    """The value of the metrics' dimension `service`."""
    LOG_FORMAT: Literal["json", "console"] = Field(default_factory=lambda: "console" if sys.stderr.isatty() else "json")
    """json or console; console is the default on a terminal, json elsewhere."""

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Take an empty variable as not set, but for REQUEST_SCHEMA, where it means: any JSON object."""
        return {
            name: value
            for name, value in values.items()
            if name == "REQUEST_SCHEMA" or not isinstance(value, str) or value.strip()
        }

    @field_validator("APPSYNC_HTTP_URL")
    @classmethod
    def _http_url(cls, text: str) -> str:
        return _url(text, ("https", "http"), "/event")

    @field_validator("APPSYNC_REALTIME_URL")
    @classmethod
    def _realtime_url(cls, text: str) -> str:
        return _url(text, ("wss", "ws"), "/event/realtime")

    @field_validator("STAGE_PREFIX", mode="before")
    @classmethod
    def _no_slashes(cls, text: str) -> str:
        return text.strip("/")

    @field_validator("LOG_LEVEL", mode="before")
    @classmethod
    def _any_case(cls, level: str) -> str:
        return level.upper()

    @field_validator("APPSYNC_API_KEY_SECRET")
    @classmethod
    def _one_key(cls, secret: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("APPSYNC_AUTH") == "iam":
            return secret  # looked at no further, nor is the key
        if (secret is None) == (info.data.get("APPSYNC_API_KEY") is None):
            raise ValueError("exactly one of APPSYNC_API_KEY and APPSYNC_API_KEY_SECRET is required")
        if secret is not None and secret.startswith("arn:") and _SECRET_ARN.fullmatch(secret) is None:
            raise ValueError("must look like arn:aws:secretsmanager:<region>:<account>:secret:<name>")
        return secret

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
        raise SettingsError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    # Only names and rules: a wrong value may be a secret in the wrong variable.
    lines = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in fault["loc"])
        rule = "required" if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        lines.append(f"  {name}: {rule}" if name else f"  {rule}")
    return "\n".join(["these settings (environment variables) are missing or wrong:", *sorted(lines)])
