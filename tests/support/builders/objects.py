"""Authenticators and verification policies, as short as they can be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from tests.support.signers.private_keys import PrivateKey, public_pem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Enough of a key where no test reads it.
NO_KEY = "-----BEGIN PUBLIC KEY-----"


def authenticator(
    name: str = "release",
    *keys: PrivateKey | str | Mapping[str, Any],
    spec: Mapping[str, Any] | None = None,
    **cosign: Any,
) -> dict[str, Any]:
    """Return an Authenticator as the API server sends it.

    Args:
        name: name of the object.
        keys: keys that cosign signatures are accepted from: private keys, PEM text or key entries; none for `NO_KEY`.
        spec: the whole spec, for another format; None for cosign with these keys.
        cosign: further fields of the cosign spec.
    """
    entries = [_entry(key) for key in keys or (NO_KEY,)]
    return api_object("Authenticator", name, spec or {"cosign": {"keys": entries, **cosign}})


def authenticator_model(
    name: str = "release", *keys: PrivateKey | str | Mapping[str, Any], **fields: Any
) -> Authenticator:
    """Return a validated Authenticator; see `authenticator`."""
    return Authenticator.model_validate(authenticator(name, *keys, **fields))


def policy(
    name: str = "production",
    *repositories: str,
    authenticators: Sequence[str] = ("release",),
    count: int | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return a VerificationPolicy as the API server sends it.

    Args:
        name: name of the object.
        repositories: patterns of repositories; none for all images.
        authenticators: names of the required authenticators.
        count: how many of them are required; None for all.
        spec: further fields of the spec, or others instead of these; with `action="Exempt"` nothing is required.
    """
    require = {"authenticators": list(authenticators), **({} if count is None else {"count": count})}
    required = {} if spec.get("action") == "Exempt" else {"require": require}
    images = [{"repository": repository} for repository in repositories or ("**",)]
    return api_object("VerificationPolicy", name, {"images": images, **required, **spec})


def exception(
    name: str = "urgent",
    *images: str | Mapping[str, Any],
    namespaces: Sequence[str] = ("default",),
    expires_at: str = "2026-11-22T12:00:00Z",
    requested_by: str | None = "alice",
    **spec: Any,
) -> dict[str, Any]:
    """Return a VerificationException as the API server sends it.

    Args:
        name: name of the object.
        images: repositories or entries; none for all images.
        namespaces: the namespaces.
        expires_at: when it ends; by default a day after `tests.support.clocks.NOW`.
        requested_by: who made it; None for an exception that does not say so.
        spec: further fields of the spec, or others instead of these.
    """
    entries = [{"repository": image} if isinstance(image, str) else dict(image) for image in images or ("**",)]
    stamp = {} if requested_by is None else {"requestedBy": requested_by}
    fields = {"namespaces": list(namespaces), "reason": "outage of the signer", "expiresAt": expires_at}
    return api_object("VerificationException", name, {"images": entries, **fields, **stamp, **spec})


def policy_model(name: str = "production", *repositories: str, **fields: Any) -> VerificationPolicy:
    """Return a validated VerificationPolicy; see `policy`."""
    return VerificationPolicy.model_validate(policy(name, *repositories, **fields))


def api_object(kind: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of sealgate's API group."""
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def _entry(key: PrivateKey | str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(key, PrivateKey):
        return {"pem": public_pem(key)}
    return {"pem": key} if isinstance(key, str) else dict(key)
