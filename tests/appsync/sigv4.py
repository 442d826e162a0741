"""Verification of AWS Signature Version 4, written from its specification.

AWS Identity and Access Management User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8}/[^/]+/[^/]+/aws4_request), "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


def is_signed(
    headers: Mapping[str, str], body: bytes, *, scope: str, access_key: str, secret_key: str, path: str
) -> bool:
    """Return whether the headers sign a POST of the body to the path; `scope` is `<region>/<service>`."""
    by_name = {name.lower(): value for name, value in headers.items()}
    match = _AUTHORIZATION.fullmatch(by_name["authorization"])
    assert match is not None
    key, signed_scope, signed_names, signature = match.groups()
    date = by_name["x-amz-date"]
    assert (key, signed_scope) == (access_key, f"{date[:8]}/{scope}/aws4_request")
    names = signed_names.split(";")
    canonical = "\n".join(
        ["POST", path, "", *(f"{name}:{by_name[name].strip()}" for name in names), "", signed_names, _sha256(body)]
    )
    to_sign = "\n".join(["AWS4-HMAC-SHA256", date, signed_scope, _sha256(canonical.encode())])
    secret = f"AWS4{secret_key}".encode()
    for part in [*signed_scope.split("/"), to_sign]:
        secret = hmac.digest(secret, part.encode(), "sha256")
    return hmac.compare_digest(secret.hex(), signature)


def signed_names(headers: Mapping[str, str]) -> set[str]:
    """Return the names of the headers that the signature covers."""
    match = _AUTHORIZATION.fullmatch(headers["Authorization"])
    assert match is not None
    return set(match[3].split(";"))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
