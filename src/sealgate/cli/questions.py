"""What is asked (an image in a namespace) and what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealgate.policies.decisions import ImageVerdict


@dataclass(frozen=True, slots=True)
class Question:
    """One image in one namespace.

    Attributes:
        image: the reference as written.
        namespace: the namespace's name.
        places: where manifests use it, for people; empty for an image of the command line.
    """

    image: str
    namespace: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and its verdict."""

    question: Question
    verdict: ImageVerdict
