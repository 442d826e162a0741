from __future__ import annotations

import json

from service.local import LocalAws
from tests.support.leak_check import MAX_CONCURRENT_REQUESTS
from tests.support.processes import command, settings_for


async def test_requests_leave_nothing_behind_however_they_end() -> None:
    async with LocalAws(port=0, wait=0.1) as aws:
        env = settings_for(aws) | {"LOG_LEVEL": "ERROR", "RESPONSE_TIMEOUT": "15"}
        async with command("tests.support.leak_check", env=env) as process:
            assert await process.wait(55) == 0, process.stderr
        report = json.loads(process.stdout[-1])
        assert report["ends"].keys() >= {"left", "200", "202", "400", "422", "read 502"}
        assert (aws.connections, aws.subscriptions) == (0, 0)
    baseline, after, stopped = report["baseline"], report["after"], report["stopped"]
    assert (after["table"], after["lookups"], after["in_flight"]) == (0, 0, 0)
    assert after["tasks"] == baseline["tasks"]
    # Connections to Step Functions stay in their pool. A second round may open some more, but not one per request.
    assert after["files"] <= baseline["files"] + MAX_CONCURRENT_REQUESTS
    assert after["futures"] <= baseline["futures"] + 2 * MAX_CONCURRENT_REQUESTS
    assert stopped["tasks"] == 1
    assert (stopped["table"], stopped["lookups"], stopped["in_flight"]) == (0, 0, 0)
