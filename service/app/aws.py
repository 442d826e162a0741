"""Access to AWS as the SDK is configured: endpoint, certificates, proxy, credentials."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.exceptions import NoCredentialsError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from service.stepfunctions.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aioboto3
    from aiobotocore.credentials import AioCredentials
    from botocore.credentials import ReadOnlyCredentials

    from service.stepfunctions.arn import StateMachineArn


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How AWS is reached."""

    session: aioboto3.Session

    sfn_url: str | None = None
    """The endpoint of Step Functions, if it is not the SDK's own."""

    open_files: int = 0
    """How many files an embedded AWS opens in this process."""

    async def step_functions(self, arn: StateMachineArn) -> Endpoint:
        """Return where and how Step Functions is called for this state machine.

        Raise BotoCoreError or ValueError if the SDK cannot be set up.
        """
        # The region is the ARN's: a state machine cannot be started through another region's endpoint.
        url, signing_name = await self._resolve(arn.region)
        return Endpoint(
            url=url,
            signing_name=signing_name,
            region=arn.region,
            tls=_tls(self.session),
            proxy=get_environ_proxies(url).get(urlsplit(url).scheme),
            credentials=_credentials(self.session),
        )

    async def _resolve(self, region: str) -> tuple[str, str]:
        """Return the URL that the SDK would call, wherever it is configured, and the service's name in signatures."""
        # A presigned URL without its query is where the call would go. Unsigned, so that no credentials are needed.
        config = AioConfig(signature_version=UNSIGNED)
        async with self.session.client(
            "stepfunctions", region_name=region, endpoint_url=self.sfn_url, config=config
        ) as client:
            url = await client.generate_presigned_url("list_state_machines")
            return url.partition("?")[0], client.meta.service_model.signing_name


def _tls(session: aioboto3.Session) -> ssl.SSLContext:
    # AWS_CA_BUNDLE or the profile's ca_bundle; else the certificates that botocore would take.
    bundle = session._session.get_config_variable("ca_bundle")  # noqa: SLF001 - aioboto3 has no other way
    return ssl.create_default_context(cafile=get_cert_path(bundle or True))


def _credentials(session: aioboto3.Session) -> Callable[[], Awaitable[ReadOnlyCredentials]]:
    """Return a function that reads the session's credentials, once it has some."""
    found: AioCredentials | None = None

    async def read() -> ReadOnlyCredentials:
        nonlocal found
        if found is None:
            found = await session.get_credentials()  # type: ignore[misc]  # a coroutine in fact
        if found is None:
            raise NoCredentialsError
        return await found.get_frozen_credentials()

    return read
