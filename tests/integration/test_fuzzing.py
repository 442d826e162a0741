"""Schemathesis against the running service: every response matches the API description.

Set FUZZ_EXAMPLES=5000 in the environment for a long run.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from service.local import LocalAws
from tests.support.processes import CLEAN, service

CONFIG = Path(__file__).parent / "schemathesis.toml"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
TIMEOUT_S = 240 if EXAMPLES == "5" else 7200


@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.parametrize("caller", [None, "fuzzer"], ids=["one caller", "callers apart"])
async def test_every_response_to_a_generated_request_matches_the_api_description(
    tmp_path: Path, caller: str | None
) -> None:
    arguments = [
        "--config-file",
        str(CONFIG),
        "run",
        "--max-examples",
        EXAMPLES if caller is None else str(max(1, int(EXAMPLES) // 5)),
        "--workers",
        "8",
        "--seed",
        "1",
        "--no-color",
    ]
    # Reads of what it started would exhaust the default quota, and then every response would be a 503.
    environment = {"RESPONSE_TIMEOUT": "5", "DESCRIBE_QUOTA": "100000000/1000000"}
    if caller is not None:
        environment["CALLER_HEADER"] = "X-Caller"
        arguments += ["--header", f"X-Caller: {caller}"]
    async with LocalAws(port=0, wait=0) as aws, service(aws, **environment) as (process, url):
        fuzzer = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "schemathesis.cli", *arguments, "--continue-on-failure", f"{url}/openapi.json"),
            cwd=tmp_path,
            env=CLEAN,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, _ = await fuzzer.communicate()
        finally:
            if fuzzer.returncode is None:
                fuzzer.kill()
                await fuzzer.wait()
        report = output.decode()
        assert fuzzer.returncode == 0, report
        assert "Stateful" in report
        assert not [line for line in process.logs if line["level"] == "error"], report
