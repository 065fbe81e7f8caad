"""Conversion of Kyverno's verifyImages rules to VerificationPolicies that admit no more.

All attestor sets of a rule must be met, each by `count` of its entries, and all attestations likewise. So each set
becomes a VerificationPolicy. What narrows a rule down and has no equivalent is left out, which asks for more
signatures: preconditions, kinds of objects, labels. A rule that requires something without equivalent ends the
conversion, since images that no rule covers are admitted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.convert.kyverno.attestors import attestor_specs
from sealgate.convert.kyverno.digests import TAGS_DENIED, tags_are_denied
from sealgate.convert.kyverno.matches import namespace_selector
from sealgate.convert.kyverno.references import exact_selector_of, selectors_of
from sealgate.convert.results import MAX_AUTHENTICATORS, MAX_SELECTORS, Draft, is_name
from sealgate.convert.selectors import NoSelectorError
from sealgate.convert.signers import NoEquivalentError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

GROUP = "kyverno.io"
KINDS = ("ClusterPolicy", "Policy")

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: Members of verifyImages that are carried over, or that do not decide which images are admitted.
_RULE = frozenset(
    {"type", "imageReferences", "skipImageReferences", "attestors", "attestations", "repository", "failureAction"}
    | {"mutateDigest", "verifyDigest", "required", "useCache", "imageRegistryCredentials", "cosignOCI11"}
)
_STORAGES = (
    "signatures and attestations count wherever cosign stores them; Kyverno reads either bundles or the others, as the "
    "type of verifyImages says"
)
_TYPES = {"", "Cosign", "SigstoreBundle"}


def convert_kyverno(documents: Sequence[Document], *, trusted_root: str | None = None) -> Conversion:
    """Convert ClusterPolicies and Policies with verifyImages rules.

    Args:
        documents: objects of the group `kyverno.io`; other kinds are skipped.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: an object is not valid, or something that a rule requires has no equivalent.
    """
    return _Converter(trusted_root).convert(documents)


class _Converter:
    """State of one conversion: the objects, notes and problems so far."""

    def __init__(self, trusted_root: str | None) -> None:
        self._trusted_root = trusted_root
        self._draft = Draft()
        self._note, self._wrong = self._draft.note, self._draft.wrong

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._policy(document)
        self._note("", "images that no policy covers were admitted: set unmatchedImages: admit to keep that, or deny")
        return self._draft.conversion("admit")

    def _policy(self, document: Document) -> None:
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if value.get("kind") not in KINDS:
            self._note("", f"{quote(value.get('kind'), 64)} {quote(name, 64)} has no equivalent; left out")
            return
        if not is_name(name) or not isinstance(spec, Mapping):
            self._wrong(document, "", f"{value['kind']} needs a valid metadata.name, and spec")
            return
        space = None
        if value["kind"] == "Policy":
            space = str(metadata.get("namespace") or "default")
            name = f"{space}.{name}"
            if not _NAMESPACE.fullmatch(space):
                self._wrong(document, "metadata.namespace", f"{quote(space, 64)} is not a valid name of a namespace")
        rules = spec.get("rules")
        if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
            self._wrong(document, "spec.rules", "must be a list of rules")
            return
        for index, rule in enumerate(rules):
            self._rule(document, name, space, spec, index, rule)

    def _rule(
        self,
        document: Document,
        policy: str,
        space: str | None,
        spec: Mapping[str, Any],
        index: int,
        rule: Mapping[str, Any],
    ) -> None:
        field, given = f"spec.rules[{index}]", rule.get("verifyImages")
        if not given:
            self._note(f"{policy}, {field}", "has no verifyImages; left out")
            return
        if rule.get("imageExtractors"):
            self._wrong(
                document, f"{field}.imageExtractors", "has no equivalent here; name the kinds in sealgate's values"
            )
        if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
            self._wrong(document, f"{field}.verifyImages", "must be a list of objects")
            return
        name = str(rule.get("name", ""))
        name = f"{policy}.{name}" if is_name(name) else f"{policy}.rule-{index}"
        selector, lost = namespace_selector(rule, space)
        for what in lost:
            self._note(f"{policy}, {field}", f"{what} has no equivalent; left out, so the policy covers more images")
        # One action holds for the whole rule: it enforces if any of its verifyImages does.
        audits = all(self._action(spec, one) == "audit" for one in given)
        for number, one in enumerate(given):
            where = f"{field}.verifyImages[{number}]"
            base: dict[str, Any] = {"namespaceSelector": selector} if selector else {}
            if audits:
                base["action"] = "Audit"
            self._verification(document, where, f"{name}.{number}" if len(given) > 1 else name, one, base)

    def _action(self, spec: Mapping[str, Any], one: Mapping[str, Any]) -> str:
        """Return "enforce" or "audit", the default; a policy that enforces in some namespaces does so in all."""
        if any(
            str(override.get("action", "")).lower() == "enforce"
            for override in spec.get("validationFailureActionOverrides") or ()
            if isinstance(override, Mapping)
        ):
            return "enforce"
        action = one.get("failureAction") or spec.get("validationFailureAction") or "Audit"
        return "audit" if str(action).lower() == "audit" else "enforce"

    def _verification(
        self, document: Document, field: str, name: str, one: Mapping[str, Any], base: Mapping[str, Any]
    ) -> None:
        if more := sorted(key for key in one.keys() - _RULE if one[key]):
            self._wrong(document, f"{field}.{quote(more[0], 64)}", "has no equivalent, and could be a requirement")
        if str(one.get("type") or "") not in _TYPES:
            self._wrong(
                document, f"{field}.type", f"{quote(one['type'], 40)} has no equivalent; write notation by hand"
            )
        for key in ("attestors", "attestations", "skipImageReferences"):
            if not isinstance(one.get(key) or [], list):
                self._wrong(document, f"{field}.{key}", "must be a list")
                return
        images = self._images(document, field, name, one.get("imageReferences"))
        excluded = self._excluded(name, one.get("skipImageReferences"))
        common = {**base, "images": images, **({"excludeImages": excluded} if excluded else {})}
        sets = list(self._sets(document, field, one))
        audits = "action" in base
        if not sets and not audits and one.get("required") is not False:
            self._wrong(
                document,
                field,
                "has neither attestors nor attestations, so that Kyverno denies its images as unverified; write "
                "attestors, or required: false if they may be admitted",
            )
        elif not sets:
            self._note(name, "requires neither attestors nor attestations; left out")
        elif not audits and tags_are_denied(one):
            self._note(name, TAGS_DENIED)
        for number, (where, attestors, predicate) in enumerate(sets):
            policy = f"{name}.set-{number}" if len(sets) > 1 else name
            self._set(document, where, policy, attestors, one.get("repository"), predicate, common)

    def _images(self, document: Document, field: str, name: str, patterns: object) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        if not isinstance(patterns, list) or not patterns:
            self._wrong(document, f"{field}.imageReferences", "must be a list, not empty")
            return found
        for index, pattern in enumerate(patterns):
            try:
                selectors = selectors_of(str(pattern))
            except NoSelectorError as error:
                self._wrong(document, f"{field}.imageReferences[{index}]", str(error))
                continue
            found += [selector for selector in selectors if selector not in found]
            tag = str(pattern).rpartition("/")[2].partition(":")[2]
            if tag.strip("*") and not any("tags" in selector for selector in selectors):
                self._note(name, f"the tag of {quote(pattern)} may also fit a digest, so the policy covers every tag")
        if len(found) > MAX_SELECTORS:
            self._wrong(
                document, f"{field}.imageReferences", f"has more than {MAX_SELECTORS} patterns; divide the rule"
            )
        return found

    def _excluded(self, name: str, patterns: object) -> list[Mapping[str, Any]]:
        found = []
        for pattern in patterns if isinstance(patterns, list) else ():
            selector = exact_selector_of(str(pattern))
            if selector is None:
                self._note(name, f"skipImageReferences {quote(pattern)} has no exact equivalent; left out")
            else:
                found.append(selector)
        return found

    def _sets(self, document: Document, field: str, one: Mapping[str, Any]) -> Iterator[tuple[str, object, str | None]]:
        """Yield field, attestor set and predicate type of all that must be met; the type is None for signatures."""
        for index, attestors in enumerate(one.get("attestors") or ()):
            yield f"{field}.attestors[{index}]", attestors, None
        for index, attestation in enumerate(one.get("attestations") or ()):
            where = f"{field}.attestations[{index}]"
            if not isinstance(attestation, Mapping):
                self._wrong(document, where, "must be an object")
                continue
            if attestation.get("conditions"):
                self._wrong(document, f"{where}.conditions", "has no equivalent; write it as conditions in CEL by hand")
            predicate = attestation.get("type") or attestation.get("predicateType")
            if not isinstance(predicate, str) or not attestation.get("attestors"):
                self._wrong(document, where, "needs type and attestors")
                continue
            listed = attestation["attestors"]
            for number, attestors in enumerate(listed if isinstance(listed, list) else [listed]):
                yield f"{where}.attestors[{number}]", attestors, predicate

    def _set(  # noqa: PLR0913, PLR0917 - everything about one policy
        self,
        document: Document,
        field: str,
        name: str,
        attestors: object,
        repository: str | None,
        predicate: str | None,
        common: Mapping[str, Any],
    ) -> None:
        entries = attestors.get("entries") if isinstance(attestors, Mapping) else None
        if not isinstance(attestors, Mapping) or not isinstance(entries, list) or not entries:
            self._wrong(document, field, "must have entries")
            return
        specs: list[dict[str, Any]] = []
        lost: list[str] = []
        for index, entry in enumerate(entries):
            try:
                found, notes = attestor_specs(entry, self._trusted_root, repository, predicate)
            except NoEquivalentError as error:
                lost.append(f"entries[{index}] cannot be carried over: {error}")
                continue
            specs += found
            for note in notes:
                self._note(name, note)
        count = attestors.get("count") or len(specs) + len(lost)
        if not isinstance(count, int) or not 1 <= count <= len(specs):
            why = "; ".join(lost) or "count is more than its entries"
            self._wrong(document, field, f"cannot be met here: {why}")
            return
        for why in lost:
            self._note(name, why)
        if len(specs) > MAX_AUTHENTICATORS:
            self._wrong(document, field, f"has more than {MAX_AUTHENTICATORS} keys and identities")
        if any(spec in specs[:index] for index, spec in enumerate(specs)):
            self._note(
                name, "one key or identity is listed more than once: Kyverno counts it each time, here it is once"
            )
        names = [f"{name}.{index}" for index in range(len(specs))]
        for authenticator, spec in zip(names, specs, strict=True):
            self._draft.put(document, "metadata.name", "Authenticator", authenticator, spec)
            self._note("", _STORAGES)
        require = {"authenticators": names, **({"count": count} if count < len(names) else {})}
        self._draft.put(document, "metadata.name", "VerificationPolicy", name, {**common, "require": require})
