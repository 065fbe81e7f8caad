"""Conversion of the verifiers of Ratify 1, each with trust policies by scope, to authenticators that accept no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.convert.signers import (
    NoEquivalentError,
    checked,
    identity_of,
    mapping,
    only_members,
    public_trusted_root,
)
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sealgate.convert.ratify.providers import Providers

#: What signatures are, by the type of the verifier that verifies them.
ARTIFACTS = {
    "notation": "application/vnd.cncf.notary.signature",
    "cosign": "application/vnd.dev.cosign.artifact.sig.v1+json",
}

_UNSET: tuple[object, ...] = (None, [], {}, "")
_STORES = ("ca", "tsa", "signingAuthority")
_LEVELS = {"strict": "enforce", "permissive": "log", "audit": "log", "skip": "log"}
_STORAGES = (
    "one valid signature is enough, wherever cosign stores it; Ratify does not read bundles, goes by the last of "
    "several signatures, and admits an image that has the copied signature of another image, which is refused here"
)
_REKOR = "https://rekor.sigstore.dev"
_IDENTITY = {
    "certificateIdentity": "subject",
    "certificateIdentityRegExp": "subjectRegExp",
    "certificateOIDCIssuer": "issuer",
    "certificateOIDCIssuerRegExp": "issuerRegExp",
}
_COSIGN = frozenset({"version", "name", "scopes", "keys", "keyless", "tLogVerify", "rekorURL"})
_NOTATION = frozenset({"name", "registryScopes", "signatureVerification", "trustStores", "trustedIdentities"})


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """One trust policy of a verifier.

    Attributes:
        name: its name.
        scopes: as written.
        spec: of the authenticator; None if it has no equivalent.
        notes: what differs; if it has no equivalent, why.
    """

    name: str
    scopes: tuple[str, ...]
    spec: Mapping[str, Any] | None
    notes: tuple[str, ...]


def trust_policies(spec: Mapping[str, Any], providers: Providers, public_root: str | None) -> tuple[TrustPolicy, ...]:
    """Return the trust policies of a verifier.

    Args:
        spec: of the Verifier.
        providers: the keys and certificates that it names.
        public_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        NoEquivalentError: the verifier has no equivalent, or its scopes cannot be read.
    """
    only_members(
        spec, frozenset({"name", "type", "version", "artifactTypes", "address", "parameters"}), "spec.", _UNSET
    )
    kind = str(spec.get("type") or spec.get("name"))
    if kind not in ARTIFACTS:
        raise NoEquivalentError(f"verifiers of the type {quote(kind, 64)} have no equivalent")
    if spec.get("artifactTypes") != ARTIFACTS[kind]:
        raise NoEquivalentError(f"artifactTypes must be {ARTIFACTS[kind]}")
    parameters = mapping(spec.get("parameters"), "parameters")
    if kind == "notation":
        only_members(
            parameters,
            frozenset({"verificationCerts", "verificationCertStores", "trustPolicyDoc"}),
            "parameters.",
            _UNSET,
        )
        stores = _stores(mapping(parameters.get("verificationCertStores"), "verificationCertStores"))
        document = mapping(parameters.get("trustPolicyDoc"), "trustPolicyDoc")
        only_members(document, frozenset({"version", "trustPolicies"}), "trustPolicyDoc.", _UNSET)
        if document.get("version") != "1.0":
            raise NoEquivalentError('the version of trustPolicyDoc must be "1.0"')
        return _each(
            document.get("trustPolicies"),
            "registryScopes",
            lambda policy, notes: _notation(policy, stores, providers, notes),
        )
    only_members(parameters, frozenset({"trustPolicies"}), "parameters.", _UNSET)
    return _each(
        parameters.get("trustPolicies"), "scopes", lambda policy, notes: _cosign(policy, providers, public_root, notes)
    )


def _each(
    listed: object, member: str, spec_of: Callable[[Mapping[str, Any], list[str]], dict[str, Any]]
) -> tuple[TrustPolicy, ...]:
    if not isinstance(listed, list) or not listed:
        raise NoEquivalentError("it has no trust policies")
    found = []
    for one in listed:
        policy = mapping(one, "trustPolicies")
        scopes = policy.get(member)
        if not isinstance(scopes, list) or not all(isinstance(scope, str) and scope for scope in scopes):
            raise NoEquivalentError(f"{member} must be a list of texts")
        if len(scopes) > 1 and "*" in scopes:
            raise NoEquivalentError(f"{member} has * beside others, which Ratify does not load")
        if not isinstance(policy.get("name"), str) or not policy["name"]:
            raise NoEquivalentError("each of its trust policies must have a name")
        notes: list[str] = []
        spec: Mapping[str, Any] | None
        try:
            spec = spec_of(policy, notes)
        except NoEquivalentError as error:
            spec, notes = None, [str(error)]
        found.append(TrustPolicy(policy["name"], tuple(scopes), spec, tuple(notes)))
    if len({policy.name for policy in found}) < len(found):
        raise NoEquivalentError("two of its trust policies have one name")
    return tuple(found)


def _stores(given: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the names of providers, by the type and the name of a trust store."""
    if not given.keys() & set(_STORES):
        return {"ca": given}  # the form before types
    if given.keys() - set(_STORES):
        raise NoEquivalentError("verificationCertStores has stores both with and without a type")
    return {kind: mapping(value, f"verificationCertStores.{kind}") for kind, value in given.items()}


def _notation(
    policy: Mapping[str, Any], stores: Mapping[str, Mapping[str, Any]], providers: Providers, notes: list[str]
) -> dict[str, Any]:
    only_members(policy, _NOTATION, "trustPolicies.", _UNSET)
    spec: dict[str, Any] = {"trustStores": {}, "trustedIdentities": policy.get("trustedIdentities") or []}
    listed_stores = policy.get("trustStores")
    for named in listed_stores if isinstance(listed_stores, list) else ():
        kind, _, name = str(named).partition(":")
        listed = stores.get(kind, {}).get(name)
        if kind not in _STORES or not isinstance(listed, list) or not listed:
            raise NoEquivalentError(f"the trust store {quote(named, 64)} is not in verificationCertStores")
        spec["trustStores"].setdefault(kind, []).extend({"pem": providers.certificates(one)} for one in listed)
    _levels(mapping(policy.get("signatureVerification"), "signatureVerification"), spec, notes)
    notes.append(
        "certificates that name where their revocation can be asked for need that host in revocation.hosts, or their "
        "list in revocation.lists"
    )
    return checked(spec, "notation")


def _levels(given: Mapping[str, Any], spec: dict[str, Any], notes: list[str]) -> None:
    """Add what the level of a trust policy accepts; what it accepts beyond that is refused here, with a note."""
    only_members(given, frozenset({"level", "override", "verifyTimestamp"}), "signatureVerification.", _UNSET)
    level = given.get("level")
    if not isinstance(level, str) or level not in _LEVELS:
        raise NoEquivalentError(f"the level {quote(level, 64)} is not known")
    override = mapping(given.get("override") or {}, "override")
    if override.get("expiry", _LEVELS[level]) != "enforce":
        spec["acceptExpired"] = True
    if override.get("revocation", _LEVELS[level]) != "enforce":
        spec["revocation"] = {"acceptUnknown": True}
        notes.append("a certificate that is known to be revoked is refused here")
    loose = [name for name in ("authenticity", "authenticTimestamp") if override.get(name, "enforce") != "enforce"]
    if level in ("audit", "skip") or loose:
        notes.append(f"the level {level} admits more signers than it names; here only these count")
    elif level == "permissive":
        notes.append("a certificate that was not valid when it signed is refused here")
    if given.get("verifyTimestamp") == "afterCertExpiry":
        spec["verifyTimestamp"] = "AfterCertExpiry"


def _cosign(
    policy: Mapping[str, Any], providers: Providers, public_root: str | None, notes: list[str]
) -> dict[str, Any]:
    only_members(policy, _COSIGN, "trustPolicies.", _UNSET)
    if policy.get("version") not in (None, "", "1.0.0"):
        raise NoEquivalentError(f"the version {quote(policy['version'], 64)} is not known")
    logged = policy.get("tLogVerify", True)
    if not isinstance(logged, bool):
        raise NoEquivalentError("tLogVerify must be true or false")
    if logged and str(policy.get("rekorURL") or _REKOR).rstrip("/") != _REKOR:
        raise NoEquivalentError(f"the rekorURL must be {_REKOR}; write the trusted root of another log by hand")
    notes.append(_STORAGES)
    keys, keyless = policy.get("keys"), policy.get("keyless")
    spec: dict[str, Any]
    if keys and not keyless and isinstance(keys, list):
        spec = {"keys": []}
        for one in keys:
            spec["keys"] += [key for key in providers.keys(mapping(one, "keys")) if key not in spec["keys"]]
        if logged:
            spec["requireTransparencyLog"] = True
    elif keyless and not keys:
        spec = {"keyless": {"identities": [_identity(mapping(keyless, "keyless"), notes)]}}
        if not logged:
            raise NoEquivalentError(
                "without a transparency log its signatures count only while their certificate is valid"
            )
    else:
        raise NoEquivalentError("a trust policy needs either keys or keyless")
    if logged:
        spec["trustedRoot"] = public_trusted_root(public_root, notes)
    return checked(spec)


def _identity(keyless: Mapping[str, Any], notes: list[str]) -> dict[str, str]:
    only_members(keyless, frozenset({*_IDENTITY, "ctLogVerify"}), "keyless.", _UNSET)
    if keyless.get("ctLogVerify") is False:
        notes.append("ctLogVerify has no equivalent: certificates need an SCT here")
    found = {ours: keyless[theirs] for theirs, ours in _IDENTITY.items() if keyless.get(theirs)}
    if {name.removesuffix("RegExp") for name in found} != {"issuer", "subject"}:
        raise NoEquivalentError("keyless needs an identity and an issuer")
    return identity_of(found, "keyless", notes)
