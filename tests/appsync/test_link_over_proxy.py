from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from service.appsync import LinkEventKind
from tests.support.proxies import ForwardProxy, TlsFront
from tests.support.tls import self_signed, server_context

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Changes, Inbox, LinkFactory
    from .scripted_server import ScriptedServer

NAME = "realtime.test"
"""A name that only the proxy resolves."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"), NAME, "proxy.test")


def port_of(server: ScriptedServer) -> int:
    return int(server.url.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
async def test_events_arrive_through_a_proxy_with_a_password(
    server: ScriptedServer, make_link: LinkFactory, certificate: Path, inbox: Inbox, scheme: str, proxy_scheme: str
) -> None:
    tls = server_context(certificate)
    proxy_tls = tls if proxy_scheme == "https" else None
    async with (
        TlsFront(port_of(server), tls) as front,
        ForwardProxy(front.port if scheme == "wss" else port_of(server), proxy_tls) as proxy,
    ):
        link = make_link(
            realtime_url=f"{scheme}://{NAME}/event/realtime",
            ssl_context=ssl.create_default_context(cafile=certificate),
            proxy=f"{proxy_scheme}://user:p%40ss@127.0.0.1:{proxy.port}",
        )
        assert await link.subscribe("/default/*", inbox).wait_live(10)
        await server.peer.data("/default/*", "1")
        await inbox.until("1")
        await link.close()
        assert (proxy.asked, proxy.users) == ([f"{NAME}:{443 if scheme == 'wss' else 80}"], {"user:p@ss"})


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
async def test_a_server_on_this_machine_is_called_directly(
    server: ScriptedServer, make_link: LinkFactory, monkeypatch: pytest.MonkeyPatch, proxy: str | None
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert await make_link(proxy=proxy).subscribe("/default/*", print).wait_live(10)


async def test_without_an_own_proxy_the_environments_is_used(
    server: ScriptedServer, make_link: LinkFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ForwardProxy(port_of(server)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        link = make_link(realtime_url=f"ws://{NAME}/event/realtime")
        assert await link.subscribe("/default/*", print).wait_live(10)
        await link.close()
    assert proxy.asked == [f"{NAME}:80"]


async def test_with_no_proxy_given_the_environments_is_not_used(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ForwardProxy(port_of(server)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        make_link(realtime_url=f"ws://{NAME}/event/realtime", proxy=None)
        await changes.until(LinkEventKind.CONNECT_FAILED)  # the name does not resolve
    assert proxy.asked == []
