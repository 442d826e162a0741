"""A redriver of executions that stays within the account's API quota, which all state machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.client import StepFunctionsClient


class Redriver:
    """Runs executions again from where they failed."""

    def __init__(self, client: StepFunctionsClient, budget: Budget) -> None:
        self._client = client
        self.budget = budget

    async def redrive(self, execution_id: str, number: int, caller: str | None = None) -> None:
        """Redrive an execution for the time of this number; a repeated call with the same number does nothing.

        Raise Throttled, or what `StepFunctionsClient.redrive` raises.
        """
        await self.budget.run(lambda: self._client.redrive(execution_id, number, caller), execution_id)
