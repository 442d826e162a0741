"""The grammar of channel paths.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol" and "Understanding channel
namespaces": one to five segments between slashes, each of 1 to 50 letters, digits and dashes with no dash at an edge;
the first is the namespace. Slashes at the ends are optional. A subscription may have `*` as its last segment, which
stands for one or more segments.
"""

from __future__ import annotations

import re

from .errors import ChannelError

MAX_SEGMENTS = 5
MAX_SEGMENT_LENGTH = 50

_SEGMENT = re.compile(rf"(?=.{{1,{MAX_SEGMENT_LENGTH}}}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)


def is_segment(text: str) -> bool:
    """Whether `text` can be one segment of a channel path."""
    return _SEGMENT.fullmatch(text) is not None


def for_publish(channel: str) -> str:
    """Return the path with one slash in front and none behind.

    Raises ChannelError for a path outside the grammar, wildcards included.
    """
    return _normalised(channel, wildcard=False)


def for_subscribe(channel: str) -> str:
    """Return the path with one slash in front and none behind; the last of several segments may be `*`.

    Raises ChannelError for a path outside the grammar.
    """
    return _normalised(channel, wildcard=True)


def _normalised(channel: str, *, wildcard: bool) -> str:
    segments = channel.removeprefix("/").removesuffix("/").split("/")
    if len(segments) > MAX_SEGMENTS:
        raise ChannelError(f"a channel has at most {MAX_SEGMENTS} segments: {channel!r}")
    # The namespace itself cannot be a wildcard.
    named = segments[:-1] if wildcard and len(segments) > 1 and segments[-1] == "*" else segments
    for segment in named:
        if not is_segment(segment):
            raise ChannelError(
                f"a channel segment is 1 to {MAX_SEGMENT_LENGTH} letters, digits and inner dashes"
                f"{', and * only stands last in a subscription' if '*' in segment else ''}: {channel!r}"
            )
    return "/" + "/".join(segments)
