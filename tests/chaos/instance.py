"""An instance of the service in a thread with its own event loop, which can be blocked and inspected."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import aioboto3

from service.app import composition, serve, settings
from service.app.aws import AwsAccess
from service.app.network import Network
from service.app.shutdown import Shutdown
from service.bridge.pending import PendingReplies

_PENDING_BY_THREAD: Final[dict[int, list[PendingReplies]]] = defaultdict(list)


class _RegisteredReplies(PendingReplies):
    """The service's own table, registered by its thread."""

    def __init__(self) -> None:
        super().__init__()
        _PENDING_BY_THREAD[threading.get_ident()].append(self)


vars(composition)["PendingReplies"] = _RegisteredReplies  # serve.run does not expose its table


class Instance:
    """One instance of the service."""

    def __init__(self, sfn_url: str, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._sfn_url = sfn_url
        self._thread = threading.Thread(target=self._run, daemon=True, name="service")
        self._announced = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._shutdown: Shutdown
        self._port = 0
        self.faults: list[str] = []
        """Errors that its event loop reported."""
        self.left_over: dict[str, int] = {}
        """What it still had after its stop."""

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it and return when it accepts requests."""
        self._thread.start()
        await asyncio.to_thread(self._announced.wait, 60)
        if self._error is not None:
            raise self._error

    def block(self, seconds: float) -> None:
        """Block its event loop for this time."""
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    async def counts(self) -> dict[str, int]:
        """Return how many tasks and waiters it has."""

        async def count() -> dict[str, int]:
            return {"tasks": len(asyncio.all_tasks()) - 1, "waiters": self._waiters()}

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(count(), self._loop))

    async def stop(self) -> None:
        """Stop it and wait for its end."""
        self._loop.call_soon_threadsafe(self._shutdown.request)
        await asyncio.to_thread(self._ended.wait, 60)
        if self._error is not None:
            raise self._error

    def _waiters(self) -> int:
        return sum(len(table) for table in _PENDING_BY_THREAD[self._thread.ident or 0])

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again by start and stop
            self._error = error
        finally:
            _PENDING_BY_THREAD.pop(threading.get_ident(), None)
            self._announced.set()
            self._ended.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        self._shutdown = Shutdown()
        session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local")
        access = AwsAccess(session, Network.direct(), self._sfn_url)
        await serve.run(settings.load(self._environment), access, self._shutdown, self._announce)
        # The event loop still has work for connections that were just closed; that is not a task of the service.
        await asyncio.sleep(0.1)
        self.left_over = {
            "waiters after the stop": self._waiters(),
            "tasks after the stop": len(asyncio.all_tasks()) - 1,
        }

    def _announce(self, port: int) -> None:
        self._port = port
        self._announced.set()

    def _on_loop_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"event loop error: {context['message']} {context.get('exception')!r}")
