"""Preflight: the real configuration against a stand-in for AWS, and the README's example of its output"""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import pytest

from tests.iac.files import README
from tests.iac.terraform import Terraform
from tests.tools.preflight import example
from tests.tools.preflight.stand_in import served
from tools.preflight.__main__ import main
from tools.preflight.configuration import Configuration, read
from tools.preflight.zones import WITHOUT_VPC_LINKS

pytestmark = [pytest.mark.iac, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def configuration(terraform: Terraform) -> Configuration:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_VAR_image_tag", "0.1.0")
        return read(terraform.folder)


@pytest.fixture(scope="module")
def output(configuration: Configuration) -> str:
    """What the command prints about a good account."""
    with served() as server, pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        for name, value in server.account.environment.items():
            patch.setenv(name, value)
        patch.setattr("tools.preflight.configuration.read", lambda _: configuration)
        assert main([]) == 0, printed.getvalue()
    return printed.getvalue()


def test_the_default_configuration_is_right_in_a_good_account(output: str) -> None:
    assert output.splitlines()[-1].endswith(" ok, 0 wrong, 0 unknown")


def test_every_policy_workflow_rule_and_stack_is_checked(output: str, configuration: Configuration) -> None:
    for kind, subject in {
        "aws_iam_role": "policy {}.assume_role_policy:",
        "aws_iam_role_policy": "policy {}.policy:",
        "aws_kms_key": "policy {}.policy:",
    }.items():
        assert [
            item for item in configuration.all(kind) if f"ok       {subject.format(item.address)}" not in output
        ] == []
    for kind, word in {
        "aws_sfn_state_machine": "workflow",
        "aws_cloudwatch_event_rule": "rule",
        "aws_cloudformation_stack": "stack",
    }.items():
        for item in configuration.all(kind):
            assert f"ok       {word} {item.values['name']}:" in output


def test_the_readme_shows_lines_of_the_output_in_their_order(output: str) -> None:
    match = re.search(r"```\n\$ python -m tools\.preflight\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    shown = [line for line in match[1].splitlines() if line != "..."]
    assert len(shown) > 15
    printed = re.sub(r"http://127\.0\.0\.1:\d+", "https://...", output).splitlines()
    assert [line for line in printed if line in shown] == shown


def test_the_zones_without_vpc_links_are_those_that_the_configuration_excludes(configuration: Configuration) -> None:
    excluded = configuration.values("data.aws_availability_zones.available")["exclude_zone_ids"]
    assert set(excluded or WITHOUT_VPC_LINKS) == WITHOUT_VPC_LINKS


def test_the_example_of_the_other_tests_has_the_form_of_the_real_configuration(configuration: Configuration) -> None:
    for resource in example.configuration().resources:
        keys = [item.values.keys() for item in configuration.all(resource.type)]
        assert any(resource.values.keys() <= of_one for of_one in keys), resource.address
