from __future__ import annotations

import pytest

from service.stepfunctions.address import Address


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://states.eu-west-1.amazonaws.com", (True, "states.eu-west-1.amazonaws.com", 443, "/", None)),
        ("http://127.0.0.1:4566/", (False, "127.0.0.1", 4566, "/", None)),
        ("https://[::1]:8443/below/", (True, "::1", 8443, "/below/", None)),
        ("http://us%40er:p@Proxy:3128", (False, "proxy", 3128, "/", "us%40er:p")),
    ],
)
def test_a_url_is_split(url: str, parts: tuple[bool, str, int, str, str | None]) -> None:
    found = Address.parse(url)
    assert (found.tls, found.host, found.port, found.path, found.user) == parts


@pytest.mark.parametrize(
    "url",
    ["", "states.test", "ftp://h", "socks5h://h:1", "http://", "http:///path", "http://h/a b", "http://h/\r\nX: y",
     "http://h\u00e9/", "http://h:x", "http://h:65536", "http://[::1"],
)  # fmt: skip
def test_a_url_that_no_request_can_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Address.parse(url)


@pytest.mark.parametrize(("url", "text"), [("http://h", "h:80"), ("https://[::1]", "[::1]:443")])
def test_the_host_is_written_with_its_port(url: str, text: str) -> None:
    assert Address.parse(url).host_and_port == text
