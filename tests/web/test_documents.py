from __future__ import annotations

import gzip

import pytest

from tests.support.front import front

PATHS = ["/openapi.json", "/docs", "/dev/openapi.json", "/dev/docs"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_document_has_a_lifetime_and_is_not_sent_again_to_those_who_have_it(path: str) -> None:
    async with front(stage_prefix="dev") as it:
        async with it.client.get(path) as response:
            assert response.headers["Cache-Control"] == "max-age=300"
            etag = response.headers["ETag"]
        for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
            async with it.client.get(path, headers={"If-None-Match": known}) as response:
                assert (response.status, response.headers["ETag"], await response.read()) == (304, etag, b"")
        for other in ('"x"', "nonsense", etag[:-2] + '"', ""):
            async with it.client.get(path, headers={"If-None-Match": other}) as response:
                assert response.status == 200


async def test_documents_with_another_content_have_another_validator() -> None:
    async with (
        front(response_timeout=1) as it,
        front(response_timeout=2) as other,
        it.client.get("/openapi.json") as one,
        other.client.get("/openapi.json") as two,
    ):
        assert one.headers["ETag"] != two.headers["ETag"]


@pytest.mark.parametrize(
    "accepted", ["gzip", "deflate, gzip;q=0.5", "GZIP", "x-gzip", "br,gzip ; q=1", "gzip; q=0.001"]
)
async def test_a_document_is_compressed_for_those_who_accept_it(accepted: str) -> None:
    async with front() as it:
        it.client._auto_decompress = False
        async with it.client.get("/openapi.json", headers={"Accept-Encoding": "identity"}) as response:
            plain = await response.read()
            assert "Content-Encoding" not in response.headers
        async with it.client.get("/openapi.json", headers={"Accept-Encoding": accepted}) as response:
            assert (response.headers["Content-Encoding"], response.headers["Vary"]) == ("gzip", "Accept-Encoding")
            body = await response.read()
    assert gzip.decompress(body) == plain
    assert len(body) < len(plain) / 4


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip; q=0.000", "br", "*;q=0", "agzip"])
async def test_a_document_is_not_compressed_for_others(accepted: str) -> None:
    async with front() as it, it.client.get("/openapi.json", headers={"Accept-Encoding": accepted}) as response:
        assert (response.status, "Content-Encoding" in response.headers) == (200, False)


@pytest.mark.parametrize("path", ["/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"])
async def test_the_files_of_the_page_have_a_validator_and_a_lifetime(path: str) -> None:
    async with front() as it, it.client.get(path) as response:
        assert response.headers["Cache-Control"] == "max-age=300"
        headers = {"If-None-Match": response.headers["ETag"]}
        async with it.client.get(path, headers=headers) as again:
            assert again.status == 304
