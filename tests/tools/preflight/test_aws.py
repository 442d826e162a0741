from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest

from tests.tools.preflight.stand_in import StandIn
from tools.preflight.aws import Aws

STATE = json.dumps({"QueryLanguage": "JSONata", "Type": "Pass", "End": True})


class Sent(Exception):
    """A request, instead of its response."""


def stop(request: AWSPreparedRequest, **_: Any) -> None:
    raise Sent(request.url)


def test_a_state_is_tested_at_the_host_for_synchronous_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    aws = Aws("eu-west-1")
    aws._state_tester.meta.events.register("before-send", stop)
    with pytest.raises(Sent, match=r"^https://sync-states\.eu-west-1\.amazonaws\.com/$"):
        aws.test_state(None, definition=STATE, input="{}")


def test_a_mock_is_sent_with_its_own_call_only(account: StandIn, aws: Aws) -> None:
    parallel = {"QueryLanguage": "JSONata", "Type": "Parallel", "Branches": [], "End": True}
    answer = aws.test_state({"result": "[1]"}, definition=json.dumps(parallel), input="{}")
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", "[1]")
    aws.test_state(None, definition=STATE, input="{}")
    assert [call.body.get("mock") for call in account.calls] == [{"result": "[1]"}, None]
