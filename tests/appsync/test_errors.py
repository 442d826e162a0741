from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from service.appsync.errors import error_name

HOST = "secretsmanager.us-east-1.amazonaws.com"


def client_error(code: object) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "secret"}}, "GetSecretValue")  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (client_error("AccessDeniedException"), "ClientError GetSecretValue AccessDeniedException"),
        (client_error("a secret\n"), "ClientError GetSecretValue"),
        (client_error(None), "ClientError GetSecretValue"),
        (EndpointConnectionError(endpoint_url=f"https://{HOST}/", error="secret"), f"EndpointConnectionError {HOST}"),
        (ReadTimeoutError(endpoint_url=f"https://user:secret@{HOST}/"), f"ReadTimeoutError {HOST}"),
        (NoCredentialsError(), "NoCredentialsError"),
        (RuntimeError("secret"), "RuntimeError"),
    ],
)
def test_an_error_is_named_by_its_class_action_code_and_host_and_nothing_else(error: Exception, name: str) -> None:
    assert error_name(error) == name
