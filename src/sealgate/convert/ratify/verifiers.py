"""Conversion of the verifiers of Ratify's Executors to authenticators that accept no more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sealgate.convert.signers import (
    NoEquivalentError,
    checked,
    identity_of,
    inline_key,
    mapping,
    only_members,
    public_trusted_root,
)
from sealgate.messages import quote

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_UNSET: tuple[object, ...] = (None, [], {}, "", False)
_STORES = ("ca", "tsa", "signingAuthority")
_IDENTITY = {
    "certificateIdentity": "subject",
    "certificateIdentityRegex": "subjectRegex",
    "certificateOIDCIssuer": "issuer",
    "certificateOIDCIssuerRegex": "issuerRegex",
}
_COSIGN = frozenset({*_IDENTITY, "scopes", "keys", "ignoreTLog", "ignoreCTLog", "ignoreObserverTimestamps"})


def verifier_spec(
    verifier: Mapping[str, Any], scopes: list[str], public_root: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Return the spec of the authenticator for a verifier, and notes.

    Args:
        verifier: the verifier.
        scopes: those of its Executor.
        public_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    parameters = mapping(verifier.get("parameters") or {}, "parameters")
    notes: list[str] = []
    if verifier.get("type") == "notation":
        return _notation(parameters, notes), notes
    if verifier.get("type") == "cosign":
        return _cosign(parameters, scopes, public_root, notes), notes
    raise NoEquivalentError(f"verifiers of the type {quote(verifier.get('type'), 64)} have no equivalent")


def _notation(parameters: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    only_members(parameters, frozenset({"scopes", "trustedIdentities", "certificates"}), "parameters.", _UNSET)
    if (parameters.get("scopes") or ["*"]) != ["*"]:
        raise NoEquivalentError("parameters.scopes has no equivalent: write an Executor for each of them")
    certificates = parameters.get("certificates")
    if not isinstance(certificates, list):
        raise NoEquivalentError("parameters.certificates must be a list")
    stores: dict[str, list[dict[str, str]]] = {}
    for one in certificates:
        certificate = mapping(one, "certificates")
        only_members(certificate, frozenset({"type", "inline"}), "certificates.", _UNSET)
        kind = str(certificate.get("type") or "ca")
        if kind not in _STORES or kind in stores:
            raise NoEquivalentError("certificates must be of the types ca, tsa and signingAuthority, each at most once")
        stores[kind] = [{"pem": _inline(certificate.get("inline"), "certs")}]
    notes.append(
        "certificates that name where their revocation can be asked for need that host in revocation.hosts, or their "
        "list in revocation.lists"
    )
    identities = parameters.get("trustedIdentities") or ["*"]
    return checked({"trustStores": stores, "trustedIdentities": identities}, "notation")


def _cosign(
    parameters: Mapping[str, Any], scopes: list[str], public_root: str | None, notes: list[str]
) -> dict[str, Any]:
    only_members(parameters, frozenset({"trustPolicies"}), "parameters.", _UNSET)
    policies = parameters.get("trustPolicies")
    if not isinstance(policies, list) or len(policies) != 1:
        raise NoEquivalentError("several trustPolicies have no equivalent: write an Executor for each of them")
    policy = mapping(policies[0], "trustPolicies")
    only_members(policy, _COSIGN, "trustPolicies.", _UNSET)
    given = policy.get("scopes") or scopes
    if not isinstance(given, list) or set(given) != set(scopes):
        raise NoEquivalentError("trustPolicies.scopes must be those of the Executor")
    logged = not policy.get("ignoreTLog")
    spec: dict[str, Any]
    if policy.get("keys"):
        if not logged and not policy.get("ignoreObserverTimestamps"):
            raise NoEquivalentError("a timestamp that keys must have in place of a log entry has no equivalent")
        keys = mapping(policy["keys"], "keys")
        only_members(keys, frozenset({"inline"}), "keys.", _UNSET)
        pems = _PEM.findall(_inline(keys.get("inline"), "keys"))
        spec = {"keys": [inline_key(f"{pem}\n", "sha256") for pem in pems]}
        if logged:
            spec["requireTransparencyLog"] = True
    else:
        if not logged:
            raise NoEquivalentError(
                "without a transparency log its signatures count only while their certificate is valid"
            )
        if policy.get("ignoreCTLog"):
            notes.append("ignoreCTLog has no equivalent: certificates need an SCT here")
        found = {ours: policy[theirs] for theirs, ours in _IDENTITY.items() if policy.get(theirs)}
        if not found:
            raise NoEquivalentError("keyless without an identity accepts anyone; name it")
        spec = {"keyless": {"identities": [identity_of(found, "trustPolicies", notes, "Regex")]}}
    if logged:
        spec["trustedRoot"] = public_trusted_root(public_root, notes)
    return checked(spec)


def _inline(value: object, member: str) -> str:
    """Return the text of an inline provider: the text itself, or a member of an object."""
    text = value.get(member) if isinstance(value, Mapping) else value
    if not isinstance(text, str) or not text:
        raise NoEquivalentError("only inline keys and certificates can be carried over")
    return text
