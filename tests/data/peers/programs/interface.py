"""What a program must do to be recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.simulators.openshift import OpenShiftSimulator


class Program(Protocol):
    """The program of another admission tool.

    Args:
        path: of the program.
        folder: for its files.
        registry: has the images.

    Attributes:
        tls: whether the registry must have TLS.
    """

    tls: bool

    def __init__(self, path: str, folder: Path, registry: OpenShiftSimulator) -> None: ...

    def denial(self, policies: Path, image: str) -> str:
        """Return why it denies an image under the policies of a file; empty if it admits the image.

        Raises:
            RuntimeError: its answer is not a verdict.
        """

    def close(self) -> None:
        """End what it has started."""
