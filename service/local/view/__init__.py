"""The live view: a page that shows what the service and the local AWS are doing."""

from service.local.view.journal import Journal
from service.local.view.page import View

__all__ = ["Journal", "View"]
