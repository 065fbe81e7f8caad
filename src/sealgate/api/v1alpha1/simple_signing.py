"""The `simpleSigning` field of an `Authenticator`: OpenPGP signatures as OpenShift, atomic and skopeo have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from sealgate.api.v1alpha1.model import FormatSpec, KeySource, Model, SecretKeySelector, exactly_one

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A web address without user name, query and fragment, or a folder of the machine that sealgate runs on.
LookasideURL = Annotated[
    str, StringConstraints(pattern=r"^(https?://[^/?#@\s]+(/[^?#\s]*)?|file:///[^?#\s]*)$", max_length=512)
]
#: A full OpenPGP fingerprint, in any case, with or without the blanks that gpg prints.
Fingerprint = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f] {0,2}){39}[0-9A-Fa-f]$", max_length=120)]
#: `host[:port]`, or that and the beginning of a repository's path.
RepositoryPrefix = Annotated[str, StringConstraints(pattern=r"^[^\s@]+$", min_length=1, max_length=511)]

_PARAMETERS = {
    "ExactReference": "exact_reference",
    "ExactRepository": "exact_repository",
    "RemapIdentity": "remap_identity",
}


class KeyringSource(KeySource):
    """Public OpenPGP keys: one or more certificates, as `gpg --armor --export` prints them. Exactly one source."""

    inline: str | None = Field(
        default=None,
        max_length=262144,
        description="The keys themselves, armored: -----BEGIN PGP PUBLIC KEY BLOCK-----. Several blocks may follow "
        "one another.",
    )
    secret_ref: SecretKeySelector | None = Field(
        default=None, description="A Secret that holds the keys, armored or binary."
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "source of the keyring", ("inline", "secret_ref"))
        return self

    @property
    def is_inline(self) -> bool:
        """Whether the spec itself has the keyring."""
        return self.secret_ref is None


class OpenShiftStore(Model):
    """The signature extension of the image's own registry, as OpenShift's registry has it. There is nothing to set."""


class StoreCA(Model):
    """CA certificates for the TLS certificate of the store of signatures."""

    pem: str = Field(max_length=262144, description="PEM bundle of CA certificates; it replaces the system's.")


class LookasideStore(Model):
    """Files at `<url>/<repository without registry>@sha256=<hex>/signature-<number>`."""

    url: LookasideURL = Field(
        description="Where the files are: https://..., http://... where the host is listed as insecure, or file:///... "
        "for a folder of the machine that sealgate runs on."
    )
    ca: StoreCA | None = Field(default=None, description="CA of the server, if it is private.")

    @model_validator(mode="after")
    def _has_a_use_for_authorities(self) -> Self:
        if self.ca is not None and not self.url.startswith("https://"):
            raise ValueError("has ca, which only an https address uses; write https:// or drop it")
        return self


class SignatureStore(Model):
    """Where signatures are stored. Exactly one store."""

    openshift: OpenShiftStore | None = Field(
        default=None, description="The signature extension of the image's own registry; write {}."
    )
    lookaside: LookasideStore | None = Field(default=None, description="A web server or folder beside the registry.")

    @model_validator(mode="after")
    def _has_one_place(self) -> Self:
        exactly_one(self, "store of signatures", ("openshift", "lookaside"))
        return self


class ExactReference(Model):
    """The one identity that signatures must have."""

    reference: str = Field(
        min_length=1, max_length=512, description="registry/repository:tag or registry/repository@digest."
    )


class ExactRepository(Model):
    """The one repository that signatures must name."""

    repository: str = Field(min_length=1, max_length=511, description="registry/repository, without tag and digest.")


class RemapIdentity(Model):
    """Where images are pulled from, and under which names they were signed."""

    prefix: RepositoryPrefix = Field(
        description="Registry, or registry and beginning of the path, of images as they are pulled: mirror.example.org."
    )
    signed_prefix: RepositoryPrefix = Field(
        description="What the signed names have instead: vendor.example.com/products."
    )


class SignedIdentity(Model):
    """How the name that was signed must match the name of the image."""

    match_policy: Literal[
        "MatchRepoDigestOrExact", "MatchExact", "MatchRepository", "ExactReference", "ExactRepository", "RemapIdentity"
    ] = Field(
        default="MatchRepoDigestOrExact",
        description="MatchExact: the same name with the same tag. MatchRepoDigestOrExact: that, or the same "
        "repository where the image is named by digest only. MatchRepository: the same repository. ExactReference and "
        "ExactRepository: a name written here, independent of the image's. RemapIdentity: MatchRepoDigestOrExact after "
        "replacing the beginning of the image's name.",
    )
    exact_reference: ExactReference | None = Field(default=None, description="Only for ExactReference.")
    exact_repository: ExactRepository | None = Field(default=None, description="Only for ExactRepository.")
    remap_identity: RemapIdentity | None = Field(default=None, description="Only for RemapIdentity.")

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"(self.matchPolicy == '{policy}') == has(self.{to_camel(name)})",
                    "message": f"{to_camel(name)} belongs to matchPolicy {policy}: set both or neither",
                }
                for policy, name in _PARAMETERS.items()
            ]
        }
    )

    @model_validator(mode="after")
    def _has_its_parameter(self) -> Self:
        for policy, name in _PARAMETERS.items():
            field = to_camel(name)
            if self.match_policy == policy and getattr(self, name) is None:
                raise ValueError(f"has matchPolicy {policy} and no {field}; write it")
            if self.match_policy != policy and getattr(self, name) is not None:
                raise ValueError(f"has {field}, which only matchPolicy {policy} uses; write that policy or drop it")
        return self


class SimpleSigningSpec(FormatSpec):
    """OpenPGP signatures in the "simple signing" format: OpenShift, atomic, podman, skopeo."""

    keyring: KeyringSource = Field(description="Accepted keys; a signature by any one of them verifies.")
    fingerprints: tuple[Fingerprint, ...] = Field(
        default=(),
        max_length=64,
        description="Full fingerprints of primary keys: only these certificates of the keyring are accepted. Default "
        "all of them.",
    )
    store: SignatureStore = Field(description="Where signatures are stored.")
    signed_identity: SignedIdentity = Field(
        default_factory=SignedIdentity, description="How the name that was signed must match the name of the image."
    )
    accept_platform_signatures: bool = Field(
        default=False,
        description="Whether an image for several platforms whose index has no signature that counts may instead have "
        "one on the manifest of every platform, all of them by the same key. Default no: the index must be signed.",
    )

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the keyring."""
        yield "keyring", self.keyring
