from __future__ import annotations

from collections import Counter
from pathlib import Path

from tools.mutants.listing import modules, mutants, sample
from tools.mutants.source import Mutant, Source

ROOT = Path(__file__).parents[3]


def package(name: str, lines: int) -> list[Mutant]:
    text = "".join(f"def f{number}(a):\n    return a == {number}\n" for number in range(lines))
    return mutants(Source(f"service/{name}/part.py", text.encode()))


def test_the_same_seed_chooses_the_same_mutants() -> None:
    everything = package("web", 50)
    first = [mutant.name for mutant in sample(everything, 20, seed=1)]
    assert first == [mutant.name for mutant in sample(reversed(everything), 20, seed=1)]
    assert first != [mutant.name for mutant in sample(everything, 20, seed=2)]


def test_each_package_has_an_even_share() -> None:
    chosen = sample([*package("web", 60), *package("bridge", 20)], 40, seed=1)
    assert Counter(mutant.path for mutant in chosen) == {"service/web/part.py": 30, "service/bridge/part.py": 10}


def test_each_line_has_at_most_one_fault() -> None:
    chosen = sample(package("web", 30), 100, seed=1)
    assert len({mutant.line for mutant in chosen}) == len(chosen) == 30


def test_a_change_elsewhere_keeps_most_of_the_choice() -> None:
    before = {mutant.before for mutant in sample(package("web", 100), 50, seed=1)}
    after = {mutant.before for mutant in sample(package("web", 104), 50, seed=1)}
    assert len(before & after) >= 40


def test_names_are_unique() -> None:
    names = [mutant.name for path in modules(ROOT) for mutant in mutants(Source.read(ROOT, path))]
    assert len(names) == len(set(names)) > 3000


def test_a_name_has_the_line_and_the_kind() -> None:
    found = mutants(Source("service/web/part.py", b"def f(a):\n    return a + 1\n"))
    assert [mutant.name for mutant in found] == [
        "service/web/part.py:2 return None",
        "service/web/part.py:2 swap operator",
        "service/web/part.py:2 change number",
    ]


def test_a_statement_of_a_class_knows_the_name_of_its_class_too() -> None:
    (mutant,) = mutants(Source("service/web/part.py", b"class A(Enum):\n    B = 'b'\n"))
    assert mutant.names == ("A", "B")


def test_a_statement_outside_functions_knows_its_names() -> None:
    (mutant,) = mutants(Source("service/web/part.py", b"A = 0"))
    assert mutant.names == ("A",)


def test_a_default_of_a_constructor_belongs_to_the_class() -> None:
    (mutant,) = mutants(Source("service/web/part.py", b"class A:\n    def __init__(self, b=0): c"))
    assert mutant.names == ("A",)


def test_the_statement_of_a_fault_in_a_header_is_the_header() -> None:
    (mutant,) = mutants(Source("service/web/part.py", b"def f():\n    with a(\n        0\n    ):\n        b"))
    assert (mutant.names, mutant.first, mutant.last) == (None, 2, 4)
