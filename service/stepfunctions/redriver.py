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

    async def redrive(self, execution_id: str, number: int, caller: str | None = None) -> float:
        """Redrive an execution for the time of this number; a repeated call with the same number does nothing.

        Return how many seconds ago the redrive was. Raise Throttled, or what `StepFunctionsClient.redrive` raises.
        """
        return await self.budget.run(lambda: self._client.redrive(execution_id, number, caller), execution_id)
