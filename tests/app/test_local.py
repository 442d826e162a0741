"""Requirements of the commands: `serve` runs without the embedded AWS, and `local` names the extra that it needs."""

from __future__ import annotations

import signal

from service.local import LocalAws
from tests.support.processes import running, settings_for

WITHOUT_JSONATA = "import sys; sys.modules['jsonata'] = None;"
WITHOUT_THE_LOCAL_AWS = f"{WITHOUT_JSONATA} sys.modules['service.local'] = None;"
MAIN = "from service.app.cli import main; sys.exit(main([{!r}]))"


async def test_serve_starts_and_stops_without_jsonata_and_without_the_local_aws() -> None:
    async with (
        LocalAws(port=0) as aws,
        running("-c", f"{WITHOUT_THE_LOCAL_AWS} {MAIN.format('serve')}", env=settings_for(aws)) as process,
    ):
        await process.logged("link_subscription_confirmed")
        process.send(signal.SIGTERM)
        assert await process.wait() == 0


async def test_only_the_local_command_imports_the_local_aws() -> None:
    script = f"""{WITHOUT_THE_LOCAL_AWS}
import importlib, pkgutil
import service
import service.app.cli, service.app.serve
for module in pkgutil.walk_packages(service.__path__, "service."):
    if module.name not in {{"service.__main__", "service.local", "service.app.local"}}:
        importlib.import_module(module.name)
        print(module.name)
"""
    async with running("-c", script) as process:
        assert await process.wait() == 0, process.stderr
        assert {"service.app.cli", "service.app.serve", "service.telemetry.otel"} <= set(process.stdout)


async def test_local_without_its_extra_ends_with_one_line_that_names_the_extra() -> None:
    async with running("-c", f"{WITHOUT_JSONATA} {MAIN.format('local')}") as process:
        assert await process.wait() == 1
        assert process.stderr == ["`sync-front local` needs an extra; run: pip install 'sync-front[local]'"]


async def test_another_missing_module_is_not_mistaken_for_the_extra() -> None:
    without = "import sys; sys.modules['service.web.example'] = None;"
    async with running("-c", f"{without} {MAIN.format('local')}") as process:
        assert await process.wait() == 1
        assert "ModuleNotFoundError" in process.stderr[-1]
