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
    machine = of_execution(execution.arn)
    optional = {
        "stateMachineVersionArn": None if execution.version is None else f"{machine}:{execution.version}",
        "stateMachineAliasArn": None if execution.alias is None else f"{machine}:{execution.alias}",
        "stopDate": execution.stop_date,
        "redriveDate": execution.redrive_date,
    }
    return {
        "executionArn": execution.arn,
        "stateMachineArn": machine,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        "redriveCount": execution.redrive_count,
        **{name: value for name, value in optional.items() if value is not None},
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
