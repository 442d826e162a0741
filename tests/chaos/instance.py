"""The service in a thread of its own, with a loop of its own: it can be blocked and looked into from outside."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import aioboto3

from service.app import serve, settings
from service.app.shutdown import Stop
from service.bridge.pending import PendingReplies

_TABLES: Final[dict[int, list[PendingReplies]]] = defaultdict(list)


class _ListedReplies(PendingReplies):
    """The very table of the service; who builds one can be requests for it by thread."""

    def __init__(self) -> None:
        super().__init__()
        _TABLES[threading.get_ident()].append(self)


vars(serve)["PendingReplies"] = _ListedReplies  # the one thing that serve.run does not hand out


class Instance:
    """One instance of the service. `faults` lists what its event loop had to complain about."""

    def __init__(self, sfn_url: str, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._sfn_url = sfn_url
        self._thread = threading.Thread(target=self._run, daemon=True, name="service")
        self._announced = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: Stop
        self._port = 0
        self.faults: list[str] = []
        self.left_over: dict[str, int] = {}
        """What was left when it had stopped."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Return when it accepts requests."""
        self._thread.start()
        await asyncio.to_thread(self._announced.wait, 60)
        if self._error is not None:
            raise self._error

    def block(self, seconds: float) -> None:
        """Let nothing else run on its event loop for so long."""
        self._loop.call_soon_threadsafe(time.sleep, seconds)

    async def counts(self) -> dict[str, int]:
        """Count its tasks and its waiters now."""

        async def count() -> dict[str, int]:
            return {"tasks": len(asyncio.all_tasks()) - 1, "waiters": self._waiters()}

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(count(), self._loop))

    async def stop(self) -> None:
        """Ask it to stop and wait for its end."""
        self._loop.call_soon_threadsafe(self._stop.ask)
        await asyncio.to_thread(self._ended.wait, 60)
        if self._error is not None:
            raise self._error

    def _waiters(self) -> int:
        return sum(len(table) for table in _TABLES[self._thread.ident or 0])

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is awaited
            self._error = error
        finally:
            _TABLES.pop(threading.get_ident(), None)
            self._announced.set()
            self._ended.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._complain)
        self._stop = Stop()
        session = aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local")
        access = serve.AwsAccess(session, self._sfn_url)
        await serve.run(settings.load(self._environment), access, self._stop, self._announce)
        # What the loop has yet to do for connections that were just closed is no task of the service.
        await asyncio.sleep(0.1)
        self.left_over = {
            "waiters after the stop": self._waiters(),
            "tasks after the stop": len(asyncio.all_tasks()) - 1,
        }

    def _announce(self, port: int) -> None:
        self._port = port
        self._announced.set()

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"the event loop complains: {context['message']} {context.get('exception')!r}")
