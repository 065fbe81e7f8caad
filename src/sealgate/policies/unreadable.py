"""Verification policies that cannot be read, replaced by the strictest policy that they could be.

A policy that was stored by a later release, or that the API server accepted although this release rejects it, must not
be ignored. It counts as a policy that no image meets, for the images and namespaces that it names. Each of those fields
is read as a whole: a field that cannot be read counts as the widest value that it could have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.selectors import LabelSelector
from sealgate.api.v1alpha1.verification_policy import ImageSelector
from sealgate.errors import InvalidPatternError, SealgateError
from sealgate.messages import quote
from sealgate.patterns import compile_repository_pattern
from sealgate.policies.limits import PatternCompiler
from sealgate.policies.matching import CompiledPolicy, CompiledSelector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.patterns import Pattern

_ACTIONS = frozenset({"Enforce", "Warn", "Audit", "Exempt"})
_FIELDS = frozenset(field.alias or name for name, field in ImageSelector.model_fields.items())
_EVERY_IMAGE = CompiledSelector(compile_repository_pattern("**"), None)


def explain_unreadable(error: Exception) -> str:
    """Return why an object cannot be read, for a person.

    Args:
        error: with which reading it failed; nothing is repeated of an error that no reader raises on purpose.
    """
    if isinstance(error, SealgateError):
        return error.message
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__} while it was read"
    first = error.errors(include_url=False, include_input=False)[0]
    return quote(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def compile_unreadable(name: str, value: Mapping[str, Any], problem: str) -> CompiledPolicy:
    """Return a policy that no image meets, as the replacement of one that cannot be read.

    - `action` is used if it is one of the actions, otherwise it is Enforce. An Exempt policy exempts nothing.
    - an entry of `images` counts as every image if its repository pattern cannot be read, or if the patterns before it
      were too large together, and as every tag if its
      `tags` cannot be or if it has unknown fields; `images` that are not a list count as every image.
    - `excludeImages` that are not entirely readable count as none.
    - a `namespaceSelector` that is not entirely readable counts as every namespace.

    Args:
        name: the policy's name.
        value: the object as parsed JSON; its members may have any type.
        problem: why it cannot be read, one sentence.
    """
    spec = value.get("spec")
    spec = spec if isinstance(spec, dict) else {}
    action = spec.get("action", "Enforce")
    action = action if isinstance(action, str) and action in _ACTIONS else "Enforce"
    patterns = PatternCompiler()
    return CompiledPolicy(
        name=name,
        action=action,
        authenticators=(),
        count=1,
        images=() if action == "Exempt" else _images(spec.get("images"), patterns),
        exclude_images=_exclusions(spec.get("excludeImages", []), patterns),
        namespace_selector=_namespaces(spec.get("namespaceSelector", {})),
        problem=problem,
    )


def _images(value: object, patterns: PatternCompiler) -> tuple[CompiledSelector, ...]:
    if not isinstance(value, list) or not value:
        return (_EVERY_IMAGE,)
    return tuple(_image(entry, patterns) for entry in value)


def _image(entry: object, patterns: PatternCompiler) -> CompiledSelector:
    repository = entry.get("repository") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(repository, str):
        return _EVERY_IMAGE
    try:
        pattern = patterns.repository(repository)
    except InvalidPatternError:
        return _EVERY_IMAGE
    return CompiledSelector(pattern, _tags(entry.get("tags"), patterns) if entry.keys() <= _FIELDS else None)


def _tags(value: object, patterns: PatternCompiler) -> tuple[Pattern, ...] | None:
    if not isinstance(value, list) or not value or not all(isinstance(tag, str) for tag in value):
        return None
    try:
        return tuple(map(patterns.tag, value))
    except InvalidPatternError:
        return None


def _exclusions(value: object, patterns: PatternCompiler) -> tuple[CompiledSelector, ...]:
    if not isinstance(value, list):
        return ()
    try:
        selectors = [ImageSelector.model_validate(entry) for entry in value]
        return CompiledSelector.compile_each(selectors, patterns)
    except (ValidationError, InvalidPatternError):
        return ()


def _namespaces(value: object) -> LabelSelector:
    try:
        return LabelSelector.model_validate(value)
    except ValidationError:
        return LabelSelector()
