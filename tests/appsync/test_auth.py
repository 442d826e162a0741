from __future__ import annotations

from typing import ClassVar

import pytest

from service.appsync import ApiKey, LinkEvent, http_host
from service.appsync.auth import CredentialRefresher
from service.appsync.errors import AuthorizerError

from .conftest import KEY


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.appsync-api.eu-west-1.amazonaws.com/event", "example.appsync-api.eu-west-1.amazonaws.com"),
        ("https://events.example.com:443/event", "events.example.com"),
        ("https://events.example.com:8443/event", "events.example.com:8443"),
        ("http://127.0.0.1:4566/event", "127.0.0.1:4566"),
        ("http://127.0.0.1:80/event", "127.0.0.1"),
        ("http://[::1]:4566/event", "[::1]:4566"),
        ("http://user:word@127.0.0.1:4566/event", "127.0.0.1:4566"),
    ],
)
async def test_the_host_is_that_of_the_http_endpoint(url: str, host: str) -> None:
    assert http_host(url) == host
    assert await ApiKey(url, KEY).connect() == {"host": host, "x-api-key": KEY}


@pytest.mark.parametrize("url", ["", "wss://example.com/event", "https:///event", "example.com/event"])
def test_a_url_that_is_not_http_or_has_no_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="HTTP endpoint"):
        ApiKey(url, KEY)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        ApiKey("https://example.com/event", "")


@pytest.mark.parametrize("key", [f"{KEY}\n", f"  {KEY}", f"\t{KEY}\r\n"])
async def test_blanks_and_line_breaks_around_a_key_are_not_part_of_it(key: str) -> None:
    assert (await ApiKey("https://example.com/event", key).connect())["x-api-key"] == KEY


@pytest.mark.parametrize(
    "key", [f'"{KEY}"', f"'{KEY}'", f'{KEY}"', f"`{KEY}`", f"{KEY} {KEY}", f"{KEY}\nx: y", f"{KEY}\u00e9", f"{KEY}\0"]
)
def test_what_cannot_be_a_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="no quotes, no blanks") as refused:
        ApiKey("https://example.com/event", key)
    assert KEY not in str(refused.value)


def test_the_repr_hides_the_key() -> None:
    assert repr(ApiKey("https://example.com/event", KEY)) == "ApiKey(host='example.com')"


async def test_publishing_sends_only_the_key_and_refreshing_does_nothing() -> None:
    authorizer = ApiKey("https://example.com/event", KEY)
    await authorizer.refresh()
    assert await authorizer.publish("/default/a", ["1"]) == {"x-api-key": KEY}


async def test_credentials_that_cannot_be_read_are_reported_again_after_they_could() -> None:
    class Unsteady(ApiKey):
        faults: ClassVar = [OSError(), OSError(), None, OSError()]

        async def refresh(self) -> int:
            if (fault := self.faults.pop(0)) is not None:
                raise fault
            return 1

    reported: list[LinkEvent] = []
    refresher = CredentialRefresher(Unsteady("https://x.example/event", "key"), 1, reported.append)
    assert [await refresher.refresh() for _ in range(4)] == [False, False, True, False]
    assert len(reported) == 2


async def test_an_authorizer_may_say_why_it_cannot_read_its_credentials_and_others_say_only_their_kind() -> None:
    class Failing(ApiKey):
        fault: Exception

        async def refresh(self) -> int:
            raise self.fault

    failing = Failing("https://x.example/event", "key")
    for failing.fault, reason in ((AuthorizerError("no permission"), "no permission"), (OSError("secret"), "")):
        reported: list[LinkEvent] = []
        assert not await CredentialRefresher(failing, 1, reported.append).refresh()
        assert [event.reason for event in reported] == [reason]
