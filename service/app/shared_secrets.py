"""The secrets that all instances share, cleaned so that every instance has the same."""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr

MAX_SECRETS: Final = 3
"""How many secrets may verify an id: each makes a forgery more likely (docs/ids.md)."""

_MIN_LENGTH: Final = 16


def parse_secret(secret: SecretStr) -> SecretStr:
    """Clean one secret; raise ValueError."""
    return SecretStr(_clean(secret.get_secret_value()))


def parse_secrets(text: str) -> tuple[SecretStr, ...]:
    """Clean up to MAX_SECRETS secrets, separated by commas; none if `text` is empty. Raise ValueError."""
    if not text:
        return ()
    secrets = _clean(text).split(",")
    if len(secrets) > MAX_SECRETS:
        raise ValueError(f"must be at most {MAX_SECRETS} secrets, separated by commas")
    return tuple(SecretStr(_clean(secret)) for secret in secrets)


def _clean(text: str) -> str:
    text = text.strip()  # with a line break at its end, an instance would make other ids
    if len(text) < _MIN_LENGTH:
        raise ValueError(f"must have at least {_MIN_LENGTH} characters")
    if text[0] == text[-1] and text[0] in "\"'":
        raise ValueError("must not be in quotes: some tools remove them, so instances would have different secrets")
    return text
