"""The answer to an `Expect` that names something else than 100-continue (RFC 9110, 10.1.1)."""

from __future__ import annotations

from uuid import uuid4

import structlog
from aiohttp import hdrs, web

from service.web import problems

log = structlog.get_logger(__name__)


async def refuse(request: web.Request, response: web.StreamResponse) -> None:
    """Make a problem of aiohttp's own answer, which comes before any middleware and repeats what the caller sent.

    A receiver of `Application.on_response_prepare`, the one place that sees it whatever route it is for.
    """
    if isinstance(response, web.HTTPExpectationFailed):
        request_id = str(uuid4())
        log.info("bad_request", status=response.status, request_id=request_id)
        problem = problems.from_status(response.status, instance=request.path, request_id=request_id)
        response.body = problem.body
        response.headers[hdrs.CONTENT_TYPE] = problem.content_type
        # By now aiohttp has reckoned the old body's length, and whether the connection stays.
        response.headers[hdrs.CONTENT_LENGTH] = str(len(problem.body))
        response.headers[hdrs.CONNECTION] = "close"  # whether a body will come is anybody's guess
        response.force_close()
