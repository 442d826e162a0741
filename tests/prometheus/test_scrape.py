"""A real Prometheus scrapes the service under load, once as most do and once with native histograms."""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import shutil
import statistics
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final

import aiohttp
import pytest

from tests.prometheus.server import PROMETHEUS, Server, prometheus
from tests.prometheus.test_rules import ALERTS
from tests.support.processes import local
from tests.support.publishing import publishing
from tests.telemetry.test_dashboards import EXPRESSIONS

pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus was not found (Debian's package of this name)"),
]

REQUESTS: Final = 400
SENT_IN_S: Final = 3
KINDS: Final[dict[str, list[str]]] = {"classic": [], "native": ["--enable-feature=native-histograms"]}

# Each event says how long its execution takes, and whether it fails.
WORKFLOW: Final = {
    "QueryLanguage": "JSONata",
    "StartAt": "Wait",
    "States": {
        "Wait": {
            "Type": "Wait",
            "Seconds": "{% $parse($states.input.event).seconds %}",
            "Next": "Reply",
        },
        "Reply": publishing("{}"),
    },
}


class Load:
    """How long each caller waited, in seconds, and what each Prometheus saw."""

    def __init__(self, url: str, seconds: list[float], servers: dict[str, Server]) -> None:
        self.url, self.seconds, self.servers = url, seconds, servers

    def quantile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100)[percent - 1]


async def send(url: str) -> list[float]:
    """Send the requests; return how long each took, in seconds."""
    chance = random.Random(1)
    clock = asyncio.get_running_loop().time

    async def post(http: aiohttp.ClientSession, at: float, seconds: float) -> float:
        await asyncio.sleep(at)
        began = clock()
        async with http.post(f"{url}/event", json={"seconds": seconds}) as response:
            await response.read()
            assert response.status == 200
        return clock() - began

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http, asyncio.timeout(30):
        plan = [(chance.uniform(0, SENT_IN_S), min(2.5, chance.lognormvariate(0, 0.5))) for _ in range(REQUESTS)]
        return await asyncio.gather(*(post(http, at, seconds) for at, seconds in plan))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "workflow.json").write_text(json.dumps(WORKFLOW))
    running = local("--workflow", str(folder / "workflow.json"))
    with asyncio.Runner() as runner, ExitStack() as stack:
        _, url = runner.run(running.__aenter__())
        stack.callback(lambda: runner.run(running.__aexit__(None, None, None)))
        servers = {
            kind: stack.enter_context(prometheus(folder / kind, url, *options)) for kind, options in KINDS.items()
        }
        for server in servers.values():
            server.reaches('up{job="sync-front"}', 1)  # it takes Prometheus five seconds to begin
        seconds = runner.run(send(url))
        for server in servers.values():
            server.reaches(
                'sync_front_requests_total{operation="start",outcome="succeeded",workflow="event"}', REQUESTS
            )
        yield Load(url, seconds, servers)


def without_data(server: Server, expressions: Iterable[str]) -> list[str]:
    """Return those of the expressions that have no series, or one that is not a number."""
    values = {expression: server.values(expression) for expression in expressions}
    return [expression for expression, found in values.items() if not found or any(map(math.isnan, found))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_expression_of_the_dashboard_has_data(load: Load, kind: str) -> None:
    concrete = [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in EXPRESSIONS]
    assert without_data(load.servers[kind], concrete) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_alert_has_figures_to_compare(load: Load, kind: str) -> None:
    compared = [re.sub(r" [<>] [\d.]+", "", rule["expr"]) for rule in ALERTS.values()]
    assert not set(compared) & {rule["expr"] for rule in ALERTS.values()}
    assert without_data(load.servers[kind], compared) == []


@pytest.mark.parametrize("kind", KINDS)
def test_no_alert_fires_under_a_load_that_all_is_well_with_and_every_rule_is_evaluated(load: Load, kind: str) -> None:
    (group,) = (load.servers[kind].get("rules"))["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    assert [rule["name"] for rule in group["rules"] if rule["alerts"]] == []


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize(
    ("kind", "histogram"), [("classic", "sum by (le) (rate({}_bucket[1m]))"), ("native", "sum(rate({}[1m]))")]
)
def test_a_quantile_is_within_a_tenth_of_what_the_callers_saw(
    load: Load, kind: str, histogram: str, percent: int
) -> None:
    series = histogram.format("sync_front_request_duration_seconds")
    told = load.servers[kind].value(f"histogram_quantile({percent / 100}, {series})")
    assert told == pytest.approx(load.quantile(percent), rel=0.1)


def test_the_native_histogram_has_every_request(load: Load) -> None:
    count = "histogram_count(sync_front_request_duration_seconds)"
    assert load.servers["native"].value(count) == REQUESTS
    assert load.servers["classic"].values(count) == []


def test_promtool_finds_nothing_to_say_about_the_metrics(load: Load) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None
    with urllib.request.urlopen(f"{load.url}/metrics", timeout=10) as response:  # noqa: S310 - our own server's
        text = response.read()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
