"""Conversion of the attestors of verifyImages rules to cosign authenticators that accept no more.

Versions of Kyverno differ in whether a signature by a key must be in a transparency log if the rule does not say; here
it must, unless the rule has `ignoreTlog`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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

_ENTRY = frozenset({"keys", "keyless", "annotations", "repository"})
_KEYS = frozenset({"publicKeys", "signatureAlgorithm", "kms", "secret", "rekor", "ctlog"})
_KEYLESS = frozenset({"subject", "subjectRegExp", "issuer", "issuerRegExp", "additionalExtensions", "rekor", "ctlog"})
_EXTENSIONS = frozenset(f"githubWorkflow{name}" for name in ("Trigger", "Sha", "Name", "Repository", "Ref"))
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_COSIGN_KEY = "cosign.pub"


def attestor_specs(
    entry: object, public_root: str | None, repository: str | None, predicate: str | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the specs of the authenticators for an entry of an attestor set, one for each key, and notes.

    Args:
        entry: the entry.
        public_root: the JSON of the trusted root of sigstore's public services; None refers to a Secret.
        repository: where the rule's signatures are stored, if the entry does not say; None is beside the image.
        predicate: type of the attestation that the entry must have signed; None for a signature.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    entry = _mapping(entry, "an entry")
    _only(entry, _ENTRY, "")
    notes: list[str] = []
    common: dict[str, Any] = {}
    if entry.get("repository") or repository:
        common["signatureRepository"] = entry.get("repository") or repository
    if entry.get("annotations"):
        if predicate is not None:
            raise NoEquivalentError("annotations are asked of signatures only, not of attestations")
        common["annotations"] = entry["annotations"]
    if predicate is not None:
        common |= {"attestations": [{"predicateType": predicate}], "signatures": "NotRequired"}
    keys, keyless = entry.get("keys"), entry.get("keyless")
    if (keys is None) == (keyless is None):
        raise NoEquivalentError("an entry needs exactly one of keys and keyless; nested attestors have no equivalent")
    if keys is not None:
        specs = _keys(_mapping(keys, "keys"), public_root, notes)
    else:
        specs = [_keyless(_mapping(keyless, "keyless"), public_root, notes)]
    return [checked({**spec, **common}) for spec in specs], notes


def _keys(keys: Mapping[str, Any], public_root: str | None, notes: list[str]) -> list[dict[str, Any]]:
    _only(keys, _KEYS, "keys.")
    logged = _logged(keys, notes)
    more = {"requireTransparencyLog": True, "trustedRoot": _root(public_root, notes)} if logged else {}
    return [{"keys": [entry], **more} for entry in _entries(keys, notes)]


def _entries(keys: Mapping[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    digest = str(keys.get("signatureAlgorithm") or "sha256")
    text = str(keys.get("publicKeys") or "").strip()
    secret = keys.get("secret")
    if len([one for one in (text, keys.get("kms"), secret) if one]) != 1:
        raise NoEquivalentError("keys needs exactly one of publicKeys, kms and secret")
    if "{{" in text:
        raise NoEquivalentError("variables have no equivalent; write the key itself")
    if _PEM.search(text):
        return [inline_key(f"{pem}\n", digest) for pem in _PEM.findall(text)]
    if digest != "sha256":
        raise NoEquivalentError(f"signatureAlgorithm {quote(digest, 40)} needs publicKeys; write the key itself there")
    if text.startswith("k8s://"):
        secret = {"name": text.rpartition("/")[2]}
    if secret:
        name = str(_mapping(secret, "keys.secret").get("name", ""))
        notes.append(f"copy the Secret {quote(name, 64)} into sealgate's namespace, its public key as {_COSIGN_KEY}")
        return [{"secretRef": {"name": name, "key": _COSIGN_KEY}}]
    return [kms_key(text or str(keys["kms"]))]


def _keyless(keyless: Mapping[str, Any], public_root: str | None, notes: list[str]) -> dict[str, Any]:
    _only(keyless, _KEYLESS, "keyless.")
    if not _logged(keyless, notes):
        raise NoEquivalentError("without a transparency log its signatures count only while their certificate is valid")
    if not any(keyless.get(name) for name in ("subject", "subjectRegExp", "issuer", "issuerRegExp")):
        raise NoEquivalentError("keyless without subject and issuer accepts anyone; name them")
    identity: dict[str, Any] = {}
    for name in ("issuer", "subject"):
        wildcard, expression = keyless.get(name), keyless.get(f"{name}RegExp")
        if wildcard and expression:
            raise NoEquivalentError(f"keyless has both {name} and {name}RegExp; keep one of them")
        if wildcard and not set("*?") & set(str(wildcard)):
            identity[name] = wildcard
            continue
        found = searching(str(expression)) if expression else _matching(str(wildcard)) if wildcard else ANYTHING
        identity[f"{name}RegExp"] = found
        if found != expression:
            given = quote(expression or wildcard or "", 100)
            notes.append(
                f"{name} {given or 'is not given, and'} accepts more than one {name}; write it in full if you can"
            )
    for name, value in _mapping(keyless.get("additionalExtensions") or {}, "additionalExtensions").items():
        if name not in _EXTENSIONS or not isinstance(value, str) or not value or set("*?") & set(value):
            raise NoEquivalentError(f"additionalExtensions {quote(name, 64)} has no equivalent")
        identity[name] = value
    return {"keyless": {"identities": [identity]}, "trustedRoot": _root(public_root, notes)}


def _logged(attestor: Mapping[str, Any], notes: list[str]) -> bool:
    """Return whether the signatures must be in the log of sigstore's public services."""
    rekor = _mapping(attestor.get("rekor") or {}, "rekor")
    _only(rekor, frozenset({"url", "ignoreTlog"}), "rekor.")
    ctlog = _mapping(attestor.get("ctlog") or {}, "ctlog")
    _only(ctlog, frozenset({"ignoreSCT"}), "ctlog.")
    if ctlog.get("ignoreSCT") and "keys" not in attestor:
        notes.append("ctlog.ignoreSCT has no equivalent: certificates need an SCT here")
    return rekor.get("ignoreTlog") is not True


def _matching(wildcard: str) -> str:
    """Return the regular expression of a text with `*` and `?`."""
    parts = {"*": ANYTHING, "?": "(?s:.)"}
    return "".join(parts.get(character) or re.escape(character) for character in wildcard)


def _root(public_root: str | None, notes: list[str]) -> dict[str, Any]:
    if public_root is None:
        notes.append(
            f"give --trusted-root FILE, or store sigstore's public trusted root in the Secret {PUBLIC_ROOT} in "
            f"sealgate's namespace, as {ROOT_KEY}"
        )
    return trusted_root(public_root)


def _mapping(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise NoEquivalentError(f"{field} must be an object")
    return value


def _only(value: Mapping[str, Any], members: frozenset[str], prefix: str) -> None:
    """Refuse members without equivalent: each could be a requirement."""
    more = sorted(name for name in value.keys() - members if value[name] not in (None, [], {}, "", False))
    if more:
        raise NoEquivalentError(f"{prefix}{quote(more[0], 64)} has no equivalent")
