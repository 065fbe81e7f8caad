"""Conversion of the authorities of ClusterImagePolicies to cosign authenticators that accept no more.

With attestations policy-controller asks for these alone, not for a signature. A keyless signature without a log counts
there only while its certificate is valid, which has no equivalent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealgate.api.v1alpha1.attestations import PREDICATE_TYPES
from sealgate.convert.signers import (
    ANYTHING,
    PUBLIC_ROOT,
    ROOT_KEY,
    NoEquivalentError,
    checked,
    inline_key,
    kms_key,
    searching,
    trusted_root,
)
from sealgate.messages import quote

_MEMBERS = frozenset({"name", "key", "keyless", "source", "ctlog", "attestations", "signatureFormat"})
_KEYLESS = frozenset({"url", "identities", "trustRootRef", "insecureIgnoreSCT"})
_IDENTITY = ("issuer", "issuerRegExp", "subject", "subjectRegExp")
#: The key of a Secret as `cosign generate-key-pair k8s://...` names it.
_COSIGN_KEY = "cosign.pub"


def authority_spec(authority: Mapping[str, Any], public_root: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the spec of the authenticator for an authority with a key or identities, and notes about it.

    Args:
        authority: the authority, without `static`.
        public_root: the JSON of the trusted root of sigstore's public services; None refers to a Secret.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    _only(authority, _MEMBERS, "")
    notes: list[str] = []
    key, keyless = authority.get("key"), authority.get("keyless")
    if (key is None) == (keyless is None):
        raise NoEquivalentError("it needs exactly one of key, keyless and static")
    spec: dict[str, Any] = {}
    root = _log_root(authority)
    if key is not None:
        spec["keys"] = [_key(_mapping(key, "key"), notes)]
        if root is not None:
            spec["requireTransparencyLog"] = True
    else:
        root = _keyless(spec, _mapping(keyless, "keyless"), authority, notes)
    if root is not None:
        spec["trustedRoot"] = _root(root, public_root, notes)
    _source(spec, authority.get("source"), notes)
    _attestations(spec, authority.get("attestations"))
    return checked(spec), notes


def _log_root(authority: Mapping[str, Any]) -> str | None:
    """Return the name of the trust root of the log that must have the signatures; None if no log is asked for.

    The empty name is that of sigstore's public services.
    """
    if authority.get("ctlog") is None:
        return None
    log = _mapping(authority["ctlog"], "ctlog")
    _only(log, frozenset({"url", "trustRootRef"}), "ctlog.")
    return str(log["trustRootRef"]) if log.get("trustRootRef") else "" if log.get("url") else None


def _keyless(spec: dict[str, Any], keyless: Mapping[str, Any], authority: Mapping[str, Any], notes: list[str]) -> str:
    """Add the identities, and return the name of the trust root."""
    _only(keyless, _KEYLESS, "keyless.")
    identities = keyless.get("identities")
    if not isinstance(identities, list) or not identities:
        raise NoEquivalentError("keyless without identities accepts anyone; name the identities")
    spec["keyless"] = {"identities": [_identity(_mapping(one, "keyless.identities"), notes) for one in identities]}
    if keyless.get("insecureIgnoreSCT"):
        notes.append("insecureIgnoreSCT has no equivalent: certificates need an SCT here")
    root = str(keyless.get("trustRootRef") or "")
    log = "" if authority.get("ctlog") is None and not root else _log_root(authority)
    if log is None:
        raise NoEquivalentError("without a transparency log its signatures count only while their certificate is valid")
    if log != root:
        raise NoEquivalentError(
            "its CA and its log have different trust roots; here one trusted root has both: name the same in "
            "keyless.trustRootRef and ctlog.trustRootRef"
        )
    return root


def _identity(identity: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    _only(identity, frozenset(_IDENTITY), "keyless.identities.")
    if not all(isinstance(value, str) for value in identity.values()):
        raise NoEquivalentError("the members of an identity must be text")
    found: dict[str, str] = {}
    for name in ("issuer", "subject"):
        exact, expression = identity.get(name), identity.get(f"{name}RegExp")
        if exact and expression:
            raise NoEquivalentError(f"an identity has both {name} and {name}RegExp")
        if exact:
            found[name] = exact
            continue
        found[f"{name}RegExp"] = searching(expression) if expression else ANYTHING
        if not expression:
            notes.append(f"an identity without {name} accepts every {name}; name it")
        elif found[f"{name}RegExp"] != expression:
            notes.append(
                f"{name}RegExp {quote(expression, 100)} is not anchored at both ends: it may match anywhere in the "
                f"{name}, also here; write one that matches the whole"
            )
    return found


def _key(key: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    _only(key, frozenset({"data", "secretRef", "kms", "hashAlgorithm"}), "key.")
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
    name = str(_mapping(key["secretRef"], "key.secretRef").get("name", ""))
    notes.append(f"copy the Secret {quote(name, 64)} into sealgate's namespace, its public key as {_COSIGN_KEY}")
    return {"secretRef": {"name": name, "key": _COSIGN_KEY}}


def _root(name: str, public_root: str | None, notes: list[str]) -> dict[str, Any]:
    if not name:
        if public_root is None:
            notes.append(
                f"give --trusted-root FILE, or store sigstore's public trusted root in the Secret {PUBLIC_ROOT} in "
                f"sealgate's namespace, as {ROOT_KEY}"
            )
        return trusted_root(public_root)
    notes.append(
        f"store the content of the TrustRoot {quote(name, 64)} as a trusted root of sigstore in the Secret "
        f"{quote(name, 64)} in sealgate's namespace, as {ROOT_KEY} (cosign trusted-root create)"
    )
    return trusted_root(None, name)


def _source(spec: dict[str, Any], sources: object, notes: list[str]) -> None:
    if not sources:
        return
    if not isinstance(sources, list) or len(sources) != 1:
        raise NoEquivalentError("several sources have no equivalent; write an authority for each")
    source = _mapping(sources[0], "source")
    if source.get("tagPrefix"):
        raise NoEquivalentError("source.tagPrefix has no equivalent")
    _only(source, frozenset({"oci", "signaturePullSecrets", "tagPrefix"}), "source.")
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
        attestation = _mapping(one, "attestations")
        _only(attestation, frozenset({"name", "predicateType", "policy"}), "attestations.")
        if attestation.get("policy"):
            raise NoEquivalentError(
                "an attestation's policy in CUE or Rego has no equivalent; write it as conditions in CEL by hand"
            )
        kind = str(attestation.get("predicateType", ""))
        if kind not in PREDICATE_TYPES and ":" not in kind:
            raise NoEquivalentError(f"the predicateType {quote(kind, 64)} is not known")
        wanted.append({"predicateType": PREDICATE_TYPES.get(kind, kind)})
    spec |= {"attestations": wanted, "signatures": "NotRequired"}


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NoEquivalentError(f"{field} must be an object")
    return value


def _only(value: Mapping[str, Any], members: frozenset[str], prefix: str) -> None:
    """Refuse members without equivalent: each could be a requirement."""
    more = sorted(name for name in value.keys() - members if value[name] not in (None, [], {}, ""))
    if more:
        raise NoEquivalentError(f"{prefix}{quote(more[0], 64)} has no equivalent")
