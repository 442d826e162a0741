"""The response to an `Expect` other than `100-continue` (RFC 9110, 10.1.1)."""

from __future__ import annotations

import structlog
from aiohttp import hdrs, web

from service.web import problems
from service.web.context import REQUEST_ID_HEADER, new_request_id

log = structlog.get_logger(__name__)


async def reject(request: web.Request, response: web.StreamResponse) -> None:
    """Turn aiohttp's own response into a problem: it bypasses all middleware and repeats what the caller sent.

    Connected to `Application.on_response_prepare`, the one place that sees this response for every route.
    """
    if isinstance(response, web.HTTPExpectationFailed):
        request_id = new_request_id()
        log.info("bad_request", status=response.status, request_id=request_id)
        problem = problems.from_status(response.status, instance=request.path, request_id=request_id)
        response.body = problem.body
        response.headers.update(problem.headers)
        response.headers[hdrs.CONTENT_TYPE] = problem.content_type
        response.headers[REQUEST_ID_HEADER] = request_id
        # aiohttp has already set these two for the old body.
        response.headers[hdrs.CONTENT_LENGTH] = str(len(problem.body))
        response.headers[hdrs.CONNECTION] = "close"  # the caller may or may not send the body
        response.force_close()
