"""The content of both images, inspected from outside: nothing in them is run."""

from __future__ import annotations

import re
import stat
import subprocess
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from service import __version__
from tests.image.engine import ROOT, SERVE_IMAGE, docker, note, tracked

MAX_ADDED_BYTES = 105_000_000
MAX_LOCAL_BYTES = 6_000_000  # what the local AWS needs in addition: JSONata, JSONPath, YAML
"""What the image may add to its base."""
MAX_CODE_BYTES = 2_500_000
"""The part of it that may change with the code."""

SECRETS = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bA[KS]IA(?!.{0,13}EXAMPLE)[A-Z0-9]{16}\b|\bda2-[a-z0-9]{26}\b"
)
EXAMPLES = re.compile(r"/botocore/data/.*/examples-1\.json$")
"""Documentation of the AWS SDK, with keys that were never valid."""
SECRET_FILES = {".env", ".git", ".netrc", ".npmrc", ".pypirc", "credentials", "id_ed25519", "id_rsa", "pip.conf"}
TOOLS = {"cc", "c++", "clang", "g++", "gcc", "ld", "make", "pip", "pip3", "uv"}

pytestmark = pytest.mark.timeout(240)


def below(files: tarfile.TarFile, folder: str) -> set[str]:
    return {member.name for member in files if member.isfile() and member.name.startswith(folder)}


def test_it_starts_python_without_a_shell_and_not_as_root(image: Any) -> None:
    config = image["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (["python", "-m", "service"], ["serve"])
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert "/healthz" in config["Healthcheck"]["Test"][-1]


def test_the_labels_say_what_it_was_built_from(image: Any) -> None:
    labels = image["Config"]["Labels"]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - the same
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert labels["org.opencontainers.image.revision"] == head.stdout.strip()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert labels["org.opencontainers.image.version"] == __version__
    for label, field in (("title", "name"), ("description",) * 2, ("licenses", "license")):
        assert labels[f"org.opencontainers.image.{label}"] == project[field]


def test_its_size_is_limited(image: Any, base: Any, image_name: str) -> None:
    added = image["Size"] - base["Size"]
    limit = MAX_ADDED_BYTES + (0 if image_name == SERVE_IMAGE else MAX_LOCAL_BYTES)
    note(f"{image_name} adds to its base: {added / 1e6:.1f} MB, limit {limit / 1e6:.0f}")
    assert added < limit
    history = docker("history", "--no-trunc", "--human=false", "--format", "{{.Size}} {{.CreatedBy}}", image_name)
    (code,) = [int(line.split()[0]) for line in history.splitlines() if "COPY /image/" in line][:1]
    assert 0 < code < MAX_CODE_BYTES


def test_the_app_is_exactly_the_tracked_code_and_its_data_files(files: tarfile.TarFile, image_name: str) -> None:
    found = {name.removeprefix("app/") for name in below(files, "app/") if not name.endswith(".pyc")}
    expected = tracked("service", "IaC/request.schema.json")
    if image_name == SERVE_IMAGE:
        assert found == expected - tracked("service/local")
    else:
        assert found == expected | tracked("IaC/relay.asl.json", "IaC/workflow.asl.json")


def test_only_the_image_with_local_use_has_what_that_needs(files: tarfile.TarFile, image_name: str) -> None:
    found = {name for name in files.getnames() if re.search("/(jsonata|jsonpath|yaml)/|^app/service/local/", name)}
    assert bool(found) == (image_name != SERVE_IMAGE)


@pytest.mark.parametrize("folder", ["app/service/", "opt/venv/lib/"])
def test_every_module_is_compiled_and_its_source_is_not_checked(files: tarfile.TarFile, folder: str) -> None:
    names = below(files, folder)
    sources = {name for name in names if name.endswith(".py")}
    compiled = {name for name in names if name.endswith(".pyc")}
    assert len(sources) > 20
    assert {re.sub(r"__pycache__/(.*)\.cpython-\d+\.pyc$", r"\1.py", name) for name in compiled} == sources
    for name in compiled:
        content = files.extractfile(name)
        assert content is not None
        assert content.read(8)[4:] == b"\1\0\0\0", name  # by hash, which is not checked: PEP 552


def test_pythons_own_library_is_compiled(files: tarfile.TarFile) -> None:
    assert [name for name in below(files, "usr/local/lib/") if re.search(r"/asyncio/__pycache__/tasks\..*\.pyc$", name)]


def test_no_file_is_world_writable_or_setuid(files: tarfile.TarFile) -> None:
    for member in files:
        if member.isfile():
            assert not member.mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), member.name
        elif member.isdir() and member.mode & stat.S_IWOTH:
            assert member.mode & stat.S_ISVTX, member.name


def test_the_service_cannot_change_its_own_code(files: tarfile.TarFile) -> None:
    for member in files:
        if member.name.startswith(("app/", "opt/")):
            assert (member.uid, member.gid) == (0, 0), member.name
            assert member.issym() or not member.mode & (stat.S_IWGRP | stat.S_IWOTH), member.name
            assert member.issym() or member.mode & stat.S_IROTH, member.name


def test_it_has_no_compiler_no_pip_no_cache_and_no_tests(files: tarfile.TarFile) -> None:
    for member in files:
        path = Path(member.name)
        if member.isfile() or member.issym():
            assert not (path.parent.name in {"bin", "sbin"} and path.name in TOOLS), member.name
            assert not member.name.startswith(("root/.cache/", "var/lib/apt/lists/", "var/cache/apt/archives/")), path
        if member.name.startswith(("app/", "opt/")):
            assert "tests" not in path.parts, member.name
            assert not {"pip", "setuptools", "wheel"} & set(path.parts), member.name


def test_it_contains_no_secret(image: Any, image_name: str, files: tarfile.TarFile) -> None:
    checked = 0
    for member in files:
        assert Path(member.name).name not in SECRET_FILES, member.name
        if member.isfile() and member.name.startswith(("app/", "opt/", "etc/", "root/", "home/", "tmp/", "var/tmp/")):
            content = files.extractfile(member)
            assert content is not None
            assert SECRETS.search(content.read()) is None or EXAMPLES.search(member.name), member.name
            checked += 1
    assert checked > 1000
    # Nor do the commands and arguments of its build, or its environment.
    assert SECRETS.search(docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image_name).encode()) is None
    names = {line.partition("=")[0] for line in image["Config"]["Env"]}
    assert not {name for name in names if re.search(r"KEY(?!RING)|TOKEN|SECRET|PASSW", name)} - {"GPG_KEY"}
