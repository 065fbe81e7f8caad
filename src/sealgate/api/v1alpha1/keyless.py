"""Fields for signatures by identities: who may have signed, and the trusted root that proves it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sealgate.api.v1alpha1.model import (
    ConfigMapKeySelector,
    KeySource,
    Model,
    SecretKeySelector,
    exactly_one,
)

_PATTERN = "A regular expression of RE2, which must match the whole"


def _fact(what: str) -> Any:  # noqa: ANN401 - what `Field` returns fits every field
    return Field(default=None, min_length=1, max_length=1024, description=f"{what}, exactly as the certificate states.")


class Identity(Model):
    """Who may sign: the subject of the certificate, and the issuer that vouched for it; and facts about the build."""

    issuer: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="URL of the identity provider, such as https://token.actions.githubusercontent.com.",
    )
    issuer_reg_exp: str | None = Field(
        default=None, min_length=1, max_length=512, description=f"{_PATTERN} URL of the identity provider."
    )
    subject: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="E-mail address, or URI of the workflow or account: the certificate's subject alternative name.",
    )
    subject_reg_exp: str | None = Field(
        default=None, min_length=1, max_length=512, description=f"{_PATTERN} subject alternative name."
    )
    build_signer_uri: str | None = _fact("Workflow that signed")
    build_signer_digest: str | None = _fact("Commit of the workflow that signed")
    runner_environment: str | None = _fact("Kind of runner: github-hosted, gitlab-hosted or self-hosted")
    source_repository_uri: str | None = _fact("URL of the source repository")
    source_repository_digest: str | None = _fact("Commit that was built")
    source_repository_ref: str | None = _fact("Branch or tag that was built, such as refs/heads/main")
    source_repository_identifier: str | None = _fact(
        "Number of the source repository, which a new name does not change"
    )
    source_repository_owner_uri: str | None = _fact("URL of the source repository's owner")
    source_repository_owner_identifier: str | None = _fact("Number of the source repository's owner")
    build_config_uri: str | None = _fact("Workflow that was started")
    build_config_digest: str | None = _fact("Commit of the workflow that was started")
    build_trigger: str | None = _fact("Event that started the build, such as push")
    run_invocation_uri: str | None = _fact("URL of the run")
    source_repository_visibility: str | None = _fact("public or private, when it was signed")
    github_workflow_trigger: str | None = _fact("Event that started the workflow (older extension of GitHub)")
    github_workflow_sha: str | None = _fact("Commit (older extension of GitHub)")
    github_workflow_name: str | None = _fact("Name of the workflow (older extension of GitHub)")
    github_workflow_repository: str | None = _fact("Owner and name of the repository (older extension of GitHub)")
    github_workflow_ref: str | None = _fact("Branch or tag (older extension of GitHub)")

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"has(self.{name}) != has(self.{name}RegExp)",
                    "message": f"an identity has exactly one of {name} and {name}RegExp",
                }
                for name in ("issuer", "subject")
            ]
        }
    )

    @model_validator(mode="after")
    def _has_both_parts(self) -> Self:
        exactly_one(self, "issuer", ("issuer", "issuer_reg_exp"))
        exactly_one(self, "subject", ("subject", "subject_reg_exp"))
        return self


class KeylessSpec(Model):
    """Signatures with short-lived certificates (Fulcio) in place of keys."""

    identities: tuple[Identity, ...] = Field(
        min_length=1, max_length=64, description="Accepted identities; a signature by any one of them verifies."
    )


class TrustedRootSource(KeySource):
    """A trusted root of sigstore: CAs, logs and timestamp authorities, each with its period. Exactly one source."""

    inline: str | None = Field(
        default=None, min_length=2, max_length=65536, description="The trusted root itself: JSON (trusted_root.json)."
    )
    secret_ref: SecretKeySelector | None = Field(default=None, description="A Secret that holds it.")
    config_map_ref: ConfigMapKeySelector | None = Field(
        default=None,
        description="A ConfigMap that holds it, one of those in the chart's value trustedRoots.configMaps.",
    )
    source: Literal["PublicGood", "Fetched"] | None = Field(
        default=None,
        description="PublicGood: that of sigstore's public services, as this release of sealgate ships it. Fetched: "
        "that which the operator fetches over TUF, with the chart's value trustedRoots.tuf.enabled.",
    )

    @property
    def is_inline(self) -> bool:
        """Whether the spec or sealgate itself has it."""
        return self.inline is not None or self.source == "PublicGood"

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        exactly_one(self, "source", ("inline", "secret_ref", "config_map_ref", "source"))
        return self
