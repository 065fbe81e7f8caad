"""Conversion of AttestationAuthorities to `grafeas` authenticators that accept the same keys."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from sealgate.errors import InvalidKeyError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

#: Placeholder for an unknown Grafeas server; the name never resolves (RFC 6761), so nothing verifies.
UNKNOWN_SERVER = "https://grafeas.invalid"

_NOTE = re.compile(r"(?:v1(?:alpha1|beta1)?/)?projects/([^/]+)(?:/notes/([^/]+))?")
_ALIBABA_NOTE = re.compile(r"namespaces/([^/]+)")
_PGP = "BEGIN PGP PUBLIC KEY BLOCK"
_ALGORITHM = re.compile(r"(RSA_PSS|RSA_PKCS1|RSA_SIGN_PKCS1|ECDSA|EC_SIGN)_P?[0-9]+_SHA(256|384|512)")
_FAMILIES = {"RSA_SIGN_PKCS1": "RSA_PKCS1", "EC_SIGN": "ECDSA"}
_RSA_ALGORITHMS = ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256")


class InvalidAttestationAuthorityError(Exception):
    """The AttestationAuthority is not valid; the message says why."""


def grafeas_spec(name: str, spec: Mapping[str, Any], server: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the spec of the authenticator for an AttestationAuthority, and notes about it.

    Args:
        name: name of the AttestationAuthority.
        spec: its spec.
        server: URL of the Grafeas server; None if it is not known.

    Raises:
        InvalidAttestationAuthorityError: the AttestationAuthority has no usable key or no note.
    """
    notes: list[str] = []
    note = _note(name, spec.get("noteReference"), notes)
    keys = _keys(spec, notes)
    if server is None:
        notes.append(
            f"it does not say the address of the Grafeas server: replace {UNKNOWN_SERVER}, or give --grafeas-server"
        )
    return {"grafeas": {"server": server or UNKNOWN_SERVER, "note": note, "keys": keys}}, notes


def _note(name: str, reference: object, notes: list[str]) -> str:
    text = reference if isinstance(reference, str) else ""
    if match := _NOTE.fullmatch(text):
        return f"projects/{match[1]}/notes/{match[2] or name}"
    if match := _ALIBABA_NOTE.fullmatch(text):
        note = f"projects/{match[1]}/notes/{name}"
        notes.append(
            f"its note {quote(text, 128)} is in Alibaba Cloud's own store, whose API is not public; the same "
            f"attestations are expected under {note} in a Grafeas server"
        )
        return note
    raise InvalidAttestationAuthorityError(
        f"its noteReference is {quote(text, 128) or 'missing'}; write projects/PROJECT/notes/NOTE"
    )


def _keys(spec: Mapping[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    listed = spec.get("publicKeys")
    if listed is None:
        entries = _entries(_decoded(spec.get("publicKeyData")), spec.get("publicKeyId"), None, notes)
    elif isinstance(listed, list) and all(isinstance(item, Mapping) for item in listed):
        entries = [entry for item in listed for entry in _listed(item, notes)]
    else:
        raise InvalidAttestationAuthorityError("its publicKeys must be a list of keys")
    if not entries:
        raise InvalidAttestationAuthorityError("it has no public key")
    return entries


def _listed(item: Mapping[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    key_id = item.get("keyId")
    if item.get("keyType") == "PGP":
        return _entries(_decoded(item.get("asciiArmoredPgpPublicKey")), key_id, None, notes)
    pkix = item.get("pkixPublicKey")
    if item.get("keyType") != "PKIX" or not isinstance(pkix, Mapping):
        raise InvalidAttestationAuthorityError(f"a key of the type {quote(item.get('keyType'), 40)} has no equivalent")
    return _entries(_decoded(pkix.get("publicKey")), key_id, pkix.get("signatureAlgorithm"), notes)


def _entries(text: str, key_id: object, algorithm: object, notes: list[str]) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {"id": key_id} if isinstance(key_id, str) and key_id else {}
    if _PGP in text:
        return [{**entry, "pgp": text}]
    try:
        kind = load_public_key(text).kind
    except InvalidKeyError as error:
        raise InvalidAttestationAuthorityError(f"its public key cannot be accepted: {error.message}") from error
    entry["pem"] = text
    if algorithm is not None:
        return [{**entry, "algorithm": _algorithm(algorithm)}]
    if not kind.startswith("RSA"):
        return [entry]
    notes.append(
        f"it does not name the algorithm of its {kind} key, so {' and '.join(_RSA_ALGORITHMS)} are both accepted; "
        "remove the entry that the signature rule does not use"
    )
    return [{**entry, "algorithm": name} for name in _RSA_ALGORITHMS]


def _algorithm(name: object) -> str:
    match = _ALGORITHM.fullmatch(name) if isinstance(name, str) else None
    if match is None:
        raise InvalidAttestationAuthorityError(f"the signature algorithm {quote(name, 64)} has no equivalent")
    return f"{_FAMILIES.get(match[1], match[1])}_SHA_{match[2]}"


def _decoded(data: object) -> str:
    """Return a key as PEM or armored text; the field may have that text or its base64."""
    if not isinstance(data, str) or not data.strip():
        raise InvalidAttestationAuthorityError("it has no public key")
    if data.lstrip().startswith("-----BEGIN"):
        return data
    try:
        return b64decode("".join(data.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise InvalidAttestationAuthorityError("its public key is neither PEM nor base64 of PEM") from None
