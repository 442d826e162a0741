"""Check that each lock is closed: `python -m tools.closed_locks`.

A lock is closed if it holds every package that its packages need, extras included, on each platform and Python that the
project is set up on. uv resolves each lock anew for each of them, from the packages' own metadata, held to the versions
of the lock: whatever else it comes to is missing.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from tools.install import LOCKS

if TYPE_CHECKING:
    from collections.abc import Iterator

LINUX = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")
"""Here each package has a wheel for each Python, too."""

MACOS = ("aarch64-apple-darwin", "x86_64-apple-darwin")
"""Some packages of the tests no longer have wheels for each of these; their names are in the locks nevertheless."""

PYTHONS = ("3.11", "3.12", "3.13")


def pins(text: str) -> set[tuple[str, str]]:
    """Return the names and versions that a lock lists."""
    return set(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def faults(lock: Path, platform: str, python: str, *options: str) -> Iterator[str]:
    """Say what a lock lacks on a platform (uv's name for it) and a Python; `options` are for uv."""
    uv = str(Path(sys.executable).with_name("uv"))
    plain = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    wheels = ("--only-binary", ":all:") if platform in LINUX else ()
    done = subprocess.run(
        (
            *(uv, "pip", "compile", *plain, *wheels, *options, "--constraints", str(lock)),
            *("--python-platform", platform, "--python-version", python, str(lock)),
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    where = f"{lock.name} on {platform}, Python {python}"
    if done.returncode:
        yield f"{where}: {done.stderr.strip()}"
    elif not (needed := pins(done.stdout)):
        yield f"{where}: nothing is needed, which cannot be"
    elif missing := needed - pins(lock.read_text()):
        yield f"{where}: missing: {', '.join('=='.join(pin) for pin in sorted(missing))}"


def main() -> None:
    """Check every lock; exit with 1 if one has a fault."""
    places = [*product(sorted(LOCKS.glob("*.txt")), (*LINUX, *MACOS), PYTHONS)]
    with ThreadPoolExecutor(4) as pool:
        found = [fault for fault_list in pool.map(lambda place: [*faults(*place)], places) for fault in fault_list]
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        raise SystemExit("A lock is not closed: make them again with `make lock`, and report it if that does not help.")
    print(
        f"{len({lock for lock, *_ in places})} locks are closed ({len(places)} combinations with platform and Python)"
    )


if __name__ == "__main__":
    main()
