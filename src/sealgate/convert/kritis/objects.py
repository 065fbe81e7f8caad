"""Conversion of the objects of kritis, and of Alibaba Cloud's kritis-validation-hook, to equivalent objects.

- An `AttestationAuthority` becomes an `Authenticator` with the format `grafeas`.
- A `GenericAttestationPolicy` applies to its namespace: all of its AttestationAuthorities must attest an image, and of
  several policies in one namespace one is enough. It becomes a `VerificationPolicy` for that namespace. Several become
  one if that is equivalent: if each names a single AttestationAuthority (one of them must verify), or if one policy
  requires a subset of every other. Otherwise all of them must be met, which is stricter, and a note says so.
- Patterns of an `AdmissionAllowlist` become `excludeImages` of those policies: in all namespaces, or in the namespace
  that the pattern names (`kritis.patterns` has the details). If such an exclusion covers more than its pattern did, a
  second policy, its name ending in `.more-dots`, requires the same authenticators for the additional images.
- `admissionAllowlistPatterns` of a `GenericAttestationPolicy` do the same for its namespace; in these a `*` is a
  wildcard only at the end.

sealgate's objects are cluster-scoped, so the namespace is always part of their names: `prod.signed` for `signed` in
`prod`, and `prod` for a policy made of several. The name of a namespace contains no dot, so two objects never get the
same name, and an object's name does not depend on what else is converted.

kritis admits all images in a namespace without a policy, so unmatched images are admitted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.kritis.authorities import InvalidAttestationAuthorityError, grafeas_spec
from sealgate.convert.kritis.patterns import Exclusion, NoSelectorError, exclusion_of
from sealgate.convert.results import MAX_AUTHENTICATORS, MAX_NAME, MAX_SELECTORS, Conversion, Note
from sealgate.errors import PolicyError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

GROUP = "kritis.grafeas.io"
AUTHORITY, POLICY, ALLOWLIST = "AttestationAuthority", "GenericAttestationPolicy", "AdmissionAllowlist"
KINDS = (AUTHORITY, POLICY, ALLOWLIST)

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAMESPACE = re.compile(rf"(?=.{{1,63}}$){_LABEL}")
_NAME = re.compile(rf"(?=.{{1,{MAX_NAME}}}$){_LABEL}(?:\.{_LABEL})*")

#: Suffix of the name of a policy for images that an exclusion covers and its allowlist pattern did not.
_BEYOND = ".more-dots"

#: The field of a GenericAttestationPolicy with its own allowlist patterns.
_OWN_PATTERNS = "admissionAllowlistPatterns"

_NamespacedName = tuple[str, str]


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
    """State of one conversion: the objects, notes and problems so far."""

    def __init__(self, server: str | None, namespace: str) -> None:
        self._server = server
        self._namespace = namespace
        self._notes: list[Note] = []
        self._problems: list[Problem] = []
        self._authorities: dict[_NamespacedName, Document] = {}
        self._policies: dict[_NamespacedName, Document] = {}
        self._allowlists: list[Document] = []
        self._used: set[tuple[str, str]] = set()

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._sort(document)
        names = {key: f"{key[0]}.{key[1]}" for key in self._authorities}
        authenticators = [self._authenticator(key, names[key]) for key in sorted(self._authorities)]
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

    # Sort the objects --------------------------------------------------------------------------------------------

    def _sort(self, document: Document) -> None:
        value = document.value
        metadata = value.get("metadata")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        kind, spec = value.get("kind"), value.get("spec")
        if kind not in KINDS:
            self._note("", f"{quote(kind, 64)} {quote(name, 64)} has no equivalent; left out")
        elif not isinstance(name, str) or not isinstance(spec, Mapping):
            self._wrong(document, "", f"{kind} needs metadata.name and spec")
        elif kind == ALLOWLIST:
            self._allowlists.append(document)
        else:
            key = (metadata.get("namespace") or self._namespace, name)
            if not self._check_names(document, *key):
                return
            known = self._authorities if kind == AUTHORITY else self._policies
            if key in known:
                self._wrong(document, "metadata.name", f"duplicate {kind}: its namespace already has one of that name")
            known[key] = document

    def _check_names(self, document: Document, space: object, name: str) -> bool:
        """Return whether namespace and name are valid in Kubernetes; names of converted objects are made of them."""
        if not isinstance(space, str) or not _NAMESPACE.fullmatch(space):
            self._wrong(document, "metadata.namespace", f"{quote(space, 64)} is not a valid name of a namespace")
        elif not _NAME.fullmatch(name):
            self._wrong(document, "metadata.name", f"{quote(name, 64)} is not a valid name in Kubernetes")
        else:
            return True
        return False

    def _by_namespace(self) -> list[dict[_NamespacedName, Document]]:
        found: dict[str, dict[_NamespacedName, Document]] = defaultdict(dict)
        for key in sorted(self._policies):
            found[key[0]][key] = self._policies[key]
        return list(found.values())

    # AttestationAuthorities --------------------------------------------------------------------------------------

    def _authenticator(self, key: _NamespacedName, name: str) -> Mapping[str, Any] | None:
        document = self._authorities[key]
        try:
            spec, notes = grafeas_spec(key[1], document.value["spec"], self._server)
        except InvalidAttestationAuthorityError as error:
            self._wrong(document, "spec", str(error))
            return None
        for note in notes:
            self._note(f"{AUTHORITY} {quote(key[1], 64)}", note)
        return self._object(document, "Authenticator", name, spec)

    # Allowlists --------------------------------------------------------------------------------------------------

    def _exclusions(self) -> list[tuple[str | None, Exclusion]]:
        """Return the exclusion of each pattern with the namespace that it applies to; None is every namespace."""
        found = []
        spaces = {space for space, _ in self._policies}
        for document in self._allowlists:
            patterns = document.value["spec"].get("patterns")
            if not isinstance(patterns, list) or not all(isinstance(item, Mapping) for item in patterns):
                self._wrong(document, "spec.patterns", "must be a list of patterns")
                continue
            for index, item in enumerate(patterns):
                space, field = item.get("namespace") or None, f"spec.patterns[{index}].namePattern"
                pattern = item.get("namePattern")
                if not isinstance(pattern, str) or not pattern:
                    self._wrong(document, field, "must be text, not empty")
                elif space is not None and not isinstance(space, str):
                    self._wrong(document, f"spec.patterns[{index}].namespace", "is not a valid name of a namespace")
                elif space is not None and space not in spaces:
                    self._note(
                        quote(pattern),
                        f"the namespace {quote(space, 64)} has no policy, so there is nothing to exclude",
                    )
                elif (exclusion := self._exclusion(pattern)) is not None:
                    found.append((space, exclusion))
        return found + self._own_exclusions()

    def _own_exclusions(self) -> list[tuple[str | None, Exclusion]]:
        """Return the exclusions of the patterns in policies; they apply to the policy's namespace."""
        found: list[tuple[str | None, Exclusion]] = []
        for (space, _), document in self._policies.items():
            patterns = document.value["spec"].get(_OWN_PATTERNS) or []
            if not isinstance(patterns, list) or not all(isinstance(item, Mapping) for item in patterns):
                self._wrong(document, f"spec.{_OWN_PATTERNS}", "must be a list of patterns")
                continue
            for index, item in enumerate(patterns):
                pattern = item.get("namePattern")
                if not isinstance(pattern, str) or not pattern:
                    self._wrong(document, f"spec.{_OWN_PATTERNS}[{index}].namePattern", "must be text, not empty")
                elif "*" in pattern[:-1]:
                    why = "in a policy a * is literal unless it is the last character"
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
        found: Mapping[_NamespacedName, Document],
        names: Mapping[_NamespacedName, str],
        exclusions: Iterable[tuple[str | None, Exclusion]],
    ) -> list[Mapping[str, Any]]:
        space = next(iter(found))[0]
        wanted = {key[1]: self._wanted(key, document, names) for key, document in found.items()}
        excluded, beyond = self._fitting(space, [one for bound, one in exclusions if bound in (None, space)])
        made: list[Mapping[str, Any]] = []
        for name, document, authenticators, count in self._alternatives(space, found, wanted):
            require: dict[str, Any] = {"authenticators": list(authenticators)}
            if count is not None:
                require["count"] = count
            if beyond:
                # This policy comes first, so that an exclusion is never applied before the policy that limits it.
                exact = [one.selector for one in excluded if not one.beyond]
                spec = _spec(space, beyond, exact, require)
                made.append(self._object(document, "VerificationPolicy", f"{name}{_BEYOND}", spec))
            spec = _spec(space, [{"repository": "**"}], [one.selector for one in excluded], require)
            made.append(self._object(document, "VerificationPolicy", name, spec))
        return made

    def _fitting(self, space: str, exclusions: Sequence[Exclusion]) -> tuple[list[Exclusion], list[Mapping[str, Any]]]:
        """Return as many exclusions as fit into one policy, and the selectors of the additional images they cover."""
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

    def _wanted(self, key: _NamespacedName, document: Document, names: Mapping[_NamespacedName, str]) -> frozenset[str]:
        """Return the names of the authenticators that a policy requires."""
        field = "spec.attestationAuthorityNames"
        listed = document.value["spec"].get("attestationAuthorityNames")
        if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
            self._wrong(
                document,
                field,
                "must name an AttestationAuthority; without one, kritis answers every request with an error",
            )
            return frozenset()
        for name in listed:
            if (key[0], name) not in names:
                why = f"there is no AttestationAuthority {quote(name, 64)} in the namespace {quote(key[0], 64)}"
                self._wrong(document, field, f"{why}; convert its file together with this one")
        if len(set(listed)) > MAX_AUTHENTICATORS:
            self._wrong(document, field, f"names more than {MAX_AUTHENTICATORS} AttestationAuthorities")
        return frozenset(names.get((key[0], name), name) for name in listed)

    def _alternatives(
        self, space: str, found: Mapping[_NamespacedName, Document], wanted: Mapping[str, frozenset[str]]
    ) -> Iterable[tuple[str, Document, Sequence[str], int | None]]:
        """Yield name, origin, authenticators and count of the policies equivalent to any one of those found."""
        smallest = {
            name: asked
            for name, asked in wanted.items()
            if not any(other < asked or (other == asked and before < name) for before, other in wanted.items())
        }
        dropped = sorted(wanted.keys() - smallest.keys())
        if dropped:
            kept = ", ".join(sorted(smallest))
            self._note(f"namespace {space}", f"{', '.join(dropped)} required no less than {kept}, which is enough")
        several = [next(iter(asked)) for asked in smallest.values() if len(asked) == 1]
        if len(smallest) > 1 and len(several) == len(smallest) <= MAX_AUTHENTICATORS:
            yield space, next(iter(found.values())), sorted(several), 1
            return
        if len(smallest) > 1:
            self._note(
                f"namespace {space}",
                f"one of {', '.join(sorted(smallest))} was enough; here all of them must be met, which is stricter",
            )
        for name, asked in smallest.items():
            yield f"{space}.{name}", found[space, name], sorted(asked), None

    def _object(self, document: Document, kind: str, name: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an object made from a document; record a problem if its name is too long or a duplicate."""
        if len(name) > MAX_NAME:
            why = f"the name {name} would be longer than {MAX_NAME} characters; rename the object"
            self._wrong(document, "metadata.name", why)
        elif (kind, name) in self._used:
            self._wrong(
                document, "metadata.name", f"duplicate name: {name} would be the name of two objects; rename one"
            )
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
