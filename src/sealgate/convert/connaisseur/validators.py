"""Conversion of Connaisseur's validators, with the options of a rule, to authenticators that accept no more.

Connaisseur counts signatures towards `threshold`; here each must be by another key. A keyless signature that need not
be in a transparency log counts there only while its certificate is valid, which has no equivalent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sealgate.convert.connaisseur.notary import notary_spec
from sealgate.convert.results import MAX_AUTHENTICATORS
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

_COMMON = frozenset({"name", "type", "auth", "cert", "trustRoots"})
_OWN_SIGSTORE = ("rekorPubkey", "fulcioCert", "ctLogPubkey")
_WITH = frozenset({"trustRoot", "mode"})
_WITH_COSIGN = _WITH | {"verifyInTransparencyLog", "verifySCT", "threshold", "required"}
_WITH_NOTARY = _WITH | {"delegations"}
_WITH_NOTATION = _WITH | {"verificationLevel", "verifyTimestamp"}
#: Values that say the same as a member that is not there.
_UNSET: tuple[object, ...] = (None, [], {}, "", 0)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_TIMESTAMPS = {"always": "Always", "afterCertExpiry": "AfterCertExpiry"}

#: Name of a trust root, and the spec of its authenticator.
Signers = list[tuple[str, dict[str, Any]]]


def required_signers(
    validator: Mapping[str, Any], options: Mapping[str, Any], public_root: str | None
) -> tuple[list[tuple[Signers, int]], list[str]]:
    """Return the signers that an image must have, with how many of them must have signed, each of which must be met.

    Args:
        validator: the validator, not a static one.
        options: `with` of the rule.
        public_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Returns:
        Signers with the number of them that is needed, and notes.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    kind = validator.get("type")
    notes = []
    if validator.get("auth"):
        notes.append(
            "auth is not in policies here: set registries.dockerConfigSecret or webhook.pullSecrets in the chart"
        )
    if validator.get("cert") and kind != "notaryv1":
        notes.append("cert is not in policies here: set registries.ca in the chart")
    if kind == "cosign":
        return _cosign(validator, options, public_root, notes), notes
    if kind == "notation":
        return [([_notation(validator, options, notes)], 1)], notes
    if kind == "notaryv1":
        return _notary(validator, options), notes
    raise NoEquivalentError(f"validators of the type {quote(kind, 64)} are not known")


def _cosign(
    validator: Mapping[str, Any], options: Mapping[str, Any], public_root: str | None, notes: list[str]
) -> list[tuple[Signers, int]]:
    only_members(validator, _COMMON | {"host"}, "")
    only_members(options, _WITH_COSIGN, "with.", _UNSET)
    roots = _roots(validator)
    name, needed, required = options.get("trustRoot") or "default", options.get("threshold"), options.get("required")
    if not isinstance(name, str) or not isinstance(needed or 0, int) or not isinstance(required or [], list):
        raise NoEquivalentError(
            "with.trustRoot must be a name, with.threshold a number, and with.required a list of names"
        )
    required = list(dict.fromkeys(str(one) for one in required or ()))
    if name != "*" and set(required) - {name}:
        # A required trust root that is not the rule's own never verifies there.
        raise NoEquivalentError("with.required needs trustRoot '*'")
    wanted = []
    if name != "*" or required:
        wanted.append((required or [name], 0))
    if name == "*" and (not required or (needed or 0) > len(required)):
        wanted.append((list(roots), needed or 0))
    found: list[tuple[Signers, int]] = []
    for names, count in wanted:
        if count > len(names) or len(names) > MAX_AUTHENTICATORS or set(names) - roots.keys():
            raise NoEquivalentError(
                f"it asks for more trust roots than the validator has, for other ones, or for over {MAX_AUTHENTICATORS}"
            )
        signers = [(one, _signer(roots[one], validator, options, public_root, notes)) for one in names]
        found.append((signers, count or len(names)))
    return found


def _signer(
    root: Mapping[str, Any],
    validator: Mapping[str, Any],
    options: Mapping[str, Any],
    public_root: str | None,
    notes: list[str],
) -> dict[str, Any]:
    only_members(root, frozenset({"name", "key", "keyless"}), "trustRoots.")
    key, keyless = root.get("key"), root.get("keyless")
    if bool(key) == bool(keyless):
        raise NoEquivalentError("a trust root needs exactly one of key and keyless")
    logged = options.get("verifyInTransparencyLog") is not False
    if options.get("verifySCT") is False and keyless:
        notes.append("verifySCT: false has no equivalent: certificates need an SCT here")
    spec: dict[str, Any]
    if key:
        spec = {"keys": [_key(str(key).strip(), notes)]}
        if logged:
            spec["requireTransparencyLog"] = True
    elif not logged:
        raise NoEquivalentError("without a transparency log its signatures count only while their certificate is valid")
    else:
        identity = identity_of(mapping(keyless, "keyless"), "keyless", notes, "Regex")
        spec = {"keyless": {"identities": [identity]}}
    if logged:
        spec["trustedRoot"] = _trusted_root(validator, public_root, notes)
    return checked(spec)


def _key(key: str, notes: list[str]) -> dict[str, Any]:
    if key.startswith("-----"):
        return inline_key(f"{key}\n", "sha256")
    if key.startswith("k8s://"):
        namespace, _, name = key.removeprefix("k8s://").rpartition("/")
        return secret_key(name, namespace, notes)
    return kms_key(key)


def _trusted_root(validator: Mapping[str, Any], public_root: str | None, notes: list[str]) -> dict[str, Any]:
    host = mapping(validator.get("host") or {}, "host")
    only_members(host, frozenset({"rekor", *_OWN_SIGSTORE}), "host.")
    own = [name for name in _OWN_SIGSTORE if host.get(name)]
    if not own:
        return public_trusted_root(public_root, notes)
    name = str(validator.get("name"))
    notes.append(
        f"store a trusted root of sigstore with its host.{', host.'.join(own)} (cosign trusted-root create) in the "
        f"Secret {quote(name, 64)} in sealgate's namespace, as {ROOT_KEY}"
    )
    return secret_root(name)


def _notary(validator: Mapping[str, Any], options: Mapping[str, Any]) -> list[tuple[Signers, int]]:
    """Return one authenticator for each trust root, all of which must be met."""
    only_members(validator, _COMMON | {"host"}, "")
    only_members(options, _WITH_NOTARY, "with.", _UNSET)
    roots, delegations = _roots(validator), options.get("delegations") or []
    name = str(options.get("trustRoot") or "default")
    if (name != "*" and name not in roots) or not isinstance(delegations, list):
        raise NoEquivalentError("with.trustRoot must be a trust root of the validator, and with.delegations a list")
    chosen = roots if name == "*" else {name: roots[name]}
    return [([(one, notary_spec(root, validator, delegations))], 1) for one, root in chosen.items()]


def _notation(validator: Mapping[str, Any], options: Mapping[str, Any], notes: list[str]) -> tuple[str, dict[str, Any]]:
    only_members(validator, _COMMON, "")
    only_members(options, _WITH_NOTATION, "with.", _UNSET)
    roots = _roots(validator)
    name = str(options.get("trustRoot") or "default")
    if name != "*" and name not in roots:
        raise NoEquivalentError(f"the validator has no trust root {quote(name, 64)}")
    stores: dict[str, Any] = {}
    for root in roots.values() if name == "*" else (roots[name],):
        only_members(root, frozenset({"name", "cert", "tsCert"}), "trustRoots.")
        stores.setdefault("ca", []).append({"pem": _certificate(root, "cert", notes)})
        if root.get("tsCert"):
            stores.setdefault("tsa", []).append({"pem": _certificate(root, "tsCert", notes)})
    level = str(options.get("verificationLevel") or "strict")
    timestamp = str(options.get("verifyTimestamp") or "always")
    if level not in {"strict", "permissive", "audit"} or timestamp not in _TIMESTAMPS:
        raise NoEquivalentError("verificationLevel or verifyTimestamp is not known")
    spec: dict[str, Any] = {"trustStores": stores, "trustedIdentities": ["*"]}
    if timestamp != "always":
        spec["verifyTimestamp"] = _TIMESTAMPS[timestamp]
    if level == "strict":
        notes.append(
            "certificates that name where their revocation can be asked for need that host in revocation.hosts, or "
            "their list in revocation.lists"
        )
    else:
        spec |= {"acceptExpired": True, "revocation": {"acceptUnknown": True}}
    if level == "audit":
        notes.append("verificationLevel audit trusts every signer; here only those of the trust roots count")
    return ("all" if name == "*" else name), checked(spec, "notation")


def _certificate(root: Mapping[str, Any], member: str, notes: list[str]) -> str:
    """Return the certificate of a trust root: of several Connaisseur reads the first alone."""
    text = str(root.get(member) or "").strip()
    found = _CERTIFICATE.match(text)
    if found is None:
        raise NoEquivalentError(f"trustRoots.{member} must be a certificate in PEM, without text before it")
    if found[0] != text:
        notes.append(f"trustRoots.{member}: Connaisseur trusts the first certificate alone; the others are left out")
    return f"{found[0]}\n"


def _roots(validator: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the trust roots by their names; the first one of a name counts."""
    roots = validator.get("trustRoots")
    if not isinstance(roots, list) or not roots:
        raise NoEquivalentError("the validator has no trustRoots")
    found: dict[str, Mapping[str, Any]] = {}
    for root in roots:
        found.setdefault(str(mapping(root, "trustRoots").get("name")), root)
    return found
