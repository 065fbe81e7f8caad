"""Conversion of Ratify's Executors to VerificationPolicies that admit no more.

Of the scopes that match an image that of its repository applies, then that of its registry, then `*.` and the domain
of its registry, of which it is a direct subdomain. An image that none matches is not verified, and so denied.
An Executor that asks for something without equivalent denies its images. In a namespace with NamespacedExecutors these
alone apply, so the policies leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.precedence import Rule, put_policies
from sealgate.convert.ratify.verifiers import verifier_spec
from sealgate.convert.results import MAX_AUTHENTICATORS, Draft, is_name
from sealgate.convert.selectors import NoSelectorError, registry_of, selectors
from sealgate.convert.signers import NoEquivalentError, mapping, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.convert.results import Conversion
    from sealgate.convert.selectors import Selector
    from sealgate.parsing.documents import Document

GROUP = "config.ratify.sh"
KINDS = ("Executor",)
_NAMESPACED = "NamespacedExecutor"

_UNSET: tuple[object, ...] = (None, [], {}, "", 0)
_WILDCARD, _REGISTRY, _REPOSITORY = range(3)


def convert_ratify(documents: Sequence[Document], *, trusted_root: str | None = None) -> Conversion:
    """Convert Executors.

    Args:
        documents: objects of the group `config.ratify.sh`; other kinds are skipped.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: an object is not valid, or one of its scopes has no selectors.
    """
    return _Converter(trusted_root).convert(documents)


class _Converter:
    """State of one conversion."""

    def __init__(self, trusted_root: str | None) -> None:
        self._trusted_root = trusted_root
        self._draft = Draft()

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        common = self._elsewhere(documents)
        found = [pair for document in documents for pair in self._rules(document)]
        rules = [rule for rule, _ in found]

        def chosen(one: int, other: int) -> bool | None:
            if rules[other].field == rules[one].field and rules[other].document is rules[one].document:
                return True  # the deeper subdomains of a wildcard
            kinds = (found[one][1], found[other][1])
            if kinds[0] == kinds[1] and rules[one].covered == rules[other].covered:
                return None
            return kinds[1] > kinds[0]

        put_policies(self._draft, rules, chosen, common)
        self._draft.note("", "images that no policy covers must be denied: set unmatchedImages: deny")
        self._draft.note(
            "",
            "these policies hold in every namespace that sealgate's webhook serves, also where Gatekeeper's "
            "constraints do not match",
        )
        return self._draft.conversion("deny")

    def _elsewhere(self, documents: Sequence[Document]) -> dict[str, Any]:
        """Return the selector of all namespaces but those whose own Executors hide all others there."""
        own: set[str] = set()
        for document in documents:
            if document.value.get("kind") != _NAMESPACED:
                continue
            metadata = document.value.get("metadata")
            space = metadata.get("namespace") if isinstance(metadata, Mapping) else None
            if not is_name(space):
                self._draft.wrong(document, "metadata.namespace", f"a {_NAMESPACED} needs its namespace")
                continue
            own.add(space)
            self._draft.note(
                f"namespace {space}",
                f"all of its images are denied: its {_NAMESPACED} applies there instead of these Executors, and is not "
                "converted; write policies with a namespaceSelector for it",
            )
        if not own:
            return {}
        expression = {"key": NAME_LABEL, "operator": "NotIn", "values": sorted(own)}
        return {"namespaceSelector": {"matchExpressions": [expression]}}

    def _rules(self, document: Document) -> Iterator[tuple[Rule, int]]:
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if value.get("kind") == _NAMESPACED:
            return
        if value.get("kind") not in KINDS:
            self._draft.note("", f"{quote(value.get('kind'), 64)} {quote(name, 64)} has no equivalent; left out")
            return
        scopes = spec.get("scopes") if isinstance(spec, Mapping) else None
        if not is_name(name) or not isinstance(spec, Mapping) or not isinstance(scopes, list) or not scopes:
            self._draft.wrong(document, "", "needs a valid metadata.name, and spec.scopes")
            return
        requires: tuple[Mapping[str, Any], ...] | None
        try:
            requires = (self._require(document, str(name), [str(scope) for scope in scopes], spec),)
        except NoEquivalentError as error:
            self._draft.note(f"Executor {name}", f"its images are denied: {error}")
            requires = None
        for index, scope in enumerate(scopes):
            field = f"spec.scopes[{index}]"
            try:
                kind, covered, deeper = _scope(str(scope))
            except NoSelectorError as error:
                self._draft.wrong(document, field, str(error))
                continue
            yield Rule(document, field, f"{name}.{index}", quote(scope), covered, covered, requires), kind
            if deeper:
                yield Rule(document, field, f"{name}.{index}", quote(scope), (), deeper, None), -1

    def _require(self, document: Document, owner: str, scopes: list[str], spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the images of an Executor must meet.

        Raises:
            NoEquivalentError: something in it has no equivalent.
        """
        only_members(spec, frozenset({"scopes", "verifiers", "stores", "policyEnforcer", "concurrency"}), "spec.")
        listed = spec.get("verifiers")
        verifiers = {
            str(one.get("name")): one
            for one in (listed if isinstance(listed, list) else ())
            if isinstance(one, Mapping)
        }
        names, needed = _asked(mapping(spec.get("policyEnforcer") or {}, "policyEnforcer"))
        found, lost = [], []
        for name in names:
            try:
                made, notes = verifier_spec(verifiers.get(name, {}), scopes, self._trusted_root)
            except NoEquivalentError as error:
                lost.append(f"verifier {quote(name, 64)}: {error}")
                continue
            for note in notes:
                self._draft.note(f"Executor {owner}, verifier {quote(name, 64)}", note)
            self._draft.put(document, "spec.verifiers", "Authenticator", f"{owner}.{name}", made)
            found.append(f"{owner}.{name}")
        if len(found) < needed or len(found) > MAX_AUTHENTICATORS:
            raise NoEquivalentError("; ".join(lost) or "it asks for too many verifiers")
        for why in lost:
            self._draft.note(f"Executor {owner}", f"left out: {why}")
        return {"authenticators": found, **({"count": needed} if needed < len(found) else {})}


def _asked(enforcer: Mapping[str, Any]) -> tuple[list[str], int]:
    """Return the verifiers of a policy enforcer, and how many of them must verify."""
    if enforcer.get("type") != "threshold-policy":
        raise NoEquivalentError("policyEnforcer must be a threshold-policy")
    policy = mapping(mapping(enforcer.get("parameters"), "parameters").get("policy"), "policy")
    only_members(policy, frozenset({"threshold", "rules"}), "policy.", _UNSET)
    rules = policy.get("rules")
    names = []
    for one in rules if isinstance(rules, list) else ():
        rule = mapping(one, "rules")
        # Rules within a rule are about what refers to a signature.
        only_members(rule, frozenset({"verifierName"}), "rules.", _UNSET)
        names.append(str(rule.get("verifierName")))
    threshold = policy.get("threshold") or len(names)
    if not isinstance(threshold, int) or not 1 <= threshold <= len(names) or len(set(names)) != len(names):
        raise NoEquivalentError("policyEnforcer needs rules about different verifiers, and a threshold that can be met")
    return names, threshold


def _scope(scope: str) -> tuple[int, tuple[Selector, ...], tuple[Selector, ...]]:
    """Return the kind of a scope, its selectors, and those of deeper subdomains, which it does not match."""
    host, slash, path = scope.partition("/")
    if host.startswith("*.") and "*" not in host[1:] and not slash:
        return _WILDCARD, selectors(scope, [f"{host}/**"], []), selectors(scope, [f"*.{host}/**"], [])
    if "*" in scope:
        raise NoSelectorError(f"{quote(scope)} is not a scope of Ratify")
    registry = registry_of(host)
    if slash:
        return _REPOSITORY, selectors(scope, [f"{registry}/{path}"], []), ()
    return _REGISTRY, selectors(scope, [f"{registry}/**"], []), ()
