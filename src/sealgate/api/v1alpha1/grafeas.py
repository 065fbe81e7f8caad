"""The `grafeas` field of an `Authenticator`: attestations as kritis writes them, Alibaba Cloud's hook among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from sealgate.api.v1alpha1.keys import KeyEntry
from sealgate.api.v1alpha1.kms_provider import Endpoint
from sealgate.api.v1alpha1.model import FormatSpec, KeySource, Model, exactly_one, numbered
from sealgate.api.v1alpha1.services import CredentialsSecret, ServiceCA, ServiceURL

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,126}"
NoteName = Annotated[str, StringConstraints(pattern=rf"^{_NAME}(/{_NAME}){{1,5}}$", max_length=300)]
APIName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$", max_length=128)]
JSONPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}(\.[A-Za-z0-9_]{1,64}){0,7}$", max_length=512)]
ProjectName = Annotated[str, StringConstraints(pattern=rf"^projects/{_NAME}$", max_length=150)]

_GRAFEAS_NOTE = "^projects/[^/]+/notes/[^/]+$"
#: What texts of `acr` may hold.
PLACEHOLDERS = ("{repository}", "{path}", "{namespace}", "{name}", "{digest}")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")


class GrafeasKey(KeyEntry):
    """An accepted key, and the id under which attestations name it. Exactly one source."""

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


class ACRSpec(Model):
    """EXPERIMENTAL: occurrences of Alibaba Cloud Container Registry's own metadata service.

    Neither its requests nor its answers are documented in public, so all of it has to be said here, and none of it was
    ever tried with the real service. Texts may hold {repository} (registry and path), {path}, {namespace}, {name} and
    {digest} of the image.
    """

    endpoint: Endpoint = Field(
        description="Address of the registry's API, such as https://cr.cn-hongkong.aliyuncs.com."
    )
    action: APIName = Field(default="ListMetadataOccurrences", description="Name of the API's action.")
    version: APIName = Field(default="2018-12-01", description="Version of the API.")
    parameters: dict[str, str] = Field(
        default_factory=dict, description="Parameters of the action, such as the id of the registry's instance."
    )
    occurrences: JSONPath = Field(
        default="Occurrences", description="Where the list of occurrences is in the answer: names with dots between."
    )
    page_parameter: APIName = Field(default="NextToken", description="Parameter that asks for a further page.")
    next_page: JSONPath = Field(default="NextToken", description="Where its value is in the page before.")
    resource_uri: str = Field(
        default="https://{repository}@{digest}",
        min_length=1,
        max_length=512,
        description="What occurrences call the image.",
    )

    @model_validator(mode="after")
    def _can_be_filled_in(self) -> Self:
        for text in (*self.parameters.values(), self.resource_uri):
            unknown = sorted(set(_PLACEHOLDER.findall(text)) - set(PLACEHOLDERS))
            if unknown:
                raise ValueError(f"has {unknown[0]}, which is not known; write one of {', '.join(PLACEHOLDERS)}")
        if "{digest}" not in self.resource_uri:
            raise ValueError("has a resourceUri without {digest}; it must name one image")
        return self


class GrafeasSpec(FormatSpec):
    """Attestations in a Grafeas server, as kritis and Alibaba Cloud's kritis-validation-hook use them."""

    server: ServiceURL | None = Field(
        default=None, description="Address of the Grafeas server; paths such as /v1/projects/... follow it."
    )
    acr: ACRSpec | None = Field(
        default=None,
        description="Instead of server, EXPERIMENTAL: the metadata service of Alibaba Cloud Container Registry.",
    )
    ca: ServiceCA | None = Field(default=None, description="CA of the server, if it is private.")
    api_version: Literal["v1", "v1beta1"] = Field(default="v1", description="The server's API.")
    note: NoteName = Field(
        description="The note of the attestations, projects/PROJECT/notes/NOTE. Others do not count."
    )
    project: ProjectName | None = Field(
        default=None,
        description="Search all occurrences of this project, projects/PROJECT, for attestations, instead of "
        "those of the note.",
    )
    filter: Literal["resourceUrl", "resource_url", "none"] | None = Field(
        default=None,
        description="How the server's filter calls the image: resourceUrl (default with v1), resource_url (default "
        "with v1beta1), or none to list without a filter. What comes back is compared in any case.",
    )
    keys: tuple[GrafeasKey, ...] = Field(
        min_length=1, max_length=64, description="The accepted keys; an attestation by any one of them verifies."
    )
    credentials_secret: CredentialsSecret | None = Field(
        default=None,
        description="A Secret whose key `token` is sent as bearer token; without it, none is. With acr, a Secret with "
        "accessKeyId and accessKeySecret, and securityToken with temporary ones.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {"rule": "has(self.server) != has(self.acr)", "message": "set exactly one of server and acr"},
                {
                    "rule": f"!has(self.server) || self.note.matches('{_GRAFEAS_NOTE}')",
                    "message": "the note of a Grafeas server is projects/PROJECT/notes/NOTE",
                },
                {
                    "rule": "!has(self.acr) || has(self.credentialsSecret)",
                    "message": "acr needs credentialsSecret, a Secret with accessKeyId and accessKeySecret",
                },
            ]
        }
    )

    @model_validator(mode="after")
    def _has_one_store(self) -> Self:
        exactly_one(self, "store of attestations", ("server", "acr"))
        if self.server is not None and not re.fullmatch(_GRAFEAS_NOTE, self.note):
            raise ValueError("has a note that no Grafeas server has; write projects/PROJECT/notes/NOTE")
        if self.acr is not None and self.credentials_secret is None:
            raise ValueError("has acr without credentialsSecret; name a Secret with accessKeyId and accessKeySecret")
        return self

    def key_sources(self) -> Iterator[tuple[str, KeySource]]:
        """Yield the accepted keys."""
        return numbered("keys", self.keys)
