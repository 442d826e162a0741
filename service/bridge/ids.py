"""Execution ids: made by this service alone, checked on every instance, without a database.

An id has the layout of a UUID without its version bits: 12 bits of shard, 73 random bits and a tag of 43 bits, in 32
hex digits. `docs/ids.md` shows why these sizes are enough.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SHARD_BITS: Final = 12
RANDOM_BITS: Final = 73
TAG_BITS: Final = 43

KEYED_SHARD: Final = "000"
"""The shard of ids that are made from idempotency keys: any instance may be the one that is asked."""

_FORM: Final = re.compile(r"exec-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BODY_BYTES: Final = (SHARD_BITS + RANDOM_BITS + 7) // 8
_TAG_BYTES: Final = (TAG_BITS + 7) // 8


def is_id(text: str) -> bool:
    """Return whether `text` has the form of an id."""
    return _FORM.fullmatch(text) is not None


def shard_of(execution_id: str) -> str | None:
    """Return the shard of an id; None for a text that has not the form of one."""
    return execution_id[5 : 5 + SHARD_BITS // 4] if is_id(execution_id) else None


def new_shard() -> str:
    """Draw the shard of an instance: three hex digits, never those of KEYED_SHARD."""
    return f"{1 + secrets.randbelow((1 << SHARD_BITS) - 1):03x}"


class Ids:
    """The ids of one workflow.

    Ids without a key are tagged with the first of `id_secrets`, and any of them verifies a tag. Ids from keys are made
    by HMAC with `key_secret`, tag included, so they are the same on every instance. `caller` is part of every id: no
    other caller can use it, and the same key of two callers gives two ids.
    """

    def __init__(
        self, workflow: str, id_secrets: Sequence[str], key_secret: str | None, shard: str | None = None
    ) -> None:
        self.shard = new_shard() if shard is None else shard
        """The first three hex digits of all ids without a key."""
        self.keys_enabled = key_secret is not None
        """Whether keys are accepted: not without a secret, nor if the workflow turns out to keep no record."""
        self._tag_keys = [_derive(secret, "tag", workflow) for secret in id_secrets]
        self._key_key = _derive(key_secret or "", "key", workflow)
        self._keyed_tag_keys = [] if key_secret is None else [_derive(key_secret, "tag of a key", workflow)]
        self._shard_bits = int(self.shard, 16) << RANDOM_BITS

    def new(self, caller: str = "") -> str:
        """Return a new id."""
        return _text(self._tag_keys[0], self._shard_bits | secrets.randbits(RANDOM_BITS), _bytes(caller))

    def for_key(self, key: str, caller: str = "") -> str:
        """Return the id of the one execution that belongs to a caller's idempotency key.

        Raise ValueError without a secret for keys.
        """
        if not self._keyed_tag_keys:
            raise ValueError("there is no secret for idempotency keys")
        caller_ = _bytes(caller)
        digest = hmac.digest(self._key_key, len(caller_).to_bytes(4) + caller_ + _bytes(key), "sha256")
        body = int.from_bytes(digest) >> (8 * len(digest) - RANDOM_BITS)
        return _text(self._keyed_tag_keys[0], body, caller_)

    def verify(self, execution_id: str, caller: str = "") -> bool:
        """Return whether this service made the id, for this workflow and this caller."""
        if not is_id(execution_id):
            return False
        number = int(execution_id.removeprefix("exec-").replace("-", ""), 16)
        body = number >> TAG_BITS
        tag = (number & ((1 << TAG_BITS) - 1)).to_bytes(_TAG_BYTES)
        keys = self._tag_keys if body >> RANDOM_BITS else self._keyed_tag_keys
        caller_ = _bytes(caller)
        # First all of them, so that the time does not show which of them matches.
        matches = [hmac.compare_digest(_tag(key, body, caller_).to_bytes(_TAG_BYTES), tag) for key in keys]
        return any(matches)


def _derive(secret: str, purpose: str, workflow: str) -> bytes:
    """Return the key for one purpose of one workflow; neither name contains a NUL."""
    return hmac.digest(_bytes(secret), _bytes(f"sync-front id\0{purpose}\0{workflow}"), "sha256")


def _bytes(text: str) -> bytes:
    # HTTP headers are decoded with "surrogateescape".
    return text.encode(errors="surrogateescape")


def _tag(key: bytes, body: int, caller: bytes) -> int:
    digest = hmac.digest(key, body.to_bytes(_BODY_BYTES) + caller, "sha256")  # the body's length is fixed
    return int.from_bytes(digest[:_TAG_BYTES]) >> (8 * _TAG_BYTES - TAG_BITS)


def _text(key: bytes, body: int, caller: bytes) -> str:
    digits = f"{body << TAG_BITS | _tag(key, body, caller):032x}"
    return f"exec-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
