"""The `grafeas` field of an `Authenticator`: attestations as kritis writes them, Alibaba Cloud's hook among them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sealgate.policies.base import KeyEntry, Model, exactly_one
from sealgate.policies.specs_services import CredentialsSecret, ServiceCA, ServiceURL

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,126}"
NoteName = Annotated[str, StringConstraints(pattern=rf"^projects/{_NAME}/notes/{_NAME}$", max_length=300)]
ProjectName = Annotated[str, StringConstraints(pattern=rf"^projects/{_NAME}$", max_length=150)]


class GrafeasKey(KeyEntry):
    """One key of the authority, and the id under which attestations name it. Exactly one source."""

    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="The id that attestations give this key: for Alibaba Cloud the id of the KMS key. Default as "
        "kritis has it: the upper-case fingerprint of an OpenPGP key, ni:///sha-256;... of any other.",
    )
    pgp: str | None = Field(
        default=None,
        max_length=65536,
        description="An OpenPGP public key, armored: -----BEGIN PGP PUBLIC KEY BLOCK-----.",
    )

    @property
    def resolvable(self) -> bool:
        """Whether it is one of the kinds of keys that all formats share; an OpenPGP key is not."""
        return self.pgp is None

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "key source", ("pem", "pgp", "secret_ref", "kms"))
        if self.pgp is not None and self.algorithm is not None:
            raise ValueError("has an algorithm beside pgp; an OpenPGP key brings its own, leave it out")
        return self


class GrafeasSpec(Model):
    """Attestations in a Grafeas server, as kritis and Alibaba Cloud's kritis-validation-hook use them."""

    server: ServiceURL = Field(description="Address of the Grafeas server; paths such as /v1/projects/... follow it.")
    ca: ServiceCA | None = Field(default=None, description="Authorities of the server, when they are private.")
    api_version: Literal["v1", "v1beta1"] = Field(default="v1", description="The server's API.")
    note: NoteName = Field(
        description="The authority's note, projects/PROJECT/notes/NOTE. Attestations under other notes do not count."
    )
    project: ProjectName | None = Field(
        default=None,
        description="Look for attestations among all occurrences of this project, projects/PROJECT, instead of among "
        "those of the note.",
    )
    filter: Literal["resourceUrl", "resource_url", "none"] | None = Field(
        default=None,
        description="How the server's filter calls the image: resourceUrl (default with v1), resource_url (default "
        "with v1beta1), or none to list without a filter. What comes back is compared in any case.",
    )
    keys: tuple[GrafeasKey, ...] = Field(
        min_length=1, max_length=64, description="The authority's keys; an attestation by any one of them verifies."
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None, description="A Secret whose key `token` is sent as bearer token. Without it, none is."
    )
