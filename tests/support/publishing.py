"""A state that publishes the reply of its workflow."""

from __future__ import annotations

from typing import Any


def publishing(output: str) -> dict[str, Any]:
    """Return the last state of a workflow, whose output is this JSONata expression."""
    reply = f"{{'id': $states.context.Execution.Name, 'status': 'SUCCEEDED', 'output': {output}}}"
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::http:invoke",
        "Arguments": {
            "ApiEndpoint": "${endpoint}",
            "Method": "POST",
            "Authentication": {"ConnectionArn": "${connection_arn}"},
            "RequestBody": {
                "channel": "{% $states.context.Execution.Input.reply.channel %}",
                "events": [f"{{% $string({reply}) %}}"],
            },
        },
        "Output": f"{{% {output} %}}",
        "End": True,
    }
