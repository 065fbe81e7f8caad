"""Signers of policies with `simpleSigning`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import SigningError
from sealgate.formats.simple_signing.sign import SimpleSigner
from sealgate.formats.simple_signing.stores import FolderStore
from sealgate.formats.simple_signing.verify import open_store
from sealgate.messages import quote
from sealgate.signing.policy_keys import open_openpgp_key, require_no_algorithm
from sealgate.signing.signers.interface import PolicyFormat

if TYPE_CHECKING:
    from sealgate.api.v1alpha1.signing_policy import SigningPolicySpec
    from sealgate.clocks import Deadline
    from sealgate.formats.simple_signing.storing import WritableStore
    from sealgate.signing.access import SigningAccess


def _store(policy: SigningPolicySpec) -> WritableStore:
    assert policy.simple_signing is not None  # noqa: S101 - callers pass no other policies
    return open_store(policy.simple_signing.store)


def _open(policy: SigningPolicySpec, access: SigningAccess, deadline: Deadline) -> SimpleSigner:
    del deadline  # the key is at hand
    store = _store(policy)
    if isinstance(store, FolderStore) and not access.folders:
        msg = f"the folder {quote(store.folder)} is one of the machine that runs sealgate sign; name a web server here"
        raise SigningError(msg)
    return SimpleSigner(open_openpgp_key(policy, access), store)


FORMAT = PolicyFormat("simpleSigning", {"simpleSigning.store": _store, "algorithm": require_no_algorithm}, _open)
