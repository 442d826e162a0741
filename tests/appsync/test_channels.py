from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.appsync import ChannelError, for_publish, for_subscribe, is_segment

SEGMENTS = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9-]{0,48}[A-Za-z0-9])?\Z")


@pytest.mark.parametrize("path", ["default", "/default", "default/", "/default/"])
def test_leading_and_trailing_slashes_are_optional(path: str) -> None:
    assert for_publish(path) == for_subscribe(path) == "/default"


@pytest.mark.parametrize("segment", ["a", "A-1", "a" * 50, "exec-38ecfe24-32d2-443c-813f-97d797a8a2f9", "0", "a--b"])
def test_a_segment_has_letters_digits_and_inner_hyphens(segment: str) -> None:
    assert is_segment(segment)


@pytest.mark.parametrize("segment", ["", "-", "-a", "a-", "a" * 51, "a_b", "a.b", "a b", "ä", "٣", "a\n", "*", "a/b"])
def test_other_texts_are_not_segments(segment: str) -> None:
    assert not is_segment(segment)


@pytest.mark.parametrize("path", ["", "/", "//", "//a", "a//b", "a//", "/a/b/c/d/e/f", "a/-b", "a/b_"])
def test_other_paths_are_invalid(path: str) -> None:
    with pytest.raises(ChannelError):
        for_publish(path)
    with pytest.raises(ValueError, match="channel"):
        for_subscribe(path)


def test_a_wildcard_is_valid_only_as_the_last_segment_of_a_subscription() -> None:
    assert for_subscribe("default/*") == "/default/*"
    assert for_subscribe("/a/b/c/d/*/") == "/a/b/c/d/*"
    for path in ("*", "/*", "a/*/b", "a/b*", "a/**", "a/b/c/d/e/*"):
        with pytest.raises(ChannelError):
            for_subscribe(path)
    with pytest.raises(ChannelError, match=r"\* is valid only as the last segment of a subscription"):
        for_publish("default/*")


@given(st.lists(SEGMENTS, min_size=1, max_size=5))
def test_a_path_of_valid_segments_is_valid_and_unchanged(segments: list[str]) -> None:
    path = "/" + "/".join(segments)
    assert for_publish(path) == for_subscribe(path) == path


@given(st.text(string.ascii_letters + "/-*_", max_size=30))
def test_any_text_is_either_a_channel_or_a_channel_error(text: str) -> None:
    try:
        path = for_subscribe(text)
    except ChannelError:
        return
    assert for_subscribe(path) == path
