"""The AWS SDK's credentials, renewed ahead of time and used for as long as they are valid.

The SDK itself renews them while a call waits, from ten minutes before they expire: a source of credentials that hangs
or fails would then fail calls for which valid credentials are at hand.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from aiobotocore.credentials import AioCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
)
from botocore.exceptions import ConnectionError as SdkConnectionError

from service.appsync.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from botocore.credentials import ReadOnlyCredentials

log = structlog.get_logger(__name__)

START_TIMEOUT_S: Final = 15.0
"""Seconds that the first credentials may take, with all attempts."""

ATTEMPT_TIMEOUT_S: Final = 10.0
"""Seconds that one attempt may take: the SDK's three attempts at a container's endpoint take nine."""

MAX_WAIT_S: Final = 3.0
"""Seconds that a call without valid credentials waits for an attempt: within a call's timeout, with time for a 503."""

PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
"""Seconds after a failed attempt until the next one: a tenth of the time for which there are valid credentials, within
these limits."""

REFRESH_AHEAD_S: Final = 900.0
"""Seconds before their end at which credentials are renewed, as by the SDK; of a short life, its second half."""

LOG_INTERVAL_S: Final = 60.0

_SETTINGS: Final = {
    "env": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "shared-credentials-file": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    "config-file": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
}
"""The names of access key, secret key and token for each of the SDK's sources that is a setting."""

_FILES: Final = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""Settings that name a file."""

_NAMED: Final = (
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    *_FILES,
)
"""Settings whose value or file the SDK may fail to understand, without saying which."""

_PRINTABLE: Final = re.compile(r"[!-~]+")
_ERROR_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,64}")
_TEMPORARY: Final = (CredentialRetrievalError, MetadataRetrievalError, HTTPClientError, SdkConnectionError)


class CredentialsUnavailableError(Exception):
    """There are no valid credentials; the message says why, without any secret."""


class UnusableCredentialsError(Exception):
    """Credentials, or the file or program that they come from, cannot be used; the message names the setting."""

    def __init__(self, message: str, *, is_setting: bool = True) -> None:
        super().__init__(message)
        self.is_setting = is_setting


@dataclass(frozen=True, slots=True)
class _Held:
    frozen: ReadOnlyCredentials
    expires_at: float
    """In seconds since the epoch; infinite for credentials that do not expire."""

    @classmethod
    async def read(cls, loaded: Any) -> Self:
        """Read what the SDK has loaded; raise UnusableCredentialsError, or CredentialsUnavailableError if expired."""
        if loaded is None:
            raise NoCredentialsError
        # The SDK's own method would ask for newer ones first, even if these have minutes left.
        frozen = getattr(loaded, "_frozen_credentials", None) or await loaded.get_frozen_credentials()
        expiry = getattr(loaded, "_expiry_time", None)
        _check_characters(loaded.method, frozen)
        held = cls(frozen, math.inf if expiry is None else expiry.timestamp())
        if held.expires_at <= time.time():
            raise CredentialsUnavailableError("they have expired already")
        return held


class RenewedCredentials(AioCredentials):
    """The credentials that `load` returns, as an async context manager; it stands for them in a session of the SDK.

    While they are valid, no call waits. They are renewed in the background, by one attempt at a time.
    """

    def __init__(self, load: Callable[[], Awaitable[Any]]) -> None:
        super().__init__("", "")  # its attributes are not used: the SDK's clients ask for them frozen
        self._load = load
        self._held: _Held | None = None
        self._valid_until = -math.inf
        self._refresh_at = -math.inf
        self._attempt: asyncio.Task[Exception | None] | None = None
        self._attempt_began = 0.0
        self._next_attempt = 0.0
        self._failing = False
        self._throttle = Throttle(LOG_INTERVAL_S)
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Read them for the first time, with several attempts if their source fails, and renew them from now on.

        Raise BotoCoreError or UnusableCredentialsError for what only other settings can mend,
        CredentialsUnavailableError if they cannot be read in time.
        """
        await self._read_first()
        self._keeper = asyncio.create_task(self._keep(), name="credentials")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._keeper, self._attempt):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:  # type: ignore[override]  # as aiobotocore's own
        """Return valid credentials, at once if there are any; raise CredentialsUnavailableError."""
        if self._held is None or time.time() >= self._valid_until:
            return await self._wait()
        return self._held.frozen

    async def get_account_id(self) -> str | None:  # type: ignore[override]  # the same
        """Return the account that they belong to, if their source says so; the SDK asks for it."""
        account: str | None = (await self.get_frozen_credentials()).account_id
        return account

    async def _wait(self) -> ReadOnlyCredentials:
        attempt = self._begin()
        await asyncio.wait([attempt], timeout=self._attempt_began + MAX_WAIT_S - _now())
        if self._held is None or time.time() >= self._valid_until:
            raise CredentialsUnavailableError("there are no valid credentials")
        return self._held.frozen

    async def _read_first(self) -> None:
        error: Exception | None = None
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while (error := await self._begin()) is not None:
                    if not _may_pass(error):
                        raise error
                    await asyncio.sleep(PAUSE_S)
        except TimeoutError:
            reason = "their source does not respond" if error is None else _describe(error)
            raise CredentialsUnavailableError(f"not within {START_TIMEOUT_S:g} s: {reason}") from None

    async def _keep(self) -> None:
        # The clock may be set and the machine suspended, so the time is compared again and again.
        while math.isfinite(self._refresh_at):
            if time.time() >= self._refresh_at:
                await self._begin()
            await asyncio.sleep(PAUSE_S)

    def _begin(self) -> asyncio.Task[Exception | None]:
        """Return the attempt under way; begin one if there is none, unless one has just failed."""
        if self._attempt is None or (self._attempt.done() and _now() >= self._next_attempt):
            self._attempt_began = _now()
            self._attempt = asyncio.create_task(self._refresh(), name="credentials-refresh")
        return self._attempt

    async def _refresh(self) -> Exception | None:
        """Read them; return why that failed."""
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                held = await _Held.read(await self._load())
        except (OSError, ValueError, TypeError, AttributeError) as error:
            found = _unusable_source(error)
            self._fail(found)
            return found
        except Exception as error:  # noqa: BLE001 - a source of credentials may raise anything
            self._fail(error)
            return error
        self._take(held)
        return None

    def _take(self, held: _Held) -> None:
        self._held = held
        self._valid_until = held.expires_at
        left = held.expires_at - time.time()
        self._refresh_at = held.expires_at - min(REFRESH_AHEAD_S, left / 2)
        if self._failing:
            self._failing = False
            log.info("credentials_refreshed")

    def _fail(self, error: Exception) -> None:
        self._failing = True
        left = max(0.0, self._valid_until - time.time())
        self._next_attempt = _now() + min(max(PAUSE_S, left / 10), MAX_PAUSE_S)
        suppressed = self._throttle.admit("failed", _now())
        if suppressed is not None:
            log.warning(
                "credentials_refresh_failed", reason=_describe(error), valid_for=round(left), suppressed=suppressed
            )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed without other settings."""
    if isinstance(error, UnusableCredentialsError):
        return not error.is_setting
    return isinstance(error, _TEMPORARY) or not isinstance(error, BotoCoreError)


def _check_characters(source: str, frozen: ReadOnlyCredentials) -> None:
    names = _SETTINGS.get(source, ("access key", "secret key", "session token"))
    values: tuple[Any, ...] = (frozen.access_key, frozen.secret_key, frozen.token)  # of garbage, not always texts
    wrong = [
        name
        for name, value in zip(names, values, strict=True)
        if (value is not None or name != names[2])  # only the token is optional
        and (not isinstance(value, str) or _PRINTABLE.fullmatch(value) is None)
    ]
    if wrong:
        raise UnusableCredentialsError(
            f"{', '.join(wrong)}: is missing, or contains a blank, line break or other character that cannot be sent",
            is_setting=source in _SETTINGS,
        )


def _unusable_source(error: Exception) -> Exception:
    """Return what an error of Python's own means: the SDK turns those of the network into errors of its own."""
    if not isinstance(error, OSError):
        names = [*filter(os.environ.get, _NAMED), "credential_process, or a file of the SDK"]
        return UnusableCredentialsError(f"{', '.join(names)}: its content cannot be understood")
    if not isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        return error
    if error.filename is None:  # a program that uvloop cannot start
        return UnusableCredentialsError(f"credential_process: {error.strerror}")
    name = next((name for name in _FILES if os.environ.get(name) == error.filename), "a file of the AWS profile")
    return UnusableCredentialsError(f"{name}: {error.filename}: {error.strerror}")


def _describe(error: Exception) -> str:
    """Return what is safe to log: an error's own text may quote a response, and with it a secret."""
    if isinstance(error, UnusableCredentialsError | CredentialsUnavailableError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no response within {ATTEMPT_TIMEOUT_S:g} s"
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        return code if _ERROR_CODE.fullmatch(code) else "ClientError"
    source = getattr(error, "kwargs", {}).get("provider")
    if source == "custom-process":
        source = "credential_process"
    return f"{type(error).__name__} ({source})" if source else type(error).__name__
