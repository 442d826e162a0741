from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from service.appsync import LinkEventKind
from tests.support.tls import self_signed

from .conftest import remains
from .scripted_server import ScriptedServer, abort, acknowledge, acknowledge_for, first

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from .conftest import Changes, Inbox, LinkFactory


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-signed certificate for 127.0.0.1 with its key."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def server(certificate: Path) -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    server.ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.ssl_context.load_cert_chain(certificate)
    async with server:
        yield server


async def test_events_arrive_over_tls_and_again_after_a_loss(
    server: ScriptedServer, make_link: LinkFactory, certificate: Path, inbox: Inbox, changes: Changes
) -> None:
    link = make_link(ssl_context=ssl.create_default_context(cafile=certificate))
    subscription = link.subscribe("/default/*", inbox)
    assert await subscription.wait_live(10)
    await abort(server.peer, {})
    await changes.until(LinkEventKind.DOWN)
    assert await subscription.wait_live(10)
    await server.peer.data("/default/*", "1")
    await inbox.until("1")
    await link.close()
    assert remains() == []


async def test_a_silent_connection_over_tls_is_aborted(
    server: ScriptedServer, make_link: LinkFactory, certificate: Path, changes: Changes
) -> None:
    server.on["connection_init"] = first(acknowledge_for(300), then=acknowledge)
    make_link(ssl_context=ssl.create_default_context(cafile=certificate))
    assert (await changes.until(LinkEventKind.DOWN)).reason == "nothing received for 0.3 s"
    await changes.until(LinkEventKind.UP, times=2)


async def test_an_untrusted_certificate_is_a_failed_attempt(
    server: ScriptedServer, make_link: LinkFactory, changes: Changes
) -> None:
    make_link()
    event = await changes.until(LinkEventKind.CONNECT_FAILED)
    assert "SSLCertVerificationError" in event.reason
    assert event.host == urlsplit(server.url).netloc
