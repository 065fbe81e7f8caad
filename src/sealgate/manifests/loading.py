"""Loader of policy files: returns objects, or every problem in them.

Policy files have the objects that `kubectl apply` takes: `Authenticator`, `VerificationPolicy` and `SigningPolicy`, the
`Secret`s and `ConfigMap`s that they name, and `Namespace`s for their labels. A `VerificationException` is checked too,
but in force in a cluster only, where sealgate writes who made it. All problems are reported at once, each with file,
line, field and a suggestion. References between objects are checked too (`sealgate.manifests.cross_checks`). Callers
add checks that need other layers, such as whether a key parses:

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
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from sealgate.api.v1alpha1.authenticator import Authenticator
from sealgate.api.v1alpha1.dependencies import config_maps_named_in
from sealgate.api.v1alpha1.model import API_VERSION
from sealgate.api.v1alpha1.signing_policy import SigningPolicy
from sealgate.api.v1alpha1.verification_exception import VerificationException
from sealgate.api.v1alpha1.verification_policy import VerificationPolicy
from sealgate.errors import PolicyError, Problem
from sealgate.manifests.cross_checks import (
    check_config_maps,
    check_patterns,
    check_policy,
    check_secrets,
    check_signing_policy,
)
from sealgate.manifests.files import read_policy_files
from sealgate.manifests.validation import did_you_mean, validate
from sealgate.messages import join_field, key_part, quote
from sealgate.parsing.documents import Document, read_documents
from sealgate.parsing.yaml_reader import Position
from sealgate.policies.limits import ObjectTooLargeError, check_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sealgate.policies.limits import PatternCompiler

_GROUP = API_VERSION.partition("/")[0]
_OUR_KINDS = ("Authenticator", "SigningPolicy", "VerificationException", "VerificationPolicy")
_WITH_PATTERNS = ("SigningPolicy", "VerificationException", "VerificationPolicy")

_Object = TypeVar("_Object")


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The valid objects of policy files.

    Attributes:
        authenticators: sorted by name.
        policies: the verification policies, sorted by name.
        signing_policies: sorted by name.
        secrets: name -> decoded data of each `Secret` object; namespaces are ignored.
        config_maps: name -> data of each `ConfigMap` that an authenticator names; namespaces are ignored.
        namespaces: name -> labels of each `Namespace` object.
        notes: notes about objects that were skipped, one line each.
        files: paths of the files that were read.
    """

    authenticators: tuple[Authenticator, ...]
    policies: tuple[VerificationPolicy, ...]
    signing_policies: tuple[SigningPolicy, ...]
    secrets: Mapping[str, Mapping[str, bytes]]
    config_maps: Mapping[str, Mapping[str, bytes]]
    namespaces: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    files: tuple[str, ...]
    _origins: Mapping[tuple[str, str], Document] = field(repr=False)

    def problem(self, kind: str, name: str, path: str, message: str, suggestion: str = "") -> Problem:
        """Return a problem in a field of an object, with the file and line it was read from.

        Args:
            kind: the object's kind.
            name: the object's name.
            path: field path ("spec.cosign.keys[0].pem"); if it is not in the file, its nearest parent gives the line.
            message: what is wrong, one sentence.
            suggestion: what to write instead; empty if there is none.
        """
        origin = self._origins.get((kind, name))
        return origin.problem(path, message, suggestion) if origin else Problem(name, 0, path, message, suggestion)


PolicyCheck = Callable[[PolicyFiles], Iterable[Problem]]


def load_policy_files(paths: Sequence[Path | str], *, checks: Sequence[PolicyCheck] = ()) -> PolicyFiles:
    """Read policy files.

    Args:
        paths: files and directories.
        checks: further checks, called with the valid objects.

    Raises:
        PolicyError: there is at least one problem; the error carries all of them.
    """
    problems: list[Problem] = []
    texts = list(read_policy_files(paths, problems))
    return _load(texts, problems, checks, ", ".join(quote(path) for path in paths))


def check_object(
    value: Mapping[str, Any], patterns: PatternCompiler, *, checks: Sequence[PolicyCheck] = ()
) -> tuple[Problem, ...]:
    """Return every problem of one object, as an API server sends it.

    Objects that it names need not exist, because objects are applied in any order.

    Args:
        value: the object as parsed JSON.
        patterns: compiles its patterns.
        checks: further checks, called with the object if it is valid.
    """
    problems: list[Problem] = []
    collector = _Collector(problems)
    document = Document(_name(value) or "the object", value, Position(0))
    collector.add(document)
    if collector.too_large:
        return tuple(problems)
    if value.get("kind") in _WITH_PATTERNS:
        problems.extend(check_patterns(document, patterns))
    files = collector.result(())
    for check in checks:
        problems.extend(check(files))
    return tuple(sorted(set(problems)))


def _load(
    texts: Sequence[tuple[str, str]], problems: list[Problem], checks: Sequence[PolicyCheck], where: str
) -> PolicyFiles:
    collector = _Collector(problems)
    for file, text in texts:
        for document in read_documents(text, file):
            problems.extend(document.problems)
            if document.value is not None:
                collector.add(document)
    files = collector.result(tuple(file for file, _ in texts))
    if not collector.ours and not problems:
        message = (
            f"no {', '.join(_OUR_KINDS[:-1])} or {_OUR_KINDS[-1]} in {where or 'no files'} ({len(texts)} files read)"
        )
        problems.append(Problem(where or "-", 0, "", message, "name files or directories that have them"))
    # A field with a problem of its own gets no second one.
    reported = {(problem.file, problem.line, problem.field) for problem in problems}
    problems.extend(p for p in collector.cross_check() if (p.file, p.line, p.field) not in reported)
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
    """Collects objects, notes and problems from documents."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._authenticators: dict[str, Authenticator] = {}
        self._policies: dict[str, VerificationPolicy] = {}
        self._signing_policies: dict[str, SigningPolicy] = {}
        self._secrets: dict[str, Mapping[str, bytes]] = {}
        self._config_maps: dict[str, Mapping[str, bytes]] = {}
        self._config_map_documents: list[Document] = []
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._notes: list[str] = []
        self._origins: dict[tuple[str, str], Document] = {}
        #: Number of objects of sealgate's kinds, valid or not.
        self.ours = 0
        #: Number of those that are too large to be read.
        self.too_large = 0

    def result(self, files: tuple[str, ...]) -> PolicyFiles:
        """Return the valid objects."""
        self._add_config_maps()
        if self.ours and not self._of_kind("VerificationPolicy"):
            self._notes.append("there is no VerificationPolicy, so no image has to be verified")
        return PolicyFiles(
            authenticators=tuple(self._authenticators[name] for name in sorted(self._authenticators)),
            policies=tuple(self._policies[name] for name in sorted(self._policies)),
            signing_policies=tuple(self._signing_policies[name] for name in sorted(self._signing_policies)),
            secrets=MappingProxyType(self._secrets),
            config_maps=MappingProxyType(self._config_maps),
            namespaces=MappingProxyType(self._namespaces),
            notes=tuple(self._notes),
            files=files,
            _origins=MappingProxyType(self._origins),
        )

    def cross_check(self) -> Iterator[Problem]:
        """Yield the problems between objects, including objects that are not valid."""
        authenticators = self._of_kind("Authenticator")
        secrets = {name: _data_keys(document) for name, document in self._of_kind("Secret").items()}
        config_maps = {name: _data_keys(document) for name, document in self._of_kind("ConfigMap").items()}
        for policy in self._of_kind("VerificationPolicy").values():
            yield from check_policy(policy, authenticators)
        signing = self._of_kind("SigningPolicy").values()
        for policy in signing:
            yield from check_signing_policy(policy, authenticators)
        for document in self._of_kind("VerificationException").values():
            yield from check_patterns(document)
        for document in (*authenticators.values(), *signing):
            yield from check_secrets(document, secrets)
            yield from check_config_maps(document, config_maps)

    def _of_kind(self, kind: str) -> dict[str, Document]:
        return {name: document for (found, name), document in self._origins.items() if found == kind}

    def add(self, document: Document) -> None:
        """Add a document: an object, or a list of objects."""
        value = document.value
        if not isinstance(value, dict):
            self._wrong(document, "", "must be an object", "write apiVersion, kind, metadata and spec")
            return
        kind, version = value.get("kind"), value.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            missing = "kind" if not isinstance(kind, str) else "apiVersion"
            self._wrong(
                document, missing, "is required, as text", f"sealgate's are {API_VERSION}, {', '.join(_OUR_KINDS)}"
            )
            return
        if kind.endswith("List") and isinstance(value.get("items"), list) and version in ("v1", API_VERSION):
            for index, item in enumerate(value["items"]):
                self.add(document.item(f"items[{index}]", item))
            return
        self._add_object(document, kind, version)

    def _add_object(self, document: Document, kind: str, version: str) -> None:
        if version == "v1" and kind == "Secret":
            self._add_named(document, kind, lambda name: self._secrets.setdefault(name, _secret(document, self._wrong)))
        elif version == "v1" and kind == "ConfigMap":
            self._config_map_documents.append(document)
        elif version == "v1" and kind == "Namespace":
            self._add_named(document, kind, lambda name: self._namespaces.setdefault(name, self._labels(document)))
        elif version == API_VERSION and kind in _OUR_KINDS:
            self.ours += 1
            self._add_named(document, kind, lambda name: self._add_ours(document, kind, name))
        elif version.partition("/")[0] == _GROUP or kind in _OUR_KINDS:
            self.ours += 1
            self._unknown(document, kind, version)
        else:
            self._skip(document, kind, version)

    def _add_config_maps(self) -> None:
        """Add those that an authenticator names: the others are of other software, and may have one name each."""
        authenticators = [document.value for document in self._of_kind("Authenticator").values()]
        named = config_maps_named_in(authenticators)
        for document in self._config_map_documents:
            if _name(document.value) in named:
                self._add_named(document, "ConfigMap", partial(self._add_config_map, document))
            else:
                self._skip(document, "ConfigMap", "v1")

    def _add_config_map(self, document: Document, name: str) -> None:
        self._config_maps[name] = _config_map(document, self._wrong)

    def _skip(self, document: Document, kind: str, version: str) -> None:
        title = f"{quote(kind, 64)} {quote(_name(document.value), 64)}".strip()
        self._notes.append(f"{document.file}:{document.line('')}: skipped: {title}, {quote(version, 64)}")

    def _unknown(self, document: Document, kind: str, version: str) -> None:
        if kind in _OUR_KINDS:
            message = f"{quote(version, 64)} is not an apiVersion of {kind}"
            self._wrong(document, "apiVersion", message, f"write {API_VERSION}")
        elif version == API_VERSION:
            message = f"{quote(kind, 64)} is not a kind of {API_VERSION}"
            self._wrong(document, "kind", message, did_you_mean(kind, _OUR_KINDS, "the kinds are"))
        else:
            self._wrong(document, "apiVersion", f"{quote(version, 64)} is not known", f"write {API_VERSION}")

    def _add_named(self, document: Document, kind: str, add: Callable[[str], object]) -> None:
        name = _name(document.value)
        if not name:
            self._wrong(document, "metadata.name", "is required, as text")
        elif (kind, name) in self._origins:
            first = self._origins[kind, name]
            message = f"duplicate {kind} {quote(name, 64)}; the first is in {quote(first.file)}:{first.line('')}"
            self._wrong(document, "metadata.name", message, "give each object a unique name")
        else:
            self._origins[kind, name] = document
            add(name)

    def _add_ours(self, document: Document, kind: str, name: str) -> None:
        try:
            check_size(document.value)
        except ObjectTooLargeError as error:
            self.too_large += 1
            self._wrong(document, "spec", error.message)
            return
        if kind == "Authenticator":
            _keep(self._authenticators, name, validate(Authenticator, document, self._problems))
        elif kind == "SigningPolicy":
            _keep(self._signing_policies, name, validate(SigningPolicy, document, self._problems))
        elif kind == "VerificationException":
            if validate(VerificationException, document, self._problems) is not None:
                self._notes.append(f"{document.file}:{document.line('')}: {kind} {name} is in force in a cluster only")
        else:
            _keep(self._policies, name, validate(VerificationPolicy, document, self._problems))

    def _labels(self, document: Document) -> Mapping[str, str]:
        labels = document.value["metadata"].get("labels")
        found: dict[str, str] = {}
        for key, value, path in _members(document, labels, "metadata.labels", self._wrong):
            if isinstance(value, str):
                found[key] = value
            else:
                self._wrong(document, path, "must be text", "put it in quotes")
        return MappingProxyType(found)

    def _wrong(self, document: Document, path: str, message: str, suggestion: str = "") -> None:
        self._problems.append(document.problem(path, message, suggestion))


def _keep(objects: dict[str, _Object], name: str, value: _Object | None) -> None:
    if value is not None:
        objects[name] = value


_Report = Callable[[Document, str, str, str], None]


def _name(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _members(document: Document, value: object, path: str, wrong: _Report) -> Iterator[tuple[str, Any, str]]:
    """Yield key, value and field path of a mapping's members; nothing for None."""
    if value is None:
        return
    if not isinstance(value, dict):
        wrong(document, path, "must be an object", "")
        return
    for key, member in value.items():
        yield key, member, join_field(path, key_part(key))


def _secret(document: Document, wrong: _Report) -> Mapping[str, bytes]:
    """Return the data of a Secret; `stringData` overrides `data`, as in the API server."""
    found = _encoded(document, "data", "encode it, or move the plain text to stringData", wrong)
    return MappingProxyType({**found, **_texts(document, "stringData", wrong)})


def _config_map(document: Document, wrong: _Report) -> Mapping[str, bytes]:
    """Return the data of a ConfigMap; a key is either in `data` or in `binaryData`."""
    found = _encoded(document, "binaryData", "encode it, or move the plain text to data", wrong)
    return MappingProxyType({**found, **_texts(document, "data", wrong)})


def _encoded(document: Document, field: str, suggestion: str, wrong: _Report) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for key, value, path in _members(document, document.value.get(field), field, wrong):
        decoded = _base64(value)
        if decoded is None:
            wrong(document, path, "must be base64", suggestion)
        else:
            content[key] = decoded
    return content


def _texts(document: Document, field: str, wrong: _Report) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for key, value, path in _members(document, document.value.get(field), field, wrong):
        if isinstance(value, str):
            content[key] = value.encode("utf-8", "surrogatepass")
        else:
            wrong(document, path, "must be text", "put it in quotes")
    return content


def _data_keys(document: Document) -> frozenset[str]:
    """Return the keys of a Secret or ConfigMap, including those with an invalid value."""
    parts = (document.value.get(name) for name in ("data", "stringData", "binaryData"))
    return frozenset(key for part in parts if isinstance(part, dict) for key in part)


def _base64(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return None
