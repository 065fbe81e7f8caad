"""The object `Authenticator`: a named root of trust, exactly one format with the keys it accepts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from sealgate.api.v1alpha1.cosign import CosignSpec
from sealgate.api.v1alpha1.grafeas import GrafeasSpec
from sealgate.api.v1alpha1.model import FormatSpec, Metadata, Model, exactly_one
from sealgate.api.v1alpha1.notary import NotarySpec
from sealgate.api.v1alpha1.notation import NotationSpec
from sealgate.api.v1alpha1.oracle import OracleSpec
from sealgate.api.v1alpha1.simple_signing import SimpleSigningSpec


class AuthenticatorSpec(Model):
    """A named root of trust: exactly one format, with the keys it accepts."""

    cosign: CosignSpec | None = Field(default=None, description="Signatures made by cosign.")
    simple_signing: SimpleSigningSpec | None = Field(
        default=None, description="OpenPGP signatures: OpenShift, atomic, podman, skopeo."
    )
    notary: NotarySpec | None = Field(
        default=None, description="Signed tags in Notary v1: Docker Content Trust, DTR and UCP."
    )
    notation: NotationSpec | None = Field(
        default=None, description="Signatures of the Notary Project: Notation, AWS Signer, Azure Key Vault."
    )
    grafeas: GrafeasSpec | None = Field(
        default=None, description="Attestations in Grafeas: kritis, and Alibaba Cloud's kritis-validation-hook."
    )
    oracle: OracleSpec | None = Field(default=None, description="Signature records of Oracle Cloud's registry (OCIR).")

    @model_validator(mode="after")
    def _has_one_format(self) -> Self:
        exactly_one(self, "format", tuple(type(self).model_fields))
        return self

    @property
    def chosen(self) -> FormatSpec:
        """The fields of the format that is set."""
        found = next(value for name in type(self).model_fields if (value := getattr(self, name)) is not None)
        assert isinstance(found, FormatSpec)  # noqa: S101 - every field of the model is one
        return found

    @property
    def format(self) -> str:
        """Name of the format that is set, as it is written in the spec: "simpleSigning"."""
        return next(
            field.alias or name for name, field in type(self).model_fields.items() if getattr(self, name) is not None
        )


class Authenticator(Model):
    """A named root of trust."""

    model_config = ConfigDict(extra="ignore")

    api_version: Literal["sealgate.dev/v1alpha1"]
    kind: Literal["Authenticator"]
    metadata: Metadata
    spec: AuthenticatorSpec
