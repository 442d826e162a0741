"""The build: what is built again, what is not, and what it needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.image.engine import IMAGE, ROOT, docker, inspect, tracked

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The tracked files as another machine has them: other times, other rights, other things beside them."""
    for name in tracked(".dockerignore", "Dockerfile", "requirements", "service", "IaC"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
        (tmp_path / name).chmod(0o600)
    for name in (".env", ".git/config", ".aws/credentials", "id_rsa", "service/.env", "service/web/.routes.py.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("da2-abcdefghijklmnopqrstuvwxyz")
    (tmp_path / "service" / "__pycache__").mkdir()
    (tmp_path / "service" / "__pycache__" / "app.cpython-313.pyc").write_bytes(b"not of this source")
    return tmp_path


def build(folder: Path, image: Any, tag: str, *options: str) -> str:
    """Build the folder on the same base as the image; return what was told of the steps."""
    base = image["Config"]["Labels"]["org.opencontainers.image.base.name"]
    done = subprocess.run(
        ["docker", "build", "--progress=plain", f"--tag={tag}", f"--build-arg=BASE={base}", *options, str(folder)],  # noqa: S607 - docker is where PATH says
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=220,
        check=True,
    )
    return done.stdout + done.stderr


def layers(name: str) -> list[str]:
    return list(inspect(name, "image")["RootFS"]["Layers"])


def test_another_machine_builds_the_same_layers_to_the_byte(image: Any, base: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-again", "--no-cache")
    first, again = image["RootFS"]["Layers"], layers("sync-front-again")
    below = len(base["RootFS"]["Layers"])
    assert len(again) == len(first) == below + 3
    # The first of the three is another one: Docker notes when it was that pip was taken away.
    assert again[:below] + again[below + 1 :] == first[:below] + first[below + 1 :]


def test_a_change_of_the_code_builds_nothing_but_the_code_again(image: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-again")
    before = layers("sync-front-again")
    with (checkout / "service" / "cli.py").open("a") as code:
        code.write(f"CHANGED = {uuid4().hex!r}\n")  # nothing that an earlier run has left in the cache
    told = build(checkout, image, "sync-front-again")
    steps = dict(re.findall(r"^#(\d+) \[(\w+) \d+/\d+\] (?:RUN|COPY) ", told, re.MULTILINE))
    cached = re.findall(r"^#(\d+) CACHED", told, re.MULTILINE)
    built = [stage for step, stage in steps.items() if step not in cached]
    assert sorted(built) == ["code", "code", "code", "service"]
    assert {stage for step, stage in steps.items() if step in cached} == {"dependencies", "service"}
    assert layers("sync-front-again")[:-1] == before[:-1]
    assert layers("sync-front-again")[-1] != before[-1]


def test_an_image_that_can_write_traces_is_one_argument_away(image: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-otel", "--build-arg=REQUIREMENTS=otel")
    program = "from service.telemetry.otel import exporting; print(exporting.__name__)"
    run = ("run", "--rm", "--entrypoint", "python")
    assert docker(*run, "sync-front-otel", "-c", program) == "exporting"
    lacking = "import importlib.util; print(importlib.util.find_spec('opentelemetry'))"
    assert docker(*run, IMAGE, "-c", lacking) == "None"


@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_every_dependency_has_a_wheel_for_each_processor_that_the_image_is_built_for(
    processor: str, tmp_path: Path
) -> None:
    lock = ROOT / "requirements" / "service.txt"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(tmp_path))
    only = ("--only-binary=:all:", "--no-deps", "--require-hashes", "--python-version=3.13", "--implementation=cp")
    platforms = [f"--platform=manylinux_2_{glibc}_{processor}" for glibc in (17, 28, 34)]
    subprocess.run([*pip, *only, *platforms, "--requirement", str(lock)], check=True, timeout=200)
    wheels = [path.name for path in tmp_path.iterdir()]
    assert len(wheels) == len(re.findall(r"^\S+==", lock.read_text(), re.MULTILINE))
    assert [name for name in wheels if name.endswith(f"{processor}.whl")]
