"""Conversion of Kyverno's ImageValidatingPolicies to VerificationPolicies that admit no more.

Validations are CEL. Those in the forms of Kyverno's documentation are carried over, each as a VerificationPolicy:

    images.containers.map(image, verifyImageSignatures(image, [attestors.a, attestors.b])).all(e, e > 0)
    images.containers.map(image, verifyAttestationSignatures(image, attestations.sbom, [attestors.a])).all(e, e > 0)

A validation in another form ends the conversion, since images that no policy covers are admitted. What narrows a policy
down and has no equivalent is left out, which asks for more signatures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.kyverno.digests import TAGS_DENIED, tags_are_denied
from sealgate.convert.kyverno.references import selectors_of
from sealgate.convert.kyverno.validating_attestors import attestor_spec
from sealgate.convert.results import MAX_SELECTORS, Draft, is_name
from sealgate.convert.selectors import NoSelectorError, is_registry
from sealgate.convert.signers import NoEquivalentError
from sealgate.messages import quote
from sealgate.references import DOCKER_HUB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sealgate.convert.results import Conversion
    from sealgate.parsing.documents import Document

GROUP = "policies.kyverno.io"
KINDS = ("ImageValidatingPolicy", "NamespacedImageValidatingPolicy")

_VALIDATION = re.compile(
    r"images ?\. ?(?:containers|initContainers|ephemeralContainers) ?\. ?map ?\( ?(?P<image>\w+) ?, ?"
    r"(?:verifyImageSignatures ?\( ?(?P=image)|verifyAttestationSignatures ?\( ?(?P=image) ?, ?"
    r"attestations\.(?P<attestation>\w+)) ?, ?\[(?P<attestors>[^\]]*)\] ?\) ?"
    r"(?:\) ?\. ?all ?\( ?(?P<one>\w+) ?, ?(?P=one) ?(?P<above>>=?) ?(?P<number>[0-9]{1,2}) ?\)"
    r"|(?P<above2>>=?) ?(?P<number2>[0-9]{1,2}) ?\) ?\. ?all ?\( ?(?P<two>\w+) ?, ?(?P=two) ?\))"
)
_ATTESTOR = re.compile(r" ?attestors\.(\w+) ?")
_SPACES = re.compile(r"\s+")
_ACTIONS = {"Deny": "", "Warn": "Warn", "Audit": "Audit"}
#: Members of the spec that are carried over, or that do not decide which images are admitted.
_SPEC = frozenset(
    {"attestors", "attestations", "validations", "validationActions", "matchImageReferences", "evaluation"}
    | {"matchConstraints", "matchConditions", "variables", "auditAnnotations", "autogen", "credentials"}
    | {"failurePolicy", "validationConfigurations", "webhookConfiguration"}
)
_NARROWING = ("excludeResourceRules", "namespaceSelector", "objectSelector")

_TAGGED = (
    "attestations count wherever cosign stores them; Kyverno 1.19 was seen to refuse one under the .att tag that it "
    "accepts as a bundle"
)


def convert_image_validating_policies(documents: Sequence[Document], *, trusted_root: str | None = None) -> Conversion:
    """Convert ImageValidatingPolicies.

    Args:
        documents: objects of the group `policies.kyverno.io`; other kinds are skipped.
        trusted_root: the JSON of the trusted root of sigstore's public services; None for that which sealgate ships.

    Raises:
        PolicyError: an object is not valid, or something that it requires has no equivalent.
    """
    return _Converter(trusted_root).convert(documents)


class _Converter:
    """State of one conversion."""

    def __init__(self, trusted_root: str | None) -> None:
        self._trusted_root = trusted_root
        self._draft = Draft()

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._policy(document)
        self._draft.note(
            "", "images that no policy covers were admitted: set unmatchedImages: admit to keep that, or deny"
        )
        return self._draft.conversion("admit")

    def _policy(self, document: Document) -> None:
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        name, space = metadata.get("name"), metadata.get("namespace")
        if value.get("kind") not in KINDS:
            self._draft.note("", f"{quote(value.get('kind'), 64)} {quote(name, 64)} has no equivalent; left out")
            return
        namespaced = value["kind"] == KINDS[1]
        if not is_name(name) or not isinstance(spec, Mapping) or (namespaced and not is_name(space)):
            self._draft.wrong(document, "", "needs a valid metadata.name, spec, and its namespace if it has one")
            return
        owner = f"{space}.{name}" if namespaced else str(name)
        if why := _why_not_applied(spec):
            self._draft.note(owner, f"{why}; left out")
            return
        if more := sorted(member for member in spec.keys() - _SPEC if spec[member]):
            self._draft.wrong(document, f"spec.{quote(more[0], 64)}", "has no equivalent")
        constraints = spec.get("matchConstraints")
        narrowing = [one for one in _NARROWING if isinstance(constraints, Mapping) and constraints.get(one)]
        for what in [*narrowing, *(["matchConditions"] if spec.get("matchConditions") else [])]:
            self._draft.note(owner, f"{what} has no equivalent; left out, so the policy covers more images")
        base: dict[str, Any] = {}
        if namespaced:
            expression = {"key": NAME_LABEL, "operator": "In", "values": [space]}
            base["namespaceSelector"] = {"matchExpressions": [expression]}
        action = _action(spec.get("validationActions"))
        if action:
            base["action"] = action
        base["images"] = self._images(document, spec.get("matchImageReferences"))
        if spec.get("validations"):
            self._validations(document, owner, spec, base)
        self._settings(document, owner, spec, denies=not action)

    def _images(self, document: Document, listed: object) -> list[Mapping[str, Any]]:
        if not listed:
            return [{"repository": "**"}]
        found: list[Mapping[str, Any]] = []
        for index, item in enumerate(listed if isinstance(listed, list) else [listed]):
            field = f"spec.matchImageReferences[{index}]"
            glob = item.get("glob") if isinstance(item, Mapping) and item.keys() == {"glob"} else None
            if not isinstance(glob, str) or "[" in glob:
                self._draft.wrong(document, field, "must be a glob without brackets; expressions have no equivalent")
                continue
            try:
                for written in _spellings(glob):
                    found += [selector for selector in selectors_of(written) if selector not in found]
            except NoSelectorError as error:
                self._draft.wrong(document, f"{field}.glob", str(error))
        if len(found) > MAX_SELECTORS:
            self._draft.wrong(document, "spec.matchImageReferences", f"more than {MAX_SELECTORS} globs; divide it")
        return found

    def _settings(self, document: Document, owner: str, spec: Mapping[str, Any], *, denies: bool) -> None:
        """Add what a policy asks for besides its validations: that images are verified at all, and have a digest."""
        given = spec.get("validationConfigurations")
        settings = given if isinstance(given, Mapping) else {}
        if denies and tags_are_denied(settings):
            self._draft.note(owner, TAGS_DENIED)
        if spec.get("validations"):
            return
        if denies and settings.get("required") is not False:
            self._draft.wrong(
                document,
                "spec.validations",
                "without validations Kyverno denies images that no other policy has verified; write validations, or "
                "remove the policy and set unmatchedImages: deny",
            )
        else:
            self._draft.note(owner, "has no validations; left out")

    def _validations(self, document: Document, name: str, spec: Mapping[str, Any], base: Mapping[str, Any]) -> None:
        attestors, attestations = _by_name(spec.get("attestors")), _by_name(spec.get("attestations"))
        seen = []
        listed = spec["validations"]
        for index, validation in enumerate(listed if isinstance(listed, list) else [listed]):
            field = f"spec.validations[{index}].expression"
            text = validation.get("expression") if isinstance(validation, Mapping) else None
            asked = _asked(_SPACES.sub(" ", str(text or "")).strip())
            if asked is None:
                self._draft.wrong(
                    document, field, "has no equivalent; write conditions on attestations by hand, and remove it here"
                )
                continue
            if asked in seen:
                continue
            seen.append(asked)
            attestation, names, needed = asked
            predicate = None
            if attestation is not None:
                intoto = attestations.get(attestation, {}).get("intoto")
                predicate = intoto.get("type") if isinstance(intoto, Mapping) else None
                if not isinstance(predicate, str):
                    self._draft.wrong(document, field, f"attestation {attestation} has no intoto.type")
                    continue
                self._draft.note(field, _TAGGED)
            policy = name if index == 0 else f"{name}.{index}"
            suffix = "" if attestation is None else f".{attestation}"
            found = list(self._attestors(document, f"{name}{suffix}", names, attestors, predicate))
            if len(found) < needed:
                self._draft.wrong(document, field, "cannot be met here: " + _reasons(names, found, needed))
                continue
            count = {"count": needed} if needed < len(found) else {}
            spec_of = {**base, "require": {"authenticators": found, **count}}
            self._draft.put(document, field, "VerificationPolicy", policy, spec_of)

    def _attestors(
        self,
        document: Document,
        owner: str,
        names: Sequence[str],
        attestors: Mapping[str, Mapping[str, Any]],
        predicate: str | None,
    ) -> Iterator[str]:
        """Add the authenticators of attestors that have an equivalent, and yield their names."""
        for name in names:
            try:
                spec, notes = attestor_spec(attestors.get(name, {}), self._trusted_root, predicate)
            except NoEquivalentError as error:
                self._draft.note(owner, f"attestor {quote(name, 64)} cannot be carried over: {error}")
                continue
            for note in notes:
                self._draft.note(f"{owner}, attestor {quote(name, 64)}", note)
            authenticator = f"{owner}.{name.lower().replace('_', '-')}"
            self._draft.put(document, "spec.attestors", "Authenticator", authenticator, spec)
            yield authenticator


def _spellings(glob: str) -> list[str]:
    """Return the globs over full names of a glob over images as they are written, without Docker Hub's name too."""
    first, slash, _ = glob.partition("/")
    if glob.startswith("*") or (slash and is_registry(first) and not set("*?") & set(first)):
        return [glob]
    return [glob, f"{DOCKER_HUB}/{glob}", *([] if slash else [f"{DOCKER_HUB}/library/{glob}"])]


def _asked(text: str) -> tuple[str | None, tuple[str, ...], int] | None:
    """Return attestation, attestors, and how many of these must have signed; None for another validation."""
    match = _VALIDATION.fullmatch(text)
    if match is None:
        return None
    names = [_ATTESTOR.fullmatch(part) for part in match["attestors"].split(",")]
    found = tuple(name[1] for name in names if name is not None)
    above, number = match["above"] or match["above2"], int(match["number"] or match["number2"])
    needed = number + 1 if above == ">" else number
    if len(found) != len(names) or len(set(found)) != len(found) or not 1 <= needed <= len(found):
        return None
    return match["attestation"], found, needed


def _reasons(names: Sequence[str], found: Sequence[str], needed: int) -> str:
    return f"{needed} of {len(names)} attestors must have signed, and {len(found)} can be carried over"


def _by_name(listed: object) -> dict[str, Mapping[str, Any]]:
    found = listed if isinstance(listed, list) else []
    return {str(one.get("name")): one for one in found if isinstance(one, Mapping)}


def _action(actions: object) -> str:
    """Return the action; the strictest one of several, and empty for Enforce."""
    given = actions if isinstance(actions, list) and actions else ["Deny"]
    return next((ours for theirs, ours in _ACTIONS.items() if theirs in given), "")


def _why_not_applied(spec: Mapping[str, Any]) -> str:
    evaluation = spec.get("evaluation")
    evaluation = evaluation if isinstance(evaluation, Mapping) else {}
    admission = evaluation.get("admission")
    if isinstance(admission, Mapping) and admission.get("enabled") is False:
        return "evaluation.admission is off"
    return "" if evaluation.get("mode") in {None, "", "Kubernetes"} else "evaluation.mode is not Kubernetes"
