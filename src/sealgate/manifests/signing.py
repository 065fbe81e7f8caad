"""Checks of signing policies that need formats and keys: what `open_signer` would refuse, found without the network."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sealgate.budgets import Budgets
from sealgate.clocks import Deadline, SystemClock
from sealgate.errors import SealgateError, UnavailableError
from sealgate.http.services import ServiceClient
from sealgate.kms.budgeted_services import BURST, REQUESTS_PER_MINUTE
from sealgate.messages import join_field
from sealgate.policies.signing_keys import kms_entry
from sealgate.reasons import Reason
from sealgate.service_secrets import MappingServiceSecrets
from sealgate.signing.access import SigningAccess
from sealgate.signing.policies import field_problems, open_signer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealgate.api.v1alpha1.signing_policy import SigningPolicy
    from sealgate.clocks import Clock
    from sealgate.errors import Problem
    from sealgate.manifests.loading import PolicyFiles

#: Seconds for opening a key at hand; an encrypted one takes about one.
_OPENING_SECONDS = 60.0
_ENDED = (Reason.EXPIRED, Reason.REVOKED)


def access_to_files(files: PolicyFiles, network: ServiceClient, clock: Clock) -> SigningAccess:
    """Return access to the Secrets and Authenticators among policy files, on the machine of the user who has them.

    Args:
        files: the files.
        network: client for key management services.
        clock: source of the time.
    """
    specs = {authenticator.metadata.name: authenticator.spec for authenticator in files.authenticators}
    return SigningAccess(
        network=network,
        secrets=MappingServiceSecrets(files.secrets),
        clock=clock,
        budgets=Budgets(REQUESTS_PER_MINUTE, BURST, clock),
        authenticators=specs.get,
        folders=True,
    )


def signing_problems(files: PolicyFiles) -> Iterator[Problem]:
    """Yield the problems of signing policies: fields that a format refuses, and keys among the files that do not fit.

    Keys in a KMS are not read. A key that has ended is no problem of its file; see `ended_signing_keys`.
    """
    return (problem for problem, error in _found(files) if error.reason not in _ENDED)


def ended_signing_keys(files: PolicyFiles) -> Iterator[Problem]:
    """Yield the OpenPGP keys of signing policies that have expired or were revoked, and so sign nothing."""
    return (problem for problem, error in _found(files) if error.reason in _ENDED)


def _found(files: PolicyFiles) -> Iterator[tuple[Problem, SealgateError]]:
    if not files.signing_policies:
        return
    clock = SystemClock()
    with ServiceClient(clock=clock) as network:
        access = access_to_files(files, network, clock)
        for policy in files.signing_policies:
            for field, error in _problems(policy, access):
                path = join_field("spec", field)
                yield files.problem(policy.kind, policy.metadata.name, path, error.message), error


def _problems(policy: SigningPolicy, access: SigningAccess) -> Iterator[tuple[str, SealgateError]]:
    found = list(field_problems(policy.spec))
    yield from found
    if not found:
        yield from _key_problems(policy, access)


def _key_problems(policy: SigningPolicy, access: SigningAccess) -> Iterator[tuple[str, SealgateError]]:
    key = policy.spec.key
    try:
        if key.secret_ref is not None:
            with suppress(UnavailableError):  # the Secret, or its member, does not exist; the loader reports that
                open_signer(policy.spec, access, Deadline.after(access.clock, _OPENING_SECONDS))
        elif key.authenticator is not None and access.authenticators(key.authenticator) is not None:
            kms_entry(policy.spec, access.authenticators)
    except SealgateError as error:
        yield "key.secretRef" if key.secret_ref is not None else "key.authenticator", error
