"""Certificates and proxies of the SDK's settings."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from aiobotocore.session import AioSession

from service.app.network import Network
from service.app.settings import SettingsError
from tests.support.tls import self_signed, server_context

URLS = ("https://states.eu-west-1.amazonaws.com", "wss://x.appsync-realtime-api.eu-west-1.amazonaws.com/event/realtime")

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


def network() -> Network:
    return Network(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


@pytest.mark.parametrize(
    ("variable", "value", "proxy"),
    [
        ("HTTPS_PROXY", "http://proxy.test:3128", "http://proxy.test:3128"),
        ("https_proxy", "https://proxy.test", "https://proxy.test"),
        ("HTTPS_PROXY", "127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("https_proxy", "proxy", "http://proxy"),
        ("HTTPS_PROXY", "//proxy:3128/", "http://proxy:3128"),
        ("HTTPS_PROXY", "HTTP://[::1]:3128", "http://[::1]:3128"),
        ("HTTPS_PROXY", "user:p%40ss@proxy:3128", "http://user:p%40ss@proxy:3128"),
        ("HTTPS_PROXY", "http://user@proxy:3128", "http://user:@proxy:3128"),
        ("HTTPS_PROXY", "", None),
        ("HTTP_PROXY", "http://proxy:3128", None),
        ("ALL_PROXY", "http://proxy:3128", None),
    ],
)
def test_both_connections_have_the_sdks_proxy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, proxy: str | None
) -> None:
    monkeypatch.setenv(variable, value)
    assert [network().proxy_for(url) for url in URLS] == [proxy, proxy]


def test_unencrypted_connections_have_the_proxy_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://unused")
    assert [network().proxy_for(url) for url in ("http://states.test", "ws://x.test/event/realtime")] == [
        "http://proxy:3128"
    ] * 2


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize(
    ("value", "proxied"),
    [
        ("*", [False, False]),
        ("amazonaws.com", [False, False]),
        (".amazonaws.com", [False, False]),
        ("other, states.eu-west-1.amazonaws.com", [False, True]),
        ("amazonaws.co", [True, True]),
        ("10.0.0.0/8", [True, True]),
    ],
)
def test_hosts_in_no_proxy_are_called_directly(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, proxied: list[bool]
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv(name, value)
    assert [network().proxy_for(url) is not None for url in URLS] == proxied


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
def test_this_machine_is_never_called_through_a_proxy(monkeypatch: pytest.MonkeyPatch, scheme: str, host: str) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "unrelated.test")
    assert network().proxy_for(f"{scheme}://{host}:8080/event") is None


@pytest.mark.parametrize(
    "value",
    [
        "socks5://user:secret@proxy:1080",
        "socks5h://proxy:1080",
        "ftp://user:secret@proxy",
        "http://user:secret@:3128",
        "http://user:secret@proxy:port",
        "http://user:secret@proxy:0",
        "http://user:secret@proxy:99999",
        "http://user:sec/secret@proxy:3128",
        "http://proxy:3128/secret",
        "http://proxy:3128?secret",
        "http://[::secret:3128",
        "http://us er:secret@proxy:3128",
        "http://user:secret@pröxy:3128",
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_cannot_be_used_is_refused_by_name_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for url in URLS:
        with pytest.raises(SettingsError, match=rf"^{name}: ") as refused:
            network().proxy_for(url)
        assert "secret" not in str(refused.value)


def test_of_two_variables_the_one_in_lower_case_wins_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("https_proxy", "socks5://proxy:1080")
    with pytest.raises(SettingsError, match=r"^https_proxy: "):
        network().proxy_for(URLS[0])


def name_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str, path: str) -> str:
    """Name a file with certificates in one of the places; return what a message calls that place."""
    if by.isupper():
        monkeypatch.setenv(by, path)
        return by
    if by != "default":
        monkeypatch.setenv("AWS_PROFILE", by)
    section = "default" if by == "default" else f"profile {by}"
    (tmp_path / "config").write_text(f"[{section}]\nca_bundle = {path}\n")
    return f"ca_bundle of the AWS profile {by}"


PLACES = ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "default", "other"]


@pytest.mark.parametrize("by", PLACES)
@pytest.mark.parametrize("fault", ["missing", "directory", "empty", "no PEM", "broken PEM", "key only"])
def test_certificates_that_cannot_be_read_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path, by: str, fault: str
) -> None:
    path = tmp_path / "bundle.pem"
    pem = certificate.read_text()
    key = pem.index("-----BEGIN PRIVATE KEY")
    if fault == "directory":
        path.mkdir()
    elif fault != "missing":
        broken = pem[:key].replace("M", "!", 5)
        path.write_text({"empty": "", "no PEM": "hello", "broken PEM": broken, "key only": pem[key:]}[fault])
    name = name_bundle(monkeypatch, tmp_path, by, str(path))
    with pytest.raises(SettingsError, match=rf"^{name}: .*{path}"):
        Network.of_sdk(AioSession())


@pytest.mark.parametrize("by", PLACES)
def test_private_certificates_are_trusted_wherever_they_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path, by: str
) -> None:
    assert not trusts(Network.of_sdk(AioSession()), certificate)
    name_bundle(monkeypatch, tmp_path, by, str(certificate))
    assert trusts(Network.of_sdk(AioSession()), certificate)


def trusts(network: Network, certificate: Path) -> bool:
    """Whether a handshake with a server that has this certificate succeeds."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = network.tls.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    server = server_context(certificate).wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return False
    return True


def test_an_empty_bundle_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PLACES[:3]:
        monkeypatch.setenv(name, "")
    assert Network.of_sdk(AioSession()).tls.verify_mode is ssl.CERT_REQUIRED


def test_the_sdks_bundle_replaces_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    assert Network.of_sdk(AioSession()).tls.cert_store_stats()["x509"] == 1
