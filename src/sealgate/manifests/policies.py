"""Policies from files, without a cluster: read, validated with their keys, and compiled to a policy set.

The command line and the webhook's standalone mode use the same functions, so that `sealgate serve` accepts exactly the
files in which `sealgate policy check` finds no problems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.dependencies import key_entries
from sealgate.errors import InvalidInputError, InvalidKeyError, SealgateError, UnavailableError
from sealgate.formats.build import build_check
from sealgate.formats.signers import unusable_keys as find_unusable_keys
from sealgate.keys.resolvers import FileKeys
from sealgate.manifests.loading import check_object, load_policy_files
from sealgate.messages import join_field
from sealgate.policies.decisions import UnmatchedImages
from sealgate.policies.limits import PatternCompiler
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
    """Read policy files and validate them, including keys and the options of formats.

    Args:
        paths: files and directories.

    Raises:
        PolicyError: there is at least one problem; the error carries all of them.
    """
    return load_policy_files(paths, checks=[authenticator_problems, _signing_problems])


def object_problems(value: Mapping[str, Any], patterns: PatternCompiler | None = None) -> tuple[Problem, ...]:
    """Return every problem of one object, including those of keys and the options of formats.

    Args:
        value: an `Authenticator`, `VerificationPolicy` or `SigningPolicy`, as an API server sends it.
        patterns: compiles its patterns; None for a compiler of its own.
    """
    return check_object(value, patterns or PatternCompiler(), checks=[authenticator_problems, _signing_problems])


def standalone_policies(
    files: PolicyFiles, unmatched: UnmatchedImages = UnmatchedImages.ADMIT, kms: KMSKeyReader | None = None
) -> PolicySet:
    """Compile policy files; keys and credentials come from the Secrets among them.

    Args:
        files: read by `load_standalone`.
        unmatched: what happens to an image that is neither covered nor exempt.
        kms: source of keys in KMSs; None if there is none, so that authenticators with such keys are not ready.
    """
    keys = FileKeys(files.secrets, kms, files.config_maps)
    secrets = MappingServiceSecrets(files.secrets)
    return build_policy_set(files.authenticators, files.policies, lambda _: keys, unmatched, secrets)


def authenticator_problems(files: PolicyFiles) -> Iterator[Problem]:
    """Yield the problems of authenticators that need keys and formats: invalid keys, invalid options."""
    keys = FileKeys(files.secrets, config_maps=files.config_maps)
    for authenticator in files.authenticators:
        wrong = list(_key_problems(authenticator, keys, files))
        yield from wrong or _format_problems(authenticator, keys, files)


def unusable_keys(files: PolicyFiles, now: datetime) -> Iterator[Problem]:
    """Yield the keys that verification refuses at that time, or that sign nothing, although their files are right.

    A key that expired or was revoked does not make its file wrong, but no signature by it counts.

    Args:
        files: read by `load_standalone`.
        now: the time at which keys are checked, timezone-aware.
    """
    keys = FileKeys(files.secrets, config_maps=files.config_maps)
    for authenticator in files.authenticators:
        try:
            unusable = find_unusable_keys(build_check(authenticator, keys), now)
        except SealgateError:
            continue  # the keys are in a KMS or in a Secret of the cluster
        for key in unusable:
            message = f"{key.name}: {key.message}; signatures by it do not count"
            yield files.problem(authenticator.kind, authenticator.metadata.name, "spec", message)
    if files.signing_policies:
        from sealgate.manifests.signing import ended_signing_keys

        yield from ended_signing_keys(files)


def _key_problems(authenticator: Authenticator, keys: FileKeys, files: PolicyFiles) -> Iterator[Problem]:
    for path, entry in key_entries(authenticator.spec, "spec"):
        try:
            keys.public_keys(entry)
        except InvalidKeyError as error:
            source = "pem" if entry.pem is not None else "secretRef" if entry.secret_ref is not None else ""
            field = join_field(path, source)
            yield files.problem(authenticator.kind, authenticator.metadata.name, field, error.message)
        except UnavailableError:
            pass  # the Secret does not exist; the loader reports that


def _format_problems(authenticator: Authenticator, keys: FileKeys, files: PolicyFiles) -> Iterator[Problem]:
    try:
        build_check(authenticator, keys)
    except UnavailableError:
        pass  # as in _key_problems
    except SealgateError as error:
        field = error.field if isinstance(error, InvalidInputError) else ""
        path = join_field("spec", field)
        message = error.message.removeprefix(f"{field}: ")
        yield files.problem(authenticator.kind, authenticator.metadata.name, path, message)


def _signing_problems(files: PolicyFiles) -> Iterator[Problem]:
    if files.signing_policies:
        # Imported here: a webhook without signing policies does not need the memory of what signs.
        from sealgate.manifests.signing import signing_problems

        yield from signing_problems(files)
