"""Label selectors as Kubernetes has them, over the labels of a namespace, all or some of which are known."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.api.v1alpha1.selectors import LabelSelector, LabelSelectorRequirement


class Selection(Enum):
    """Whether a selector holds."""

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


def select(selector: LabelSelector, labels: Mapping[str, str], *, complete: bool = True) -> Selection:
    """Return whether every part of the selector holds; an empty selector selects everything.

    Args:
        selector: the selector.
        labels: the labels that are known.
        complete: whether there are no others. If there may be, a part about a key that is not among them may hold or
            not, `NotIn` and `DoesNotExist` included.

    Returns:
        NO if a part certainly does not hold, otherwise MAYBE if a part may not, otherwise YES. Parts are looked at one
        by one, so parts that contradict each other about an unknown label are MAYBE.
    """
    parts = [_holds_exactly(key, value, labels, complete) for key, value in selector.match_labels.items()]
    parts += [_holds(expression, labels, complete) for expression in selector.match_expressions]
    if Selection.NO in parts:
        return Selection.NO
    return Selection.MAYBE if Selection.MAYBE in parts else Selection.YES


def _holds_exactly(key: str, value: str, labels: Mapping[str, str], complete: bool) -> Selection:  # noqa: FBT001
    if key not in labels and not complete:
        return Selection.MAYBE
    return Selection.YES if labels.get(key) == value else Selection.NO


def _holds(expression: LabelSelectorRequirement, labels: Mapping[str, str], complete: bool) -> Selection:  # noqa: FBT001
    value = labels.get(expression.key)
    if value is None and not complete:
        return Selection.MAYBE
    if expression.operator == "Exists":
        holds = value is not None
    elif expression.operator == "DoesNotExist":
        holds = value is None
    elif expression.operator == "In":
        holds = value is not None and value in expression.values
    else:
        # NotIn: a label that does not exist has none of the values either.
        holds = value is None or value not in expression.values
    return Selection.YES if holds else Selection.NO
