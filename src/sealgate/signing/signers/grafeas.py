"""Signers of policies with `grafeas`, and the attestors that keys make: a key with detached signatures, or OpenPGP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import SigningError
from sealgate.formats.grafeas.attestors import DetachedAttestor, OpenPGPAttestor
from sealgate.formats.grafeas.sign import GrafeasSigner
from sealgate.formats.grafeas.stores import GrafeasServer
from sealgate.formats.grafeas.verify import DEFAULT_FILTERS
from sealgate.kms.signing import KMSSigningKey
from sealgate.signing.policy_keys import open_key, openpgp_signer, read_stored_key, require_no_algorithm
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_formats import GrafeasSigning
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.grafeas.attestors import Attestor
    from sealgate.keys.signing_keys import SigningKey
    from sealgate.signing.access import SigningAccess

#: The algorithms of Alibaba Cloud's signature rules ("Configure a signature rule for automatic image signing").
ALIBABA_ALGORITHMS = ("RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256")


def detached_attestor(key: SigningKey, key_id: str) -> DetachedAttestor:
    """Return an attestor of a key that makes detached signatures.

    Args:
        key: signs.
        key_id: the ID under which verifiers know the key; empty for the default: of a key of Alibaba's its ID.

    Raises:
        SigningError: a key of Alibaba's without an ID of its own does not have one of `ALIBABA_ALGORITHMS`.
    """
    return DetachedAttestor(key, key_id or _default_id(key))


def grafeas_server(url: str, ca: str | None, api_version: str, note: str, credentials: str | None) -> GrafeasServer:
    """Return a server that attestations are stored in, listed by their note.

    Args:
        url: its address.
        ca: PEM bundle of CA certificates for it; None for the system's.
        api_version: "v1" or "v1beta1".
        note: `projects/PROJECT/notes/NOTE`.
        credentials: the Secret with the bearer token; None to send none.
    """
    return GrafeasServer(url.rstrip("/"), ca, api_version, note, note, DEFAULT_FILTERS[api_version], credentials)


def _default_id(key: SigningKey) -> str:
    """Return the ID of a key of Alibaba's, which has to sign as its signature rules do; empty for any other."""
    if not isinstance(key, KMSSigningKey) or key.source.alibaba is None:
        return ""
    _require_rule(key.public.algorithm)
    return key.source.alibaba.key_id.rpartition("/")[2]  # of an ARN the ID


def _require_rule(algorithm: str) -> None:
    if algorithm not in ALIBABA_ALGORITHMS:
        msg = f"signature rules of Alibaba Cloud have {' or '.join(ALIBABA_ALGORITHMS)}, and not {algorithm}"
        raise SigningError(f"{msg}; use an RSA key")


def _fields(policy: SigningPolicySpec) -> GrafeasSigning:
    assert policy.grafeas is not None  # noqa: S101 - callers pass no other policies
    return policy.grafeas


def _check_algorithm(policy: SigningPolicySpec) -> None:
    kms = policy.key.kms
    if kms is not None and kms.alibaba is not None and policy.algorithm is not None and not _fields(policy).attestor:
        _require_rule(policy.algorithm)


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> GrafeasSigner:
    fields = _fields(policy)
    credentials = None if fields.credentials_secret is None else fields.credentials_secret.name
    ca = None if fields.ca is None else fields.ca.pem
    server = grafeas_server(fields.server, ca, fields.api_version, fields.note, credentials)
    project = fields.project or fields.note.partition("/notes/")[0]
    return GrafeasSigner(server, project, _open_attestor(policy, access, deadline, fields.attestor or ""))


def _open_attestor(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline, key_id: str) -> Attestor:
    if policy.key.secret_ref is not None:
        stored = read_stored_key(policy, access.secrets)
        if stored.is_openpgp:
            require_no_algorithm(policy)
            return OpenPGPAttestor(openpgp_signer(stored, access), key_id)
    return detached_attestor(open_key(policy, access, deadline), key_id)


FORMAT = PolicyFormat("grafeas", {"algorithm": _check_algorithm}, _open)
