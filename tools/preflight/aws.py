"""The calls of AWS, each with a deadline."""

from __future__ import annotations

import json
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config

# TestState answers when the state has ended, which may take seconds.
_CONFIG = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4})


class Aws:
    """The account and region that the SDK is configured for."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._session = boto3.Session(region_name=region)
        self.client = cache(self._client)
        self._mock: dict[str, Any] | None = None

    def test_state(self, mock: dict[str, Any] | None, **members: Any) -> dict[str, Any]:
        """Call Step Functions' TestState, with a mock instead of the call that the state makes."""
        self._mock = mock
        response: dict[str, Any] = self._state_tester.test_state(**members)
        return response

    @cached_property
    def _state_tester(self) -> Any:
        # Synchronous calls have a host name of their own, which an endpoint of the user's (AWS_ENDPOINT_URL) lacks.
        prefix = ".amazonaws." in self.client("stepfunctions").meta.endpoint_url
        # The locked SDK is older than `mock` (November 2025), with which a role is no longer required.
        # Few of these calls a second are allowed.
        retries = {"mode": "standard", "total_max_attempts": 8}
        client = self._client("stepfunctions", parameter_validation=False, inject_host_prefix=prefix, retries=retries)
        client.meta.events.register("before-call.sfn.TestState", self._add_mock)
        return client

    def _add_mock(self, params: dict[str, Any], **_: Any) -> None:
        if self._mock is not None:
            params["body"] = json.dumps(json.loads(params["body"]) | {"mock": self._mock}).encode()

    def _client(self, service: str, **options: Any) -> Any:
        return self._session.client(service, config=_CONFIG.merge(Config(**options)))
