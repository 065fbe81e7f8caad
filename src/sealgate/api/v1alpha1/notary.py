"""The `notary` field of an `Authenticator`: Docker Content Trust as DTR, UCP and Notary v1 servers have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.model import FormatSpec, KeySource, Model, SecretKeySelector, exactly_one, numbered

if TYPE_CHECKING:
    from collections.abc import Iterator

#: `targets`, or a delegation below it; nothing that could be another path.
RoleName = Annotated[
    str, StringConstraints(pattern=r"^targets(/[-a-z0-9_]+){0,8}$", min_length=len("targets"), max_length=255)
]
KeyID = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", min_length=64, max_length=64)]
ServerURL = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$", max_length=512)]


class NotaryServerCA(Model):
    """CA certificates for the TLS certificate of the notary server."""

    pem: str = Field(max_length=262144, description="PEM bundle of CA certificates; it replaces the system's.")


class NotaryRootCA(Model):
    """CA certificates that may certify the root keys of repositories."""

    pem: str = Field(max_length=262144, description="PEM bundle of CA certificates.")
    gun_prefix: str | None = Field(
        default=None,
        min_length=1,
        max_length=511,
        description="Only repositories at or below this full name (registry/path) may have a root certified by "
        "them; default any that the root certificate's common name allows.",
    )


class NotaryRoot(KeySource):
    """The pin: what the root of trust of a repository must be. Exactly one of its fields; never trust on first use."""

    pem: str | None = Field(
        default=None,
        max_length=65536,
        description="The root certificate, or the bare public key in it; while a root is being rotated, several.",
    )
    key_id: KeyID | None = Field(
        default=None,
        description="The root key's id as `notary key list` shows it, or as root.json has it: 64 hex digits.",
    )
    ca: NotaryRootCA | None = Field(default=None, description="CA certificates that certify root keys.")

    @model_validator(mode="after")
    def _has_one_pin(self) -> Self:
        exactly_one(self, "pin of the root", ("pem", "key_id", "ca"))
        return self

    @property
    def is_inline(self) -> bool:
        """True: a pin is always in the spec."""
        return True


class NotaryKey(KeySource):
    """One accepted signer of a role: where the public key comes from. Exactly one source."""

    pem: str | None = Field(
        default=None,
        max_length=16384,
        description="The signer's certificate (cert.pem of a UCP client bundle) or the bare public key in it.",
    )
    secret_ref: SecretKeySelector | None = Field(default=None, description="A Secret that holds the same.")
    key_id: KeyID | None = Field(
        default=None,
        description="The key's id as `notary key list` and `notary delegation list` show it: 64 hex digits.",
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "source of the key", ("pem", "secret_ref", "key_id"))
        return self

    @property
    def is_inline(self) -> bool:
        """Whether the spec itself has the key or its id."""
        return self.secret_ref is None


class NotaryRole(Model):
    """A role that must name the image's tag, and whose signature on that counts. Exactly one of keys and any key."""

    name: RoleName = Field(description="targets, or a delegation: targets/releases, targets/<UCP team>.")
    keys: tuple[NotaryKey, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Accepted signers; any one of them will do. The role's own list of keys, which belongs to the "
        "repository's owner, must have the signer as well.",
    )
    any_permitted_key: bool = Field(
        default=False,
        description="Instead of keys: whether every signer counts that the repository's owner permits for the role.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.keys) != (has(self.anyPermittedKey) && self.anyPermittedKey)",
                    "message": "write either keys or anyPermittedKey: true",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _says_who_signs(self) -> Self:
        if (self.keys is None) is not self.any_permitted_key:
            raise ValueError("has no keys, or has them beside anyPermittedKey; write either")
        return self


class NotaryService(Model):
    """How a notary server is reached; of an Authenticator and of a SigningPolicy."""

    server: ServerURL | None = Field(
        default=None,
        description="Address of the notary server. Default: the image's own registry, as DTR has it, and "
        "https://notary.docker.io for Docker Hub.",
    )
    ca: NotaryServerCA | None = Field(default=None, description="CA of the server, if it is private.")


class NotarySpec(NotaryService, FormatSpec):
    """Signatures in Notary v1 (Docker Content Trust, DTR and UCP), which sign tags of a repository."""

    root: NotaryRoot = Field(description="The pin: what the root of trust of a repository must be.")
    allow_any_tag: bool = Field(
        default=False,
        description="Whether a reference with a digest and no tag may be met by any tag that names its digest. "
        "Without it such a reference is refused, because what is signed here are tags.",
    )
    roles: tuple[NotaryRole, ...] = Field(
        default=(),
        max_length=16,
        description="Roles that must all name the tag with the same digest. None listed: docker's own order, "
        "targets/releases and then targets, signed by keys that the repository's owner chooses.",
    )
    releases_only: bool = Field(
        default=False,
        description="Whether targets/releases alone counts in a repository that has delegations; it must then be "
        "there. Without it targets counts for the tags that targets/releases does not name, as with docker. Not "
        "beside roles.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "!(has(self.releasesOnly) && self.releasesOnly && has(self.roles) && size(self.roles) > 0)",
                    "message": "releasesOnly is not for use beside roles: remove one of them",
                }
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_order(self) -> Self:
        if self.releases_only and self.roles:
            raise ValueError("has releasesOnly beside roles: remove one of them")
        return self

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the pin of the root, and the accepted signers of every role."""
        yield "root", self.root
        for field, role in numbered("roles", self.roles):
            yield from numbered(f"{field}.keys", role.keys or ())
