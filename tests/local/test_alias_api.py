from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from service.local import Definition, LocalAws
from service.local.asl.definition import DefinitionError
from tests.local.conftest import Aws
from tests.local.test_machine_api import code, create, definition, output

if TYPE_CHECKING:
    from pathlib import Path

GREEN = LocalAws.state_machine_arn.replace("event-workflow", "green")


async def two_versions(aws: Aws) -> str:
    """Make a state machine with version 1, which returns 1, and version 2, which returns 2."""
    arn: str = (await create(aws, publish=True))["stateMachineArn"]
    await aws.call("update_state_machine", stateMachineArn=arn, definition=definition(2), publish=True)
    return arn


def routes(arn: str, *weights: int) -> list[dict[str, Any]]:
    return [
        {"stateMachineVersionArn": f"{arn}:{number}", "weight": weight}
        for number, weight in enumerate(weights, start=1)
    ]


async def alias(aws: Aws, arn: str, *weights: int, name: str = "PROD") -> str:
    created = await aws.call("create_state_machine_alias", name=name, routingConfiguration=routes(arn, *weights))
    found: str = created["stateMachineAliasArn"]
    return found


async def test_an_alias_starts_its_version(aws: Aws) -> None:
    arn = await two_versions(aws)
    assert await alias(aws, arn, 100) == f"{arn}:PROD"
    assert await output(aws, f"{arn}:PROD") == 1
    described = await aws.call("describe_state_machine_alias", stateMachineAliasArn=f"{arn}:PROD")
    assert (described["name"], described["routingConfiguration"]) == ("PROD", routes(arn, 100))
    listed = (await aws.call("list_state_machine_aliases", stateMachineArn=arn))["stateMachineAliases"]
    assert [one["stateMachineAliasArn"] for one in listed] == [f"{arn}:PROD"]


async def test_an_alias_of_two_versions_starts_either_by_weight(aws: Aws) -> None:
    arn = await two_versions(aws)
    one, other, both = [
        await alias(aws, arn, *weights, name=name)
        for name, weights in (("A", (100, 0)), ("B", (0, 100)), ("C", (50, 50)))
    ]
    assert {await output(aws, one) for _ in range(5)} == {1}
    assert {await output(aws, other) for _ in range(5)} == {2}
    assert {await output(aws, both) for _ in range(40)} == {1, 2}


async def test_an_execution_is_described_with_its_version_and_its_alias(aws: Aws) -> None:
    arn = await two_versions(aws)
    await alias(aws, arn, 0, 100)
    expected = {"PROD": (f"{arn}:2", f"{arn}:PROD"), "1": (f"{arn}:1", None)}
    for qualifier, found in expected.items():
        started = await aws.call("start_execution", stateMachineArn=f"{arn}:{qualifier}")
        described = await aws.call("describe_execution", executionArn=started["executionArn"])
        assert (described["stateMachineVersionArn"], described.get("stateMachineAliasArn")) == found
        assert described["stateMachineArn"] == arn


async def test_an_alias_is_changed_and_deleted(aws: Aws) -> None:
    arn = await two_versions(aws)
    name = await alias(aws, arn, 100)
    await aws.call("update_state_machine_alias", stateMachineAliasArn=name, routingConfiguration=routes(arn, 0, 100))
    assert await output(aws, name) == 2
    await aws.call("update_state_machine_alias", stateMachineAliasArn=name, description="new")
    assert await output(aws, name) == 2
    await aws.call("delete_state_machine_alias", stateMachineAliasArn=name)
    assert await code(aws, "start_execution", stateMachineArn=name) == "StateMachineDoesNotExist"


async def test_the_same_alias_may_be_created_again_and_no_other_of_its_name(aws: Aws) -> None:
    arn = await two_versions(aws)
    assert await alias(aws, arn, 100) == await alias(aws, arn, 100)
    again = {"name": "PROD", "routingConfiguration": routes(arn, 50, 50)}
    assert await code(aws, "create_state_machine_alias", **again) == "ConflictException"


@pytest.mark.parametrize(
    ("name", "weights", "refused"),
    [
        ("1", (100,), "InvalidName"),
        ("B", (50,), "ValidationException"),
        ("B", (60, 60), "ValidationException"),
        ("B", (0, 0, 100), "ValidationException"),
    ],
)
async def test_an_alias_that_aws_refuses_is_refused(
    aws: Aws, name: str, weights: tuple[int, ...], refused: str
) -> None:
    arn = await two_versions(aws)
    given = {"name": name, "routingConfiguration": routes(arn, *weights)}
    assert await code(aws, "create_state_machine_alias", **given) == refused


async def test_the_versions_of_an_alias_must_exist_and_differ(aws: Aws) -> None:
    arn = await two_versions(aws)
    twice = [{"stateMachineVersionArn": f"{arn}:1", "weight": 50}] * 2
    for given, refused in (
        ([{"stateMachineVersionArn": f"{arn}:7", "weight": 100}], "ResourceNotFound"),
        ([{"stateMachineVersionArn": f"{GREEN}:1", "weight": 100}], "ResourceNotFound"),
        ([{"stateMachineVersionArn": arn, "weight": 100}], "ResourceNotFound"),
        (twice, "ValidationException"),
    ):
        assert await code(aws, "create_state_machine_alias", name="B", routingConfiguration=given) == refused
    assert await code(aws, "describe_state_machine_alias", stateMachineAliasArn=f"{arn}:B") == "ResourceNotFound"
    assert await code(aws, "list_state_machine_aliases", stateMachineArn=GREEN) == "StateMachineDoesNotExist"


@pytest.mark.parametrize("qualifier", ["PROD", "1"])
async def test_a_version_or_an_alias_that_does_not_exist_is_refused(aws: Aws, qualifier: str) -> None:
    arn = f"{aws.local.state_machine_arn}:{qualifier}"
    for action in ("start_execution", "describe_state_machine", "list_executions"):
        assert await code(aws, action, stateMachineArn=arn) == "StateMachineDoesNotExist"


def definitions(folder: Path, **results: Any) -> list[Definition]:
    """Return a state machine for each qualifier, all of one ARN."""
    found = []
    for qualifier, result in results.items():
        file = folder / f"{qualifier}.json"
        file.write_text(definition(result))
        found.append(Definition(f"{GREEN}:{qualifier.removeprefix('_')}", file))
    return found


async def test_what_is_run_from_the_start_has_the_version_or_the_alias_that_its_arn_names(tmp_path: Path) -> None:
    async with LocalAws(port=0, machines=definitions(tmp_path, PROD="blue", _7="seven")) as local:
        hosted = local.hosted(GREEN)
        assert [
            json.loads(hosted.target(f"{GREEN}{name}").machine.text)["States"]["P"]["Result"]
            for name in (":PROD", ":7", "")
        ] == ["blue", "seven", "seven"]
        assert (sorted(hosted.versions), list(hosted.aliases)) == ([1, 7], ["PROD"])


async def test_one_state_machine_has_one_file_of_mocks_and_one_kind_of_input(tmp_path: Path) -> None:
    first, second = definitions(tmp_path, PROD=1, TEST=2)
    other = Definition(second.arn, second.file, "event")
    with pytest.raises(
        DefinitionError, match=r"green:TEST and .*green:PROD must have the same input and the same mocks"
    ):
        await LocalAws(port=0, machines=[first, other]).start()
