"""AWS Signature Version 4 for one kind of request: POST of a JSON document to one endpoint.

From "Create a signed AWS API request", AWS Identity and Access Management User Guide. botocore's signer takes any
request and derives its key anew for each; this one does the same for what never changes only once.
"""

from __future__ import annotations

import hmac
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from botocore.utils import normalize_url_path

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Signer:
    """Signs POST requests to `url`, an endpoint of the service that signatures call `service`, in `region`."""

    def __init__(self, url: str, service: str, region: str) -> None:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port not in {None, _DEFAULT_PORTS.get(parts.scheme)} else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        path = quote(normalize_url_path(parts.path), safe="/~")
        self._head = f"POST\n{path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{host}{port}\n"
        self._region = region
        self._service = service
        self._second = -1
        self._time = ""
        self._key = b""
        self._key_of = ("", "")
        self._scope = ""

    def headers(self, target: str, body: bytes, credentials: ReadOnlyCredentials, now: float) -> dict[str, str]:
        """Return the headers of a request that names its operation by `target`; `now` is the time since the epoch."""
        stamp = self._stamp(int(now))
        self._derive(credentials.secret_key or "", stamp[:8])
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Date": stamp, "X-Amz-Target": target}
        if credentials.token:
            headers["X-Amz-Security-Token"] = credentials.token
            token, token_name = f"x-amz-security-token:{credentials.token}\n", "x-amz-security-token;"
        else:
            token = token_name = ""
        signed = f"content-type;host;x-amz-date;{token_name}x-amz-target"
        request = (
            f"{self._head}x-amz-date:{stamp}\n{token}x-amz-target:{target}\n\n{signed}\n{sha256(body).hexdigest()}"
        )
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{self._scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{self._scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return headers

    def _stamp(self, second: int) -> str:
        if second != self._second:
            self._time = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
            self._second = second
        return self._time

    def _derive(self, secret: str, date: str) -> None:
        """Have the signing key of that day for that secret."""
        if self._key_of == (secret, date):
            return
        key = f"AWS4{secret}".encode()
        for part in (date, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key, self._key_of = key, (secret, date)
        self._scope = f"{date}/{self._region}/{self._service}/aws4_request"
