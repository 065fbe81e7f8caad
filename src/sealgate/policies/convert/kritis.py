"""From kritis, Alibaba Cloud's kritis-validation-hook among them, to objects that require the same.

- An `AttestationAuthority` becomes an `Authenticator` with the format `grafeas`.
- A `GenericAttestationPolicy` holds for its namespace: all of its authorities must attest an image, and of several
  policies in one namespace any one will do. It becomes a `VerificationPolicy` for that namespace. Several become one
  where that says the same: where each has a single authority (one of them must verify), or where one asks for less
  than each other. Else all of them must be met, which is stricter, and a note says so.
- Patterns of an `AdmissionAllowlist` become `excludeImages` of those policies: of every namespace's, or of that one's
  that the pattern names (`kritis_patterns` has the details).

What is in a namespace without a policy was admitted, so images without a policy still are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.errors import PolicyError
from sealgate.messages import quote
from sealgate.policies.convert.kritis_authorities import MalformedError, grafeas_spec
from sealgate.policies.convert.kritis_patterns import NoSelectorError, selector_of
from sealgate.policies.convert.results import Conversion, Note
from sealgate.policies.matching import NAME_LABEL
from sealgate.policies.models import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sealgate.policies.documents import Document
    from sealgate.policies.problems import Problem

GROUP = "kritis.grafeas.io"
AUTHORITY, POLICY, ALLOWLIST = "AttestationAuthority", "GenericAttestationPolicy", "AdmissionAllowlist"
KINDS = (AUTHORITY, POLICY, ALLOWLIST)

#: The most selectors and authenticators of one policy.
MAX_SELECTORS = 256
MAX_AUTHENTICATORS = 16

_Place = tuple[str, str]  # namespace, name


def convert_kritis(
    documents: Sequence[Document], *, server: str | None = None, namespace: str = "default"
) -> Conversion:
    """Convert kritis's objects.

    Args:
        documents: objects of the group `kritis.grafeas.io`; what is no kind that is known here is left aside.
        server: address of the Grafeas server that holds the attestations.
        namespace: of objects that name none.

    Raises:
        PolicyError: something in them cannot be meant, or names what is not there.
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

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._sort(document)
        names = self._names()
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
            known = self._authorities if kind == AUTHORITY else self._policies
            if place in known:
                self._wrong(document, "metadata.name", f"there already is a {kind} of that name in its namespace")
            known[place] = document

    def _names(self) -> dict[_Place, str]:
        """Return the authenticator of each authority: its own name where no other namespace has the same."""
        count: dict[str, int] = defaultdict(int)
        for _, name in self._authorities:
            count[name] += 1
        return {(space, name): name if count[name] == 1 else f"{space}-{name}" for space, name in self._authorities}

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
        return {"apiVersion": API_VERSION, "kind": "Authenticator", "metadata": {"name": name}, "spec": spec}

    # Allowlists --------------------------------------------------------------------------------------------------

    def _exclusions(self) -> list[tuple[str | None, dict[str, Any]]]:
        """Return the selector of each pattern, with the namespace it is for, None for all of them."""
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
                elif space is not None and space not in spaces:
                    self._note(quote(pattern), f"no policy is in the namespace {quote(space, 64)}: nothing to exclude")
                elif (selector := self._selector(pattern)) is not None:
                    found.append((space, selector))
        return found

    def _selector(self, pattern: str) -> dict[str, Any] | None:
        try:
            selector, difference = selector_of(pattern)
        except NoSelectorError as error:
            self._note(quote(pattern), f"not converted, so these images must be attested: {error}")
            return None
        if difference:
            self._note(quote(pattern), difference)
        return selector

    # Policies ----------------------------------------------------------------------------------------------------

    def _of_namespace(
        self,
        found: Mapping[_Place, Document],
        names: Mapping[_Place, str],
        exclusions: Iterable[tuple[str | None, dict[str, Any]]],
    ) -> list[Mapping[str, Any]]:
        space = next(iter(found))[0]
        wanted = {place[1]: self._wanted(place, document, names) for place, document in found.items()}
        excluded = [selector for bound, selector in exclusions if bound in (None, space)]
        if len(excluded) > MAX_SELECTORS:
            self._note(f"namespace {space}", f"only the first {MAX_SELECTORS} of {len(excluded)} patterns are taken")
        made: list[Mapping[str, Any]] = []
        for name, authenticators, count in self._alternatives(space, wanted):
            require: dict[str, Any] = {"authenticators": list(authenticators)}
            if count is not None:
                require["count"] = count
            spec: dict[str, Any] = {
                "namespaceSelector": {"matchLabels": {NAME_LABEL: space}},
                "images": [{"repository": "**"}],
                **({"excludeImages": excluded[:MAX_SELECTORS]} if excluded else {}),
                "require": require,
            }
            metadata = {"name": name}
            made.append({"apiVersion": API_VERSION, "kind": "VerificationPolicy", "metadata": metadata, "spec": spec})
        return made

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
        self, space: str, wanted: Mapping[str, frozenset[str]]
    ) -> Iterable[tuple[str, Sequence[str], int | None]]:
        """Yield name, authenticators and count of the policies that together say: any one of these."""
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
            yield f"{space}-attested", sorted(several), 1
            return
        if len(smallest) > 1:
            self._note(
                f"namespace {space}",
                f"any one of {', '.join(sorted(smallest))} was enough; here all of them must be met, which is stricter",
            )
        for name, asked in smallest.items():
            yield self._policy_name(space, name), sorted(asked), None

    def _policy_name(self, space: str, name: str) -> str:
        alone = sum(other == name for _, other in self._policies) == 1
        return name if alone else f"{space}-{name}"

    def _note(self, field: str, message: str) -> None:
        self._notes.append(Note(field, message))

    def _wrong(self, document: Document, field: str, message: str) -> None:
        self._problems.append(document.problem(field, message))
