"""From policy files to objects, or to everything that is wrong with them.

Files hold what `kubectl apply` takes: `Authenticator` and `VerificationPolicy`, the `Secret`s that they name, and
`Namespace`s for their labels. Every problem is found in one go, each with file, line, field and a suggestion. What
the objects mean to each other is looked at too (`sealgate.manifests.cross_checks`); what only others can judge, such as
whether a key parses, they add as checks of their own:

    def key_problems(files):
        for authenticator in files.authenticators:
            try:
                ...
            except InvalidKeyError as error:
                name = authenticator.metadata.name
                yield files.problem("Authenticator", name, "spec.cosign.keys[0].pem", error.message)

    files = load_policy_files(["policies/"], checks=[key_problems])
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.errors import PolicyError, Problem
from sealgate.manifests.cross_checks import check_patterns, check_policy, check_secrets
from sealgate.manifests.files import read_policy_files
from sealgate.manifests.validation import did_you_mean, validate
from sealgate.messages import join_field, key_part, quote
from sealgate.parsing.documents import Document, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_GROUP = API_VERSION.partition("/")[0]
_OUR_KINDS = ("Authenticator", "VerificationPolicy")


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The objects of policy files, all of them well formed.

    Attributes:
        authenticators: sorted by name.
        policies: sorted by name.
        secrets: content of the `Secret` objects, by name; their namespaces do not matter.
        namespaces: labels of the `Namespace` objects, by name.
        notes: what was read and left aside, one line each.
        files: the files that were read.
    """

    authenticators: tuple[Authenticator, ...]
    policies: tuple[VerificationPolicy, ...]
    secrets: Mapping[str, Mapping[str, bytes]]
    namespaces: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    _origins: Mapping[tuple[str, str], Document] = field(repr=False)

    def problem(self, kind: str, name: str, place: str, message: str, suggestion: str = "") -> Problem:
        """Return a problem of one object's field, with the file and line it was read from.

        Args:
            kind: the object's kind.
            name: its name.
            place: the field ("spec.cosign.keys[0].pem"); the nearest thing around it that was written gives the line.
            message: what is wrong, one sentence.
            suggestion: what to write instead.
        """
        origin = self._origins.get((kind, name))
        return origin.problem(place, message, suggestion) if origin else Problem(name, 0, place, message, suggestion)


PolicyCheck = Callable[[PolicyFiles], Iterable[Problem]]


def load_policy_files(paths: Sequence[Path | str], *, checks: Sequence[PolicyCheck] = ()) -> PolicyFiles:
    """Read policy files.

    Args:
        paths: files and folders.
        checks: further checks, given the objects that are well formed.

    Raises:
        PolicyError: something is wrong; it carries every problem found.
    """
    problems: list[Problem] = []
    texts = list(read_policy_files(paths, problems))
    return _load(texts, problems, checks, ", ".join(quote(path) for path in paths))


def load_policy_texts(texts: Iterable[tuple[str, str]], *, checks: Sequence[PolicyCheck] = ()) -> PolicyFiles:
    """Read policies that do not come from files.

    Args:
        texts: name (`-` for standard input) and content of each.
        checks: as in `load_policy_files`.

    Raises:
        PolicyError: as in `load_policy_files`.
    """
    texts = list(texts)
    return _load(texts, [], checks, ", ".join(quote(name) for name, _ in texts))


def check_object(value: Mapping[str, Any], *, checks: Sequence[PolicyCheck] = ()) -> tuple[Problem, ...]:
    """Return everything that is wrong with one object by itself, as an API server sends it.

    What it names need not be there: objects are applied in any order.

    Args:
        value: the object, as JSON has it.
        checks: further checks, given the object if it is well formed.
    """
    problems: list[Problem] = []
    collector = _Collector(problems)
    document = Document(_name(value) or "the object", value, {})
    collector.add(document)
    if value.get("kind") == "VerificationPolicy":
        problems.extend(check_patterns(document))
    files = collector.result(())
    for check in checks:
        problems.extend(check(files))
    return tuple(sorted(set(problems)))


def _load(
    texts: Sequence[tuple[str, str]], problems: list[Problem], checks: Sequence[PolicyCheck], where: str
) -> PolicyFiles:
    collector = _Collector(problems)
    for file, text in texts:
        documents, wrong = read_documents(text, file)
        problems.extend(wrong)
        for document in documents:
            collector.add(document)
    files = collector.result(tuple(file for file, _ in texts))
    if not collector.ours and not problems:
        message = f"no Authenticator and no VerificationPolicy in {where or 'no files'} ({len(texts)} files looked at)"
        problems.append(Problem(where or "-", 0, "", message, "name the files or folders that hold them"))
    # What is wrong with a field by itself has been said already.
    said = {(problem.file, problem.line, problem.field) for problem in problems}
    problems.extend(p for p in collector.cross_check() if (p.file, p.line, p.field) not in said)
    for check in checks:
        problems.extend(check(files))
    if problems:
        distinct = sorted(set(problems))
        raise PolicyError(_summary(distinct), problems=distinct)
    return files


def _summary(problems: Sequence[Problem]) -> str:
    files = len({problem.file for problem in problems})
    several = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
    return f"{several} in {files} policy files" if files != 1 else f"{several} in {quote(problems[0].file)}"


class _Collector:
    """Sorts documents into objects, notes and problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._authenticators: dict[str, Authenticator] = {}
        self._policies: dict[str, VerificationPolicy] = {}
        self._secrets: dict[str, Mapping[str, bytes]] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._notes: list[str] = []
        self._origins: dict[tuple[str, str], Document] = {}
        #: How many objects there were of the kinds that are ours, well formed or not.
        self.ours = 0

    def result(self, files: tuple[str, ...]) -> PolicyFiles:
        """Return what was well formed."""
        if self.ours and not self._of_kind("VerificationPolicy"):
            self._notes.append("there is no VerificationPolicy, so no image has to be verified")
        return PolicyFiles(
            authenticators=tuple(self._authenticators[name] for name in sorted(self._authenticators)),
            policies=tuple(self._policies[name] for name in sorted(self._policies)),
            secrets=MappingProxyType(self._secrets),
            namespaces=MappingProxyType(self._namespaces),
            notes=tuple(self._notes),
            files=files,
            _origins=MappingProxyType(self._origins),
        )

    def cross_check(self) -> Iterator[Problem]:
        """Yield what is wrong between the objects, those that are not well formed included."""
        authenticators = self._of_kind("Authenticator")
        secrets = {name: _secret_keys(document) for name, document in self._of_kind("Secret").items()}
        for policy in self._of_kind("VerificationPolicy").values():
            yield from check_policy(policy, authenticators)
        for authenticator in authenticators.values():
            yield from check_secrets(authenticator, secrets)

    def _of_kind(self, kind: str) -> dict[str, Document]:
        return {name: document for (found, name), document in self._origins.items() if found == kind}

    def add(self, document: Document) -> None:
        """Take a document: an object, or a list of them."""
        value = document.value
        if not isinstance(value, dict):
            self._wrong(document, "", "is no object", "an object has apiVersion, kind, metadata and spec")
            return
        kind, version = value.get("kind"), value.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            missing = "kind" if not isinstance(kind, str) else "apiVersion"
            self._wrong(document, missing, "is required, as text", f"ours are {API_VERSION}, {', '.join(_OUR_KINDS)}")
            return
        if kind.endswith("List") and isinstance(value.get("items"), list) and version in ("v1", API_VERSION):
            for index, item in enumerate(value["items"]):
                self.add(document.item(f"items[{index}]", item))
            return
        self._add_object(document, kind, version)

    def _add_object(self, document: Document, kind: str, version: str) -> None:
        if version == "v1" and kind == "Secret":
            self._add_named(document, kind, lambda name: self._secrets.setdefault(name, _secret(document, self._wrong)))
        elif version == "v1" and kind == "Namespace":
            self._add_named(document, kind, lambda name: self._namespaces.setdefault(name, self._labels(document)))
        elif version == API_VERSION and kind in _OUR_KINDS:
            self.ours += 1
            self._add_named(document, kind, lambda name: self._add_ours(document, kind, name))
        elif version.partition("/")[0] == _GROUP or kind in _OUR_KINDS:
            self.ours += 1
            self._unknown(document, kind, version)
        else:
            name = _name(document.value)
            title = f"{quote(kind, 64)} {quote(name, 64)}".strip()
            self._notes.append(f"{document.file}:{document.line('')}: left aside: {title}, {quote(version, 64)}")

    def _unknown(self, document: Document, kind: str, version: str) -> None:
        if kind in _OUR_KINDS:
            message = f"{quote(version, 64)} is not an apiVersion of {kind}"
            self._wrong(document, "apiVersion", message, f"write {API_VERSION}")
        elif version == API_VERSION:
            message = f"{quote(kind, 64)} is not a kind that is read here"
            self._wrong(document, "kind", message, did_you_mean(kind, _OUR_KINDS, "kinds here"))
        else:
            self._wrong(document, "apiVersion", f"{quote(version, 64)} is not known", f"write {API_VERSION}")

    def _add_named(self, document: Document, kind: str, add: Callable[[str], object]) -> None:
        name = _name(document.value)
        if not name:
            self._wrong(document, "metadata.name", "is required, as text")
        elif (kind, name) in self._origins:
            first = self._origins[kind, name]
            message = f"there already is a {kind} named {quote(name, 64)}, in {quote(first.file)}:{first.line('')}"
            self._wrong(document, "metadata.name", message, "give each a name of its own")
        else:
            self._origins[kind, name] = document
            add(name)

    def _add_ours(self, document: Document, kind: str, name: str) -> None:
        if kind == "Authenticator":
            authenticator = validate(Authenticator, document, self._problems)
            if authenticator is not None:
                self._authenticators[name] = authenticator
        else:
            policy = validate(VerificationPolicy, document, self._problems)
            if policy is not None:
                self._policies[name] = policy

    def _labels(self, document: Document) -> Mapping[str, str]:
        labels = document.value["metadata"].get("labels")
        found: dict[str, str] = {}
        for key, value, place in _members(document, labels, "metadata.labels", self._wrong):
            if isinstance(value, str):
                found[key] = value
            else:
                self._wrong(document, place, "must be text", "put it in quotes")
        return MappingProxyType(found)

    def _wrong(self, document: Document, place: str, message: str, suggestion: str = "") -> None:
        self._problems.append(document.problem(place, message, suggestion))


_Report = Callable[[Document, str, str, str], None]


def _name(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _members(document: Document, value: object, place: str, wrong: _Report) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and field of a mapping's members; nothing where there is none."""
    if value is None:
        return
    if not isinstance(value, dict):
        wrong(document, place, "must be an object", "")
        return
    for key, member in value.items():
        yield key, member, join_field(place, key_part(key))


def _secret(document: Document, wrong: _Report) -> Mapping[str, bytes]:
    """Return the content of a Secret: `data`, and over it `stringData`, as the API server has it."""
    content: dict[str, bytes] = {}
    for key, value, place in _members(document, document.value.get("data"), "data", wrong):
        decoded = _base64(value)
        if decoded is None:
            wrong(document, place, "is not base64", "encode it, or move the plain text to stringData")
        else:
            content[key] = decoded
    for key, value, place in _members(document, document.value.get("stringData"), "stringData", wrong):
        if isinstance(value, str):
            content[key] = value.encode("utf-8", "surrogatepass")
        else:
            wrong(document, place, "must be text", "put it in quotes")
    return MappingProxyType(content)


def _secret_keys(document: Document) -> frozenset[str]:
    """Return the keys of a Secret, those with a value that is not right included."""
    parts = (document.value.get(name) for name in ("data", "stringData"))
    return frozenset(key for part in parts if isinstance(part, dict) for key in part)


def _base64(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
