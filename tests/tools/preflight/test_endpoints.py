from __future__ import annotations

import pytest

from tests.support.processes import free_port
from tests.tools.preflight.example import REGION
from tests.tools.preflight.stand_in import StandIn
from tools.preflight import endpoints
from tools.preflight.aws import Aws
from tools.preflight.findings import Verdict


def test_an_endpoint_that_answers_is_right(aws: Aws) -> None:
    assert [line.verdict for line in endpoints.check(aws)] == [Verdict.OK, Verdict.OK]


def test_a_refusal_is_an_answer(account: StandIn, aws: Aws) -> None:
    account.deny("appsync:ListApis")
    (line,) = [line for line in endpoints.check(aws) if line.subject == "endpoint appsync"]
    assert (line.verdict, line.detail) == (Verdict.OK, f"{account.url} answers (403)")


@pytest.mark.parametrize("service", ["sfn", "appsync"])
@pytest.mark.usefixtures("account")
def test_an_endpoint_that_is_not_reached_is_wrong(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service.upper()}", f"http://127.0.0.1:{free_port()}")
    (line,) = [line for line in endpoints.check(Aws(REGION)) if line.verdict is Verdict.WRONG]
    assert line.subject == f"endpoint {'stepfunctions' if service == 'sfn' else service}"
    assert "check the region, network and proxy" in line.detail
