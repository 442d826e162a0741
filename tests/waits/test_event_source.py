"""The npm package `eventsource` as a client of a stream whose instance is replaced."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.support.replaced import STATES, two_instances

CLIENT = Path(__file__).parent / "eventsource"

pytestmark = pytest.mark.waits


def install(folder: Path) -> Path:
    """Install the client and return its folder."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"NOT VERIFIED with npm's eventsource: {command} is not on the PATH")
    shutil.copytree(CLIENT, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True, timeout=120)  # noqa: S607 - the user's Node.js
    return folder


async def test_npm_eventsource_goes_on_at_another_instance(tmp_path: Path) -> None:
    client = install(tmp_path / "client")
    async with two_instances(tmp_path, 2) as it:
        url = await it.start()
        process = await asyncio.create_subprocess_exec("node", client / "follow.mjs", url, stdout=PIPE)
        assert process.stdout is not None
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(40):
            async for line in process.stdout:
                seen.append(json.loads(line))
                if seen[-1].get("id") and len([one for one in seen if one["name"] == "progress"]) == 2:
                    it.replace()
            assert await process.wait() == 0
    states = [json.loads(one["data"])["progress"]["state"] for one in seen if one["name"] == "progress"]
    assert states in (STATES, STATES[:-1])
    assert (seen[-1]["name"], seen[-1]["id"]) == ("result", "end")
    assert [one["name"] for one in seen].count("error") == 1  # the end of the first connection
