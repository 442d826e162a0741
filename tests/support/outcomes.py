"""Outcomes for the replies and records of tests."""

from __future__ import annotations

import json
from typing import Any

from service.stepfunctions.outcomes import Succeeded


def success(output: Any) -> Succeeded:
    """Return the outcome of an execution that gave `output`, as `json.dumps` writes it."""
    return Succeeded(json.dumps(output).encode())
