from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.image import engine

# These need Docker and both images: `make test-image` builds them and sets IMAGE.
collect_ignore_glob = [] if "IMAGE" in os.environ else ["*"]


@pytest.fixture(scope="session", params=[engine.SERVE_IMAGE, engine.IMAGE], ids=["serve", "local"])
def image_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def image(image_name: str) -> Any:
    return engine.inspect(image_name, "image")


@pytest.fixture(scope="session")
def base(image: Any) -> Any:
    return engine.inspect(image["Config"]["Labels"]["org.opencontainers.image.base.name"], "image")


@pytest.fixture(scope="session")
def files(image_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tarfile.TarFile]:
    """Every file of the image."""
    archive = tmp_path_factory.mktemp("image") / "files.tar"
    container = engine.docker("create", image_name)
    try:
        engine.docker("export", "--output", str(archive), container)
    finally:
        engine.docker("rm", container)
    with tarfile.open(archive) as opened:
        yield opened
    archive.unlink()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for text in engine.NOTES:
        terminalreporter.write_line(text)
