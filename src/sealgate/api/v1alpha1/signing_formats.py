"""Fields of the formats in a `SigningPolicy`: where signatures are stored, and what they say besides the image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sealgate.api.v1alpha1.grafeas import ProjectName
from sealgate.api.v1alpha1.model import Model
from sealgate.api.v1alpha1.notary import NotaryRoot, NotaryService, RoleName
from sealgate.api.v1alpha1.oracle import OracleService
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA, ServiceURL
from sealgate.api.v1alpha1.simple_signing import SignatureStore


class SigningFormatSpec(Model):
    """The fields of one format in a `SigningPolicy`."""


class CosignSigning(SigningFormatSpec):
    """Signatures as cosign stores them."""

    storage: Literal["Tag", "Referrers", "Bundle"] = Field(
        default="Tag",
        description="Tag: the tag sha256-DIGEST.sig, which every cosign reads. Referrers: a manifest of its own (OCI "
        "1.1). Bundle: the same with a sigstore bundle, as cosign 3 writes it.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, max_length=64, description="Annotations to sign with the image."
    )
    signature_repository: str | None = Field(
        default=None,
        max_length=511,
        description="Repository (registry/path) that holds the signatures instead of the image's own.",
    )


class SimpleSigning(SigningFormatSpec):
    """OpenPGP signatures: OpenShift, atomic, podman, skopeo."""

    store: SignatureStore = Field(
        description="Where signatures are stored. A lookaside server must take files with PUT; a folder (file:///...) "
        "is one of the machine that runs sealgate sign."
    )


class NotarySigning(NotaryService, SigningFormatSpec):
    """Signed tags in Notary v1: Docker Content Trust, DTR and UCP. The key is that of a delegation."""

    root: NotaryRoot = Field(description="The pin: what the root of trust of a repository must be.")
    roles: tuple[RoleName, ...] = Field(
        default=(),
        max_length=16,
        description="Delegations that sign, such as targets/releases. Default: every delegation that has the key.",
    )


class NotationSigning(SigningFormatSpec):
    """Signatures of the Notary Project: Notation."""

    certificate_chain: str = Field(
        max_length=65536,
        description="The certificate of the key, its issuers in order, and the root last, in PEM.",
    )
    envelope: Literal["JWS", "COSE"] = Field(default="JWS", description="Kind of the envelope around the signature.")
    annotations: dict[str, str] = Field(
        default_factory=dict, max_length=64, description="Metadata to sign with the image."
    )


class GrafeasSigning(SigningFormatSpec):
    """Attestations in a Grafeas server, as kritis reads them."""

    server: ServiceURL = Field(description="Address of the server; paths such as /v1/projects/... follow it.")
    ca: ServiceCA | None = Field(default=None, description="CA of the server, if it is private.")
    api_version: Literal["v1", "v1beta1"] = Field(default="v1", description="The server's API.")
    note: str = Field(
        pattern=r"^projects/[^/]+/notes/[^/]+$",
        max_length=300,
        description="The note of the attestations, projects/PROJECT/notes/NOTE.",
    )
    project: ProjectName | None = Field(
        default=None, description="The project of the attestations, projects/PROJECT. Default: that of the note."
    )
    attestor: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="The id that attestations give the key. Default: the id of a key in Alibaba Cloud, else as kritis "
        "has it.",
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None, description="Secret whose key `token` is sent as bearer token; without it, none is."
    )


class OracleSigning(OracleService, SigningFormatSpec):
    """Signature records of Oracle Cloud's registry (OCIR). The key is one version of a key in a vault."""

    credentials_secret: CredentialsSecret = Field(
        description="Secret with an API key: tenancy, user, fingerprint, privateKey, and passphrase if it has one."
    )
    description: str = Field(default="", max_length=1024, description="Text about the images, signed with them.")
    metadata: str = Field(
        default="",
        max_length=1024,
        description='Data about the images, signed with them: {"team":"shop"}, alphanumeric and without white space.',
    )
