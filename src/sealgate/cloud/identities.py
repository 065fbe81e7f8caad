"""Credentials of clouds: as members of a Secret, or as an identity that the platform gives to this process.

A platform's identity is a token in a file that the platform renews (a projected ServiceAccount token), and what is
beside it in the environment. The file has to exist only when the identity is used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sealgate.errors import UnavailableError
from sealgate.messages import quote
from sealgate.reasons import Reason
from sealgate.service_secrets import MAX_MEMBER_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials as they were read.

    Attributes:
        source: name of the Secret that they are from, or a description of another source; see `describe_secret`.
        data: their members.
    """

    source: str
    data: Mapping[str, bytes] = field(repr=False)

    @property
    def digest(self) -> str:
        """Identifies the content, for caches."""
        hashed = hashlib.sha256()
        for name, value in sorted(self.data.items()):
            for part in (name.encode(), value):
                hashed.update(len(part).to_bytes(8, "big") + part)
        return hashed.hexdigest()


@dataclass(frozen=True, slots=True)
class PlatformIdentity:
    """The identity that a platform gives to this process, for one provider.

    Attributes:
        source: description for messages, with white space ("the IAM role of the ServiceAccount").
        token: file of the token, which is read anew each time, since the platform renews it.
        member: name of the token among the credentials ("webIdentityToken").
        data: the members beside it.
    """

    source: str
    token: Path
    member: str
    data: Mapping[str, bytes]

    def read(self) -> Credentials:
        """Return the credentials.

        Raises:
            UnavailableError: the file cannot be read, or is larger than a token.
        """
        try:
            with self.token.open("rb") as file:
                content = file.read(MAX_MEMBER_BYTES + 1)
        except OSError as error:
            why = f"{quote(self.token)} cannot be read: {quote(error.strerror or error)}"
            raise UnavailableError(f"{self.source}: {why}", reason=Reason.AUTHENTICATOR_NOT_READY) from error
        return Credentials(self.source, {**self.data, self.member: content})


def aws_identity(environ: Mapping[str, str]) -> PlatformIdentity | None:
    """Return the role of this process's ServiceAccount (IRSA); None if the environment names none."""
    role, token = environ.get("AWS_ROLE_ARN"), environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
    if not role or not token:
        return None
    data = {"roleArn": role.encode()}
    # As the vendor's SDKs have it, for private endpoints of STS.
    if environ.get("AWS_ENDPOINT_URL_STS"):
        data["stsEndpoint"] = environ["AWS_ENDPOINT_URL_STS"].encode()
    return PlatformIdentity("the IAM role of the ServiceAccount", Path(token), "webIdentityToken", data)


def azure_identity(environ: Mapping[str, str]) -> PlatformIdentity | None:
    """Return the workload identity of this process for Azure; None if the environment names none."""
    members = {"clientId": "AZURE_CLIENT_ID", "tenantId": "AZURE_TENANT_ID", "authority": "AZURE_AUTHORITY_HOST"}
    data = {member: environ[name].encode() for member, name in members.items() if environ.get(name)}
    token = environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if not token or not {"clientId", "tenantId"} <= data.keys():
        return None
    return PlatformIdentity("the workload identity for Azure", Path(token), "federatedToken", data)


def alibaba_identity(environ: Mapping[str, str]) -> PlatformIdentity | None:
    """Return the RAM role of this process's ServiceAccount (RRSA); None if the environment names none."""
    members = {"roleArn": "ALIBABA_CLOUD_ROLE_ARN", "providerArn": "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"}
    data = {member: environ[name].encode() for member, name in members.items() if environ.get(name)}
    token = environ.get("ALIBABA_CLOUD_OIDC_TOKEN_FILE")
    if not token or members.keys() != data.keys():
        return None
    return PlatformIdentity("the RAM role of the ServiceAccount", Path(token), "oidcToken", data)
