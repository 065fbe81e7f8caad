"""Conversion of OpenShift's ClusterImagePolicies and ImagePolicies to equivalent objects.

OpenShift writes them into the `policy.json` of its nodes: one for the cluster, and one for each namespace with
ImagePolicies, in which the scopes of ClusterImagePolicies, and all below these, stay as they are. The policies of one
scope must all be met. So that is what is converted, by `sealgate.convert.containers`.

A root of trust without equivalent rejects the images of its scopes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL
from sealgate.convert.containers.policy import convert_containers_policies
from sealgate.convert.containers.requirements import ACCEPT, REJECT, SIGSTORE_SIGNED
from sealgate.convert.containers.scopes import NoSelectorError, Scope, parse_scope, wider
from sealgate.convert.results import Note, is_name
from sealgate.convert.signers import NoEquivalentError, mapping, only_members
from sealgate.errors import PolicyError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.convert.results import Conversion
    from sealgate.errors import Problem
    from sealgate.parsing.documents import Document

GROUP = "config.openshift.io"
KINDS = ("ClusterImagePolicy", "ImagePolicy")

_IDENTITIES = {"MatchRepoDigestOrExact", "MatchRepository", "ExactRepository", "RemapIdentity"}

_Table = defaultdict[str, list[dict[str, Any]]]


def convert_openshift(documents: Sequence[Document]) -> Conversion:
    """Convert ClusterImagePolicies and ImagePolicies.

    Args:
        documents: objects of the group `config.openshift.io`; other kinds are skipped.

    Raises:
        PolicyError: an object is not valid, or a scope that requires something has no selectors.
    """
    return _Converter().convert(documents)


class _Converter:
    """State of one conversion."""

    def __init__(self) -> None:
        self._notes: list[Note] = []
        self._problems: list[Problem] = []
        self._tables: dict[str, _Table] = {"": defaultdict(list)}  # by namespace; the empty one is the cluster's

    def convert(self, documents: Sequence[Document]) -> Conversion:
        """Return the objects."""
        for document in documents:
            self._add(document)
        if self._problems:
            raise PolicyError("this cannot be converted", problems=self._problems)
        cluster = self._tables.pop("")
        own = sorted(self._tables)
        spaces = [(_policy(self._merged(cluster, space)), _namespaces("In", [space])) for space in own]
        made = convert_containers_policies([(_policy(cluster), _namespaces("NotIn", own) if own else {}), *spaces])
        notes = [replace(note, field=_scope_of(note.field)) for note in made.notes]
        return replace(made, notes=(*self._notes, *dict.fromkeys(notes)))

    def _add(self, document: Document) -> None:
        value = document.value
        metadata, spec = value.get("metadata"), value.get("spec")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        name, kind = metadata.get("name"), value.get("kind")
        if kind not in KINDS:
            self._notes.append(Note("", f"{quote(kind, 64)} {quote(name, 64)} has no equivalent; left out"))
            return
        space = metadata.get("namespace") if kind == KINDS[1] else ""
        scopes = spec.get("scopes") if isinstance(spec, Mapping) else None
        if not is_name(name) or (kind == KINDS[1] and not is_name(space)):
            self._problems.append(document.problem("metadata", "needs a name, and an ImagePolicy its namespace"))
        elif not isinstance(spec, Mapping) or not isinstance(scopes, list) or not all(map(_is_text, scopes)):
            self._problems.append(document.problem("spec.scopes", "must be a list of texts"))
        else:
            requirement = self._requirement(f"{kind} {name}", spec)
            table = self._tables.setdefault(str(space), defaultdict(list))
            for scope in scopes:
                table[scope].append(requirement)

    def _requirement(self, where: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        try:
            only_members(spec, frozenset({"scopes", "policy"}), "spec.")
            return _signed(mapping(spec.get("policy"), "spec.policy"))
        except NoEquivalentError as error:
            self._notes.append(Note(where, f"the images of its scopes are denied: {error}"))
            return {"type": REJECT}

    def _merged(self, cluster: _Table, space: str) -> _Table:
        """Return the scopes that hold in a namespace: its own ones only outside those of the cluster."""
        merged: _Table = defaultdict(list, cluster)
        above = {scope: text for text in cluster if (scope := _parsed(text)) is not None}
        for text, requirements in self._tables[space].items():
            scope, where = _parsed(text), f"namespace {space}, scope {quote(text)}"
            around = [one for one in above if scope is not None and (one == scope or one.covers(scope))]
            if scope is None or not around:
                merged[text] = [*merged.get(text, []), *requirements]
            elif any(_is_nested(scope, one) for one in around):
                self._notes.append(Note(where, "left out: a ClusterImagePolicy has it, or a wider one"))
            else:
                wide = cluster[above[wider(scope, above)]]
                merged[text] = [*wide, *(one for one in requirements if one not in wide)]
                self._notes.append(
                    Note(where, "nodes apply it in place of the ClusterImagePolicy around it; here both must be met")
                )
        return merged


def _signed(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the requirement of a policy.json for a policy.

    Raises:
        NoEquivalentError: there is none.
    """
    only_members(policy, frozenset({"rootOfTrust", "signedIdentity"}), "policy.")
    root = mapping(policy.get("rootOfTrust"), "policy.rootOfTrust")
    kind = root.get("policyType")
    if kind == "FulcioCAWithRekor":
        raise NoEquivalentError(
            "FulcioCAWithRekor has no key of a CT log, and here a certificate needs its SCT; write keyless with a "
            "trustedRoot that has the CA, both logs and the identity"
        )
    if kind == "PKI":
        raise NoEquivalentError("PKI has no equivalent for cosign signatures")
    if kind != "PublicKey":
        raise NoEquivalentError(f"policyType {quote(kind, 64)} is not known")
    only_members(root, frozenset({"policyType", "publicKey"}), "rootOfTrust.")
    key = mapping(root.get("publicKey"), "rootOfTrust.publicKey")
    only_members(key, frozenset({"keyData", "rekorKeyData"}), "publicKey.")
    if key.get("rekorKeyData"):
        raise NoEquivalentError(
            "publicKey.rekorKeyData has no equivalent; write requireTransparencyLog with a trustedRoot that has the log"
        )
    return {"type": SIGSTORE_SIGNED, "keyData": key.get("keyData"), "signedIdentity": _identity(policy)}


def _identity(policy: Mapping[str, Any]) -> dict[str, Any]:
    identity = mapping(policy.get("signedIdentity") or {"matchPolicy": "MatchRepoDigestOrExact"}, "signedIdentity")
    kind = str(identity.get("matchPolicy"))
    if kind not in _IDENTITIES:
        raise NoEquivalentError(f"matchPolicy {quote(kind, 64)} is not known")
    if kind != "MatchRepository":
        raise NoEquivalentError(
            f"sealgate compares only the repository of a cosign signature, and not as {kind} does; write "
            "signedIdentity with matchPolicy MatchRepository if that is enough"
        )
    return {"type": "matchRepository"}


def _policy(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the policy.json of a node."""
    return {"default": [{"type": ACCEPT}], "transports": {"docker": dict(table)}}


def _namespaces(operator: str, names: list[str]) -> dict[str, Any]:
    return {"namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": operator, "values": names}]}}


def _parsed(text: str) -> Scope | None:
    try:
        return parse_scope(text)
    except NoSelectorError as error:
        return error.scope


def _is_nested(scope: Scope, outer: Scope) -> bool:
    """Return whether OpenShift leaves a scope of an ImagePolicy out for one of a ClusterImagePolicy that covers it.

    It takes a tag or a digest for one of a name below the outer scope, not of the outer scope itself or of a wildcard
    (`ScopeIsNestedInsideScope` of openshift/runtime-utils, `pkg/registries/registries.go`).
    """
    if scope == outer or scope.tag is None:
        return True
    return ":" in scope.name.partition("/")[0] if outer.wildcard else scope.name != outer.name


def _scope_of(field: str) -> str:
    """Return the field of a note about a policy.json as people know it."""
    return field.replace('transports.docker["', 'scope ["') if field != "default" else "images without a scope"


def _is_text(value: object) -> bool:
    return isinstance(value, str)
