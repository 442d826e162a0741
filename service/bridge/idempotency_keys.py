"""Idempotency keys: the same key names the same execution on every instance, without a database."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from uuid import UUID

_PURPOSE: Final = b"sync-front idempotency key\0"


class IdempotencyKeys:
    """Turns a caller's key into an execution id.

    The id is also the address of the result, and whoever knows it can read or stop the execution. It is therefore made
    by HMAC-SHA-256 (RFC 2104) with a secret that all instances share: guessing a key does not reveal the id. The first
    122 bits are laid out as a random UUID (RFC 9562), so that both kinds of id look alike.
    """

    def __init__(self, secret: str) -> None:
        self.enabled = True
        """Whether keys are accepted: not if the workflow turns out to keep no record."""
        self._secret = hmac.new(secret.encode(), _PURPOSE, hashlib.sha256).digest()

    def execution_id(self, key: str) -> str:
        """Return the id of the one execution that belongs to `key`."""
        digest = hmac.new(self._secret, key.encode(), hashlib.sha256).digest()
        return f"exec-{UUID(bytes=digest[:16], version=4)}"
