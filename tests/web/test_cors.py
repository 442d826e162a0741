from __future__ import annotations

import pytest

from service.web.cors import parse_origins
from tests.support.front import front


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", {"*"}),
        ("https://app.example", {"https://app.example"}),
        (" http://localhost:3000 ,https://app.example", {"http://localhost:3000", "https://app.example"}),
        ("http://[::1]:3000", {"http://[::1]:3000"}),
    ],
)
def test_origins_are_parsed_as_browsers_send_them(text: str, expected: set[str]) -> None:
    assert parse_origins(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.example",
        "https://app.example/",
        "https://App.example",
        "https://a.example,*",
        "https://a.example,",
        None,
    ],
)
def test_an_origin_that_no_browser_sends_is_rejected(text: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_origins(text)


ORIGIN = "https://app.example"


async def test_without_configured_origins_there_are_no_cors_headers() -> None:
    async with front() as it:
        async with it.client.options("/event", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Allow"]) == (405, "POST")
        async with it.client.get("/healthz", headers={"Origin": ORIGIN}) as response:
            assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_preflight_from_a_configured_origin_lists_what_is_allowed() -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    async with front(cors_origins={ORIGIN}, stage_prefix="dev") as it:
        for path in ("/event", "/dev/event"):
            async with it.client.options(path, headers=preflight) as response:
                assert response.status == 204
                assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
                assert response.headers["Access-Control-Allow-Methods"] == "OPTIONS, POST"
                assert response.headers["Access-Control-Max-Age"] == "7200"  # the most that any browser honours
                allowed = response.headers["Access-Control-Allow-Headers"].split(", ")
                assert {"Idempotency-Key", "Authorization", "X-Api-Key"} <= set(allowed)
                assert response.headers["Vary"] == "Origin"
        async with it.client.options("/event", headers=preflight | {"Origin": "https://evil.example"}) as response:
            assert response.status == 204
            assert not [name for name in response.headers if name.startswith("Access-Control")]
        async with it.client.options("/event") as response:
            assert (response.status, response.headers["Allow"]) == (204, "OPTIONS, POST")


async def test_pages_of_a_configured_origin_can_read_results_and_problems() -> None:
    async with front(cors_origins={ORIGIN}) as it:
        response = await it.post_and_reply({}, headers={"Origin": ORIGIN})
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Location" in response.headers["Access-Control-Expose-Headers"]
        async with it.client.post("/event", data=b"", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (415, ORIGIN)
        async with it.client.get("/nowhere", headers={"Origin": ORIGIN}) as response:
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN)


async def test_every_origin_can_be_allowed() -> None:
    async with front(cors_origins={"*"}) as it, it.client.get("/healthz", headers={"Origin": ORIGIN}) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Vary" not in response.headers
