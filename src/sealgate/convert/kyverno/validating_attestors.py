"""Conversion of the attestors of ImageValidatingPolicies to authenticators that accept no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.convert.signers import (
    NoEquivalentError,
    checked,
    identity_of,
    inline_key,
    kms_key,
    mapping,
    only_members,
    public_trusted_root,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_COSIGN = frozenset({"key", "keyless", "source", "ctlog", "annotations", "trustedRoot"})
#: A switch that is off is the same as one that is not there.
_UNSET: tuple[object, ...] = (None, [], {}, "", False)


def attestor_spec(
    attestor: Mapping[str, Any], public_root: str | None, predicate: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the spec of the authenticator for an attestor, and notes.

    Args:
        attestor: the attestor.
        public_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.
        predicate: type of the attestation that the attestor must have signed; None for a signature.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    only_members(attestor, frozenset({"name", "cosign", "notary"}), "", _UNSET)
    notes: list[str] = []
    cosign, notary = attestor.get("cosign"), attestor.get("notary")
    if bool(cosign) == bool(notary):
        raise NoEquivalentError("an attestor needs exactly one of cosign and notary")
    if notary:
        if predicate is not None:
            raise NoEquivalentError("attestations that notary signs have no equivalent")
        return _notary(mapping(notary, "notary"), notes), notes
    return _cosign(mapping(cosign, "cosign"), public_root, predicate, notes), notes


def _cosign(
    cosign: Mapping[str, Any], public_root: str | None, predicate: str | None, notes: list[str]
) -> dict[str, Any]:
    only_members(cosign, _COSIGN, "cosign.", _UNSET)
    key, keyless = cosign.get("key"), cosign.get("keyless")
    if bool(key) == bool(keyless):
        raise NoEquivalentError("cosign needs exactly one of key and keyless")
    log = mapping(cosign.get("ctlog") or {}, "ctlog")
    only_members(log, frozenset({"url", "insecureIgnoreTlog", "insecureIgnoreSCT"}), "ctlog.", _UNSET)
    logged = not log.get("insecureIgnoreTlog")
    spec: dict[str, Any]
    if key:
        spec = {"keys": [_key(mapping(key, "key"))]}
        if logged:
            spec["requireTransparencyLog"] = True
    else:
        spec = {"keyless": {"identities": _identities(mapping(keyless, "keyless"), notes)}}
        if not logged:
            raise NoEquivalentError(
                "without a transparency log its signatures count only while their certificate is valid"
            )
        if log.get("insecureIgnoreSCT"):
            notes.append("ctlog.insecureIgnoreSCT has no equivalent: certificates need an SCT here")
    if logged:
        root = _text(cosign.get("trustedRoot"), "trustedRoot")
        spec["trustedRoot"] = {"inline": root} if root else public_trusted_root(public_root, notes)
    _source(spec, mapping(cosign.get("source") or {}, "source"), notes)
    if predicate is not None:
        spec |= {"attestations": [{"predicateType": predicate}], "signatures": "NotRequired"}
    if cosign.get("annotations"):
        if predicate is not None:
            raise NoEquivalentError("annotations are asked of signatures only, not of attestations")
        spec["annotations"] = cosign["annotations"]
    return checked(spec)


def _key(key: Mapping[str, Any]) -> dict[str, Any]:
    only_members(key, frozenset({"data", "kms", "hashAlgorithm"}), "key.", _UNSET)
    digest = str(key.get("hashAlgorithm") or "sha256")
    if bool(key.get("data")) == bool(key.get("kms")):
        raise NoEquivalentError("key needs exactly one of data and kms")
    if key.get("data"):
        return inline_key(str(key["data"]), digest)
    if digest != "sha256":
        raise NoEquivalentError(f"hashAlgorithm {quote(digest, 40)} is carried over for key.data only")
    return kms_key(str(key["kms"]))


def _identities(keyless: Mapping[str, Any], notes: list[str]) -> list[dict[str, str]]:
    only_members(keyless, frozenset({"identities"}), "keyless.", _UNSET)
    identities = keyless.get("identities")
    if not isinstance(identities, list) or not identities:
        raise NoEquivalentError("keyless without identities accepts anyone; name the identities")
    return [identity_of(mapping(one, "keyless.identities"), "keyless.identities", notes) for one in identities]


def _source(spec: dict[str, Any], source: Mapping[str, Any], notes: list[str]) -> None:
    only_members(source, frozenset({"repository", "PullSecrets"}), "source.", _UNSET)
    if source.get("repository"):
        spec["signatureRepository"] = source["repository"]
    if source.get("PullSecrets"):
        notes.append("source.PullSecrets has no equivalent: the pod's pull secrets or sealgate's are used")


def _notary(notary: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    only_members(notary, frozenset({"certs", "tsaCerts"}), "notary.", _UNSET)
    stores = {"ca": [{"pem": _text(notary.get("certs"), "certs")}]}
    authorities = _text(notary.get("tsaCerts"), "tsaCerts")
    if authorities:
        stores["tsa"] = [{"pem": authorities}]
    notes.append(
        "certificates that name where their revocation can be asked for need that host in revocation.hosts, or their "
        "list in revocation.lists"
    )
    return checked({"trustStores": stores, "trustedIdentities": ["*"]}, "notation")


def _text(value: object, field: str) -> str:
    """Return the text of a value that may also be an expression; empty if there is none."""
    given = mapping(value or {}, field)
    only_members(given, frozenset({"value"}), f"{field}.", _UNSET)
    return str(given.get("value") or "")
