"""The API actions that create and change state machines and their versions.

Source: AWS Step Functions API Reference; AWS Step Functions Developer Guide, "Manage continuous deployments with
versions and aliases".
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Final

from service.local.api_arguments import ApiError, arn_of, invalid, page_size, string
from service.local.asl.definition import DefinitionError, parse
from service.local.hosted import unqualified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from service.local.hosted import Hosted
    from service.local.json_text import Json

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
_TYPES: Final = ("STANDARD", "EXPRESS")
_MAX_DEFINITION: Final = 1_048_576  # bytes


class MachineApi:
    """The actions by name; each raises ApiError for what AWS refuses.

    `host` makes a state machine of an ARN and a definition's text, or raises DefinitionError.
    """

    def __init__(self, machines: MutableMapping[str, Hosted], host: Callable[[str, str], Hosted], prefix: str) -> None:
        """Take what is held, by unqualified ARNs, and how the ARNs of new state machines begin."""
        self._machines = machines
        self._host = host
        self._prefix = prefix
        self.actions: Mapping[str, Callable[[Json], Json]] = {
            "CreateStateMachine": self._create,
            "UpdateStateMachine": self._update,
            "DeleteStateMachine": self._delete,
            "PublishStateMachineVersion": self._publish,
            "ListStateMachineVersions": self._list_versions,
        }

    def _create(self, arguments: Json) -> Json:
        name = string(arguments, "name", length=80) or ""
        if not _NAME.fullmatch(name):
            raise ApiError("InvalidName", f"Invalid Name: '{name}'")
        kind = string(arguments, "type", required=False) or "STANDARD"
        if kind not in _TYPES:
            raise invalid("type", f"Member must satisfy enum value set: {list(_TYPES)}")
        string(arguments, "roleArn", length=256)
        text, arn = _definition(arguments), self._prefix + name
        hosted = self._machines.get(arn)
        if hosted is None:
            try:
                hosted = self._machines[arn] = self._host(arn, text)
            except DefinitionError as error:
                raise _invalid_definition(error) from error
            hosted.kind = kind
        elif (hosted.machine.text, hosted.kind) != (text, kind):
            raise ApiError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        return {"stateMachineArn": arn, "creationDate": hosted.created} | self._published(hosted, arguments)

    def _update(self, arguments: Json) -> Json:
        hosted = self._hosted(arguments)
        if arguments.get("definition") is not None:
            try:
                hosted.replace(parse(_definition(arguments), hosted.tasks))
            except DefinitionError as error:
                raise _invalid_definition(error) from error
        return {"updateDate": time.time(), "revisionId": str(uuid.uuid4())} | self._published(hosted, arguments)

    def _delete(self, arguments: Json) -> Json:
        hosted = self._machines.pop(unqualified(arn_of(arguments, "stateMachineArn")), None)
        for execution in [] if hosted is None else [*hosted.executions.by_name.values()]:
            if hosted is not None and execution.status == "RUNNING":
                hosted.executions.stop(execution.name, None, None)
        return {}

    def _publish(self, arguments: Json) -> Json:
        published = self._published(self._hosted(arguments), {"publish": True})
        return {**published, "creationDate": time.time()}

    def _list_versions(self, arguments: Json) -> Json:
        hosted, _ = self._hosted(arguments), page_size(arguments)
        return {
            "stateMachineVersions": [
                {"stateMachineVersionArn": f"{hosted.arn}:{number}", "creationDate": hosted.created}
                for number in sorted(hosted.versions, reverse=True)
            ]
        }

    def _hosted(self, arguments: Json) -> Hosted:
        arn = arn_of(arguments, "stateMachineArn")
        hosted = self._machines.get(unqualified(arn))
        if hosted is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return hosted

    @staticmethod
    def _published(hosted: Hosted, arguments: Json) -> dict[str, Json]:
        """Publish a version if that is asked for."""
        return (
            {"stateMachineVersionArn": f"{hosted.arn}:{hosted.publish()}"} if arguments.get("publish") is True else {}
        )


def _definition(arguments: Json) -> str:
    return string(arguments, "definition", length=_MAX_DEFINITION) or ""


def _invalid_definition(error: DefinitionError) -> ApiError:
    return ApiError("InvalidDefinition", f"Invalid State Machine Definition: '{'; '.join(error.faults)}'")
