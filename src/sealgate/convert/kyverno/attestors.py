"""Conversion of the attestors of verifyImages rules to cosign authenticators that accept no more.

Versions of Kyverno differ in whether a signature by a key must be in a transparency log if the rule does not say; here
it must, unless the rule has `ignoreTlog`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sealgate.convert.signers import (
    ANYTHING,
    NoEquivalentError,
    checked,
    inline_key,
    kms_key,
    mapping,
    only_members,
    public_trusted_root,
    searching,
    secret_key,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRY = frozenset({"keys", "keyless", "annotations", "repository"})
_KEYS = frozenset({"publicKeys", "signatureAlgorithm", "kms", "secret", "rekor", "ctlog"})
_KEYLESS = frozenset({"subject", "subjectRegExp", "issuer", "issuerRegExp", "additionalExtensions", "rekor", "ctlog"})
_EXTENSIONS = frozenset(f"githubWorkflow{name}" for name in ("Trigger", "Sha", "Name", "Repository", "Ref"))
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
#: Kyverno takes a switch that is off for one that is not there.
_UNSET: tuple[object, ...] = (None, [], {}, "", False)


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
    entry = mapping(entry, "an entry")
    only_members(entry, _ENTRY, "", _UNSET)
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
        specs = _keys(mapping(keys, "keys"), public_root, notes)
        if predicate is not None and len(specs) > 1:
            raise NoEquivalentError(
                "with several keys in publicKeys Kyverno verifies attestations by the first alone; write an entry for "
                "each key"
            )
    else:
        specs = [_keyless(mapping(keyless, "keyless"), public_root, notes)]
    return [checked({**spec, **common}) for spec in specs], notes


def _keys(keys: Mapping[str, Any], public_root: str | None, notes: list[str]) -> list[dict[str, Any]]:
    only_members(keys, _KEYS, "keys.", _UNSET)
    logged = _logged(keys, notes)
    more = {"requireTransparencyLog": True, "trustedRoot": public_trusted_root(public_root, notes)} if logged else {}
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
        if _PEM.sub("", text).strip():
            # Kyverno takes a text that does not begin with a key for the address of one.
            raise NoEquivalentError("keys.publicKeys has text besides keys; remove it")
        return [inline_key(f"{pem}\n", digest) for pem in _PEM.findall(text)]
    if digest != "sha256":
        raise NoEquivalentError(f"signatureAlgorithm {quote(digest, 40)} needs publicKeys; write the key itself there")
    if text.startswith("k8s://"):
        namespace, _, name = text.removeprefix("k8s://").rpartition("/")
        secret = {"name": name, "namespace": namespace}
    if secret:
        reference = mapping(secret, "keys.secret")
        return [secret_key(str(reference.get("name", "")), str(reference.get("namespace") or ""), notes)]
    return [kms_key(text or str(keys["kms"]))]


def _keyless(keyless: Mapping[str, Any], public_root: str | None, notes: list[str]) -> dict[str, Any]:
    only_members(keyless, _KEYLESS, "keyless.", _UNSET)
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
    for name, value in mapping(keyless.get("additionalExtensions") or {}, "additionalExtensions").items():
        if name not in _EXTENSIONS or not isinstance(value, str) or not value or set("*?") & set(value):
            raise NoEquivalentError(f"additionalExtensions {quote(name, 64)} has no equivalent")
        identity[name] = value
    return {"keyless": {"identities": [identity]}, "trustedRoot": public_trusted_root(public_root, notes)}


def _logged(attestor: Mapping[str, Any], notes: list[str]) -> bool:
    """Return whether the signatures must be in the log of sigstore's public services."""
    rekor = mapping(attestor.get("rekor") or {}, "rekor")
    only_members(rekor, frozenset({"url", "ignoreTlog"}), "rekor.", _UNSET)
    ctlog = mapping(attestor.get("ctlog") or {}, "ctlog")
    only_members(ctlog, frozenset({"ignoreSCT"}), "ctlog.", _UNSET)
    if ctlog.get("ignoreSCT") and "keys" not in attestor:
        notes.append("ctlog.ignoreSCT has no equivalent: certificates need an SCT here")
    return rekor.get("ignoreTlog") is not True


def _matching(wildcard: str) -> str:
    """Return the regular expression of a text with `*` and `?`."""
    parts = {"*": ANYTHING, "?": "(?s:.)"}
    return "".join(parts.get(character) or re.escape(character) for character in wildcard)
