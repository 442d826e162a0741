"""Types of settings: texts that are checked and cleaned as they are read. Each raises ValueError with its rule."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Final, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from service.app.shared_secrets import parse_secret, parse_secrets
from service.appsync import MAX_SEGMENT_LENGTH, clean_key, is_segment
from service.stepfunctions import token_bucket

_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]+")


def _matching(pattern: str, rule: str) -> AfterValidator:
    def validate(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(rule)
        return text

    return AfterValidator(validate)


def _parse_namespace(text: str) -> str:
    if not is_segment(text):
        raise ValueError(f"must be 1 to {MAX_SEGMENT_LENGTH} letters, digits and hyphens, with no hyphen at either end")
    return text


def _parse_key(secret: SecretStr) -> SecretStr:
    return SecretStr(clean_key(secret.get_secret_value()))


def _parse_url(text: str, schemes: tuple[str, str], path: str) -> str:
    rule = f"must look like {schemes[0]}://<domain>{path}"
    try:
        parts = urlsplit(text)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:  # an invalid port, a malformed IPv6 address
        raise ValueError(rule) from None
    if _HOST.fullmatch(host or "") is None or parts.scheme not in schemes or parts.path != path:
        raise ValueError(rule)
    return text


ApiKey: TypeAlias = Annotated[SecretStr, AfterValidator(_parse_key)]
EventsUrl: TypeAlias = Annotated[str, AfterValidator(partial(_parse_url, schemes=("https", "http"), path="/event"))]
HeaderName: TypeAlias = Annotated[str, _matching(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", "must be the name of an HTTP header")]
Namespace: TypeAlias = Annotated[str, AfterValidator(_parse_namespace)]
Quota: TypeAlias = Annotated[token_bucket.Quota, NoDecode, BeforeValidator(token_bucket.Quota.parse)]
RealtimeUrl: TypeAlias = Annotated[
    str, AfterValidator(partial(_parse_url, schemes=("wss", "ws"), path="/event/realtime"))
]
Secret: TypeAlias = Annotated[SecretStr, AfterValidator(parse_secret)]
Secrets: TypeAlias = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(parse_secrets)]
ServiceName: TypeAlias = Annotated[
    str, _matching(r"[\x21-\x7e]{1,250}", "must be 1 to 250 printable ASCII characters without spaces")
]
StagePrefix: TypeAlias = Annotated[
    str, _matching(r"[A-Za-z0-9_-]*", "must contain only letters, digits, hyphens and underscores")
]
