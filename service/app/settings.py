"""The environment, checked once and frozen: every setting with its meaning, and one message for all that is wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path
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

from service.stepfunctions import token_bucket
from service.stepfunctions.arn import StateMachineArn
from service.web import cors
from service.web.schema import RequestSchema

if TYPE_CHECKING:
    from collections.abc import Mapping

DEMO_SCHEMA: Final = Path(__file__).parents[2] / "IaC" / "request.schema.json"
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

    model_config = SettingsConfigDict(frozen=True, case_sensitive=True, extra="ignore", arbitrary_types_allowed=True)

    HOST: str = "0.0.0.0"
    PORT: int = Field(8080, ge=0, le=65535)
    STATE_MACHINE_ARN: Annotated[StateMachineArn, NoDecode, BeforeValidator(StateMachineArn.parse)]
    APPSYNC_HTTP_URL: str
    APPSYNC_REALTIME_URL: str
    APPSYNC_NAMESPACE: str = Field("AsyncEvents", pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?$")
    APPSYNC_AUTH: Literal["api_key", "iam"] = "api_key"
    APPSYNC_API_KEY: SecretStr | None = None
    APPSYNC_API_KEY_SECRET: str | None = Field(None, validate_default=True)
    RESPONSE_TIMEOUT: float = Field(25, gt=0, le=900, allow_inf_nan=False)
    MAX_IN_FLIGHT: int = Field(10_000, ge=1, le=1_000_000)
    DRAIN_TIMEOUT: float = Field(35, ge=0, le=3600, allow_inf_nan=False)
    DRAIN_DELAY: float = Field(5, ge=0, le=3600, allow_inf_nan=False)
    STAGE_PREFIX: str = Field("", pattern=r"^[A-Za-z0-9_-]*$")
    REQUEST_SCHEMA: Annotated[RequestSchema, NoDecode, BeforeValidator(RequestSchema.load)] = Field(
        DEMO_SCHEMA  # type: ignore[assignment]  # defaults are validated too, so this path is loaded like any other
    )
    IDEMPOTENCY_SECRET: SecretStr | None = Field(None, min_length=16)
    DESCRIBE_QUOTA: _Quota = token_bucket.DESCRIBE_EXECUTION_QUOTA
    HISTORY_QUOTA: _Quota = token_bucket.GET_EXECUTION_HISTORY_QUOTA
    LIST_QUOTA: _Quota = token_bucket.LIST_EXECUTIONS_QUOTA
    CORS_ORIGINS: Annotated[frozenset[str], NoDecode, BeforeValidator(cors.parse_origins)] = frozenset()
    ON_CLIENT_GONE: Literal["keep", "stop"] = "keep"
    LOCAL_AWS_PORT: int = Field(4566, ge=0, le=65535)
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    EMF_INTERVAL: float = Field(0, ge=0, le=600, allow_inf_nan=False)
    SERVICE_NAME: str = Field("sync-front", min_length=1, max_length=250, pattern=r"^[\x21-\x7e]+$")
    LOG_FORMAT: Literal["json", "console"] = Field(default_factory=lambda: "console" if sys.stderr.isatty() else "json")

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
