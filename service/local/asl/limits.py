"""The limits of an execution's data and time.

Source: AWS Step Functions Developer Guide, "Step Functions service quotas".
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from service.local.asl.retry import DATA_LIMIT, StateError
from service.local.json_text import encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from service.local.json_text import Json

MAX_DATA_BYTES = 262_144  # of UTF-8 JSON as input or output of a state or an execution


def check_size(data: Json) -> None:
    """Raise StateError States.DataLimitExceeded for data above the limit."""
    if len(encode(data)) > MAX_DATA_BYTES:
        raise StateError(DATA_LIMIT, f"data is larger than {MAX_DATA_BYTES} bytes")


@asynccontextmanager
async def time_limit(seconds: float | None, timed_out: StateError) -> AsyncIterator[None]:
    """Raise this error if the block takes longer."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise timed_out from None
        raise
