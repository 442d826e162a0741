"""Check that each lock is closed: `python -m tools.closed_locks`.

A closed lock lists every package that its packages need, extras included, on each supported platform and Python. uv
resolves each lock again for each of them from the packages' metadata, constrained to the locked versions. Any other
package in the result is missing from the lock.
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
"""Here each package also has a wheel for each Python."""

MACOS = ("aarch64-apple-darwin", "x86_64-apple-darwin")
"""Some packages of the tests have no wheels for these any more; the locks list them nevertheless."""

PYTHONS = ("3.11", "3.12", "3.13")


def pins(text: str) -> set[tuple[str, str]]:
    """Return the names and versions that a lock lists."""
    return set(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


def faults(lock: Path, platform: str, python: str, *options: str) -> Iterator[str]:
    """Yield what a lock lacks on a platform (uv's name for it) and a Python; `options` are passed to uv."""
    uv = str(Path(sys.executable).with_name("uv"))
    plain = ("--quiet", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links")
    wheels = ("--only-binary", ":all:") if platform in LINUX else ()
    done = subprocess.run(
        (
            *(uv, "pip", "compile", *plain, *wheels, *options, "--constraints", str(lock)),
            *("--python", sys.executable, "--python-platform", platform, "--python-version", python, str(lock)),
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
        yield f"{where}: uv resolved nothing, which cannot be right"
    elif missing := needed - pins(lock.read_text()):
        yield f"{where}: missing: {', '.join('=='.join(pin) for pin in sorted(missing))}"


def main() -> None:
    """Check every lock; exit with 1 if one has a fault."""
    checks = [*product(sorted(LOCKS.glob("*.txt")), (*LINUX, *MACOS), PYTHONS)]
    with ThreadPoolExecutor(4) as pool:
        found = [fault for fault_list in pool.map(lambda check: [*faults(*check)], checks) for fault in fault_list]
    for fault in found:
        print(fault, file=sys.stderr)
    if found:
        raise SystemExit(
            "A lock is not closed. Create the locks again with `make lock`, and report it if that does not help."
        )
    print(
        f"{len({lock for lock, *_ in checks})} locks are closed ({len(checks)} combinations with platform and Python)"
    )


if __name__ == "__main__":
    main()
