"""The resources of tasks: which of them can be run, as far as a definition tells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from service.local.http_arguments import argument_faults

if TYPE_CHECKING:
    from service.local.json_text import Json

_HTTP_INVOKE = re.compile(r"arn:[a-z-]+:states:::http:invoke")
_RESOURCE = re.compile(r"arn:[^:]*:(?P<service>[^:]*):[^:]*:[^:]*:(?P<type>.*?):(?P<name>[^:]*(?::2)?)")
_WAITS_FOR_TOKEN = re.compile(r".*\.waitForTaskToken|arn:[^:]*:states:[^:]*:[^:]*:activity:.*|(?!arn:).*")


class Resources(Protocol):
    """What runs tasks."""

    def mocked(self, state: str, resource: str = "") -> bool:
        """Return whether a mock answers for this state, a Task with this resource or a Map without one."""
        ...

    def refusal(self, resource: str, arguments: Json) -> list[tuple[str, str]]:
        """Return why a task that is not mocked cannot be run: fields (`Resource`, or names of arguments) and reasons.

        The arguments are those in the definition, whose expressions have yet to be evaluated.
        """
        ...


class HttpOnly:
    """Runs http:invoke and nothing else."""

    def mocked(self, state: str, resource: str = "") -> bool:
        """No state is."""
        _ = state, resource
        return False

    def refusal(self, resource: str, arguments: Json) -> list[tuple[str, str]]:
        """Accept http:invoke if its arguments may be right."""
        if not is_http_invoke(resource):
            return [
                ("Resource", f"{resource!r} cannot be run here: this state needs a mock (--mocks or workflows.toml)")
            ]
        if arguments is None:
            return [("", "is missing")]
        return list(argument_faults(arguments)) if isinstance(arguments, dict) else []


HTTP_ONLY: Final = HttpOnly()


def is_http_invoke(resource: str) -> bool:
    """Return whether the resource is the HTTP task."""
    return _HTTP_INVOKE.fullmatch(resource) is not None


def waits_for_token(resource: str) -> bool:
    """Return whether somebody else may end the task by its token: `.waitForTaskToken`, or an activity.

    A resource that is a placeholder may be one.
    """
    return _WAITS_FOR_TOKEN.fullmatch(resource) is not None


def details(resource: str) -> dict[str, str]:
    """Return the type and the name of a resource, as the history has them."""
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        return {"resourceType": "unknown", "resource": resource}
    if match["service"] != "states":
        return {"resourceType": match["service"], "resource": resource}
    return {"resourceType": match["type"], "resource": match["name"]}
