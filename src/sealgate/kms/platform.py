"""Finds the identities that a platform gives to this process: tokens in files, or what a metadata service gives.

- AWS: the role of a ServiceAccount (IRSA). EKS sets `AWS_ROLE_ARN` and `AWS_WEB_IDENTITY_TOKEN_FILE`.
- Azure: an application or managed identity that is federated with a ServiceAccount (workload identity). A webhook sets
  `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE`.
- Google: a projected token of the ServiceAccount, for the workload identity pool that the settings name.
- Vault: a projected token of the ServiceAccount, for the one address that the settings name.

The files have to exist only when a key needs them. Metadata services are asked only for the providers that the settings
list, and then in place of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.cloud.identities import PlatformIdentity, aws_identity, azure_identity
from sealgate.kms.credentials import Identities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.kms.metadata_identities import MetadataIdentity

#: Where the chart mounts the tokens.
GOOGLE_TOKEN = Path("/var/run/secrets/sealgate.dev/google/token")
VAULT_TOKEN = Path("/var/run/secrets/sealgate.dev/vault/token")


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token of the ServiceAccount for one service.

    Attributes:
        belongs: of Google the audience of the exchange, of Vault the address; empty where there is no such token.
        path: the file.
    """

    belongs: str
    path: Path


def platform_identities(
    environ: Mapping[str, str],
    *,
    google: TokenFile | None = None,
    vault: TokenFile | None = None,
    metadata: Mapping[str, MetadataIdentity] | None = None,
) -> Identities:
    """Return the identities of this process.

    Args:
        environ: the environment, for AWS and Azure.
        google: token for Google.
        vault: token for Vault.
        metadata: identities of the metadata service, by provider; none by default.
    """
    of_environment = {"aws": aws_identity(environ), "azure": azure_identity(environ)}
    found = {provider: identity for provider, identity in of_environment.items() if identity is not None}
    if google is not None and google.belongs:
        data = {"audience": google.belongs.encode()}
        found["google"] = PlatformIdentity("the ServiceAccount's token for Google", google.path, "subjectToken", data)
    if vault is not None and vault.belongs:
        data = {"address": vault.belongs.encode()}
        found["vault"] = PlatformIdentity("the ServiceAccount's token for Vault", vault.path, "jwt", data)
    return Identities(found, metadata)
