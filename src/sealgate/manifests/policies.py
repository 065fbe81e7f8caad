"""Policies from files, without a cluster: read, checked as a whole, and ready to decide.

The command line and the webhook's standalone mode read policies through the same function, so that what
`sealgate policy check` calls right is what `sealgate serve` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import key_entries
from sealgate.errors import InvalidKeyError, SealgateError, UnavailableError
from sealgate.formats.build import build_check
from sealgate.formats.signers import unusable_keys as find_unusable_keys
from sealgate.keys.resolvers import FileKeys
from sealgate.manifests.loading import check_object, load_policy_files
from sealgate.messages import join_field
from sealgate.policies.decisions import UnmatchedImages
from sealgate.service_secrets import MappingServiceSecrets
from sealgate.verification.policy_sets import PolicySet, build_policy_set

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sealgate.api.v1alpha1.authenticator import Authenticator
    from sealgate.errors import Problem
    from sealgate.keys.resolvers import KMSKeyReader
    from sealgate.manifests.loading import PolicyFiles


def load_standalone(paths: Sequence[Path | str]) -> PolicyFiles:
    """Read policy files and find everything that is wrong with them, keys and formats' options included.

    Args:
        paths: files and folders.

    Raises:
        PolicyError: something is wrong; it carries every problem found.
    """
    return load_policy_files(paths, checks=[authenticator_problems])


def object_problems(value: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return everything that is wrong with one object by itself, keys and formats' options included.

    Args:
        value: an `Authenticator` or `VerificationPolicy`, as an API server sends it.
    """
    return check_object(value, checks=[authenticator_problems])


def standalone_policies(
    files: PolicyFiles, unmatched: UnmatchedImages = UnmatchedImages.ADMIT, kms: KMSKeyReader | None = None
) -> PolicySet:
    """Make policy files ready to decide, with the Secrets among them as the source of keys and of credentials.

    Args:
        files: read by `load_standalone`.
        unmatched: what happens to an image that no policy matches.
        kms: keys out of KMSs, as far as they were read; without it, authenticators that need some are not ready.
    """
    keys = FileKeys(files.secrets, kms)
    secrets = MappingServiceSecrets(files.secrets)
    return build_policy_set(files.authenticators, files.policies, lambda _: keys, unmatched, secrets)


def authenticator_problems(files: PolicyFiles) -> Iterator[Problem]:
    """Yield what keeps authenticators from being used: keys that cannot be accepted, options that cannot be meant."""
    keys = FileKeys(files.secrets)
    for authenticator in files.authenticators:
        wrong = list(_key_problems(authenticator, keys, files))
        yield from wrong or _format_problems(authenticator, keys, files)


def unusable_keys(files: PolicyFiles, now: datetime) -> Iterator[Problem]:
    """Yield the keys that verification refuses at that time although their policy files are right.

    A key that expired or was revoked does not make its file wrong, but no signature by it counts.

    Args:
        files: read by `load_standalone`.
        now: the time.
    """
    keys = FileKeys(files.secrets)
    for authenticator in files.authenticators:
        try:
            unusable = find_unusable_keys(build_check(authenticator, keys), now)
        except SealgateError:
            continue  # keys that only a KMS or a Secret of the cluster has
        for key in unusable:
            message = f"{key.name}: {key.message}; signatures by it do not count"
            yield files.problem(authenticator.kind, authenticator.metadata.name, "spec", message)


def _key_problems(authenticator: Authenticator, keys: FileKeys, files: PolicyFiles) -> Iterator[Problem]:
    for place, entry in key_entries(authenticator.spec, "spec"):
        try:
            keys.public_keys(entry)
        except InvalidKeyError as error:
            source = "pem" if entry.pem is not None else "secretRef" if entry.secret_ref is not None else ""
            field = join_field(place, source)
            yield files.problem(authenticator.kind, authenticator.metadata.name, field, error.message)
        except UnavailableError:
            pass  # a Secret that is not there; the loading itself says so, with suggestions


def _format_problems(authenticator: Authenticator, keys: FileKeys, files: PolicyFiles) -> Iterator[Problem]:
    try:
        build_check(authenticator, keys)
    except UnavailableError:
        pass  # as above
    except SealgateError as error:
        yield files.problem(authenticator.kind, authenticator.metadata.name, "spec", error.message)
