from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from service.stepfunctions.errors import AwsError, describe


def codes_that_the_sdk_retries() -> Iterator[str]:
    # Their types do not have these lists.
    yield from vars(ThrottledRetryableChecker)["_THROTTLED_ERROR_CODES"]
    yield from vars(TransientRetryableChecker)["_TRANSIENT_ERROR_CODES"]
    data: dict[str, Any] = json.loads(resources.files("botocore").joinpath("data/_retry.json").read_text())
    for service in ("__default__", "sts", "sqs", "kinesis", "cloudsearch", "organizations", "ec2", "route53"):
        rules = data["retry"][service]
        for policy in (rules if service == "__default__" else rules["__default__"])["policies"].values():
            rule = data["definitions"][policy["$ref"]] if "$ref" in policy else policy
            code = rule["applies_when"].get("response", {}).get("service_error_code")
            if code is not None:
                yield code


@pytest.mark.parametrize("code", sorted({*codes_that_the_sdk_retries(), "KmsThrottlingException"}))
def test_what_the_sdk_retries_counts_as_throttled(code: str) -> None:
    assert AwsError(code, 400, "states.test").throttled


@pytest.mark.parametrize("status", [408, 429, 509])
def test_a_status_that_asks_for_patience_counts_as_throttled(status: int) -> None:
    assert AwsError(str(status), status, "states.test").throttled


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ExecutionAlreadyExists", "400"])
def test_a_refusal_does_not_count_as_throttled(code: str) -> None:
    assert not AwsError(code, 400, "states.test").throttled


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("secret"), "timeout"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: Connection refused"),
        (ValueError("secret"), "ValueError"),
    ],
)
def test_an_error_is_described_without_what_was_sent(error: Exception, words: str) -> None:
    assert describe(error) == words
