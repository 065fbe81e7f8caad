"""Gatekeeper's constraints that ask Ratify 1: where its verdict is enforced, and how.

The rego of a template is taken for that of Ratify's library if it has no other words. It denies where Ratify does not
report success. A template that may ask for more must not be converted: its constraint would be weaker here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.selectors import NAME_LABEL, LabelSelector
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.convert.results import Draft
    from sealgate.parsing.documents import Document

#: The API groups of templates and of constraints.
GROUPS = ("templates.gatekeeper.sh", "constraints.gatekeeper.sh")

_PROVIDERS = ("ratify-provider", "ratify-gatekeeper-provider")
_ACTIONS = {"deny": "Enforce", "warn": "Warn", "dryrun": "Audit"}
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_PACKAGE = re.compile(r"^\s*package .*$", re.MULTILINE)
_MESSAGE = re.compile(r'sprintf\("[^"]*"')
_TEXT = re.compile(r'"[^"]*"')
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXTS = frozenset({'""', '"["', '"]"', '"msg"', '"result"', '"provider"', '"keys"'})
_WORDS = frozenset(
    _WORD.findall(
        "remote_data response images images_init images_ephemeral other_images all_images img input review object spec "
        "containers initContainers ephemeralContainers image metadata namespace array concat external_data violation "
        "msg general_violation result err system_error sprintf count errors subject_validation responses isSuccess "
        "false timestamp traceID _"
    )
)


@dataclass(frozen=True, slots=True)
class Enforcement:
    """Where and how the verdict is enforced.

    Attributes:
        name: of the constraint.
        common: fields of all its policies: `action` and `namespaceSelector`.
    """

    name: str
    common: Mapping[str, Any]


def enforcements(documents: Sequence[Document], draft: Draft) -> tuple[list[Enforcement], str | None]:
    """Return the constraints that ask Ratify, and why nothing may be admitted, or None.

    Args:
        documents: templates and constraints, among others.
        draft: takes notes about what is left out or wider here, and problems.
    """
    templates = dict(_template(one.value) for one in documents if one.value.get("kind") == "ConstraintTemplate")
    found: list[Enforcement] = []
    lost: str | None = None
    for document in documents:
        if not str(document.value.get("apiVersion")).startswith(f"{GROUPS[1]}/"):
            continue
        kind, name = str(document.value.get("kind")), _member(document.value, "metadata").get("name")
        where = f"{quote(kind, 64)} {quote(name, 64)}"
        spec = _member(document.value, "spec")
        if kind not in templates:
            draft.wrong(document, "kind", f"convert the ConstraintTemplate of {quote(kind, 64)} in the same run")
        elif templates[kind] is None:
            draft.note("", f"{where} does not ask Ratify; left out")
        elif templates[kind]:
            found.append(Enforcement(str(name), _common(spec, where, draft)))
        elif spec.get("enforcementAction") in ("warn", "dryrun"):
            draft.note("", f"{where} left out: its template differs from Ratify's library, and it denies nothing")
        else:
            lost = f"the template of {where} may ask for more than success, which has no equivalent"
    if not found:
        draft.note(
            "",
            "without a constraint of Gatekeeper nothing was enforced; these policies deny in every namespace: begin "
            "with action: Audit",
        )
        found.append(Enforcement("ratify", {}))
    return found, lost


def _template(value: Mapping[str, Any]) -> tuple[str, bool | None]:
    """Return the kind of a template's constraints, and whether it denies what Ratify does; None if it does not ask."""
    spec = _member(value, "spec")
    kind = str(_member(_member(_member(spec, "crd"), "spec"), "names").get("kind"))
    targets = spec.get("targets")
    text = str(targets)
    if "external_data" not in text or not any(f'"{name}"' in text for name in _PROVIDERS):
        return kind, None
    target = targets[0] if isinstance(targets, list) and len(targets) == 1 else None
    if not isinstance(target, Mapping) or target.keys() - {"target", "rego"}:
        return kind, False
    rego = str(target.get("rego"))
    plain = _MESSAGE.sub("sprintf(", _PACKAGE.sub("", _COMMENT.sub("", rego)))
    texts = set(_TEXT.findall(plain)) - {f'"{name}"' for name in _PROVIDERS}
    words = set(_WORD.findall(_TEXT.sub("", plain)))
    return kind, texts <= _TEXTS and words <= _WORDS


def _common(spec: Mapping[str, Any], where: str, draft: Draft) -> dict[str, Any]:
    """Return the fields of the policies of a constraint: it covers at least what the constraint matches."""
    given = spec.get("enforcementAction") or "deny"
    action = _ACTIONS.get(str(given), "Enforce")
    if str(given) not in _ACTIONS:
        draft.note(where, f"the enforcementAction {quote(given, 64)} has no equivalent; its policies deny")
    if action != "Enforce":
        draft.note(
            where, "an image without a policy is denied with unmatchedImages: deny also where it warns or audits"
        )
    match = _member(spec, "match")
    wider = sorted(
        member
        for member in match.keys() - {"kinds", "namespaces", "excludedNamespaces", "namespaceSelector"}
        if match[member] not in ({}, [], "", None, "*")
    )
    expressions: list[Any] = []
    named = match.get("namespaces") or []
    if _all_names(named):
        expressions += [{"key": NAME_LABEL, "operator": "In", "values": named}] if named else []
    else:
        wider.append("namespaces with wildcards")
    excluded = match.get("excludedNamespaces") or []
    plain = [name for name in excluded if _all_names([name])] if isinstance(excluded, list) else []
    if plain:
        expressions.append({"key": NAME_LABEL, "operator": "NotIn", "values": plain})
    if plain != excluded:
        wider.append("excludedNamespaces with wildcards")
    selector = dict(_member(match, "namespaceSelector"))
    try:
        LabelSelector.model_validate(selector)
    except ValidationError:
        selector = {}
        wider.append("namespaceSelector")
    if expressions:
        selector["matchExpressions"] = [*expressions, *(selector.get("matchExpressions") or [])]
    if wider:
        draft.note(where, f"{', '.join(wider)} has no equivalent; its policies also hold elsewhere")
    return {
        **({"action": action} if action != "Enforce" else {}),
        **({"namespaceSelector": selector} if selector else {}),
    }


def _all_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and _NAMESPACE.fullmatch(name) for name in names)


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}
