from __future__ import annotations

import pytest

from service.web.tracing import AMZN_TRACE_ID, TRACEPARENT, trace_header
from tests.support.front import NAMES, front

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CONVERTED = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
ROOT = "Root=1-67891233-abcdef012345678912345678"


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (PARENT, CONVERTED),
        (f" {PARENT} ", CONVERTED),
        (PARENT[:-2] + "00", CONVERTED[:-1] + "0"),
        (PARENT[:-2] + "ff", CONVERTED),
        ("01" + PARENT[2:] + "-what-comes-later", CONVERTED),
        (PARENT + "-more", None),
        ("ff" + PARENT[2:], None),
        (PARENT.upper(), None),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", None),
        (PARENT[:-1], None),
        ("", None),
        ("\u0660" * 55, None),
    ],
)
def test_a_traceparent_becomes_an_x_ray_header_of_the_same_trace(traceparent: str, expected: str | None) -> None:
    assert trace_header({TRACEPARENT: traceparent}) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (ROOT, ROOT),
        (f"{ROOT};Parent=b7ad6b7169203331;Sampled=0", f"{ROOT};Parent=b7ad6b7169203331;Sampled=0"),
        (f"Self=1-67891234-12456789abcdef012345678;{ROOT}", ROOT),
        (f"Sampled=?; {ROOT} ;Lineage=a:1", f"{ROOT};Sampled=?"),
        ("Parent=b7ad6b7169203331", None),
        ("Root=private data", None),
        ("Root=1-67891233-ABC", None),
        (f"{'x' * 300};{ROOT}", None),
        ("", None),
    ],
)
def test_an_x_ray_header_is_reduced_to_its_known_fields(given: str, expected: str | None) -> None:
    assert trace_header({AMZN_TRACE_ID: given}) == expected


def test_a_valid_traceparent_takes_precedence_over_the_load_balancers_header() -> None:
    assert trace_header({TRACEPARENT: PARENT, AMZN_TRACE_ID: ROOT}) == CONVERTED
    assert trace_header({TRACEPARENT: "nonsense", AMZN_TRACE_ID: ROOT}) == ROOT
    assert trace_header({}) is None


async def test_an_execution_joins_the_trace_of_its_request() -> None:
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    async with front() as it:
        await it.post_and_reply({}, headers=trace)
        await it.client.post("/event", json=NAMES, headers={"Prefer": "respond-async"})
        starts = [call for action, call in it.stage.endpoint.calls if action == "StartExecution"]
        root = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"
        assert [call.get("traceHeader") for call in starts] == [root, None]
