"""Whether the endpoints of AWS that the service depends on answer in this region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tools.preflight.findings import UNREACHABLE, Line, ok, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.preflight.aws import Aws

# A call of each that needs no argument.
_CALLS = {"stepfunctions": "list_state_machines", "appsync": "list_apis"}


def check(aws: Aws) -> Iterator[Line]:
    """Yield a line for each service."""
    for service, call in _CALLS.items():
        client = aws.client(service)
        address = client.meta.endpoint_url
        try:
            getattr(client, call)(maxResults=1)
        except UNREACHABLE as error:
            yield wrong(
                f"endpoint {service}", f"{address} does not answer; check the region, network and proxy: {error}"
            )
        except ClientError as error:
            # Even a refusal is an answer.
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            yield ok(f"endpoint {service}", f"{address} answers ({status})")
        else:
            yield ok(f"endpoint {service}", f"{address} answers")
