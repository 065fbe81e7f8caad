"""Status of an Authenticator. Pure, except for the requests of the key sources.

The check of a format is built twice. The first time its keys come from the sources, and every key that it requests is
recorded; the second time they come from the resulting status, as the webhook will read it. So `Ready` says whether the
webhook can use the authenticator, for every format and option, and a new format needs no change here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.dependencies import key_sources
from sealgate.api.v1alpha1.status import AuthenticatorStatus, KeyStatus
from sealgate.clocks import timestamp
from sealgate.errors import InvalidKeyError, SealgateError, UnavailableError
from sealgate.formats.build import build_check
from sealgate.formats.incomplete import IncompleteCheck
from sealgate.formats.signers import signers_of, unusable_keys
from sealgate.keys.public_keys import PublicKey, load_public_key
from sealgate.keys.status_keys import StatusKeys
from sealgate.policies.limits import ObjectTooLargeError, check_size
from sealgate.reasons import TRANSIENT_REASONS, Reason
from sealgate_operator.keys.trusted_roots import NOT_FETCHED
from sealgate_operator.status.conditions import (
    READY,
    STALLED,
    ConditionUpdate,
    conditions_of,
    explain_invalid,
    generation_of,
    read_status,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sealgate.api.v1alpha1.keyless import TrustedRootSource
    from sealgate.api.v1alpha1.keys import KeyEntry
    from sealgate.api.v1alpha1.model import SecretKeySelector
    from sealgate.formats.interface import Check
    from sealgate_operator.keys.interface import KeySource
    from sealgate_operator.keys.secrets import SecretKeys
    from sealgate_operator.keys.trusted_roots import TrustedRoots

#: The most entries of `status.keys`.
_MAX_KEYS = 256
#: Reasons of refused keys that end without a change of the object: a Secret is created, a service responds again.
_AWAITED = TRANSIENT_REASONS | {
    "SecretNotFound",
    "SecretKeyNotFound",
    "ConfigMapNotFound",
    "ConfigMapKeyNotFound",
    NOT_FETCHED,
}


#: Whether the trusted root that the operator fetches is up to date; only where it is used.
ROOT_CURRENT = "TrustedRootCurrent"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The result of resolving an Authenticator.

    Attributes:
        status: the status that it should have.
        ready: whether the webhook can use it.
        message: message of the condition Ready.
        fingerprints: keys whose signatures it accepts; None where the format does not determine them.
        refresh_seconds: seconds after which it must be reconciled again although nothing changed; None for no limit.
    """

    status: AuthenticatorStatus
    ready: bool
    message: str
    fingerprints: frozenset[str] | None = None
    refresh_seconds: float | None = None

    @property
    def stalled(self) -> bool:
        """Whether it stays unusable until a person changes something."""
        return any(condition.type == STALLED for condition in self.status.conditions)


def assess(
    obj: Mapping[str, Any],
    secrets: SecretKeys,
    others: Sequence[KeySource],
    now: datetime,
    roots: TrustedRoots | None = None,
) -> Assessment:
    """Resolve an Authenticator's keys and return the status that it should have.

    Args:
        obj: the object, with the status it has.
        secrets: the source of keys in Secrets.
        others: further sources.
        now: the time.
        roots: the source of trusted roots in ConfigMaps; None where there is none.
    """
    before = read_status(AuthenticatorStatus, obj)
    try:
        check_size(obj)
        authenticator = Authenticator.model_validate(obj)
    except (ValidationError, ObjectTooLargeError) as error:
        update = ConditionUpdate(READY, False, "InvalidSpec", explain_invalid(error), stalled=True)
        return Assessment(_status(obj, before, update, now), ready=False, message=update.message)
    collector = _Collector((secrets, *others), secrets, roots, before.keys, now)
    collector.collect(authenticator)
    keys = tuple(_dated(key, before.keys, generation_of(obj), now) for key in collector.found())
    resolved = StatusKeys(AuthenticatorStatus(keys=keys), now)
    try:
        check = build_check(authenticator, resolved)
    except SealgateError as error:
        update, fingerprints = _not_ready(error, keys), None
    else:
        fingerprints = signers_of(check, now)
        update = _ready(check, keys, fingerprints, now)
    further = _fetched_root(authenticator, roots)
    status = _status(obj, before, update, now, *further).model_copy(
        update={
            "format": authenticator.spec.format,
            "key_summary": _summary(authenticator, keys, collector.refused_inline),
            "keys": keys,
        }
    )
    return Assessment(status, update.holds is True, update.message, fingerprints, collector.refresh_seconds)


class _Collector:
    """A `KeyResolver` that asks the key sources and records their results."""

    def __init__(
        self,
        sources: Sequence[KeySource],
        secrets: SecretKeys,
        roots: TrustedRoots | None,
        known: Sequence[KeyStatus],
        now: datetime,
    ) -> None:
        self._sources = sources
        self._secrets = secrets
        self._roots = roots
        self._known = known
        self._now = now
        self._found: dict[KeyEntry | SecretKeySelector | TrustedRootSource, tuple[KeyStatus, ...]] = {}
        self.refused_inline = 0
        self.refresh_seconds: float | None = None

    def collect(self, authenticator: Authenticator) -> None:
        """Have the format ask for all of its keys."""
        try:
            build_check(authenticator, self)
        except SealgateError:
            # Reported when the check is built from the status, once all keys are known.
            return

    def found(self) -> tuple[KeyStatus, ...]:
        """Return what was found, each key source as often as it has keys, in the order of the spec."""
        found = (key for keys in self._found.values() for key in keys)
        return tuple(dict.fromkeys(found))[:_MAX_KEYS]

    def public_keys(self, entry: KeyEntry) -> tuple[PublicKey, ...]:
        """Return the usable keys of an entry; none is no error yet, so that the others are asked for too."""
        if entry.pem is not None:
            try:
                return (load_public_key(entry.pem, entry.algorithm, entry.distinguishing_id),)
            except InvalidKeyError:
                self.refused_inline += 1
                return ()
        found = self._observe(entry)
        usable = [key for key in found if key.is_usable(self._now)]
        return tuple(load_public_key(key.pem or "", entry.algorithm, entry.distinguishing_id) for key in usable)

    def secret(self, reference: SecretKeySelector) -> bytes:
        """Return what is public in one key of a Secret."""
        return self._keep(reference, self._secrets.observe_whole(reference))

    def trusted_root(self, source: TrustedRootSource) -> bytes:
        """Return the trusted root in one key of a Secret or ConfigMap, or the fetched one."""
        if source.secret_ref is not None:
            return self.secret(source.secret_ref)
        if self._roots is None:
            raise UnavailableError("no source for trusted roots", reason=Reason.AUTHENTICATOR_NOT_READY)
        return self._keep(source, self._roots.observe(source, self._known))

    def _keep(self, reference: SecretKeySelector | TrustedRootSource, found: KeyStatus) -> bytes:
        self._found[reference] = (found,)
        if found.state == "Refused":
            raise UnavailableError(found.message, reason=Reason.AUTHENTICATOR_NOT_READY)
        return (found.pem or "").encode()

    def _observe(self, entry: KeyEntry) -> tuple[KeyStatus, ...]:
        for source in self._sources:
            name = source.name(entry)
            if name is None:
                continue
            # Of one key, entries may want different versions, or different algorithms.
            if entry not in self._found:
                known = [key for key in self._known if key.source == name]
                self._found[entry] = source.observe(entry, known, self._now)
                again = source.refresh_after(entry)
                if again is not None:
                    self.refresh_seconds = min(self.refresh_seconds or again, again)
            return self._found[entry]
        raise UnavailableError("no source for this kind of key", reason=Reason.AUTHENTICATOR_NOT_READY)


def _dated(key: KeyStatus, known: Sequence[KeyStatus], generation: int, now: datetime) -> KeyStatus:
    """Return a key with the time when it was read; an unchanged key keeps its time."""
    for earlier in known:
        same = key.model_copy(
            update={"observed_at": earlier.observed_at, "observed_generation": earlier.observed_generation}
        )
        if earlier.observed_at and same == earlier and key.observed_at in (None, earlier.observed_at):
            return earlier.model_copy(update={"observed_generation": generation})
    return key.model_copy(update={"observed_at": key.observed_at or timestamp(now), "observed_generation": generation})


def _status(
    obj: Mapping[str, Any],
    before: AuthenticatorStatus,
    update: ConditionUpdate,
    now: datetime,
    *further: ConditionUpdate,
) -> AuthenticatorStatus:
    generation = generation_of(obj)
    conditions = conditions_of((update, *further), before, generation, now)
    return AuthenticatorStatus(observed_generation=generation, conditions=conditions)


def _fetched_root(authenticator: Authenticator, roots: TrustedRoots | None) -> tuple[ConditionUpdate, ...]:
    """Return the condition TrustedRootCurrent of an authenticator whose trusted root is fetched."""
    cosign = authenticator.spec.cosign
    if roots is None or cosign is None or cosign.trusted_root is None or cosign.trusted_root.source != "Fetched":
        return ()
    problem = roots.fetch_problem()
    if problem is None:
        return ()
    reason, message = ("FetchFailed", problem) if problem else ("Fetched", "the last round succeeded")
    return (ConditionUpdate(ROOT_CURRENT, not problem, reason, message),)


def _not_ready(error: SealgateError, keys: Sequence[KeyStatus]) -> ConditionUpdate:
    refused = [key for key in keys if key.state == "Refused"]
    if refused:
        # A specific reason says more than that some key was refused.
        reason = refused[0].reason if refused[0].reason != Reason.INVALID_KEY else "KeyRefused"
        return ConditionUpdate(READY, False, reason, error.message, stalled=not _waits(refused))
    return ConditionUpdate(READY, False, error.reason.value, error.message, error.reason not in TRANSIENT_REASONS)


def _waits(refused: Iterable[KeyStatus]) -> bool:
    """Return whether one of the refused keys may be there at the next reconciliation."""
    return any(key.reason in _AWAITED for key in refused)


def _ready(check: Check, keys: Sequence[KeyStatus], signers: frozenset[str] | None, now: datetime) -> ConditionUpdate:
    refused = [key for key in keys if key.state == "Refused"]
    notes = [key.message for key in refused]
    if isinstance(check, IncompleteCheck) and not notes:
        notes = [why.message for why in check.missing]
    spoilt = unusable_keys(check, now)
    notes += [f"{key.name}: {key.message}" for key in spoilt]
    if signers == frozenset():
        reason = spoilt[0].reason.value if spoilt else Reason.INVALID_KEY.value
        why = "; ".join(notes) or "none of them can sign"
        message = f"no key can be used: {why}; replace it by a current key"
        return ConditionUpdate(READY, False, reason, message, stalled=not _waits(refused))
    if notes:
        return ConditionUpdate(
            READY, True, "SomeKeysRefused", f"can be used, but not all of its keys: {'; '.join(notes)}"
        )
    return ConditionUpdate(READY, True, "KeysResolved", "every key can be used")


def _summary(authenticator: Authenticator, keys: Sequence[KeyStatus], refused_inline: int) -> str:
    """Return the number of usable keys and of all keys, in status and inline in the spec, as "usable/all"."""
    inline = sum(source.is_inline for _, source in key_sources(authenticator.spec, "spec"))
    accepted = sum(key.state == "Accepted" for key in keys)
    return f"{inline - min(refused_inline, inline) + accepted}/{inline + len(keys)}"
