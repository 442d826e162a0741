"""An embedded stand-in for the parts of AWS that the service uses: Step Functions and AppSync Events."""

from service.local.asl.definition import DefinitionError
from service.local.faults import Faults
from service.local.hosted import Definition
from service.local.quotas import AWS_QUOTAS, ActionQuota
from service.local.server import WORKFLOW, LocalAws, url

__all__ = ["AWS_QUOTAS", "WORKFLOW", "ActionQuota", "Definition", "DefinitionError", "Faults", "LocalAws", "url"]
