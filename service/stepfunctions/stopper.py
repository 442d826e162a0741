"""A stopper of executions that stays within the account's API quota, which all state machines share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.stepfunctions.budget import Budget
    from service.stepfunctions.client import StepFunctionsClient


class Stopper:
    """Stops executions."""

    def __init__(self, client: StepFunctionsClient, budget: Budget) -> None:
        self._client = client
        self.budget = budget

    async def stop(self, execution_id: str) -> None:
        """Stop an execution; one that has already ended stays as it is.

        Raise UnknownExecution, Throttled, or what `StepFunctionsClient.stop` raises.
        """
        await self.budget.run(lambda: self._client.stop(execution_id), execution_id)
