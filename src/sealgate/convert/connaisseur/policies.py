"""Conversion of Connaisseur's policy to VerificationPolicies that admit no more.

The most specific rule that matches an image applies, with one validator, and an image that none matches is denied. A
rule whose validator has no equivalent denies its images, as `approve: false` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.convert.connaisseur.patterns import RulePattern, parse_pattern
from sealgate.convert.connaisseur.validators import required_signers
from sealgate.convert.precedence import Rule, put_policies
from sealgate.convert.results import Draft, is_name
from sealgate.convert.selectors import NoSelectorError
from sealgate.convert.signers import NoEquivalentError, mapping
from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

_FEATURES = {
    "detectionMode": "only warns there; these policies deny: write action: Warn into them to begin with",
    "namespacedValidation": "has no equivalent: these policies hold in every namespace that sealgate's webhook serves; "
    "write a namespaceSelector to keep to the label securesystemsengineering.connaisseur/webhook",
}
_RULE = frozenset({"pattern", "validator", "with"})
_STORAGES = "cosign signatures count wherever cosign stores them; Connaisseur does not read bundles"
_COPIED = (
    "Connaisseur admits an image that has the copied signature of another image, and runs that other one in its place; "
    "here it is denied"
)
_MOVED = (
    "Connaisseur runs the digest that Notary names for a tag, also where the tag names another one in the registry; "
    "here the image is then denied"
)


def is_configuration(value: object) -> bool:
    """Return whether a document is Connaisseur's Helm values, or the part of them that the application reads."""
    found = _application(value)
    return found is not None and isinstance(found.get("validators"), list) and isinstance(found.get("policy"), list)


def convert_connaisseur(document: Document, *, trusted_root: str | None = None) -> Conversion:
    """Convert the Helm values of Connaisseur.

    Args:
        document: the values, as `is_configuration` accepts them.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: it is not valid, or something that decides which images a rule is about has no equivalent.
    """
    return _Converter(document, trusted_root).convert()


def _application(value: object) -> Mapping[str, Any] | None:
    if not isinstance(value, Mapping) or "kind" in value or "apiVersion" in value:
        return None
    inner = value.get("application")
    return inner if isinstance(inner, Mapping) else value


class _Converter:
    """State of the conversion of one configuration."""

    def __init__(self, document: Document, trusted_root: str | None) -> None:
        self._document = document
        self._trusted_root = trusted_root
        self._draft = Draft()
        self._prefix = "application." if isinstance(document.value.get("application"), Mapping) else ""
        self._validators: dict[str, Mapping[str, Any]] = {}
        self._authenticators: dict[str, dict[str, Any]] = {}

    def convert(self) -> Conversion:
        """Return the objects."""
        application = _application(self._document.value) or {}
        for index, validator in enumerate(application["validators"]):
            if isinstance(validator, Mapping) and is_name(validator.get("name")):
                self._validators.setdefault(str(validator["name"]), validator)
            else:
                self._wrong(f"validators[{index}]", "needs a name, in lower case")
        rules: list[Rule] = []
        patterns: list[RulePattern] = []
        for index, given in enumerate(application["policy"]):
            made = self._rule(index, given)
            if made is not None:
                rules.append(made[0])
                patterns.append(made[1])
        put_policies(self._draft, rules, lambda one, other: patterns[one].loses_to(patterns[other], later=other > one))
        self._features(application)
        self._draft.note("", "images that no policy covers must be denied: set unmatchedImages: deny")
        if any("cosign" in spec for spec in self._authenticators.values()):
            self._draft.note("", _STORAGES)
            self._draft.note("", _COPIED)
        if any("notary" in spec for spec in self._authenticators.values()):
            self._draft.note("", _MOVED)
        return self._draft.conversion("deny")

    def _rule(self, index: int, given: object) -> tuple[Rule, RulePattern] | None:
        field = f"policy[{index}]"
        if not isinstance(given, Mapping) or not isinstance(given.get("pattern"), str) or given.keys() - _RULE:
            self._wrong(field, "must have a pattern, and nothing besides but validator and with")
            return None
        try:
            pattern = parse_pattern(given["pattern"])
        except NoSelectorError as error:
            self._wrong(f"{field}.pattern", str(error))
            return None
        requires = self._requires(field, given)
        if not pattern.covered:
            names = f"{quote(pattern.text, 200)} names a digest, and selectors have none"
            if requires == ():
                self._note(field, f"{names}; left out")
                return None
            self._note(field, f"{names}: the images of its repository are denied")
        where = f"{self._prefix}{field}"
        covered, matched = pattern.covered, pattern.matched
        rule = Rule(self._document, where, f"connaisseur.rule-{index}", quote(pattern.text), covered, matched, requires)
        return rule, pattern

    def _requires(self, field: str, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...] | None:
        """Return what the images of a rule must meet; None if they are denied."""
        validator = self._validators.get(str(given.get("validator") or "default"))
        if validator is None:
            self._wrong(f"{field}.validator", f"no validator {quote(given.get('validator') or 'default', 64)}")
            return None
        if validator.get("type") == "static":
            return () if validator.get("approve") is True else None
        try:
            wanted, notes = required_signers(validator, mapping(given.get("with") or {}, "with"), self._trusted_root)
        except NoEquivalentError as error:
            self._note(field, f"its images are denied: {error}")
            return None
        for note in notes:
            self._note(f"validators, {validator['name']}", note)
        requires = []
        for signers, count in wanted:
            names = [self._authenticator(field, f"{validator['name']}.{root}", spec) for root, spec in signers]
            requires.append({"authenticators": names, **({"count": count} if count < len(names) else {})})
        return tuple(requires)

    def _authenticator(self, field: str, name: str, spec: dict[str, Any]) -> str:
        """Add an authenticator; one name may stand for several specs, since rules have options of their own."""
        number = 1
        found = name
        while self._authenticators.setdefault(found, spec) != spec:
            number += 1
            found = f"{name}-{number}"
        self._draft.put(self._document, f"{self._prefix}{field}", "Authenticator", found, spec)
        return found

    def _features(self, application: Mapping[str, Any]) -> None:
        features = application.get("features")
        for name, why in _FEATURES.items():
            if isinstance(features, Mapping) and features.get(name):
                self._note(f"features.{name}", why)

    def _note(self, field: str, message: str) -> None:
        self._draft.note(f"{self._prefix}{field}", message)

    def _wrong(self, field: str, message: str) -> None:
        self._draft.wrong(self._document, f"{self._prefix}{field}", message)
