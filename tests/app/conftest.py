from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the AWS SDK find no settings but those of the test, which has its files in `tmp_path`."""
    for name in os.environ:
        if name.lower().endswith("_proxy") or name.startswith(("AWS_", "REQUESTS_", "SSL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
