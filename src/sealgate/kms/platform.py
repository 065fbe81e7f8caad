"""Finds the identities that a platform gives to this process: tokens in files, with what is beside them.

- AWS: the role of a ServiceAccount (IRSA). EKS sets `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`.
- Vault: a projected token of the ServiceAccount, for the one address that the settings name.

The files have to exist only when a key needs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.kms.credentials import Identities, PlatformIdentity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Where the chart mounts the token for Vault.
VAULT_TOKEN = Path("/var/run/secrets/sealgate.dev/vault/token")


def platform_identities(
    environ: Mapping[str, str], vault_address: str = "", vault_token: Path = VAULT_TOKEN
) -> Identities:
    """Return the identities of this process.

    Args:
        environ: the environment.
        vault_address: the address that the token for Vault may be sent to; empty where there is no such token.
        vault_token: file of that token.
    """
    found = dict(_aws(environ))
    if vault_address:
        source = "the ServiceAccount's token for Vault"
        found["vault"] = PlatformIdentity(source, vault_token, "jwt", {"address": vault_address.encode()})
    return Identities(found)


def _aws(environ: Mapping[str, str]) -> Iterator[tuple[str, PlatformIdentity]]:
    role, token = environ.get("AWS_ROLE_ARN"), environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not role or not token:
        return
    data = {"roleArn": role.encode()}
    # As the vendor's SDKs have it, for private endpoints of STS.
    if environ.get("AWS_ENDPOINT_URL_STS"):
        data["stsEndpoint"] = environ["AWS_ENDPOINT_URL_STS"].encode()
    yield "aws", PlatformIdentity("the IAM role of the ServiceAccount", Path(token), "webIdentityToken", data)
