from __future__ import annotations

from pathlib import Path

import pytest

from service.app import settings
from service.app.settings import SettingsError
from tests.support.ids import ID_SECRET

REQUIRED = {
    "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:flow",
    "APPSYNC_HTTP_URL": "https://x.appsync-api.us-east-1.amazonaws.com/event",
    "APPSYNC_REALTIME_URL": "wss://x.appsync-realtime-api.us-east-1.amazonaws.com/event/realtime",
    "APPSYNC_API_KEY": "da2-test",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name, raising=False)
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)


def message_of_error() -> str:
    with pytest.raises(SettingsError) as raised:
        settings.load()
    return str(raised.value)


def test_the_required_settings_suffice_and_the_others_have_their_documented_defaults() -> None:
    loaded = settings.load()
    assert (loaded.HOST, loaded.PORT) == ("0.0.0.0", 8080)
    assert (loaded.APPSYNC_NAMESPACE, loaded.APPSYNC_AUTH) == ("AsyncEvents", "api_key")
    assert (loaded.RESPONSE_TIMEOUT, loaded.MAX_IN_FLIGHT, loaded.DRAIN_TIMEOUT) == (25, 10_000, 35)
    assert (loaded.STAGE_PREFIX, loaded.ON_CLIENT_GONE, loaded.LOG_LEVEL) == ("", "keep", "INFO")
    assert (loaded.STREAM_TIMEOUT, loaded.KEEP_ALIVE_TIMEOUT, loaded.PROGRESS) == (25, 75, "published")
    assert loaded.LOCAL_AWS_PORT == 4566


@pytest.mark.parametrize(
    ("response", "stream", "waits"), [("60", "", 60), ("60", "30", 30), ("900", "", 890), ("30", "890", 890)]
)
def test_a_stream_waits_as_long_as_a_plain_response_unless_a_setting_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, response: str, stream: str, waits: float
) -> None:
    monkeypatch.setenv("RESPONSE_TIMEOUT", response)
    monkeypatch.setenv("STREAM_TIMEOUT", stream)
    assert waits == settings.load().STREAM_TIMEOUT


def test_one_message_names_every_missing_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in REQUIRED:
        monkeypatch.delenv(name)
    message = message_of_error()
    assert all(name in message for name in REQUIRED)
    assert "APPSYNC_API_KEY_SECRET" in message


def test_one_message_names_every_invalid_setting_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "PORT": "hunter2",
        "STATE_MACHINE_ARN": "hunter2",
        "APPSYNC_HTTP_URL": "hunter2",
        "APPSYNC_REALTIME_URL": "https://hunter2/event/realtime",
        "APPSYNC_NAMESPACE": "-hunter2-",
        "APPSYNC_AUTH": "hunter2",
        "RESPONSE_TIMEOUT": "0",
        "MAX_IN_FLIGHT": "0",
        "DRAIN_TIMEOUT": "-1",
        "STAGE_PREFIX": "hunter2?",
        "REQUEST_SCHEMA": "/nonexistent/hunter2",
        "CORS_ORIGINS": "hunter2",
        "ON_CLIENT_GONE": "hunter2",
        "LOG_LEVEL": "hunter2",
        "LOG_FORMAT": "hunter2",
        "LOCAL_AWS_PORT": "hunter2",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    message = message_of_error()
    assert all(f"  {name}: " in message for name in wrong)
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPSYNC_HTTP_URL", "https://x:99999/event"),
        ("APPSYNC_HTTP_URL", "https://a b/event"),
        ("APPSYNC_HTTP_URL", "https://[::1/event"),
        ("APPSYNC_REALTIME_URL", "wss://x:0/event/realtime"),
        ("APPSYNC_REALTIME_URL", "wss:///event/realtime"),
        ("MAX_IN_FLIGHT", "999999999999999999999"),
        ("DRAIN_TIMEOUT", "inf"),
        ("RESPONSE_TIMEOUT", "nan"),
        ("APPSYNC_API_KEY", "  "),
    ],
)
def test_a_value_that_would_only_fail_later_is_invalid_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert name in message_of_error()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "soon", "must be a whole number"),
        ("PORT", "70000", "must be at most 65535"),
        ("MAX_IN_FLIGHT", "0", "must be at least 1"),
        ("MAX_IN_FLIGHT", "1000001", "must be at most 1000000"),
        ("MAX_IN_FLIGHT", "9" * 5000, "is too large"),
        ("RESPONSE_TIMEOUT", "0", "must be greater than 0"),
        ("RESPONSE_TIMEOUT", "soon", "must be a number"),
        ("RESPONSE_TIMEOUT", "\udcff", "must be text in UTF-8"),
        ("STREAM_TIMEOUT", "0", "must be greater than 0"),
        ("STREAM_TIMEOUT", "891", "must be at most 890"),
        ("KEEP_ALIVE_TIMEOUT", "0", "must be greater than 0"),
        ("PROGRESS", "all", "must be 'published' or 'states'"),
        ("DRAIN_DELAY", "inf", "must be a finite number"),
        ("ON_CLIENT_GONE", "wait", "must be 'keep' or 'stop'"),
        ("APPSYNC_HTTP_URL", "x", "must look like https://<domain>/event"),
        ("APPSYNC_NAMESPACE", "-x-", "must be 1 to 50 letters, digits and hyphens, with no hyphen at either end"),
        ("STAGE_PREFIX", "a/b", "must contain only letters, digits, hyphens and underscores"),
        ("SERVICE_NAME", "a b", "must be 1 to 250 printable ASCII characters without spaces"),
        ("IDEMPOTENCY_SECRET", "x" * 15, "must have at least 16 characters"),
        ("ID_SECRETS", ID_SECRET + "," + "x" * 15, "must have at least 16 characters"),
        ("ID_SECRETS", ID_SECRET + ",", "must have at least 16 characters"),
        ("ID_SECRETS", ",".join([ID_SECRET] * 4), "must be at most 3 secrets, separated by commas"),
        ("READ_FOREIGN_EXECUTIONS", "maybe", "must be true or false"),
        ("CALLER_HEADER", "X Caller", "must be the name of an HTTP header"),
        ("CALLER_SHARE", "0", "must be greater than 0"),
        ("CALLER_SHARE", "1.5", "must be at most 1"),
        ("CALLER_RATE", "many", "must look like 300/15: a bucket's size and its refill per second"),
        ("CALLER_RATE", "20/10", "needs CALLER_HEADER: without it, all are one caller"),
    ],
)
def test_a_message_says_what_a_setting_must_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    head = "Invalid settings (environment variables, which --help describes):"
    assert message_of_error().splitlines() == [head, f"  {name}: {message}"]


def test_a_missing_setting_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPSYNC_HTTP_URL")
    assert message_of_error().splitlines()[1:] == ["  APPSYNC_HTTP_URL: is required"]


def test_the_arn_of_something_else_is_not_accepted_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPSYNC_API_KEY")
    monkeypatch.setenv("APPSYNC_API_KEY_SECRET", "arn:x")
    assert "APPSYNC_API_KEY_SECRET: must look like arn:aws:secretsmanager" in message_of_error()


@pytest.mark.parametrize(("key", "secret"), [("da2-test", "secret-name"), ("", "")])
def test_exactly_one_source_of_the_key_is_required(monkeypatch: pytest.MonkeyPatch, key: str, secret: str) -> None:
    monkeypatch.setenv("APPSYNC_API_KEY", key)
    monkeypatch.setenv("APPSYNC_API_KEY_SECRET", secret)
    assert "exactly one of APPSYNC_API_KEY and APPSYNC_API_KEY_SECRET" in message_of_error()


@pytest.mark.parametrize(
    ("name", "value", "stripped"),
    [
        ("APPSYNC_API_KEY", " da2-test\n", "da2-test"),
        ("APPSYNC_API_KEY", "\tda2-test\r\n", "da2-test"),
        ("IDEMPOTENCY_SECRET", "sixteen letters.\n", "sixteen letters."),
    ],
)
def test_blanks_and_line_breaks_around_a_key_or_a_secret_are_not_part_of_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, stripped: str
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(settings.load(), name).get_secret_value() == stripped


def test_a_line_break_after_the_name_of_a_secret_is_not_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPSYNC_API_KEY")
    monkeypatch.setenv("APPSYNC_API_KEY_SECRET", "the-key\n")
    monkeypatch.setenv("ID_SECRETS", ID_SECRET)
    assert settings.load().APPSYNC_API_KEY_SECRET == "the-key"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPSYNC_API_KEY", '"da2-hunter2"'),
        ("APPSYNC_API_KEY", "'da2-hunter2'\n"),
        ("APPSYNC_API_KEY", 'da2-"hunter2'),
        ("APPSYNC_API_KEY", "da2 hunter2"),
        ("APPSYNC_API_KEY", "da2-hunter2\r\nx: y"),
        ("APPSYNC_API_KEY", "da2-hunter2\u00a0x"),
        ("IDEMPOTENCY_SECRET", '"hunter2 hunter2 hunter2"'),
        ("IDEMPOTENCY_SECRET", "'hunter2 hunter2 hunter2'"),
        ("IDEMPOTENCY_SECRET", "hunter2         \n"),
        ("ID_SECRETS", '"hunter2 hunter2 hunter2,a secret of 16 or more"'),
        ("ID_SECRETS", "a secret of 16 or more,'hunter2 hunter2 hunter2'"),
    ],
)
def test_a_key_or_secret_that_nobody_meant_is_one_message_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    (line,) = message_of_error().splitlines()[1:]
    assert line.startswith(f"  {name}: ")
    assert "hunter2" not in line


def test_iam_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSYNC_AUTH", "iam")
    monkeypatch.setenv("ID_SECRETS", ID_SECRET)
    monkeypatch.delenv("APPSYNC_API_KEY")
    assert settings.load().APPSYNC_AUTH == "iam"


def test_without_any_secret_that_instances_share_ids_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPSYNC_AUTH", "iam")
    monkeypatch.delenv("APPSYNC_API_KEY")
    assert "  ID_SECRETS: is required if neither IDEMPOTENCY_SECRET nor APPSYNC_API_KEY is set" in message_of_error()


def test_executions_that_belong_to_no_caller_cannot_be_read_where_callers_are_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("READ_FOREIGN_EXECUTIONS", "true")
    assert settings.load().CALLER_HEADER is None
    monkeypatch.setenv("CALLER_HEADER", "X-Caller")
    assert "  CALLER_HEADER: cannot be used with READ_FOREIGN_EXECUTIONS" in message_of_error()


@pytest.mark.parametrize(
    ("secrets", "used"),
    [
        ({}, ["da2-test"]),
        ({"IDEMPOTENCY_SECRET": "a secret for keys"}, ["a secret for keys"]),
        ({"IDEMPOTENCY_SECRET": "a secret for keys", "ID_SECRETS": ID_SECRET}, [ID_SECRET]),
        (
            {"ID_SECRETS": f" {ID_SECRET} ,another secret of 3, {'x' * 16}\n"},
            [ID_SECRET, "another secret of 3", "x" * 16],
        ),
    ],
)
def test_ids_are_made_with_secrets_of_their_own_or_one_that_all_instances_have(
    monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str], used: list[str]
) -> None:
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    assert [secret.get_secret_value() for secret in settings.load().ID_SECRETS] == used


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "APPSYNC_API_KEY_SECRET", "STAGE_PREFIX", "LOG_LEVEL"):
        monkeypatch.setenv(name, "")
    loaded = settings.load()
    assert (loaded.PORT, loaded.APPSYNC_API_KEY_SECRET, loaded.LOG_LEVEL) == (8080, None, "INFO")


def test_the_key_is_hidden_in_the_settings_representation() -> None:
    assert "da2-test" not in repr(settings.load())


@pytest.mark.parametrize("prefix", ["dev", "/dev", "/dev/"])
def test_a_stage_prefix_may_be_written_with_slashes(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("STAGE_PREFIX", prefix)
    assert settings.load().STAGE_PREFIX == "dev"


def test_overrides_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    assert settings.load({"PORT": 2}).PORT == 2


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings.load().PORT = 1


def test_a_custom_schema_is_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "array"}')
    monkeypatch.setenv("REQUEST_SCHEMA", str(path))
    settings.load().REQUEST_SCHEMA.check([])
