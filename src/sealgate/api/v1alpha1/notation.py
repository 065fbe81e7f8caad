"""The `notation` field of an `Authenticator`: signatures of the Notary Project, as Notation makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, field_validator, model_validator

from sealgate.api.v1alpha1.model import FormatSpec, KeySource, Model, SecretKeySelector, exactly_one, numbered
from sealgate.distinguished_names import REQUIRED, parse_distinguished_name

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Any signer, or `x509.subject:` and a distinguished name.
TrustedIdentity = Annotated[
    str, StringConstraints(pattern=r"^(\*|x509\.subject:[^\x00-\x1f]+)$", min_length=1, max_length=1024)
]
#: `host[:port]` in lower case, without the default port of its scheme.
RevocationHost = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$", max_length=253)
]
_SUBJECT = "x509.subject:"


class NotationMaterial(KeySource):
    """Certificates, or revocation lists, in PEM. Exactly one source."""

    pem: str | None = Field(default=None, max_length=262144, description="The PEM itself, of one or several.")
    secret_ref: SecretKeySelector | None = Field(default=None, description="A Secret that holds the PEM.")

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "source of the key", ("pem", "secret_ref"))
        return self

    @property
    def is_inline(self) -> bool:
        """Whether the spec itself has it."""
        return self.secret_ref is None


class NotationTrustStores(Model):
    """The certificates that are trusted, by what they are trusted for."""

    ca: tuple[NotationMaterial, ...] = Field(
        default=(),
        max_length=8,
        description="CAs of signers, for signatures by the scheme notary.x509, which is what Notation makes.",
    )
    signing_authority: tuple[NotationMaterial, ...] = Field(
        default=(),
        max_length=8,
        description="CAs of signing services that vouch for the time of their signatures, for those by the scheme "
        "notary.x509.signingAuthority (AWS Signer).",
    )
    tsa: tuple[NotationMaterial, ...] = Field(
        default=(),
        max_length=8,
        description="Roots of timestamp authorities (RFC 3161). With it, signatures by notary.x509 need a timestamp "
        "and count after their certificates have expired; without it, certificates must be valid now.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "(has(self.ca) && self.ca.size() > 0) || "
                    "(has(self.signingAuthority) && self.signingAuthority.size() > 0)",
                    "message": "trust a CA of signers: set ca, signingAuthority, or both",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _trusts_a_signer(self) -> Self:
        if not self.ca and not self.signing_authority:
            raise ValueError("has no CA of signers; write ca, signingAuthority, or both")
        return self


class NotationRevocation(Model):
    """How it is found out whether a certificate is revoked. What is revoked never counts."""

    hosts: tuple[RevocationHost, ...] = Field(
        default=(),
        max_length=16,
        description="Hosts (host or host:port) that may be asked by OCSP, and for revocation lists, at the addresses "
        "that certificates name. Default none: nothing is asked.",
    )
    lists: tuple[NotationMaterial, ...] = Field(
        default=(),
        max_length=8,
        description="Revocation lists of CAs (X509 CRL) that are asked first, also without a network. One that is no "
        "longer valid says only what is revoked.",
    )
    accept_unknown: bool = Field(
        default=False,
        description="Whether a certificate counts that names where its status can be asked for, and whose status is "
        "not known: not asked, not reachable, or without an answer.",
    )


class NotationSpec(FormatSpec):
    """Signatures of the Notary Project (Notation), in JWS or COSE envelopes that refer to the image."""

    trust_stores: NotationTrustStores = Field(description="The certificates that are trusted.")
    trusted_identities: tuple[TrustedIdentity, ...] = Field(
        min_length=1,
        max_length=64,
        description="The signers that count: x509.subject: C=..., ST=..., O=... with further attributes of the "
        "certificate's subject, each with exactly that value; or * alone for every signer of the trusted CAs.",
    )
    verify_timestamp: Literal["Always", "AfterCertExpiry"] = Field(
        default="Always",
        description="With a trust store tsa: whether every signature needs a timestamp, or only one whose "
        "certificates have expired.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Signed metadata that a signature must have, with exactly these values."
    )
    accept_expired: bool = Field(
        default=False, description="Whether a signature counts after the end that its signer has set."
    )
    revocation: NotationRevocation = Field(
        default_factory=NotationRevocation, description="How it is found out whether a certificate is revoked."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!self.trustedIdentities.exists(i, i == '*') || self.trustedIdentities.size() == 1",
                    "message": "* trusts every signer of the CAs: write it alone, or remove it",
                }
            ]
        }
    )

    @field_validator("trusted_identities")
    @classmethod
    def _can_be_matched(cls, identities: tuple[str, ...]) -> tuple[str, ...]:
        if "*" in identities and len(identities) > 1:
            raise ValueError("has * beside others; write it alone, or remove it")
        for text in identities:
            if text == "*":
                continue
            found = parse_distinguished_name(text.removeprefix(_SUBJECT))
            missing = [name for name in REQUIRED if name not in found]
            if missing:
                raise ValueError(f"has an identity without {missing[0]}; write C, ST and O at least")
        return identities

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the trusted certificates, and the revocation lists."""
        yield from numbered("trustStores.ca", self.trust_stores.ca)
        yield from numbered("trustStores.signingAuthority", self.trust_stores.signing_authority)
        yield from numbered("trustStores.tsa", self.trust_stores.tsa)
        yield from numbered("revocation.lists", self.revocation.lists)
