"""A Map Run: what a distributed Map adds to its iterations, each of which is an execution of its own on AWS.

Source: AWS Step Functions Developer Guide, "Distributed mode" and "ResultWriter (Map)"; "Accessing execution data from
the Context object".
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from service.local.asl.run import timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.json_text import Json


class MapRun:
    """One run of a distributed Map, in an execution with this context object."""

    def __init__(self, context: Mapping[str, Json], label: str) -> None:
        self._context = context
        self._id = str(uuid.uuid4())
        self._label = label

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"{self._machine.replace(':stateMachine:', ':mapRun:')}:{self._id}"

    def child(self, data: Json) -> dict[str, Json]:
        """Return the context object of the execution with this input, without what depends on the state."""
        name = str(uuid.uuid4())
        machine = {"Id": self._machine, "Name": self._machine.rpartition(":")[2]}
        execution = {
            **self._context.get("Execution", {}),
            "Id": f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}",
            "Input": data,
            "Name": name,
            "StartTime": timestamp(time.time()),
        }
        return {**self._context, "Execution": execution, "StateMachine": machine}

    def written(self, place: Json) -> dict[str, Json]:
        """Return the result if a ResultWriter has written what there is to the bucket and prefix in its arguments."""
        bucket, prefix = (place.get(name, "") if isinstance(place, dict) else "" for name in ("Bucket", "Prefix"))
        key = "/".join(filter(None, (prefix, self._id, "manifest.json")))
        return {"MapRunArn": self.arn, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}

    @property
    def _machine(self) -> str:
        return f"{self._context.get('StateMachine', {}).get('Id', '')}/{self._label}"
