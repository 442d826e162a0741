"""Certificates and proxies as the AWS SDK is configured, for every connection to AWS."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore.httpsession import ProxyConfiguration, get_cert_path
from botocore.utils import get_environ_proxies

from service.app.settings import SettingsError
from service.appsync import is_loopback

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

PROXY_SCHEMES: Final = ("http", "https")
"""The kinds of proxies that every connection can use; SOCKS would need another package."""


@dataclass(frozen=True, slots=True)
class Network:
    """How connections to AWS are made."""

    tls: ssl.SSLContext
    """The certificates to trust; also those of an https:// proxy."""

    proxied: bool = True
    """Whether the environment's proxies are used."""

    @classmethod
    def direct(cls) -> Network:
        """Return a network without proxies and with the certificates of this machine."""
        return cls(ssl.create_default_context(), proxied=False)

    @classmethod
    def of_sdk(cls, core: AioSession) -> Network:
        """Return the network of the SDK's settings; raise SettingsError for certificates that cannot be read."""
        bundle = _ca_bundle(core)
        if bundle is not None:
            return cls(_trusting(*bundle))
        # The SDK trusts its own list; the machine's is for those who add a private authority to it or in SSL_CERT_FILE.
        context = ssl.create_default_context(cafile=get_cert_path(verify=True))
        if file := os.environ.get("SSL_CERT_FILE"):
            _trusting("SSL_CERT_FILE", file)
        context.load_default_certs()
        return cls(context)

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy for this http, https, ws or wss URL, as botocore would choose it; None: direct.

        This machine is always called directly. Raise SettingsError for a proxy that cannot be used, without its
        value, which may contain a password.
        """
        parts = urlsplit(url)
        if not self.proxied or is_loopback(url):
            return None
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
        proxy = get_environ_proxies(parts._replace(scheme=scheme).geturl()).get(scheme)
        return _parse_proxy(proxy, _proxy_variable(scheme)) if proxy else None

    def sdk_config(self) -> AioConfig:
        """Return a configuration with which all clients of the SDK connect in this way."""
        return _SdkConfig(self)


def _ca_bundle(core: AioSession) -> tuple[str, str] | None:
    """Return the name of the setting that replaces the certificates to trust, and its path."""
    if bundle := core.get_config_variable("ca_bundle"):
        by_environment = bool(os.environ.get("AWS_CA_BUNDLE"))
        profile = core.get_config_variable("profile") or "default"
        return "AWS_CA_BUNDLE" if by_environment else f"ca_bundle of the AWS profile {profile}", bundle
    if bundle := os.environ.get("REQUESTS_CA_BUNDLE"):
        return "REQUESTS_CA_BUNDLE", bundle
    return None


def _trusting(name: str, path: str) -> ssl.SSLContext:
    """Return a context that trusts what is in this file alone."""
    try:
        with Path(path).open("rb"):  # OpenSSL's own error for a directory says nothing
            context = ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise SettingsError(f"{name}: {path} does not consist of certificates in PEM format") from None
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path}: {error.strerror}") from error
    if not context.cert_store_stats()["x509"]:  # such as a list of revoked certificates
        raise SettingsError(f"{name}: there is no certificate in {path}")
    return context


def _proxy_variable(scheme: str) -> str:
    """Return the name of the environment variable that sets this proxy: lower case wins, as in urllib."""
    named = [name for name, value in os.environ.items() if value and name.lower() == f"{scheme}_proxy"]
    return min(named, key=lambda name: not name.endswith("_proxy"), default=f"the system's {scheme} proxy")


def _parse_proxy(text: str, variable: str) -> str:
    def refuse(rule: str) -> NoReturn:
        raise SettingsError(f"{variable}: {rule}") from None

    parts = _split_proxy(text)
    if parts is None:
        refuse("must look like http://<host>:<port>")
    if parts.scheme not in PROXY_SCHEMES:
        refuse("only proxies with http:// and https:// can be used")
    user, at, address = parts.netloc.rpartition("@")
    if at and ":" not in user:
        user += ":"  # no password is an empty one: not all clients take a user alone
    return f"{parts.scheme}://{user}{at}{address}"


def _split_proxy(text: str) -> SplitResult | None:
    """Return the parts of a proxy's address, which needs no scheme; None if it is malformed."""
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text.removeprefix('//')}")
        well_formed = bool(parts.hostname) and parts.port != 0 and text.isascii() and text.isprintable()
    except ValueError:  # an invalid port, a malformed IPv6 address
        return None
    has_more = parts.path not in {"", "/"} or parts.query or parts.fragment or " " in text
    return None if has_more or not well_formed else parts


class _SdkConfig(AioConfig):
    """A configuration of clients whose connections are made by `network`."""

    def __init__(self, network: Network, **options: Any) -> None:
        self._network = network
        super().__init__(http_session_cls=self._open, **options)  # type: ignore[arg-type]  # a callable is enough

    def _open(self, **options: Any) -> AIOHTTPSession:
        return _SdkHttpSession(self._network, **options)

    def merge(self, other_config: Any) -> Any:
        """Return both; aiobotocore's own method would forget how to connect."""
        merged: Any = super().merge(other_config)
        merged.http_session_cls = self._open
        return merged


class _SdkHttpSession(AIOHTTPSession):
    """An HTTP session for the SDK's own clients.

    aiobotocore's does not check the host's name in a certificate, and through a proxy no certificate at all.
    """

    def __init__(self, network: Network, **options: Any) -> None:
        super().__init__(**options)
        self._network = network
        self._proxy_config = _Proxies(network)

    def _create_connector(self, _proxy_url: str | None) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(ssl=self._network.tls)


class _Proxies(ProxyConfiguration):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def proxy_url_for(self, url: str) -> Any:
        return self._network.proxy_for(url)
