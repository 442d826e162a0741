"""The build: what is rebuilt, what is cached, and what it needs."""

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

from tests.image.engine import IMAGE, ROOT, SERVE_IMAGE, docker, inspect, serve_only, tracked

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the tracked files with different times and permissions, among files that are not tracked."""
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
    """Build the production image from the folder on the same base; return the log of the build."""
    base = image["Config"]["Labels"]["org.opencontainers.image.base.name"]
    target = ("--target=serve", f"--tag={tag}", f"--build-arg=BASE={base}")
    done = subprocess.run(
        ["docker", "build", "--progress=plain", *target, *options, str(folder)],  # noqa: S607 - docker is where PATH says
        env=os.environ | {"DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        timeout=220,
        check=True,
    )
    return done.stdout + done.stderr


def layers(name: str) -> list[str]:
    return list(inspect(name, "image")["RootFS"]["Layers"])


@serve_only
def test_another_machine_builds_identical_layers(image: Any, base: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-again", "--no-cache")
    first, again = image["RootFS"]["Layers"], layers("sync-front-again")
    below = len(base["RootFS"]["Layers"])
    assert len(again) == len(first) == below + 3
    # The first of the three differs: Docker records when pip was removed.
    assert again[:below] + again[below + 1 :] == first[:below] + first[below + 1 :]


@serve_only
def test_a_change_of_the_code_rebuilds_only_the_code(image: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-again")
    before = layers("sync-front-again")
    with (checkout / "service" / "app" / "cli.py").open("a") as code:
        code.write(f"CHANGED = {uuid4().hex!r}\n")  # not in the cache of an earlier run
    log = build(checkout, image, "sync-front-again")
    steps = dict(re.findall(r"^#(\d+) \[(\w+) \d+/\d+\] (?:RUN|COPY) ", log, re.MULTILINE))
    cached = re.findall(r"^#(\d+) CACHED", log, re.MULTILINE)
    built = [stage for step, stage in steps.items() if step not in cached]
    assert sorted(built) == ["code", "code", "code", "serve"]
    assert {stage for step, stage in steps.items() if step in cached} == {"dependencies", "runtime", "serve"}
    assert layers("sync-front-again")[:-1] == before[:-1]
    assert layers("sync-front-again")[-1] != before[-1]


@serve_only
def test_one_build_argument_adds_what_exports_traces(image: Any, checkout: Path) -> None:
    build(checkout, image, "sync-front-otel", "--build-arg=REQUIREMENTS=otel")
    program = "from service.telemetry.otel import exported_traces; print(exported_traces.__name__)"
    run = ("run", "--rm", "--entrypoint", "python")
    assert docker(*run, "sync-front-otel", "-c", program) == "exported_traces"
    lacking = "import importlib.util; print(importlib.util.find_spec('opentelemetry'))"
    for name in (SERVE_IMAGE, IMAGE):
        assert docker(*run, name, "-c", lacking) == "None"


@pytest.mark.parametrize("lock", ["service", "local"])
@pytest.mark.parametrize("processor", ["x86_64", "aarch64"])
def test_every_dependency_has_a_wheel_for_each_processor(processor: str, lock: str, tmp_path: Path) -> None:
    path = ROOT / "requirements" / f"{lock}.txt"
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(tmp_path))
    only = ("--only-binary=:all:", "--no-deps", "--require-hashes", "--python-version=3.13", "--implementation=cp")
    platforms = [f"--platform=manylinux_2_{glibc}_{processor}" for glibc in (17, 28, 34)]
    subprocess.run([*pip, *only, *platforms, "--requirement", str(path)], check=True, timeout=200)
    wheels = [wheel.name for wheel in tmp_path.iterdir()]
    assert len(wheels) == len(re.findall(r"^\S+==", path.read_text(), re.MULTILINE))
    assert [name for name in wheels if name.endswith(f"{processor}.whl")]
