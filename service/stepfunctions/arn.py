"""Amazon Resource Names (ARNs) of state machines and executions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ARN: Final = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):states:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":stateMachine:(?P<name>[A-Za-z0-9_-]{1,80})(?::[A-Za-z0-9_-]{1,80})?"
)
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


def is_execution_name(text: str) -> bool:
    """Return whether an execution may have this name.

    Step Functions allows other characters too, but advises against them ("StartExecution", AWS Step Functions API
    Reference).
    """
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class StateMachineArn:
    """The parts of a state machine's ARN that the service needs."""

    text: str
    """The whole ARN, with its version or alias."""
    partition: str
    """Such as `aws` or `aws-cn`."""
    region: str
    """Such as `eu-west-1`."""
    account: str
    """The twelve digits of the AWS account."""
    name: str
    """The state machine's name, without a version or alias."""

    @classmethod
    def parse(cls, text: str) -> StateMachineArn:
        """Parse an ARN, with or without a version or alias; raise ValueError if it is not one."""
        match = _ARN.fullmatch(text)
        if match is None:
            raise ValueError("must look like arn:aws:states:<region>:<account>:stateMachine:<name>")
        return cls(text, **match.groupdict())

    @property
    def home(self) -> str:
        """Where it is: the partition, the region and the account."""
        return f"{self.partition}:{self.region}:{self.account}"

    def execution(self, name: str) -> str:
        """Return the ARN of this state machine's execution called `name`."""
        return f"arn:{self.partition}:states:{self.region}:{self.account}:execution:{self.name}:{name}"
