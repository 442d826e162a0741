from __future__ import annotations

import pytest

from service.stepfunctions.arn import StateMachineArn


def test_an_arn_is_parsed_and_names_its_executions() -> None:
    arn = StateMachineArn.parse("arn:aws:states:eu-west-1:123456789012:stateMachine:my_flow-1")
    assert (arn.region, arn.account, arn.name) == ("eu-west-1", "123456789012", "my_flow-1")
    assert arn.execution("exec-1") == "arn:aws:states:eu-west-1:123456789012:execution:my_flow-1:exec-1"


@pytest.mark.parametrize("qualifier", ["live", "7"])
def test_a_version_or_alias_stays_in_the_arn_but_not_in_execution_arns(qualifier: str) -> None:
    text = f"arn:aws-cn:states:cn-north-1:123456789012:stateMachine:flow:{qualifier}"
    arn = StateMachineArn.parse(text)
    assert arn.text == text
    assert arn.execution("e") == "arn:aws-cn:states:cn-north-1:123456789012:execution:flow:e"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "event-workflow",
        "arn:aws:states:us-east-1:1:stateMachine:flow",
        "arn:aws:states:us-east-1:123456789012:execution:flow:e",
        "arn:aws:states:us-east-1:123456789012:stateMachine:flow\n",
    ],
)
def test_any_other_text_is_refused_as_an_arn(text: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        StateMachineArn.parse(text)
