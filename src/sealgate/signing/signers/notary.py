"""Signers of policies with `notary`: the key of a delegation, in a Secret.

The key is in PEM, as `key.pem` of a UCP client bundle, or a key file of docker or notary. Where the Secret has the
bundle's `cert.pem` too, it must be the certificate of the key: no delegation to another certificate accepts the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sealgate.errors import InvalidKeyError
from sealgate.formats.notary.locations import NotaryServer, one_spelling
from sealgate.formats.notary.pins import read_pin
from sealgate.formats.notary.private_keys.files import open_key_file, read_key_file
from sealgate.formats.notary.private_keys.stores import BUNDLE_CERTIFICATE, OneKey, load_certificate, require_certified
from sealgate.formats.notary.sign import NotarySigner
from sealgate.signing.policy_keys import read_stored_key, require_no_algorithm
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_formats import NotarySigning
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.notary.pins import RootPin
    from sealgate.formats.notary.private_keys.files import LocalKey
    from sealgate.signing.access import SigningAccess


def _fields(policy: SigningPolicySpec) -> NotarySigning:
    assert policy.notary is not None  # noqa: S101 - callers pass no other policies
    return policy.notary


def _pin(policy: SigningPolicySpec) -> RootPin:
    return read_pin(_fields(policy).root)


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> NotarySigner:
    del deadline  # the key is at hand
    fields, key = _fields(policy), _open_key(policy, access)
    return NotarySigner(
        server=NotaryServer(
            None if fields.server is None else one_spelling(fields.server), None if fields.ca is None else fields.ca.pem
        ),
        pin=_pin(policy),
        keys=OneKey(key),
        fingerprint=key.public.fingerprint,
        roles=fields.roles,
    )


def _open_key(policy: SigningPolicySpec, access: SigningAccess) -> LocalKey:
    stored = read_stored_key(policy, access.secrets)
    try:
        file = read_key_file(stored.content)
        passphrases = [stored.required_passphrase().decode("utf-8", "replace")] if file.is_encrypted else []
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{stored.name}: {error.message}") from error
    key = open_key_file(file, passphrases, stored.name)
    certificate = stored.secret.get(BUNDLE_CERTIFICATE)
    if certificate is not None:
        _require_certified(key, certificate, stored.name)
    return key


def _require_certified(key: LocalKey, pem: bytes, name: str) -> None:
    try:
        certificate = load_certificate(pem)
    except InvalidKeyError as error:
        raise InvalidKeyError(f"{BUNDLE_CERTIFICATE} beside {name} {error.message}") from error
    require_certified(key, certificate)


def _named_hosts(policy: SigningPolicySpec) -> frozenset[str]:
    server = _fields(policy).server
    return frozenset() if server is None else frozenset({urlsplit(server).netloc.lower()})


FORMAT = PolicyFormat("notary", {"notary.root": _pin, "algorithm": require_no_algorithm}, _open, _named_hosts)
