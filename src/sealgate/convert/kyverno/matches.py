"""What a rule of Kyverno selects: the namespaces, and what else narrows it down and has no equivalent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sealgate.api.v1alpha1.selectors import NAME_LABEL

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def namespace_selector(rule: Mapping[str, Any], space: str | None) -> tuple[dict[str, Any], list[str]]:
    """Return the namespace selector of a rule, and the names of what narrows it down without equivalent.

    The selector covers at least the namespaces of the rule; it is empty for all.

    Args:
        rule: the rule.
        space: the namespace of its policy; None for a ClusterPolicy.
    """
    lost = [name for name in ("preconditions", "celPreconditions") if rule.get(name)]
    expressions: list[dict[str, Any]] = []
    if space is not None:
        expressions.append(_names("In", [space]))
    named = _matched(rule.get("match"), lost)
    if named:
        expressions.append(_names("In", named))
    excluded = _excluded(rule.get("exclude"), lost)
    if excluded:
        expressions.append(_names("NotIn", excluded))
    return ({"matchExpressions": expressions} if expressions else {}), lost


def _names(operator: str, names: list[str]) -> dict[str, Any]:
    return {"key": NAME_LABEL, "operator": operator, "values": sorted(set(names))}


def _matched(match: object, lost: list[str]) -> list[str]:
    """Return the only namespaces that a match covers; empty if it may cover all."""
    filters = _filters(match)
    if isinstance(match, Mapping) and (match.get("all") or match.get("any")) and len(match) > 1:
        lost.append("match")
        return []
    found: list[str] = []
    for one in filters:
        resources = _resources(one)
        if one.keys() - {"resources"} or resources.keys() - {"kinds", "namespaces", "operations"}:
            lost.append("part of match")
        names = _listed(resources.get("namespaces"))
        if not names or not all(isinstance(name, str) and _NAMESPACE.fullmatch(name) for name in names):
            if names:
                lost.append("namespaces with wildcards in match")
            return []
        found += names
    return found


def _excluded(exclude: object, lost: list[str]) -> list[str]:
    """Return the namespaces that an exclude leaves out whole."""
    found: list[str] = []
    several = isinstance(exclude, Mapping) and not exclude.get("any") and len(_listed(exclude.get("all"))) > 1
    for one in _filters(exclude):
        resources = _resources(one)
        names = _listed(resources.get("namespaces"))
        whole = one.keys() == {"resources"} and resources.keys() == {"namespaces"}
        if several or not whole or not all(isinstance(name, str) and _NAMESPACE.fullmatch(name) for name in names):
            lost.append("part of exclude")
        else:
            found += names
    return found


def _filters(block: object) -> list[Mapping[str, Any]]:
    if not isinstance(block, Mapping) or not block:
        return []
    listed = _listed(block.get("any")) or _listed(block.get("all"))  # `all` has no effect beside `any`
    return [one for one in listed if isinstance(one, Mapping)] if listed else [block]


def _resources(one: Mapping[str, Any]) -> Mapping[str, Any]:
    resources = one.get("resources")
    return resources if isinstance(resources, Mapping) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
