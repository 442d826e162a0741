"""The API actions for aliases, each of which stands for one or two versions of a state machine.

Source: AWS Step Functions API Reference; AWS Step Functions Developer Guide, "Manage continuous deployments with
versions and aliases".
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from service.local.api_arguments import ApiError, arn_of, invalid, page_size, string
from service.local.hosted import Route, unqualified

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from service.local.hosted import Hosted
    from service.local.json_text import Json

_NAME = re.compile(r"(?!\d+$)[A-Za-z0-9_.-]{1,80}")


class AliasApi:
    """The actions by name; each raises ApiError for what AWS refuses."""

    def __init__(self, machines: Mapping[str, Hosted]) -> None:
        """Take what is held, by unqualified ARNs."""
        self._machines = machines
        self.actions: Mapping[str, Callable[[Json], Json]] = {
            "CreateStateMachineAlias": self._create,
            "UpdateStateMachineAlias": self._update,
            "DeleteStateMachineAlias": self._delete,
            "DescribeStateMachineAlias": self._describe,
            "ListStateMachineAliases": self._list,
        }

    def _create(self, arguments: Json) -> Json:
        name = string(arguments, "name", length=80) or ""
        if not _NAME.fullmatch(name):
            raise ApiError("InvalidName", f"Invalid Name: '{name}'")
        hosted, routes = self._routes(arguments)
        if hosted.aliases.get(name, routes) != routes:
            raise ApiError("ConflictException", f"the alias '{name}' exists")
        hosted.aliases[name] = routes
        return {"stateMachineAliasArn": f"{hosted.arn}:{name}", "creationDate": time.time()}

    def _update(self, arguments: Json) -> Json:
        hosted, name = self._alias(arguments)
        if arguments.get("routingConfiguration") is not None:
            _, hosted.aliases[name] = self._routes(arguments)
        return {"updateDate": time.time()}

    def _delete(self, arguments: Json) -> Json:
        hosted, name = self._alias(arguments)
        del hosted.aliases[name]
        return {}

    def _describe(self, arguments: Json) -> Json:
        hosted, name = self._alias(arguments)
        return {
            "stateMachineAliasArn": f"{hosted.arn}:{name}",
            "name": name,
            "routingConfiguration": [
                {"stateMachineVersionArn": f"{hosted.arn}:{route.version}", "weight": route.weight}
                for route in hosted.aliases[name]
            ],
            "creationDate": hosted.created,
            "updateDate": hosted.created,
        }

    def _list(self, arguments: Json) -> Json:
        arn, _ = arn_of(arguments, "stateMachineArn"), page_size(arguments)
        hosted = self._machines.get(unqualified(arn))
        if hosted is None:
            raise ApiError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return {
            "stateMachineAliases": [
                {"stateMachineAliasArn": f"{hosted.arn}:{name}", "creationDate": hosted.created}
                for name in hosted.aliases
            ]
        }

    def _alias(self, arguments: Json) -> tuple[Hosted, str]:
        arn = arn_of(arguments, "stateMachineAliasArn")
        hosted, name = self._machines.get(unqualified(arn)), arn.rpartition(":")[2]
        if hosted is None or name not in hosted.aliases:
            raise _not_found(arn)
        return hosted, name

    def _routes(self, arguments: Json) -> tuple[Hosted, Sequence[Route]]:
        """Return the versions of a routing configuration with their weights, and their state machine."""
        routes = arguments.get("routingConfiguration")
        if not isinstance(routes, list) or not 1 <= len(routes) <= 2:
            raise invalid("routingConfiguration", "Member must have length between 1 and 2")
        arns = [arn_of(route, "stateMachineVersionArn") for route in routes]
        weights = [route.get("weight") for route in routes]
        if not all(isinstance(weight, int) and 0 <= weight <= 100 for weight in weights) or sum(weights) != 100:
            raise invalid("routingConfiguration", "the weights must be from 0 to 100, and 100 together")
        if len(set(arns)) < len(arns) or len({unqualified(arn) for arn in arns}) > 1:
            raise invalid("routingConfiguration", "the versions must be different ones of the same state machine")
        hosted = self._machines.get(unqualified(arns[0]))
        if hosted is None:
            raise _not_found(arns[0])
        return hosted, [Route(_version(hosted, arn), weight) for arn, weight in zip(arns, weights, strict=True)]


def _version(hosted: Hosted, arn: str) -> int:
    number = arn.rpartition(":")[2]
    if not (number.isdecimal() and int(number) in hosted.versions):
        raise _not_found(arn)
    return int(number)


def _not_found(arn: str) -> ApiError:
    return ApiError("ResourceNotFound", f"Resource not found: '{arn}'")
