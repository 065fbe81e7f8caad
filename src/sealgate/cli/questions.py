"""Questions (an image in a namespace) and their answers."""

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
        uses: where manifests use the image, for display; empty for an image named on the command line.
    """

    image: str
    namespace: str
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and its verdict."""

    question: Question
    verdict: ImageVerdict
