"""An embedded stand-in for the parts of AWS that the service talks to: Step Functions and AppSync Events."""

from service.local.definition import DefinitionError
from service.local.server import LocalAws

__all__ = ["DefinitionError", "LocalAws"]
