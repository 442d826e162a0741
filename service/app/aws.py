"""Access to AWS as the SDK is configured: endpoints, network, credentials."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import create_credential_resolver
from aiobotocore.session import AioSession
from botocore import UNSIGNED
from botocore.exceptions import BotoCoreError, InvalidRegionError, NoCredentialsError
from botocore.utils import validate_region_name

from service.app.credentials import RenewedCredentials, UnusableCredentialsError
from service.app.network import Network
from service.app.settings import SettingsError
from service.stepfunctions.address import Address
from service.stepfunctions.endpoint import Endpoint

if TYPE_CHECKING:
    from contextlib import AsyncExitStack


_NO_CREDENTIALS: Final = "the AWS SDK finds no credentials (AWS_ACCESS_KEY_ID, a profile, a role, ...)"


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How AWS is reached."""

    session: aioboto3.Session
    """A session of the SDK with the credentials of all calls."""

    network: Network
    """How all connections are made."""

    sfn_url: str | None = None
    """The endpoint of Step Functions, if it is not the SDK's own."""

    open_files: int = 0
    """How many files an embedded AWS opens in this process."""

    async def step_functions(self, region: str) -> Endpoint:
        """Return where and how Step Functions is called in the region of the state machines; raise SettingsError."""
        url, signing_name = await self._resolve("stepfunctions", "list_state_machines", "SFN", region, self.sfn_url)
        credentials = await self.session.get_credentials()  # type: ignore[misc]  # the stubs miss that it is a coroutine
        if credentials is None:
            raise SettingsError(_NO_CREDENTIALS)
        return Endpoint(
            url=url,
            signing_name=signing_name,
            region=region,
            tls=self.network.tls,
            proxy=self.network.proxy_for(url),
            credentials=credentials.get_frozen_credentials,
        )

    async def check_secrets_manager(self, region: str) -> None:
        """Raise SettingsError if the SDK's settings make it impossible to call Secrets Manager in this region."""
        url, _ = await self._resolve("secretsmanager", "list_secrets", "SECRETS_MANAGER", region)
        self.network.proxy_for(url)

    async def _resolve(
        self, service: str, operation: str, variable: str, region: str, endpoint_url: str | None = None
    ) -> tuple[str, str]:
        """Return the URL that the SDK would call, wherever it is configured, and the service's name in signatures."""
        # A presigned URL without its query is where the call would go. Unsigned, so that no credentials are needed.
        config = AioConfig(signature_version=UNSIGNED)
        session: Any = self.session  # its types know only names that are literals
        try:
            async with session.client(service, region_name=region, endpoint_url=endpoint_url, config=config) as client:
                url = (await client.generate_presigned_url(operation)).partition("?")[0]
                Address.parse(url)  # refuses what the SDK takes and nobody can call
                return url, client.meta.service_model.signing_name
        except BotoCoreError as error:
            raise SettingsError(f"the AWS SDK cannot be set up: {error}") from error
        except ValueError:  # its text is the URL, which may contain a password
            names = (f"AWS_ENDPOINT_URL_{variable}", "AWS_ENDPOINT_URL")
            name = next((name for name in names if os.environ.get(name)), "endpoint_url of the AWS profile")
            raise SettingsError(f"{name}: must look like https://<host>") from None


async def sdk_access(stack: AsyncExitStack) -> AwsAccess:
    """Read the SDK's settings and its first credentials, which are renewed until `stack` ends.

    Raise SettingsError, or CredentialsUnavailableError if the source of the credentials fails.
    """
    try:
        core = AioSession()
        _check_region(core)
        network = Network.of_sdk(core)
        core.set_default_client_config(network.sdk_config())
        credentials = await stack.enter_async_context(sdk_credentials(core))
    except NoCredentialsError:
        raise SettingsError(_NO_CREDENTIALS) from None
    except UnusableCredentialsError as error:
        raise SettingsError(f"AWS credentials: {error}") from None
    except BotoCoreError as error:
        raise SettingsError(f"the AWS SDK cannot be set up: {error}") from error
    core.register_component("credential_provider", _Provider(credentials))
    return AwsAccess(aioboto3.Session(botocore_session=core), network)


def sdk_credentials(core: AioSession) -> RenewedCredentials:
    """Return the credentials of the SDK's settings, not yet read."""

    async def load() -> Any:
        # The SDK's own chain of sources can be asked only once for a role.
        sources = create_credential_resolver(core, region_name=core.get_config_variable("region"))
        # It would ask at the terminal, and block the loop; it has no other place for this.
        sources.get_provider("assume-role")._prompter = _refuse_prompt  # type: ignore[attr-defined]  # noqa: SLF001
        return await sources.load_credentials()

    return RenewedCredentials(load)


def _refuse_prompt(_text: str) -> str:
    raise UnusableCredentialsError("mfa_serial of the AWS profile: nobody is there to enter a code")


class _Provider:
    """The source of a session's credentials, in the place of the SDK's own."""

    def __init__(self, credentials: RenewedCredentials) -> None:
        self._credentials = credentials

    async def load_credentials(self) -> RenewedCredentials:
        return self._credentials


def _check_region(core: AioSession) -> None:
    """Raise SettingsError for a default region that is none; the SDK would say so when it assumes a role."""
    try:
        validate_region_name(core.get_config_variable("region"))
    except InvalidRegionError:
        name = "AWS_DEFAULT_REGION" if os.environ.get("AWS_DEFAULT_REGION") else "region of the AWS profile"
        raise SettingsError(f"{name}: must look like eu-west-1") from None
