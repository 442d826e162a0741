from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.web import bodies
from tests.support.front import JSON, NAMES, front


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"nome completo": "A B"}, {"id": "e", "nome completo": "A B"}),
        ({}, {"id": "e"}),
        ({"id": "e", "a": 1}, {"id": "e", "a": 1}),
        ({"id": "order-7", "a": 1}, {"id": "e", "output": {"id": "order-7", "a": 1}}),
        ([1, 2], {"id": "e", "output": [1, 2]}),
        ("text", {"id": "e", "output": "text"}),
        (None, {"id": "e", "output": None}),
    ],
)
def test_a_result_has_the_execution_id_and_the_whole_output(output: Any, expected: dict[str, Any]) -> None:
    for text in (json.dumps(output), json.dumps(output, indent=2), json.dumps(output, separators=(",", ":"))):
        assert json.loads(bodies.result("e", text.encode())) == expected


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"n":12345678901234567890123,"x":1e400,"y":1.0}', '{"id":"e","n":12345678901234567890123,"x":1e400,"y":1.0}'),
        ('{"id":"\\ud800"}', '{"id":"e","output":{"id":"\\ud800"}}'),
        ("0.10", '{"id":"e","output":0.10}'),
    ],
)
def test_an_output_that_python_cannot_represent_is_passed_on_unchanged(output: str, expected: str) -> None:
    assert bodies.result("e", output.encode()) == expected.encode()


@pytest.mark.parametrize("encoding", ["compress", "gzip, gzip", "x"])
async def test_an_unknown_content_encoding_is_rejected_with_the_supported_ones(encoding: str) -> None:
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        async with it.client.post("/event", data=b"{}", headers=headers, compress=None) as response:
            body = await response.json(content_type=None)
            assert (response.status, body["type"].rpartition(":")[2]) == (415, "unsupported-encoding")
            assert response.headers["Accept-Encoding"] == "gzip, deflate, identity"
        it.stage.assert_nothing_in_flight()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "Identity"])
async def test_each_supported_content_encoding_is_read(encoding: str) -> None:
    body = json.dumps(NAMES).encode()
    sent = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(encoding, body)
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        assert (await it.post_and_reply({}, json=None, data=sent, headers=headers)).status == 200


async def test_the_supported_content_encodings_are_named() -> None:
    async with front() as it:
        headers = JSON | {"Content-Encoding": "compress"}
        async with it.client.post("/event", data=b"{}", headers=headers) as response:
            assert response.headers["Accept-Encoding"] == "gzip, deflate, identity"
            assert (await response.json())["detail"] == "Use one of these content encodings: gzip, deflate, identity."


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The body is empty."),
        (b" \r\n", "The body is empty."),
        (b"\xef\xbb\xbf{}", "The body begins with a byte order mark; leave it out."),
        ("{}".encode("utf-16"), "The body is not valid UTF-8 at byte 0."),
        (b'{"a": "\xe9"}', "The body is not valid UTF-8 at byte 7."),
        (b"[" * 2000, "The body is nested too deeply."),
        (rb'{"a": "\ud800"}', "Invalid JSON at character 7: half of a surrogate pair stands alone."),
        (rb'{"a": "\udc00"}', "Invalid JSON at character 7: half of a surrogate pair stands alone."),
        (b'{"a": 1e999}', "Invalid JSON at character 6: the number is too large."),
        (b"-1e999", "Invalid JSON at character 0: the number is too large."),
        (b'{"a": 01}', "Invalid JSON at character 6: a number must not begin with 0."),
        (b'{"a": 1,}', "Invalid JSON at character 7: there must be no comma after the last member or item."),
        (b"[1,]", "Invalid JSON at character 2: there must be no comma after the last member or item."),
        (b"{} {}", "Invalid JSON at character 3: something follows the value."),
        (b'{"a": 1', "Invalid JSON at character 7: the text ends too early."),
        (b'{"a": "\n"}', "Invalid JSON at character 7: a control character, such as a line break, must be escaped."),
        (rb'{"a": "\x"}', "Invalid JSON at character 7: JSON does not have this escape sequence."),
        (b"{'a': 1}", "Invalid JSON at character 1: a name in double quotes is expected."),
        (b'{"a": NaN}', "Invalid JSON at character 6: a value is expected."),
        (b'{"a" 1}', "Invalid JSON at character 5: a colon is expected."),
        (b'{"a": 1 "b": 2}', "Invalid JSON at character 8: a comma or a closing brace is expected."),
        (b"[1 2]", "Invalid JSON at character 3: a comma or a closing bracket is expected."),
        (b"nome=a", "Invalid JSON at character 0: this is not JSON."),
    ],
)
async def test_a_body_that_is_not_json_is_rejected_in_plain_words(body: bytes, detail: str) -> None:
    async with front() as it:
        problem = await it.problem("POST", "/event", 400, "malformed-json", data=body, headers=JSON)
        assert problem["detail"] == detail


async def test_the_older_name_of_gzip_is_accepted() -> None:
    async with front() as it:
        sent = gzip.compress(json.dumps(NAMES).encode())
        headers = JSON | {"Content-Encoding": "X-Gzip"}
        assert (await it.post_and_reply({}, json=None, data=sent, headers=headers)).status == 200


async def test_deflate_without_the_zlib_format_around_it_is_accepted() -> None:
    async with front() as it:
        sent = zlib.compress(json.dumps(NAMES).encode(), wbits=-15)
        headers = JSON | {"Content-Encoding": "deflate"}
        assert (await it.post_and_reply({}, json=None, data=sent, headers=headers)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_a_body_that_is_not_what_its_encoding_says_is_malformed(encoding: str) -> None:
    whole = {"deflate": zlib.compress(json.dumps(NAMES).encode())}.get(
        encoding, gzip.compress(json.dumps(NAMES).encode())
    )
    headers = JSON | {"Content-Encoding": encoding}
    async with front() as it:
        for sent in (whole[:-1], whole[:-4], whole[:-8], whole + b"more", b"{}", b""):
            await it.problem("POST", "/event", 400, "malformed-json", data=sent, headers=headers)
        it.stage.assert_nothing_in_flight()


@pytest.mark.parametrize(("members", "status"), [(2, 202), (bodies.MAX_GZIP_MEMBERS, 202), (17, 400)])
async def test_a_gzip_body_may_have_several_members(members: int, status: int) -> None:
    text = json.dumps(NAMES)
    pieces = [text[:1], text[1:], *[""] * (members - 2)]
    sent = b"".join(gzip.compress(piece.encode()) for piece in pieces)
    headers = JSON | {"Content-Encoding": "gzip", "Prefer": "wait=0"}
    async with front() as it, it.client.post("/event", data=sent, headers=headers) as response:
        assert response.status == status


async def test_the_members_of_a_bomb_are_too_large_together() -> None:
    half = gzip.compress(b" " * 200_000)
    async with front() as it:
        headers = JSON | {"Content-Encoding": "gzip"}
        await it.problem("POST", "/event", 413, "body-too-large", data=half + half, headers=headers)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_a_bomb_is_too_large(encoding: str) -> None:
    compress = zlib.compress if encoding == "deflate" else gzip.compress
    async with front() as it:
        headers = JSON | {"Content-Encoding": encoding}
        await it.problem("POST", "/event", 413, "body-too-large", data=compress(b" " * 5_000_000), headers=headers)


@pytest.mark.parametrize("encodings", [("gzip", "gzip"), ("identity", "gzip"), ("gzip", "identity"), ("x-gzip", "x")])
async def test_more_than_one_content_encoding_is_unsupported_in_two_headers_too(encodings: tuple[str, str]) -> None:
    async with front() as it:
        headers = [*JSON.items(), *(("Content-Encoding", encoding) for encoding in encodings)]
        sent = gzip.compress(json.dumps(NAMES).encode())
        await it.problem("POST", "/event", 415, "unsupported-encoding", data=sent, headers=headers)


@pytest.mark.parametrize("size", [256 * 1024 - 60, 300_000, 900_000])
async def test_a_body_that_is_too_large_gets_its_size_and_the_limit(size: int) -> None:
    body = json.dumps(NAMES | {"more": "é" * (size // 2)}, ensure_ascii=False).encode()
    async with front() as it:
        problem = await it.problem("POST", "/event", 413, "body-too-large", data=body, headers=JSON)
        assert problem["detail"].startswith(f"The body has {len(body)} bytes; as an execution's input, with its quotes")
        assert "262144" in problem["detail"]


async def test_a_large_body_without_a_length_gets_the_limit() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b" " * 300_000

    async with front() as it:
        problem = await it.problem("POST", "/event", 413, "body-too-large", data=chunks(), headers=JSON)
        assert problem["detail"].startswith("The body has too many bytes; as an execution's input")
