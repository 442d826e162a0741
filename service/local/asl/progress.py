"""How far the flows of an execution have come, so that a redrive goes on from there.

Source: AWS Step Functions Developer Guide, "Restarting state machine executions with redrive".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service.local.json_text import Json


@dataclass(slots=True)
class Progress:
    """How far one flow has come."""

    state: str | None
    """The state that it is in; None once it has ended."""
    data: Json
    """The input of that state, or the output of the flow."""
    variables: Mapping[str, Json] = field(default_factory=dict)
    flows: dict[int, Progress] = field(default_factory=dict)
    """The flows within that state, by the number of the branch or the iteration."""

    def advance(self, state: str | None, output: Json, assigned: Mapping[str, Json]) -> None:
        """Note the next state, None after the last one, with the output of this one and what it assigned."""
        self.state, self.data = state, output
        self.variables = {**self.variables, **assigned}
        self.flows = {}
