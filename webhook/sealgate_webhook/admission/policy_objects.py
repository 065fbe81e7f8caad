"""Checks of authenticators, policies and exceptions when they are applied, for what the CRDs' schemas cannot see.

A key that does not parse or is too short, or a pattern that is too complex, is refused: the author of the policy sees
the error, not the next user who creates a pod. What an object names need not exist yet, since objects are applied in
any order; a name that does not exist, and a policy that no image can meet with the objects that exist, are warnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.deprecations import deprecation_warnings
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.api.v1alpha1.verification_exception import VerificationException
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.errors import InvalidWorkloadError, SealgateError
from sealgate.formats.signers import signers_of
from sealgate.manifests.policies import object_problems
from sealgate.manifests.validation import did_you_mean
from sealgate.messages import quote
from sealgate.policies.exceptions import MAX_IN_NAMESPACE
from sealgate.policies.limits import PatternCompiler
from sealgate.policies.satisfiability import count_reachable, reach_of
from sealgate_webhook.admission.exceptions import describe_change, exception_problem
from sealgate_webhook.admission.outcome import NO_IMAGES_IN_OPERATION, AdmissionOutcome
from sealgate_webhook.admission.signing_keys import signing_key_problem
from sealgate_webhook.reviews.request import EXCEPTION
from sealgate_webhook.reviews.response import ALLOWED, AdmissionResponse, bound_warnings, deny

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from sealgate.api.v1alpha1.verification_policy import Requirement
    from sealgate.clocks import Clock, Deadline
    from sealgate.formats.interface import Check
    from sealgate_webhook.admission.sources import ObjectSource
    from sealgate_webhook.reviews.request import AdmissionRequest

#: The most problems of one object that are reported at once.
MAX_PROBLEMS: Final = 10


class PolicyObjectAdmission:
    """Judges objects of sealgate's kinds that are applied.

    Args:
        policies: the policies and authenticators in force, to which objects refer.
        clock: for keys and exceptions that end.
        longest_exception: how long an exception may last.
        on_exception: called with each request that makes or changes an exception and is not a dry run, and with what it
            makes of it, for a person; must return at once.
    """

    def __init__(
        self,
        policies: ObjectSource,
        clock: Clock,
        longest_exception: timedelta,
        on_exception: Callable[[AdmissionRequest, str], None],
    ) -> None:
        self._policies = policies
        self._clock = clock
        self._longest_exception = longest_exception
        self._on_exception = on_exception

    def validate(self, request: AdmissionRequest, deadline: Deadline) -> AdmissionOutcome:
        """Return the outcome for an object that is applied.

        Args:
            request: the request.
            deadline: not used: nothing here waits.

        Raises:
            InvalidWorkloadError: the request has no object.
        """
        del deadline
        if request.operation not in ("CREATE", "UPDATE"):
            return NO_IMAGES_IN_OPERATION
        if request.object is None:
            raise InvalidWorkloadError("the request has no object")
        if request.old_object is not None and request.old_object.get("spec") == request.object.get("spec"):
            # Labels, finalizers, the end of an object: nothing that anything could be wrong with.
            return AdmissionOutcome(ALLOWED, "spec unchanged")
        patterns = PatternCompiler()
        problems = object_problems(request.object, patterns)
        if problems:
            shown = "; ".join(
                f"{p.field}: {p.message}{f' ({p.suggestion})' if p.suggestion else ''}" for p in problems[:MAX_PROBLEMS]
            )
            more = f"; and {len(problems) - MAX_PROBLEMS} more" if len(problems) > MAX_PROBLEMS else ""
            return AdmissionOutcome(deny(f"{request.kind} {request.name}: {shown}{more}"), "not well formed")
        refusal, reason = self._refusal(request)
        if refusal:
            return AdmissionOutcome(deny(f"{request.kind} {request.name}: {refusal}"), reason)
        if request.kind == EXCEPTION and not request.dry_run:
            self._on_exception(request, describe_change(request))
        warnings = self._warnings(request, patterns)
        return AdmissionOutcome(
            AdmissionResponse(allowed=True, warnings=warnings) if warnings else ALLOWED, "well formed"
        )

    def _refusal(self, request: AdmissionRequest) -> tuple[str, str]:
        """Return why a well-formed object is refused, with its field, and the same in a few words; else empty."""
        if request.kind == EXCEPTION:
            problem = exception_problem(request, self._longest_exception, self._clock.now())
            return problem or self._full_namespace(request), "exception not permitted"
        problem = self._key_problem(request)
        return f"spec.key: {problem}" if problem else "", "key cannot sign"

    def _full_namespace(self, request: AdmissionRequest) -> str:
        """Return why a new exception would not count, because its namespaces have too many; empty if it would."""
        policies = self._policies.current()
        if policies is None or request.operation != "CREATE":
            return ""
        for namespace in VerificationException.model_validate(request.object).spec.namespaces:
            if policies.exceptions.is_full(namespace, self._clock):
                return (
                    f"spec.namespaces: {namespace} has {MAX_IN_NAMESPACE} exceptions, the most that count in one "
                    "namespace; delete those that are not needed any more, or name several images in one"
                )
        return ""

    def _key_problem(self, request: AdmissionRequest) -> str:
        """Return why the Authenticator that a SigningPolicy names has no key that signs; empty if not known."""
        if request.kind != "SigningPolicy":
            return ""
        spec = SigningPolicy.model_validate(request.object).spec
        named = None if spec.key.authenticator is None else self._policies.authenticator(spec.key.authenticator)
        return "" if named is None else signing_key_problem(spec, named, self._clock.now())

    def _warnings(self, request: AdmissionRequest, patterns: PatternCompiler) -> tuple[str, ...]:
        policies = self._policies.current()
        if request.kind == "Authenticator":
            found = tuple(deprecation_warnings(Authenticator.model_validate(request.object)))
        elif request.kind == "VerificationPolicy" and policies is not None:
            found = tuple(policy_warnings(request.object or {}, policies.checks, self._clock.now(), patterns))
        elif request.kind == "SigningPolicy" and policies is not None:
            name = SigningPolicy.model_validate(request.object).spec.key.authenticator
            found = tuple(_about_missing(name, policies.checks)) if name else ()
        else:
            found = ()
        return bound_warnings([f"sealgate: {warning}" for warning in found[:MAX_PROBLEMS]])


def policy_warnings(
    value: Mapping[str, Any],
    checks: Mapping[str, Check | SealgateError],
    now: datetime,
    patterns: PatternCompiler | None = None,
) -> Sequence[str]:
    """Return what keeps a well-formed policy from working with the objects that exist, one line each.

    Args:
        value: the VerificationPolicy, as an API server sends it.
        checks: the authenticators that exist, as in `sealgate.verification.policy_sets.PolicySet`.
        now: the time.
        patterns: compiles its patterns; None for a compiler of its own.
    """
    spec = VerificationPolicy.model_validate(value).spec
    reach = reach_of(spec, patterns or PatternCompiler())
    warnings = [f"the policy matches nothing: {reach.note}" if reach.nothing else reach.note] if reach.note else []
    if spec.require is not None:
        warnings += _about_authenticators(spec.require, checks, now)
    return warnings


def _about_missing(name: str, existing: Collection[str]) -> Iterator[str]:
    if name not in existing:
        suggestion = did_you_mean(name, existing)
        yield f"there is no Authenticator {quote(name, 64)} yet{f': {suggestion}' if suggestion else ''}"


def _about_authenticators(
    require: Requirement, checks: Mapping[str, Check | SealgateError], now: datetime
) -> Iterator[str]:
    signers: dict[str, frozenset[str] | None] = {}
    missing: list[str] = []
    unusable: list[str] = []
    for name in require.authenticators:
        check = checks.get(name)
        if check is None:
            missing.append(name)
            yield from _about_missing(name, checks)
        elif isinstance(check, SealgateError):
            unusable.append(f"{quote(name, 64)} cannot be used now ({quote(check.message, 96)})")
        else:
            signers[name] = signers_of(check, now)
    # Those that do not exist yet may have any key.
    reachable = count_reachable({**signers, **dict.fromkeys(missing)})
    if reachable >= require.needed:
        return
    consequence = f"no image can meet the policy: it needs {require.needed} authenticators, each by a key of its own"
    if unusable:
        yield f"{consequence}, and {unusable[0]}"
    else:
        yield f"{consequence}, and these have keys for {reachable}; give them different keys or lower count"
