"""From kritis, Alibaba Cloud's kritis-validation-hook among them, to objects that require the same.

- An `AttestationAuthority` becomes an `Authenticator` with the format `grafeas`.
- A `GenericAttestationPolicy` holds for its namespace: all of its authorities must attest an image, and of several
  policies in one namespace any one will do. It becomes a `VerificationPolicy` for that namespace. Several become one
  where that says the same: where each has a single authority (one of them must verify), or where one asks for less
  than each other. Else all of them must be met, which is stricter, and a note says so.
- Patterns of an `AdmissionAllowlist` become `excludeImages` of those policies: of every namespace's, or of that one's
  that the pattern names (`kritis_patterns` has the details). Where such an exclusion covers more than its pattern did,
  a second policy, its name ending in `.more-dots`, holds what is beyond the pattern to the same authorities.
- `admissionAllowlistPatterns` of a `GenericAttestationPolicy` do the same for its namespace; in these a `*` counts only
  at the end.

Objects here are not in namespaces, so the namespace is part of their names, always: `prod.signed` for `signed` in
`prod`, and `prod` for a policy made of several. A namespace's name holds no dot, so no two objects get one name, and
none gets another one because of what else is converted, now or later.

What is in a namespace without a policy was admitted, so images without a policy still are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.kritis.authorities import MalformedError, grafeas_spec
from sealgate.convert.kritis.patterns import Exclusion, NoSelectorError, exclusion_of
from sealgate.convert.results import Conversion, Note
from sealgate.errors import PolicyError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

GROUP = "kritis.grafeas.io"
AUTHORITY, POLICY, ALLOWLIST = "AttestationAuthority", "GenericAttestationPolicy", "AdmissionAllowlist"
KINDS = (AUTHORITY, POLICY, ALLOWLIST)

#: The most selectors and authenticators of one policy.
MAX_SELECTORS = 256
MAX_AUTHENTICATORS = 16
#: The longest name of an object.
MAX_NAME = 253

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAMESPACE = re.compile(rf"(?=.{{1,63}}$){_LABEL}")
_NAME = re.compile(rf"(?=.{{1,{MAX_NAME}}}$){_LABEL}(?:\.{_LABEL})*")

#: What the name of a policy ends in that is about what is beyond the patterns of an allowlist.
_BEYOND = ".more-dots"

#: The member of a GenericAttestationPolicy with patterns of its own.
_OWN_PATTERNS = "admissionAllowlistPatterns"

_Place = tuple[str, str]  # namespace, name


def convert_kritis(
    documents: Sequence[Document], *, server: str | None = None, namespace: str = "default"
) -> Conversion:
    """Convert kritis's objects.

    Args:
        documents: objects of the group `kritis.grafeas.io`; unknown kinds are skipped.
        server: URL of the Grafeas server that has the attestations; None if it is not known.
        namespace: namespace of objects without one.

    Raises:
        PolicyError: an object is not valid, or names an object that does not exist.
    """
    return _Converter(server, namespace).convert(documents)


class _Converter:
    """One conversion."""

    def __init__(self, server: str | None, namespace: str) -> None:
        self._server = server
        self._namespace = namespace
        self._notes: list[Note] = []
        self._problems: list[Problem] = []
        self._authorities: dict[_Place, Document] = {}
        self._policies: dict[_Place, Document] = {}
        self._allowlists: list[Document] = []
        self._used: set[tuple[str, str]] = set()

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._sort(document)
        names = {place: f"{place[0]}.{place[1]}" for place in self._authorities}
        authenticators = [self._authenticator(place, names[place]) for place in sorted(self._authorities)]
        exclusions = self._exclusions()
        policies = [policy for found in self._by_namespace() for policy in self._of_namespace(found, names, exclusions)]
        if not self._policies:
            self._note("", "there is no GenericAttestationPolicy, so no image has to be verified")
        if self._problems:
            distinct = sorted(set(self._problems))
            raise PolicyError("this cannot be converted", problems=distinct)
        self._note("", "if the hook ran in dry-run mode, write action: Audit into every VerificationPolicy")
        found = (*(item for item in authenticators if item is not None), *policies)
        return Conversion(found, tuple(self._notes), "admit")

    # What is there -----------------------------------------------------------------------------------------------

    def _sort(self, document: Document) -> None:
        value = document.value
        metadata = value.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        kind, spec = value.get("kind"), value.get("spec")
        if kind not in KINDS:
            self._note("", f"{quote(kind, 64)} {quote(name, 64)} has no equivalent and is left aside")
        elif not isinstance(name, str) or not isinstance(spec, Mapping):
            self._wrong(document, "", f"{kind} needs metadata.name and spec")
        elif kind == ALLOWLIST:
            self._allowlists.append(document)
        else:
            place = (metadata.get("namespace") or self._namespace, name)
            if not self._is_place(document, *place):
                return
            known = self._authorities if kind == AUTHORITY else self._policies
            if place in known:
                self._wrong(document, "metadata.name", f"there already is a {kind} of that name in its namespace")
            known[place] = document

    def _is_place(self, document: Document, space: object, name: str) -> bool:
        """Return whether both are names of Kubernetes's, which names here are made of."""
        if not isinstance(space, str) or not _NAMESPACE.fullmatch(space):
            self._wrong(document, "metadata.namespace", f"{quote(space, 64)} is no name of a namespace")
        elif not _NAME.fullmatch(name):
            self._wrong(document, "metadata.name", f"{quote(name, 64)} is no name that Kubernetes takes")
        else:
            return True
        return False

    def _by_namespace(self) -> list[dict[_Place, Document]]:
        found: dict[str, dict[_Place, Document]] = defaultdict(dict)
        for place in sorted(self._policies):
            found[place[0]][place] = self._policies[place]
        return list(found.values())

    # Authorities -------------------------------------------------------------------------------------------------

    def _authenticator(self, place: _Place, name: str) -> Mapping[str, Any] | None:
        document = self._authorities[place]
        try:
            spec, notes = grafeas_spec(place[1], document.value["spec"], self._server)
        except MalformedError as error:
            self._wrong(document, "spec", str(error))
            return None
        for note in notes:
            self._note(f"{AUTHORITY} {quote(place[1], 64)}", note)
        return self._object(document, "Authenticator", name, spec)

    # Allowlists --------------------------------------------------------------------------------------------------

    def _exclusions(self) -> list[tuple[str | None, Exclusion]]:
        """Return what covers the images of each pattern, with the namespace it is for, None for all of them."""
        found = []
        spaces = {space for space, _ in self._policies}
        for document in self._allowlists:
            patterns = document.value["spec"].get("patterns")
            if not isinstance(patterns, list) or not all(isinstance(item, Mapping) for item in patterns):
                self._wrong(document, "spec.patterns", "is no list of patterns")
                continue
            for index, item in enumerate(patterns):
                space, field = item.get("namespace") or None, f"spec.patterns[{index}].namePattern"
                pattern = item.get("namePattern")
                if not isinstance(pattern, str) or not pattern:
                    self._wrong(document, field, "is required, as text")
                elif space is not None and not isinstance(space, str):
                    self._wrong(document, f"spec.patterns[{index}].namespace", "is no name of a namespace")
                elif space is not None and space not in spaces:
                    self._note(quote(pattern), f"no policy is in the namespace {quote(space, 64)}: nothing to exclude")
                elif (exclusion := self._exclusion(pattern)) is not None:
                    found.append((space, exclusion))
        return found + self._own_exclusions()

    def _own_exclusions(self) -> list[tuple[str | None, Exclusion]]:
        """Return what covers the images of the patterns in policies: those of one hold for all of its namespace."""
        found: list[tuple[str | None, Exclusion]] = []
        for (space, _), document in self._policies.items():
            patterns = document.value["spec"].get(_OWN_PATTERNS) or []
            if not isinstance(patterns, list) or not all(isinstance(item, Mapping) for item in patterns):
                self._wrong(document, f"spec.{_OWN_PATTERNS}", "is not a list of patterns")
                continue
            for index, item in enumerate(patterns):
                pattern = item.get("namePattern")
                if not isinstance(pattern, str) or not pattern:
                    self._wrong(document, f"spec.{_OWN_PATTERNS}[{index}].namePattern", "is required, as text")
                elif "*" in pattern[:-1]:
                    why = "in a policy a * stands for itself unless it is the last character"
                    self._note(quote(pattern), f"not converted, so these images must be attested: {why}")
                elif (exclusion := self._exclusion(pattern)) is not None:
                    found.append((space, exclusion))
        return found

    def _exclusion(self, pattern: str) -> Exclusion | None:
        try:
            exclusion = exclusion_of(pattern)
        except NoSelectorError as error:
            self._note(quote(pattern), f"not converted, so these images must be attested: {error}")
            return None
        if exclusion.difference:
            self._note(quote(pattern), exclusion.difference)
        return exclusion

    # Policies ----------------------------------------------------------------------------------------------------

    def _of_namespace(
        self,
        found: Mapping[_Place, Document],
        names: Mapping[_Place, str],
        exclusions: Iterable[tuple[str | None, Exclusion]],
    ) -> list[Mapping[str, Any]]:
        space = next(iter(found))[0]
        wanted = {place[1]: self._wanted(place, document, names) for place, document in found.items()}
        excluded, beyond = self._fitting(space, [one for bound, one in exclusions if bound in (None, space)])
        made: list[Mapping[str, Any]] = []
        for name, document, authenticators, count in self._alternatives(space, found, wanted):
            require: dict[str, Any] = {"authenticators": list(authenticators)}
            if count is not None:
                require["count"] = count
            if beyond:
                # First, so that while objects are applied one by one no exclusion is there without its limits.
                exact = [one.selector for one in excluded if not one.beyond]
                spec = _spec(space, beyond, exact, require)
                made.append(self._object(document, "VerificationPolicy", f"{name}{_BEYOND}", spec))
            spec = _spec(space, [{"repository": "**"}], [one.selector for one in excluded], require)
            made.append(self._object(document, "VerificationPolicy", name, spec))
        return made

    def _fitting(self, space: str, exclusions: Sequence[Exclusion]) -> tuple[list[Exclusion], list[Mapping[str, Any]]]:
        """Return as many of the exclusions as fit into one policy, and what is beyond those."""
        kept: list[Exclusion] = []
        beyond: list[Mapping[str, Any]] = []
        for exclusion in exclusions:
            more = [selector for selector in exclusion.beyond if selector not in beyond]
            if len(kept) == MAX_SELECTORS or len(beyond) + len(more) > MAX_SELECTORS:
                self._note(f"namespace {space}", f"only the first {len(kept)} of {len(exclusions)} patterns are taken")
                break
            kept.append(exclusion)
            beyond += more
        return kept, beyond

    def _wanted(self, place: _Place, document: Document, names: Mapping[_Place, str]) -> frozenset[str]:
        """Return the authenticators that a policy asks for."""
        field = "spec.attestationAuthorityNames"
        listed = document.value["spec"].get("attestationAuthorityNames")
        if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
            self._wrong(document, field, "names no authority; kritis answers every request with an error then")
            return frozenset()
        for name in listed:
            if (place[0], name) not in names:
                why = f"there is no AttestationAuthority {quote(name, 64)} in the namespace {quote(place[0], 64)}"
                self._wrong(document, field, f"{why}; convert its file together with this one")
        if len(set(listed)) > MAX_AUTHENTICATORS:
            self._wrong(document, field, f"names more than {MAX_AUTHENTICATORS} authorities")
        return frozenset(names.get((place[0], name), name) for name in listed)

    def _alternatives(
        self, space: str, found: Mapping[_Place, Document], wanted: Mapping[str, frozenset[str]]
    ) -> Iterable[tuple[str, Document, Sequence[str], int | None]]:
        """Yield name, origin, authenticators and count of the policies that together say: any one of these."""
        smallest = {
            name: asked
            for name, asked in wanted.items()
            if not any(other < asked or (other == asked and before < name) for before, other in wanted.items())
        }
        dropped = sorted(wanted.keys() - smallest.keys())
        if dropped:
            kept = ", ".join(sorted(smallest))
            self._note(f"namespace {space}", f"{', '.join(dropped)} asked for no less than {kept}, which is enough")
        several = [next(iter(asked)) for asked in smallest.values() if len(asked) == 1]
        if len(smallest) > 1 and len(several) == len(smallest) <= MAX_AUTHENTICATORS:
            yield space, next(iter(found.values())), sorted(several), 1
            return
        if len(smallest) > 1:
            self._note(
                f"namespace {space}",
                f"any one of {', '.join(sorted(smallest))} was enough; here all of them must be met, which is stricter",
            )
        for name, asked in smallest.items():
            yield f"{space}.{name}", found[space, name], sorted(asked), None

    def _object(self, document: Document, kind: str, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object, made of a document; its name is one that no other has."""
        if len(name) > MAX_NAME:
            why = f"{name} would be longer than the {MAX_NAME} characters of a name; rename it"
            self._wrong(document, "metadata.name", why)
        elif (kind, name) in self._used:
            self._wrong(document, "metadata.name", f"{name} would be the name of two objects; rename one")
        self._used.add((kind, name))
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}

    def _note(self, field: str, message: str) -> None:
        self._notes.append(Note(field, message))

    def _wrong(self, document: Document, field: str, message: str) -> None:
        self._problems.append(document.problem(field, message))


def _spec(
    space: str, images: Sequence[Mapping[str, Any]], excluded: Sequence[Mapping[str, Any]], require: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {NAME_LABEL: space}},
        "images": list(images),
        **({"excludeImages": list(excluded)} if excluded else {}),
        "require": dict(require),
    }
