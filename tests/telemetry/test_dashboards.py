"""Dashboards show every metric, and each alarm has its entry in the runbook."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from service.errors import Problem
from service.local import LocalAws
from tests.support.processes import service

ROOT = Path(__file__).parents[2]
GRAFANA: dict[str, Any] = json.loads((ROOT / "IaC" / "grafana" / "sync-front.json").read_text())
ALARMS = (ROOT / "IaC" / "terraform" / "modules" / "sync-front" / "alarms.tf").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

PANELS = [panel for panel in GRAFANA["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]

# Metrics that are on no dashboard.
NOT_SHOWN = {"process_virtual_memory_bytes"}

METRIC = r"(?:sync_front|process)_\w+"


async def exported() -> dict[str, set[str]]:
    """Return the samples of each metric that the service exports."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["", "_bucket", "_sum", "_count"]}
    async with (
        LocalAws(port=0, wait=0) as aws,
        service(aws) as (_, url),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http,
        http.get(f"{url}/metrics") as response,
    ):
        return {
            family.name: {family.name + suffix for suffix in suffixes[family.type]}
            for family in text_string_to_metric_families(await response.text())
        }


async def test_the_grafana_dashboard_shows_every_metric_and_no_other() -> None:
    families = await exported()
    shown = set(re.findall(METRIC, " ".join(EXPRESSIONS)))
    assert shown - set().union(*families.values()) == set()
    assert {name for name, samples in families.items() if not samples & shown} == NOT_SHOWN


def test_every_expression_selects_the_chosen_instances_and_its_legend_uses_labels_that_it_keeps() -> None:
    targets = [target for panel in PANELS for target in panel["targets"]]
    assert len(targets) > 20
    for target in targets:
        expression, legend = target["expr"], target["legendFormat"]
        names = re.findall(METRIC + r"(\{[^}]*\})?", expression)
        assert names
        assert all(selector == '{instance=~"$instance"}' for selector in names), expression
        assert expression.count("(") == expression.count(")")
        kept = {
            label.strip()
            for labels in re.findall(r"(?:by|group_left) \(([^)]*)\)", expression)
            for label in labels.split(",")
        }
        if " by " not in expression and "sum(" not in expression:
            kept.add("instance")
        assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= kept, expression


def test_no_panel_covers_another_and_each_has_a_description() -> None:
    cells: list[tuple[int, int]] = []
    for panel in GRAFANA["panels"]:
        at = panel["gridPos"]
        cells += [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in GRAFANA["panels"]}) == len(GRAFANA["panels"])
    assert all(panel["description"].endswith(".") for panel in PANELS)


def alarms() -> set[str]:
    """Return the last part of each alarm's name."""
    table = ALARMS.partition("\n  alarms = {\n")[2].partition("\n  }\n}\n")[0]
    single = re.findall(r'alarm_name\s*=\s*"\$\{local\.name\}-([a-z0-9-]+)"', ALARMS)
    return {*re.findall(r"^    ([a-z0-9-]+) = \{$", table, re.MULTILINE), *single}


def entries() -> dict[str, str]:
    """Return the entries of the runbook by their headings."""
    parts = re.split(r"^### (.+)$", RUNBOOK, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_alarm_has_a_runbook_entry_and_every_entry_an_alarm_or_a_log_line() -> None:
    assert len(alarms()) > 15
    others = {name: entry for name, entry in entries().items() if name not in alarms()}
    assert set(entries()) - set(others) == alarms()
    assert all(
        re.match(r"\s*No alarm has this name; the log line `\w+` refers to it\.", text) for text in others.values()
    )
    for name, entry in entries().items():
        said = re.findall(r"^- \*\*(.+?)\*\*: \S", entry, re.MULTILINE)
        assert said == ["Means", "Look at", "Do"], name


def test_every_alarm_links_to_its_runbook_entry() -> None:
    descriptions = re.findall(r'alarm_description\s*=\s*"(.*)"', ALARMS)
    singles = [name for name in alarms() if f"local.name}}-{name}" in ALARMS]
    assert len(descriptions) == ALARMS.count('resource "aws_cloudwatch_metric_alarm"') == 1 + len(singles)
    links = [description.partition(" Runbook: ")[2] for description in descriptions]
    assert sorted(links) == sorted(f"docs/runbook.md#{name}" for name in ["${each.value.runbook}", *singles])


def test_everything_that_the_runbook_names_exists() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        path, _, anchor = target.partition("#")
        file = ROOT / "docs" / path if path else ROOT / "docs" / "runbook.md"
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        if anchor:
            assert anchor in {heading.lower().replace(" ", "-") for heading in headings}, target
    outputs = (ROOT / "IaC" / "terraform" / "outputs.tf").read_text()
    for name in re.findall(r"`terraform output (\w+)`", RUNBOOK):
        assert f'output "{name}"' in outputs
    text = "".join(path.read_text() for path in (ROOT / "service").rglob("*.py"))
    for name in re.findall(r"`(sync_front_\w+?)(?:_total)?`", RUNBOOK):
        assert f'"{name}"' in text
    slugs = {kind.slug for kind in leaves(Problem)} | {"unexpected"}
    for name in re.findall(r"^\s+?(?:- \*\*Do\*\*: )?`([a-z-]+)`(?:, `[a-z-]+`)?:", RUNBOOK, re.MULTILINE):
        assert name in slugs
    for path in re.findall(r"`((?:task_size|task_count|api_throttle|timeouts)\b[.\w]*)`", RUNBOOK):
        assert f'variable "{path.partition(".")[0]}"' in (ROOT / "IaC" / "terraform" / "variables.tf").read_text()


def leaves(kind: type[Problem]) -> list[type[Problem]]:
    below = kind.__subclasses__()
    return [kind] if not below else [leaf for child in below for leaf in leaves(child)]
