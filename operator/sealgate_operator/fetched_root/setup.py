"""Makes the keeper of the fetched trusted root from the operator's settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote

from sealgate.errors import ConfigError
from sealgate.messages import quote
from sealgate_operator.fetched_root.keeper import RootKeeper
from sealgate_operator.fetched_root.state import MAX_FILE_BYTES, Anchor

if TYPE_CHECKING:
    from sealgate_operator.config import TUFConfig


def root_keeper(config: TUFConfig, namespace: str, **environment: Any) -> RootKeeper:  # noqa: ANN401 - as `RootKeeper` has them
    """Return the keeper.

    Args:
        config: the repository.
        namespace: the operator's namespace.
        environment: further arguments of `RootKeeper`.

    Raises:
        ConfigError: the file with the root metadata cannot be read.
    """
    path = f"/api/v1/namespaces/{url_quote(namespace, safe='')}/configmaps/{url_quote(config.config_map, safe='')}"
    return RootKeeper(
        path=path,
        anchor=Anchor.of(_read(Path(config.root_file))) if config.root_file else Anchor.public_good(),
        mirror=config.mirror,
        refresh_seconds=config.refresh_seconds,
        **environment,
    )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"root metadata {quote(path)} cannot be read: {quote(error.strerror or error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            f"root metadata {quote(path)} is larger than {MAX_FILE_BYTES} bytes; check that it is a root.json"
        )
    return content
