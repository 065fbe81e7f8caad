"""Questions (an image in a namespace) and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealgate.messages import quote

if TYPE_CHECKING:
    from sealgate.policies.decisions import ImageVerdict

#: The path that means standard input.
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Use:
    """One field of an object that names an image. All texts are as the object has them.

    Attributes:
        kind: kind of the object ("Deployment").
        namespace: its namespace.
        name: its name, or the `generateName`; empty if it has neither.
        field: the field path.
        file: the file as named on the command line, `-` for standard input; empty for an object of a cluster.
        document: number of the document in the file, from 1; 0 for an object of a cluster.
        detected: whether the field was detected by the shape of the object.
    """

    kind: str
    namespace: str
    name: str
    field: str
    file: str = ""
    document: int = 0
    detected: bool = False

    def __str__(self) -> str:
        """Return the use as messages name it, escaped."""
        text = f"{quote(self.kind)} {quote(self.namespace)}/{quote(self.name)}, {quote(self.field)}"
        text += ", detected by shape" if self.detected else ""
        return f"{text} ({self.place})" if self.file else text

    @property
    def place(self) -> str:
        """The file and document, escaped."""
        return f"{'standard input' if self.file == STDIN else quote(self.file)}, document {self.document}"


@dataclass(frozen=True, slots=True)
class Question:
    """One image in one namespace.

    Attributes:
        image: the reference as written.
        namespace: the namespace's name.
        uses: what uses the image, the first ones; empty for an image named on the command line.
        more: number of further uses.
        running: each `imageID` that nodes report for the image, and of how many containers.
    """

    image: str
    namespace: str
    uses: tuple[Use, ...] = ()
    more: int = 0
    running: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and its verdict.

    Attributes:
        question: the question.
        verdict: the verdict.
        named: whether the namespace is known; if not, its name is for display only.
    """

    question: Question
    verdict: ImageVerdict
    named: bool = True
