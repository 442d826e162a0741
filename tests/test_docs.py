"""What the documents say is checked against the code, and how they say it against a list of phrases."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.appsync import LinkEventKind
from service.errors import Problem
from service.telemetry.link_observer import _INFORMATION

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md"))]


def name(page: Path) -> str:
    """Return a page's path from the top."""
    return page.relative_to(ROOT).as_posix()


def leaves(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield each kind of problem that is raised."""
    if hasattr(kind, "slug"):
        yield kind
    for narrower in kind.__subclasses__():
        yield from leaves(narrower)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def log_events() -> Iterator[tuple[str, str]]:
    """Yield each log event with its level."""
    levels = {"exception": "error", "_warn": "warning", "level": "info"}
    for path in sorted((ROOT / "service").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            match call:
                case ast.Call(
                    func=ast.Attribute(ast.Name("log"), level) | ast.Name(level), args=[ast.Constant(str(event))]
                ):
                    if isinstance(call.func, ast.Attribute) or level in levels:
                        yield event, levels.get(level, level)
    yield from ((f"link_{kind}", "info" if kind in _INFORMATION else "warning") for kind in LinkEventKind)


def test_every_log_event_and_no_other_has_its_row_with_its_level() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| .+ \|$", (DOCS / "operations.md").read_text(), re.MULTILINE)
    assert len(set(log_events())) > 40
    assert sorted(rows) == sorted(set(log_events()))


def test_every_warning_and_error_has_one_entry_in_the_runbook_and_no_other_event_has() -> None:
    table = (DOCS / "runbook.md").read_text().partition("\n## Log events\n")[2]
    entries = re.findall(r"^\| `([a-z_]+)` \| \S.+ \| \S.+ \|$", table, re.MULTILINE)
    serious = {event for event, level in log_events() if level in {"warning", "error", "critical"}}
    assert entries == sorted({*serious, "request"})  # a warning for 5xx


def test_every_log_event_that_the_runbook_names_exists() -> None:
    named = re.findall(
        r"`((?:link|lines|requests|output|permission|unexpected|state)_\w+)`", (DOCS / "runbook.md").read_text()
    )
    assert {"link_refused", "permission_missing"} <= set(named) <= {event for event, _ in log_events()}


def test_every_problem_and_no_other_has_its_place_in_the_document_with_its_status() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+?) \|", (DOCS / "problems.md").read_text(), re.MULTILINE)
    documented = {slug: int(status) for slug, status, _ in rows if not slug.startswith("gateway-")}
    assert documented == {kind.slug: kind.status for kind in leaves()} | {"unexpected": 500}
    assert len([slug for slug, *_ in rows if not slug.startswith("gateway-")]) == len(documented)


def test_the_gateways_own_problems_have_rows_there_too() -> None:
    rows = re.findall(r"^\| `(gateway-[a-z-]+)` \| (\w+) \|", (DOCS / "problems.md").read_text(), re.MULTILINE)
    written = (ROOT / "IaC" / "terraform" / "modules" / "sync-front" / "api.tf").read_text()
    kinds = re.findall(r'(\w+) += \{ status = (\w+), slug = "([a-z-]+)"', written)
    own = {slug: f"{kind[-3]}xx" if status == "null" else status for kind, status, slug in kinds if "gateway-" in slug}
    assert dict(rows) == own
    assert len(own) == 10


@pytest.mark.parametrize("page", [*PAGES, ROOT / "IaC" / "README.md"], ids=name)
def test_every_file_and_heading_that_a_page_links_to_exists(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_the_index_lists_every_page() -> None:
    listed = re.findall(r"^\| \[(.+?)\]\(\1\) \| \S", (DOCS / "README.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= set(listed)


def test_the_contents_at_the_head_of_a_page_are_its_headings() -> None:
    for page in PAGES:
        contents = re.findall(r"^- \[(.+)\]\(#.+\)$", page.read_text(), re.MULTILINE)
        if contents:
            assert contents == re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE), page


def test_the_glossary_is_in_alphabetical_order() -> None:
    terms = re.findall(r"^\| ([^|]+) \| [^|]+\. \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(terms)


def test_every_path_that_contributing_names_exists() -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:md|py|toml))`", (ROOT / "CONTRIBUTING.md").read_text())
    assert {"service/web/", "service/app/settings.py", "CHANGELOG.md"} <= set(named)
    for path in named:
        assert (ROOT / path).exists(), path


LINK = r"\[`(\w+)`\]\(\.\./(tests/[\w/]+\.py)\)"
"""A link to a test in its file."""


def assert_exists(test: str, path: str) -> None:
    assert re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), test


def test_every_behaviour_in_the_table_has_the_test_that_proves_it() -> None:
    page = (DOCS / "behaviour.md").read_text()
    rows = re.findall(rf"^\| .+ \| {LINK} \|$", page, re.MULTILINE)
    assert len(rows) == page.count("[`test_") > 40
    for test, path in rows:
        assert_exists(test, path)


def test_every_threat_has_the_tests_that_show_what_comes_of_it_or_says_why_it_is_accepted() -> None:
    sections = (DOCS / "threat-model.md").read_text().partition("\n## A stranger\n")[2]
    rows = re.findall(r"^\| (?!attempt |---).+ \| .+ \| (.+) \|$", sections, re.MULTILINE)
    assert len(rows) == len(re.findall(r"^\|", sections, re.MULTILINE)) - 2 * sections.count("| attempt |") > 40
    for shown in rows:
        assert re.fullmatch(rf"{LINK}(?:, {LINK})*|Accepted: .+\.", shown), shown
        for test, path in re.findall(LINK, shown):
            assert_exists(test, path)


# Phrases that are right in another language and read as translated in English ("who waits is told" for "callers that
# wait are notified"). "there is no", "is no longer" and "in order to" are English; "dear" is about prices.
TRANSLATED = re.compile(
    r"\bwho (?:waits|comes|asks|has)\b|\bis none\b|(?<!there )\bis no (?!longer\b)|\btold\b|\btells?\b|\bat the most\b"
    r"|\bfor ever\b|\breckon|\bdear(?:er|est)?\b|\bso many\b|\bof ours\b|\bas long as [^.]{1,40} lasts\b"
    r"|\bin order\b(?! (?:to|of|that)\b)",
    re.IGNORECASE,
)


def texts() -> Iterator[tuple[str, str]]:
    """Yield what people read, by where it is: pages, the titles of problems and the names of log events."""
    for page in PAGES:
        # The names of tests are not the page's own words.
        yield name(page), re.sub(r"\[`test_\w+`\]", "", page.read_text())
    yield "titles of problems", ". ".join(kind.title for kind in leaves())
    sources = "".join(path.read_text() for path in sorted((ROOT / "service").rglob("*.py")))
    events = re.findall(r'\b(?:log\.\w+|level)\(\s*"([a-z_]+)"', sources) + [f"link_{kind}" for kind in LinkEventKind]
    assert {"request", "started", "stopped", "link_down"} <= set(events)
    yield "log events", ". ".join(events).replace("_", " ")


@pytest.mark.parametrize(("where", "text"), [pytest.param(*pair, id=pair[0]) for pair in texts()])
def test_no_text_reads_as_translated(where: str, text: str) -> None:
    assert TRANSLATED.findall(" ".join(text.split())) == [], where


@pytest.mark.parametrize(
    "sentence",
    [
        "Who waits is\ntold.",
        "It is none.",
        "A body that is no\nJSON.",
        "as long as the block lasts",
        "It ends in order.",
    ],
)
def test_a_translated_phrase_is_found_across_lines(sentence: str) -> None:
    assert TRANSLATED.search(" ".join(sentence.split()))


@pytest.mark.parametrize("sentence", ["It is no longer live.", "In order to stop, send SIGTERM.", "There is no reply."])
def test_plain_english_is_not_found(sentence: str) -> None:
    assert TRANSLATED.search(sentence) is None
