"""The live view: a page that shows what happens in the local AWS and in the service that runs beside it."""

from service.local.view.journal import Journal
from service.local.view.page import View

__all__ = ["Journal", "View"]
