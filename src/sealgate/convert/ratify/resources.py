"""Conversion of the objects of Ratify 1, and of Gatekeeper's constraints that ask it, to VerificationPolicies.

Each verifier chooses one of its trust policies by the image. Their scopes are prefixes of names, repositories, or all
images, so that two of them are disjoint, or one lies within the other. So each scope of any verifier becomes one
policy, which excludes the scopes within it. It needs all verifiers: Ratify also admits an image with signatures for
some of them only, but then no failed one for the others, and here one that failed is like one that is not there.
What has no equivalent denies its images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.precedence import Rule, put_policies
from sealgate.convert.ratify.gatekeeper import enforcements
from sealgate.convert.ratify.providers import PROVIDER, STORE, Providers
from sealgate.convert.ratify.scopes import check_disjoint, read_scope
from sealgate.convert.ratify.trust_policies import ARTIFACTS, trust_policies
from sealgate.convert.results import MAX_AUTHENTICATORS, Draft, is_name
from sealgate.convert.selectors import NoSelectorError, selectors
from sealgate.convert.signers import NoEquivalentError, mapping, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.convert.ratify.gatekeeper import Enforcement
    from sealgate.convert.ratify.scopes import Scope
    from sealgate.convert.ratify.trust_policies import TrustPolicy
    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

GROUP = "config.ratify.deislabs.io"
KINDS = ("Verifier", PROVIDER, STORE, "Store", "Policy")

_VERSION = f"{GROUP}/v1beta1"
_POLICY = "ratify-policy"
_POLICY_TYPES = ("config-policy", "configpolicy")
_UNSET: tuple[object, ...] = (None, [], {}, "", False)
#: Parameters of a store that say how it is read, not what is believed.
_STORE_PARAMETERS = frozenset(
    {"cosignEnabled", "cacheEnabled", "ttl", "capacity", "keyNumber", "useHttp", "authProvider"}
)


@dataclass(frozen=True, slots=True)
class _Verifier:
    """A verifier: its name, its document, and the trust policy of each scope; None denies the images of a scope."""

    name: str
    document: Document
    scopes: Mapping[Scope, TrustPolicy | None]


def convert_ratify_resources(documents: Sequence[Document], *, trusted_root: str | None = None) -> Conversion:
    """Convert the objects of Ratify 1.

    Args:
        documents: objects of the group `config.ratify.deislabs.io`, and of Gatekeeper; others are skipped.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: an object is not valid, or one that decides about all images is not there.
    """
    return _Converter(documents, trusted_root).convert()


class _Converter:
    """State of one conversion."""

    def __init__(self, documents: Sequence[Document], trusted_root: str | None) -> None:
        self._all = documents
        self._own = [one for one in documents if str(one.value.get("apiVersion")).startswith(f"{GROUP}/")]
        self._trusted_root = trusted_root
        self._draft = Draft()

    def convert(self) -> Conversion:
        """Return the objects."""
        spaces = self._namespaces()
        found, lost = enforcements(self._all, self._draft)
        for why in (lost, self._policy(), self._stores()):
            if why:
                self._draft.note("", f"all images are denied: {why}")
                lost = lost or why
        verifiers = self._verifiers()
        if not lost and verifiers:
            for enforcement in found:
                self._put(verifiers, enforcement, spaces)
        self._draft.note(
            "",
            "images that no policy covers must be denied: set unmatchedImages: deny. It denies too where no constraint "
            "matches: write a policy with action: Exempt for these namespaces",
        )
        return self._draft.conversion("deny")

    def _namespaces(self) -> list[str]:
        """Return the namespaces with objects of their own, which replace those of the cluster there."""
        found = set()
        for document in self._own:
            value = document.value
            kind, metadata = str(value.get("kind")), value.get("metadata")
            if value.get("apiVersion") != _VERSION:
                self._draft.wrong(document, "apiVersion", f"must be {_VERSION}")
            elif kind.startswith("Namespaced"):
                space = metadata.get("namespace") if isinstance(metadata, Mapping) else None
                found.add(str(space or "default"))
                self._draft.note(
                    f"{quote(kind, 64)} in {quote(space, 64)}",
                    "has no equivalent; the images of this namespace are denied: write a policy with its "
                    "namespaceSelector by hand",
                )
            elif kind not in KINDS:
                self._draft.note("", f"{quote(kind, 64)} has no equivalent; left out")
        return sorted(found)

    def _policy(self) -> str | None:
        """Return why the Policy has no equivalent."""
        policies = [one for one in self._of("Policy") if _name(one) == _POLICY]
        if len(policies) != 1:
            self._missing(f"the Policy {_POLICY}")
            return None
        try:
            spec = mapping(policies[0].value.get("spec"), "spec")
            if spec.get("type") not in _POLICY_TYPES:
                return f"Policy {_POLICY}: the type {quote(spec.get('type'), 64)} has no equivalent"
            parameters = mapping(spec.get("parameters") or {}, "parameters")
            only_members(parameters, frozenset({"artifactVerificationPolicies"}), "parameters.", _UNSET)
            asked = mapping(parameters.get("artifactVerificationPolicies") or {}, "artifactVerificationPolicies")
        except NoEquivalentError as error:
            return f"Policy {_POLICY}: {error}"
        why = self._unmet(asked)
        return f"Policy {_POLICY} {why}" if why else None

    def _unmet(self, asked: Mapping[str, Any]) -> str | None:
        """Return why `artifactVerificationPolicies` have no equivalent."""
        if not all(rule in ("any", "all") for rule in asked.values()):
            return "must have any or all in artifactVerificationPolicies"
        there = {str(_spec(one).get("artifactTypes")) for one in self._of("Verifier")}
        for kind in sorted(asked.keys() - there - {"default"}):
            return f"needs {quote(kind, 128)}, which no Verifier verifies"
        strict = [kind for kind in ARTIFACTS.values() if asked.get(kind, asked.get("default") or "all") == "all"]
        for kind in sorted(there.intersection(strict)):
            return (
                "asks for all signatures: one that is not valid denies the image also where a valid one is beside it, "
                f"which has no equivalent; if one valid signature is enough, write {kind}: any into "
                "artifactVerificationPolicies, and convert again"
            )
        return None

    def _stores(self) -> str | None:
        """Return why the Stores have no equivalent."""
        stores = self._of("Store")
        if not stores:
            self._missing("a Store")
        tags = False
        for store in stores:
            spec = _spec(store)
            parameters = spec.get("parameters")
            if (spec.get("type") or spec.get("name")) != "oras" or not isinstance(parameters or {}, Mapping):
                return f"Store {quote(_name(store), 64)}: only those of the type oras have an equivalent"
            found = dict(parameters or {})
            more = sorted(found.keys() - _STORE_PARAMETERS)
            if more:
                return f"Store {quote(_name(store), 64)}: {quote(more[0], 64)} has no equivalent"
            tags = tags or found.get("cosignEnabled") is True
            if found.get("useHttp") or found.get("authProvider"):
                self._draft.note(
                    f"Store {quote(_name(store), 64)}",
                    "credentials of registries, and registries with plain HTTP, are set in the values of the chart",
                )
        if not tags and any(_spec(one).get("artifactTypes") == ARTIFACTS["cosign"] for one in self._of("Verifier")):
            return "no Store has cosignEnabled: true, so that signatures of cosign are not found there"
        return None

    def _verifiers(self) -> list[_Verifier]:
        """Return the verifiers; none if one has no equivalent, since each may deny every image."""
        providers = Providers(one.value for one in self._own)
        found, whole = [], True
        documents = self._of("Verifier")
        if not documents:
            self._missing("a Verifier")
        for document in documents:
            name = _name(document)
            try:
                policies = trust_policies(_spec(document), providers, self._trusted_root)
                found.append(_Verifier(name, document, self._scopes(document, name, policies)))
            except NoEquivalentError as error:
                self._draft.note(f"Verifier {quote(name, 64)}", f"all images are denied: {error}")
                whole = False
        if len(documents) > MAX_AUTHENTICATORS:
            self._draft.note("", f"all images are denied: there are more than {MAX_AUTHENTICATORS} verifiers")
            whole = False
        if len(documents) > 1:
            self._draft.note("", "every image needs a signature for each of the verifiers here")
        return found if whole else []

    def _scopes(
        self, document: Document, name: str, policies: Sequence[TrustPolicy]
    ) -> dict[Scope, TrustPolicy | None]:
        """Return the trust policy of each scope of a verifier.

        Raises:
            NoEquivalentError: a scope cannot be read, or overlaps another one.
        """
        notation = (_spec(document).get("type") or _spec(document).get("name")) == "notation"
        check_disjoint([scope for policy in policies for scope in policy.scopes])
        found: dict[Scope, TrustPolicy | None] = {}
        denied: set[Scope] = set()
        for policy in policies:
            for written in policy.scopes:
                scope, whole = read_scope(written, notation)
                if scope is None:
                    self._draft.note(
                        f"Verifier {quote(name, 64)}", f"the scope {quote(written, 128)} matches no image; left out"
                    )
                elif not whole:
                    self._draft.note(
                        f"Verifier {quote(name, 64)}",
                        f"the scope {quote(written, 128)} is about tags or digests, and the images of its repository "
                        "are denied: end it before them",
                    )
                    denied.add(scope)
                else:
                    found[scope] = policy
        return {**found, **dict.fromkeys(denied)}

    def _put(self, verifiers: Sequence[_Verifier], enforcement: Enforcement, spaces: list[str]) -> None:
        """Add the policies of one constraint."""
        places = {scope: verifier.document for verifier in reversed(verifiers) for scope in verifier.scopes}
        scopes = sorted(places, key=lambda scope: (scope.text, scope.prefix))
        rules = []
        for index, scope in enumerate(scopes):
            try:
                covered = selectors(scope.text, [scope.pattern], [])
            except NoSelectorError as error:
                self._draft.wrong(places[scope], "spec.parameters", str(error))
                continue
            rules.append(
                Rule(
                    document=places[scope],
                    field="spec.parameters",
                    name=f"{enforcement.name}.{index}",
                    pattern=quote(scope.pattern, 128),
                    covered=covered,
                    matched=covered,
                    requires=self._requires(verifiers, scope),
                )
            )
        if len(rules) < len(scopes):
            return
        common = dict(enforcement.common)
        if spaces:
            selector = dict(common.get("namespaceSelector") or {})
            own = {"key": NAME_LABEL, "operator": "NotIn", "values": spaces}
            selector["matchExpressions"] = [*(selector.get("matchExpressions") or []), own]
            common["namespaceSelector"] = selector
        put_policies(
            self._draft, rules, lambda one, other: one != other and scopes[one].contains(scopes[other]), common
        )

    def _requires(self, verifiers: Sequence[_Verifier], scope: Scope) -> tuple[Mapping[str, Any], ...] | None:
        """Return what the images of a scope need, or None if they are denied."""
        names, lost = [], []
        for verifier in verifiers:
            around = max(
                (one for one in verifier.scopes if one.contains(scope)), key=attrgetter("narrowness"), default=None
            )
            policy = None if around is None else verifier.scopes[around]
            if policy is None or policy.spec is None:
                lost.append(f"verifier {verifier.name}: {policy.notes[0] if policy else 'no trust policy applies'}")
                continue
            where = f"Verifier {verifier.name}, trust policy {quote(policy.name, 64)}"
            for note in policy.notes:
                self._draft.note(where, note)
            name = f"{verifier.name}.{policy.name}"
            self._draft.put(verifier.document, "spec.parameters", "Authenticator", name, policy.spec)
            names.append(name)
        if lost:
            self._draft.note(f"scope {quote(scope.pattern, 128)}", f"its images are denied: {'; '.join(lost)}")
            return None
        return ({"authenticators": names},)

    def _of(self, kind: str) -> list[Document]:
        found = [one for one in self._own if one.value.get("kind") == kind]
        for document in found:
            if not is_name(_name(document)):
                self._draft.wrong(document, "metadata.name", "must be a valid name")
        return found

    def _missing(self, what: str) -> None:
        self._draft.wrong(self._own[0], "", f"{what} decides about all images: convert it in the same run")


def _name(document: Document) -> str:
    metadata = document.value.get("metadata")
    return str(metadata.get("name")) if isinstance(metadata, Mapping) else ""


def _spec(document: Document) -> Mapping[str, Any]:
    spec = document.value.get("spec")
    return spec if isinstance(spec, Mapping) else {}
