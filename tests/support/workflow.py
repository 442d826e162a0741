"""A workflow as the description sees it."""

from __future__ import annotations

from typing import Any, cast

from service.app.settings import DEMO_SCHEMA
from service.web.preferences import Waits
from service.web.schema import JsonSchema
from service.web.workflow import Workflow


def a_workflow(
    schema: JsonSchema | None = None, response_timeout: float = 25, stream_timeout: float = 600, **options: Any
) -> Workflow:
    """Return a workflow that is only described, with the demonstration's schema."""
    absent: Any = None
    values: dict[str, Any] = {"name": "event", "path": "/event"} | options
    return Workflow(
        bridge=cast("Any", absent),
        retries=cast("Any", absent),
        ids=cast("Any", absent),
        schema=schema or JsonSchema.load(DEMO_SCHEMA),
        waits=Waits(response_timeout, stream_timeout),
        **values,
    )
