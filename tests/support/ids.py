"""Ids as instances under test make and verify them."""

from __future__ import annotations

from service.bridge.ids import Ids
from service.local import LocalAws

ID_SECRET = "a secret of all tests"

KEY_SECRET = LocalAws.api_key
"""What instances use for keys if they have no secret for them."""

IDS = Ids("event", [ID_SECRET], KEY_SECRET)

ID = IDS.for_key("an execution that another instance started")
"""The same in every process of a test run."""
