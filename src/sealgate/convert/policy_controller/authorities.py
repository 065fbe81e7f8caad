"""Conversion of the authorities of ClusterImagePolicies to cosign authenticators that accept no more.

With attestations policy-controller asks for these alone, not for a signature. A keyless signature without a log counts
there only while its certificate is valid, which has no equivalent. A `ctlog` without `url` is lost between its two
versions of the API (`TLog` in `pkg/apis/policy/v1alpha1/clusterimagepolicy_conversion.go`), so no log is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.attestations import PREDICATE_TYPES
from sealgate.convert.signers import (
    ROOT_KEY,
    NoEquivalentError,
    checked,
    identity_of,
    inline_key,
    kms_key,
    mapping,
    only_members,
    public_trusted_root,
    secret_key,
    secret_root,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEMBERS = frozenset({"name", "key", "keyless", "source", "ctlog", "attestations", "signatureFormat"})
_KEYLESS = frozenset({"url", "identities", "trustRootRef", "insecureIgnoreSCT"})


def authority_spec(authority: Mapping[str, Any], public_root: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the spec of the authenticator for an authority with a key or identities, and notes about it.

    Args:
        authority: the authority, without `static`.
        public_root: the JSON of the trusted root of sigstore's public services; None refers to a Secret.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    only_members(authority, _MEMBERS, "")
    notes: list[str] = []
    key, keyless = authority.get("key"), authority.get("keyless")
    if (key is None) == (keyless is None):
        raise NoEquivalentError("it needs exactly one of key, keyless and static")
    spec: dict[str, Any] = {}
    root, has_url = _log_root(authority)
    if key is not None:
        spec["keys"] = [_key(mapping(key, "key"), notes)]
        if root is not None:
            spec["requireTransparencyLog"] = True
        if root is not None and not has_url:
            notes.append(
                "policy-controller ignores a ctlog without url, and admits signatures by the key without a log entry; "
                "here they need one: remove ctlog if that is not meant"
            )
    else:
        root = _keyless(spec, mapping(keyless, "keyless"), authority, notes)
    if root is not None:
        spec["trustedRoot"] = _root(root, public_root, notes)
    if key is not None and authority.get("signatureFormat") == "bundle":
        notes.append(
            "policy-controller 0.13 refuses all images for a key with signatureFormat: bundle; here signatures by the "
            "key count: leave the authority out if that is not meant"
        )
    _source(spec, authority.get("source"), notes)
    _attestations(spec, authority.get("attestations"))
    return checked(spec), notes


def _log_root(authority: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return the name of the trust root of the log that must have the signatures, and whether the log has a URL.

    The empty name is that of sigstore's public services; None means that no log is asked for.
    """
    if authority.get("ctlog") is None:
        return None, False
    log = mapping(authority["ctlog"], "ctlog")
    only_members(log, frozenset({"url", "trustRootRef"}), "ctlog.")
    url = bool(log.get("url"))
    return str(log["trustRootRef"]) if log.get("trustRootRef") else "" if url else None, url


def _keyless(spec: dict[str, Any], keyless: Mapping[str, Any], authority: Mapping[str, Any], notes: list[str]) -> str:
    """Add the identities, and return the name of the trust root."""
    only_members(keyless, _KEYLESS, "keyless.")
    identities = keyless.get("identities")
    if not isinstance(identities, list) or not identities:
        raise NoEquivalentError("keyless without identities accepts anyone; name the identities")
    spec["keyless"] = {
        "identities": [
            identity_of(mapping(one, "keyless.identities"), "keyless.identities", notes) for one in identities
        ]
    }
    if keyless.get("insecureIgnoreSCT"):
        notes.append("insecureIgnoreSCT has no equivalent: certificates need an SCT here")
    root = str(keyless.get("trustRootRef") or "")
    log, has_url = ("", True) if authority.get("ctlog") is None and not root else _log_root(authority)
    if log and not has_url:
        raise NoEquivalentError(
            "policy-controller ignores a ctlog without url, so its signatures count only while their certificate is "
            "valid; write ctlog.url if the log is meant"
        )
    if log is None:
        raise NoEquivalentError("without a transparency log its signatures count only while their certificate is valid")
    if log != root:
        raise NoEquivalentError(
            "its CA and its log have different trust roots; here one trusted root has both: name the same in "
            "keyless.trustRootRef and ctlog.trustRootRef"
        )
    return root


def _key(key: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    only_members(key, frozenset({"data", "secretRef", "kms", "hashAlgorithm"}), "key.")
    given = [name for name in ("data", "secretRef", "kms") if key.get(name)]
    if len(given) != 1:
        raise NoEquivalentError("a key needs exactly one of data, secretRef and kms")
    digest = str(key.get("hashAlgorithm") or "sha256")
    if given == ["data"]:
        return inline_key(str(key["data"]), digest)
    if digest != "sha256":
        raise NoEquivalentError(
            f"hashAlgorithm {quote(digest, 40)} is carried over for key.data only; write the key there"
        )
    if given == ["kms"]:
        return kms_key(str(key["kms"]))
    # Its namespace has no effect: policy-controller reads Secrets in its own.
    return secret_key(str(mapping(key["secretRef"], "key.secretRef").get("name", "")), "", notes)


def _root(name: str, public_root: str | None, notes: list[str]) -> dict[str, Any]:
    if not name:
        return public_trusted_root(public_root, notes)
    notes.append(
        f"store the content of the TrustRoot {quote(name, 64)} as a trusted root of sigstore in the Secret "
        f"{quote(name, 64)} in sealgate's namespace, as {ROOT_KEY} (cosign trusted-root create)"
    )
    return secret_root(name)


def _source(spec: dict[str, Any], sources: object, notes: list[str]) -> None:
    if not sources:
        return
    if not isinstance(sources, list) or len(sources) != 1:
        raise NoEquivalentError("several sources have no equivalent; write an authority for each")
    source = mapping(sources[0], "source")
    if source.get("tagPrefix"):
        raise NoEquivalentError("source.tagPrefix has no equivalent")
    only_members(source, frozenset({"oci", "signaturePullSecrets", "tagPrefix"}), "source.")
    spec["signatureRepository"] = source.get("oci")
    if source.get("signaturePullSecrets"):
        notes.append("signaturePullSecrets has no equivalent: the pod's pull secrets or sealgate's are used")


def _attestations(spec: dict[str, Any], attestations: object) -> None:
    if not attestations:
        return
    if not isinstance(attestations, list):
        raise NoEquivalentError("attestations must be a list")
    wanted = []
    for one in attestations:
        attestation = mapping(one, "attestations")
        only_members(attestation, frozenset({"name", "predicateType", "policy"}), "attestations.")
        if attestation.get("policy"):
            raise NoEquivalentError(
                "an attestation's policy in CUE or Rego has no equivalent; write it as conditions in CEL by hand"
            )
        kind = str(attestation.get("predicateType", ""))
        if kind not in PREDICATE_TYPES and ":" not in kind:
            raise NoEquivalentError(f"the predicateType {quote(kind, 64)} is not known")
        wanted.append({"predicateType": PREDICATE_TYPES.get(kind, kind)})
    spec |= {"attestations": wanted, "signatures": "NotRequired"}
