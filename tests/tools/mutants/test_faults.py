from __future__ import annotations

import pytest

from tools.mutants.listing import is_another_program, mutants
from tools.mutants.source import Source


def faults(text: str, kind: str) -> list[str]:
    """The texts with a fault of this kind."""
    found = mutants(Source("service/web/part.py", text.encode()))
    return [mutant.faulty.data.decode() for mutant in found if mutant.edit.kind == kind and is_another_program(mutant)]


@pytest.mark.parametrize(
    ("kind", "text", "faulty"),
    [
        ("negate condition", "if a or b: f", ["if not (a or b): f"]),
        ("negate condition", "while not a: f", ["while a: f"]),
        ("negate condition", "[a for a in b if a]", ["[a for a in b if not (a)]"]),
        ("negate condition", "a if b else c", ["a if not (b) else c"]),
        ("swap comparison", "a < b <= c", ["a <= b <= c", "a < b < c"]),
        ("swap comparison", "a == 'ü' != b", ["a != 'ü' != b", "a == 'ü' == b"]),
        ("swap comparison", "a is b", ["a is not b"]),
        ("swap comparison", "a is not b", ["a is b"]),
        ("swap comparison", "(a) in (b)", ["(a) not in (b)"]),
        ("swap comparison", "a not in b", ["a in b"]),
        ("swap and/or", "a and b and c", ["a or b and c", "a and b or c"]),
        ("swap operator", "a + b * c", ["a - b * c", "a + b / c"]),
        ("swap operator", "a -= 1", ["a += 1"]),
        ("change number", "a = 0", ["a = 1"]),
        ("change number", "a = 8", ["a = 80", "a = 9"]),
        ("change number", "a = 2.0", ["a = 0.2", "a = 20.0"]),
        ("change number", "def f(a=0.0): g", ["def f(a=1.0): g"]),
        ("swap True/False", "a = True", ["a = False"]),
        ("misspell string", "a = 'status'", ['a = "stattus"']),
        ("delete call", "f(a)", ["pass"]),
        ("delete call", "async def f(): await g(a)", ["async def f(): pass"]),
        ("return None", "def f(): return a", ["def f(): return None"]),
        ("swap break/continue", "for a in b: break", ["for a in b: continue"]),
        ("swap break/continue", "for a in b: continue", ["for a in b: break"]),
        ("skip handler", "try: f\nexcept E: g", ["try: f\nexcept E: pass"]),
        ("skip handler", "try: f\nexcept E: pass", ["try: f\nexcept E: raise"]),
        ("skip finally", "try: f\nfinally: g", ["try: f\nfinally: pass"]),
        ("drop keyword", "f(a, b=1, c=2)", ["f(a, b=1)", "f(a, c=2)"]),
        ("drop keyword", "f(b=1,)", ["f()"]),
        ("swap min/max", "min(a, b)", ["max(a, b)"]),
        ("swap min/max", "max(a, b)", ["min(a, b)"]),
    ],
)
def test_a_fault_is_one_small_edit(kind: str, text: str, faulty: list[str]) -> None:
    assert sorted(faults(text, kind)) == sorted(faulty)


def test_lines_keep_their_numbers() -> None:
    assert faults("f(\n    a,\n)\nb", "delete call") == ["pass\n\n\nb"]


@pytest.mark.parametrize(
    "text",
    [
        "'A docstring.'",
        "a: Literal['b']",
        "a: Final[f(1)]",
        "def f(a: 'B') -> 'C': 'Docstring.'",
        "assert a == 1",
        "__slots__ = ('a', 'b')",
        "T = TypeVar('T', bound='a')",
        "if TYPE_CHECKING: import a",
        "@dataclass(frozen=True)\nclass A: 'Docstring.'",
        "a = f'{b + 1}'",
        "a = 'Three words here'",
        "return_ = log.info",
    ],
)
def test_declarations_and_prose_have_no_faults(text: str) -> None:
    assert mutants(Source("service/web/part.py", text.encode())) == []


def test_of_a_log_line_only_the_event_and_the_line_itself_can_be_wrong() -> None:
    found = mutants(Source("service/web/part.py", b"log.info('bad_request', status=b.status + 1)"))
    assert [mutant.after for mutant in found] == ["pass", 'log.info("bad_reequest", status=b.status + 1)']


@pytest.mark.parametrize("text", ["create_task(a, name='b')", "zip(a, b, strict=True)"])
def test_what_only_helps_to_find_errors_is_not_dropped(text: str) -> None:
    assert mutants(Source("service/web/part.py", f"a = {text}".encode())) == []
