"""Channel paths and their grammar.

From the AWS AppSync Events developer guide, "Understanding the Event API WebSocket protocol" and "Understanding channel
namespaces": one to five segments, separated by slashes. Each has 1 to 50 letters, digits and hyphens, with no hyphen at
either end. The first one is the namespace. Slashes at both ends of the path are optional. A subscription may have `*`
as its last segment, which matches one or more segments.
"""

from __future__ import annotations

import re

from .errors import ChannelError

MAX_SEGMENTS = 5
MAX_SEGMENT_LENGTH = 50

_SEGMENT = re.compile(rf"(?=.{{1,{MAX_SEGMENT_LENGTH}}}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?", re.ASCII)


def is_segment(text: str) -> bool:
    """Return whether `text` is valid as one segment of a channel path."""
    return _SEGMENT.fullmatch(text) is not None


def for_publish(channel: str) -> str:
    """Return the path with a leading slash and no trailing one.

    Raises ChannelError for an invalid path, including one with a wildcard.
    """
    return _normalised(channel, wildcard=False)


def for_subscribe(channel: str) -> str:
    """Return the path with a leading slash and no trailing one; the last of several segments may be `*`.

    Raises ChannelError for an invalid path.
    """
    return _normalised(channel, wildcard=True)


def _normalised(channel: str, *, wildcard: bool) -> str:
    segments = channel.removeprefix("/").removesuffix("/").split("/")
    if len(segments) > MAX_SEGMENTS:
        raise ChannelError(f"a channel has at most {MAX_SEGMENTS} segments: {channel!r}")
    # The namespace cannot be a wildcard.
    named = segments[:-1] if wildcard and len(segments) > 1 and segments[-1] == "*" else segments
    for segment in named:
        if not is_segment(segment):
            wildcard_rule = "; * is valid only as the last segment of a subscription" if "*" in segment else ""
            raise ChannelError(
                f"a channel segment has 1 to {MAX_SEGMENT_LENGTH} letters, digits and hyphens, "
                f"with no hyphen at either end{wildcard_rule}: {channel!r}"
            )
    return "/" + "/".join(segments)
