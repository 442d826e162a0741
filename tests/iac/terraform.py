"""A wrapper that runs Terraform on a copy of the configuration."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.iac.files import EXAMPLE_WORKFLOWS, IAC, ROOT, TERRAFORM

# Terraform's plugin cache: `init` downloads the provider here once.
PLUGIN_CACHE = ROOT / "build" / "terraform-plugins"


class TerraformMissing(Exception):
    """Terraform or its AWS provider is missing on this machine."""


class TerraformFailed(AssertionError):
    """A Terraform command failed; the message is its output."""


class Terraform:
    """The `terraform` command in an initialised copy of a configuration; the checkout is never written to."""

    def __init__(
        self, folder: Path, *, fetch: bool, env: Mapping[str, str] | None = None, configuration: Path = TERRAFORM
    ) -> None:
        """Copy and initialise; raise TerraformMissing if that is impossible. `fetch` allows provider downloads."""
        if shutil.which("terraform") is None:
            raise TerraformMissing("terraform is not on the PATH")
        shutil.copytree(IAC, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars"))
        shutil.copytree(EXAMPLE_WORKFLOWS, folder.parent / EXAMPLE_WORKFLOWS.name)
        self.folder = folder / configuration.relative_to(IAC)
        self._env = os.environ | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"} | dict(env or {})
        try:
            self._initialise(fetch=fetch)
        except TerraformFailed as failure:
            if "Failed to query available provider packages" in str(failure):
                raise TerraformMissing("terraform init finds no AWS provider") from failure
            raise

    def __call__(self, *arguments: str, seconds: float = 900) -> str:
        """Run a command and return its output; raise TerraformFailed if it fails."""
        return self._run(*arguments, env={}, seconds=seconds)

    def json(self, *arguments: str) -> Any:
        """Run a command with JSON output and return that."""
        command, *rest = arguments
        return json.loads(self(command, "-json", *rest))

    def _initialise(self, *, fetch: bool) -> None:
        if fetch:
            PLUGIN_CACHE.mkdir(parents=True, exist_ok=True)
            # Terraform does not guard this cache against others that fill it at the same time.
            with (PLUGIN_CACHE / "lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._run("init", env={"TF_PLUGIN_CACHE_DIR": str(PLUGIN_CACHE)}, seconds=300)
        else:
            # A dead proxy keeps Terraform from its registry; a mirror on this machine needs no proxy.
            fetched = [f"-plugin-dir={PLUGIN_CACHE}"] if any(PLUGIN_CACHE.glob("*/hashicorp/aws/*")) else []
            self._run("init", *fetched, env={"HTTPS_PROXY": "http://127.0.0.1:9"}, seconds=30)

    def _run(self, *arguments: str, env: dict[str, str], seconds: float) -> str:
        done = subprocess.run(
            ["terraform", *arguments, "-no-color"],  # noqa: S607 - the user chooses the Terraform on the PATH
            cwd=self.folder,
            env=self._env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise TerraformFailed(f"terraform {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
        return str(done.stdout)
