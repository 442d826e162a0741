"""An execution as the API describes it.

Source: AWS Step Functions API Reference, "DescribeExecution" and "ExecutionListItem".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.local.history import failure
from service.local.hosted import of_execution

if TYPE_CHECKING:
    from service.local.execution import Execution
    from service.local.json_text import Json


def summary(execution: Execution) -> dict[str, Json]:
    """Return what a list says of an execution."""
    dates = {"stopDate": execution.stop_date, "redriveDate": execution.redrive_date}
    return {
        "executionArn": execution.arn,
        "stateMachineArn": of_execution(execution.arn),
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "redriveCount": execution.redrive_count,
        **{name: date for name, date in dates.items() if date is not None},
    }


def description(execution: Execution) -> dict[str, Json]:
    """Return all that there is to say of an execution."""
    refusal = execution.redrive_refusal
    described = summary(execution) | {
        "input": execution.input,
        "inputDetails": {"included": True},
        "redriveStatus": "REDRIVABLE" if refusal is None else "NOT_REDRIVABLE",
    }
    if execution.output is not None:
        described |= {"output": execution.output, "outputDetails": {"included": True}}
    optional = {"traceHeader": execution.trace_header, "redriveStatusReason": refusal}
    return described | failure(execution) | {name: it for name, it in optional.items() if it is not None}
