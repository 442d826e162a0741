"""What a caller expects before it sends its body: the header `Expect` (RFC 9110, 10.1.1)."""

from __future__ import annotations

from uuid import uuid4

import structlog
from aiohttp import HttpVersion11, hdrs, web

from service.web import problems

log = structlog.get_logger(__name__)


async def meet(request: web.Request) -> web.Response | None:
    """Let the caller go on, or answer that nobody here knows what it expects; aiohttp asks before any middleware."""
    if request.version < HttpVersion11:
        return None  # it cannot mean us
    if request.headers[hdrs.EXPECT].lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
        return None
    request_id = str(uuid4())
    log.info("bad_request", status=417, request_id=request_id)
    response = problems.from_status(417, instance=request.path, request_id=request_id)
    response.force_close()  # whether the body will come is anybody's guess
    return response
