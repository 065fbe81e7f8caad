"""Files with what is stored of signatures, for other programs to verify or to keep.

A directory for each image ("sha256-4a4a…") has, for each signature, its content as it was fetched ("cosign-1") and,
where the signature is not inside the content, the signature itself ("cosign-1.sig"). No name is taken from what was
fetched, and no file is overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.errors import ConfigError
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sealgate.signing.listing import ListedImage, ListedSignature


def require_empty(directory: Path) -> None:
    """Require a directory that does not exist yet or is empty.

    Raises:
        ConfigError: it has files, or cannot be read.
    """
    try:
        if directory.exists() and any(directory.iterdir()):
            raise ConfigError(f"{quote(directory)} is not empty; name a directory that is empty or does not exist")
    except OSError as error:
        raise ConfigError(f"{quote(directory)} cannot be read: {quote(error.strerror)}") from error


def save_contents(images: Sequence[ListedImage], directory: Path) -> Mapping[tuple[str, int], tuple[str, ...]]:
    """Write the content of every signature that could be fetched.

    Args:
        images: the images, each digest once.
        directory: see `require_empty`; it is made if it does not exist.

    Returns:
        The paths of a signature's files below the directory, by the image's digest and the signature's index.

    Raises:
        ConfigError: a file cannot be written.
    """
    saved: dict[tuple[str, int], tuple[str, ...]] = {}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for listed in images:
            for index, signature in enumerate(listed.signatures):
                files = dict(_files(listed, index, signature))
                for name, content in files.items():
                    _write(directory / name, content)
                saved[listed.image.digest, index] = tuple(files)
    except OSError as error:
        msg = f"{quote(error.filename or directory)} cannot be written: {quote(error.strerror)}"
        raise ConfigError(msg) from error
    return saved


def _files(listed: ListedImage, index: int, signature: ListedSignature) -> Iterator[tuple[str, bytes]]:
    name = f"{listed.image.digest.replace(':', '-')}/{signature.format}-{index + 1}"
    if signature.stored.content:
        yield name, signature.stored.content
    if signature.stored.signature:
        yield f"{name}.sig", signature.stored.signature


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("xb") as file:
        file.write(content)
