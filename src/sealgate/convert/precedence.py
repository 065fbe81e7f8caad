"""Rules of which one applies to an image, as policies of which all apply.

Many tools choose the most specific of the rules that match an image. Here all policies apply, so that the policy of a
rule excludes the images of every rule that may be chosen instead of it. Three things make the result safe:

- a rule's policy covers no image that the rule does not match (it may cover fewer);
- it excludes every image that a rule chosen instead of it matches (it may exclude more);
- which of two rules is chosen is the same for all images that both match, else the conversion ends.

So at most the chosen rule's policy covers an image. What none covers is denied: `unmatched` must be "deny".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealgate.convert.results import MAX_SELECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sealgate.convert.results import Draft
    from sealgate.convert.selectors import Selector
    from sealgate.parsing.documents import Document


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a tool that applies the most specific rule.

    Attributes:
        document: where it was read.
        field: its path in the document.
        name: of its policies.
        pattern: as written, for messages.
        covered: selectors of images that the rule matches, at most all of them; may be empty.
        matched: selectors of images that the rule matches, at least all of them.
        requires: what must be met, the `require` of a policy each; empty admits every image, None denies every image.
    """

    document: Document
    field: str
    name: str
    pattern: str
    covered: tuple[Selector, ...]
    matched: tuple[Selector, ...]
    requires: tuple[Mapping[str, Any], ...] | None


def put_policies(
    draft: Draft,
    rules: Sequence[Rule],
    chosen: Callable[[int, int], bool | None],
    common: Mapping[str, Any] | None = None,
) -> None:
    """Add the policies of rules of which one applies to an image.

    Args:
        draft: takes the policies, and a problem for rules whose order is not fixed.
        rules: the rules.
        chosen: whether the second rule is chosen instead of the first, by their indices, for every image that the
            first covers and the second matches; None if that depends on the image.
        common: further fields of every policy.
    """
    for index, rule in enumerate(rules):
        if rule.requires is None or not rule.covered:
            continue
        excluded: list[Selector] = []
        for other in _above(draft, rules, index, chosen):
            excluded += [selector for selector in other.matched if selector not in excluded]
        if len(excluded) > MAX_SELECTORS or len(rule.covered) > MAX_SELECTORS:
            draft.wrong(rule.document, rule.field, f"more than {MAX_SELECTORS} patterns would be needed; divide it")
        spec = {**(common or {}), "images": list(rule.covered)}
        if excluded:
            spec["excludeImages"] = excluded
        policies = [{**spec, "require": require} for require in rule.requires] or [{"action": "Exempt", **spec}]
        for number, policy in enumerate(policies):
            name = rule.name if number == 0 else f"{rule.name}.{number}"
            draft.put(rule.document, rule.field, "VerificationPolicy", name, policy)


def _above(
    draft: Draft, rules: Sequence[Rule], index: int, chosen: Callable[[int, int], bool | None]
) -> Iterator[Rule]:
    """Yield the rules that are chosen instead of one."""
    rule = rules[index]
    for number, other in enumerate(rules):
        if number == index:
            continue
        instead = chosen(index, number)
        if instead is None:
            draft.wrong(
                rule.document,
                rule.field,
                f"whether {rule.pattern} or {other.pattern} applies depends on the image; write one of them longer",
            )
        elif instead:
            yield other
