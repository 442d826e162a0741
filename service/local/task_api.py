"""The API actions for whoever ends a task by its token.

Source: AWS Step Functions API Reference, "SendTaskSuccess", "SendTaskFailure" and "SendTaskHeartbeat".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.local.api_arguments import ApiError, string
from service.local.asl.limits import MAX_DATA_BYTES
from service.local.json_text import loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.local.json_text import Json
    from service.local.task_tokens import TaskTokens


class TaskApi:
    """The actions by name; each raises ApiError for what AWS refuses."""

    def __init__(self, tokens: TaskTokens) -> None:
        self._tokens = tokens
        self.actions: Mapping[str, Callable[[Json], Json]] = {
            "SendTaskSuccess": self._succeed,
            "SendTaskFailure": self._fail,
            "SendTaskHeartbeat": self._heartbeat,
        }

    def _succeed(self, arguments: Json) -> Json:
        text = string(arguments, "output", length=MAX_DATA_BYTES) or ""
        try:
            output = loads(text)
        except ValueError as error:
            raise ApiError("InvalidOutput", "Invalid Output: not JSON") from error
        return self._on_task(arguments, lambda token: self._tokens.succeed(token, output))

    def _fail(self, arguments: Json) -> Json:
        error = string(arguments, "error", required=False, length=256) or ""
        cause = string(arguments, "cause", required=False, length=32768) or ""
        return self._on_task(arguments, lambda token: self._tokens.fail(token, error, cause))

    def _heartbeat(self, arguments: Json) -> Json:
        return self._on_task(arguments, self._tokens.heartbeat)

    @staticmethod
    def _on_task(arguments: Json, act: Callable[[str], None]) -> Json:
        token = string(arguments, "taskToken", length=2048) or ""
        try:
            act(token)
        except KeyError as error:
            raise ApiError("TaskTimedOut", "Task Timed Out: no task waits for this token (any more)") from error
        return {}
