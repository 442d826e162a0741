"""What the documents say is checked against the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import Problem

DOCS = Path(__file__).parent.parent / "docs"


def leaves(kind: type[Problem] = Problem) -> Iterator[type[Problem]]:
    """Yield each kind of problem that is raised."""
    if hasattr(kind, "slug"):
        yield kind
    for narrower in kind.__subclasses__():
        yield from leaves(narrower)


def test_every_problem_and_no_other_has_its_place_in_the_document_with_its_status() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| (.+?) \|", (DOCS / "problems.md").read_text(), re.MULTILINE)
    documented = {slug: int(status) for slug, status, _ in rows if not slug.startswith("gateway-")}
    assert documented == {kind.slug: kind.status for kind in leaves()} | {"unexpected": 500}
    assert len([slug for slug, *_ in rows if not slug.startswith("gateway-")]) == len(documented)


def test_the_gateways_own_problems_have_their_places_there_too() -> None:
    rows = re.findall(r"^\| `(gateway-[a-z-]+)` \| (\w+) \|", (DOCS / "problems.md").read_text(), re.MULTILINE)
    written = (DOCS.parent / "IaC" / "terraform" / "api.tf").read_text()
    kinds = re.findall(r'(\w+) += \{ status = (\w+), slug = "([a-z-]+)"', written)
    own = {slug: f"{kind[-3]}xx" if status == "null" else status for kind, status, slug in kinds if "gateway-" in slug}
    assert dict(rows) == own
    assert len(own) == 7


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_file_that_a_document_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_behaviour_in_the_table_has_the_test_that_shows_it() -> None:
    page = (DOCS / "behaviour.md").read_text()
    rows = re.findall(r"^\| .+ \| \[`(\w+)`\]\(\.\./(tests/[\w/]+\.py)\) \|$", page, re.MULTILINE)
    assert len(rows) == page.count("[`test_") > 40
    for test, path in rows:
        assert re.search(rf"^(?:async )?def {test}\(", (DOCS.parent / path).read_text(), re.MULTILINE), test
