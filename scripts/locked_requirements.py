"""Print packages of uv.lock as pip requirements with hashes, so that even the build's own tools are pinned.

Usage: python scripts/locked_requirements.py NAME...

Only for packages without dependencies of their own; everything else goes through `uv export`, which this is
used to install.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirement(lock: dict[str, list[dict[str, object]]], name: str) -> str:
    """Return one line for pip: name, version and the hash of every file.

    Raises:
        SystemExit: the lock does not have the package, or it has dependencies.
    """
    package = next((package for package in lock["package"] if package["name"] == name), None)
    if package is None or package.get("dependencies"):
        raise SystemExit(f"uv.lock has no package {name} without dependencies")
    files = package["wheels"]
    assert isinstance(files, list)  # noqa: S101 - the lock's own layout
    hashes = "".join(f" --hash={file['hash']}" for file in files)
    return f"{name}=={package['version']}{hashes}"


if __name__ == "__main__":
    with Path("uv.lock").open("rb") as file:
        locked = tomllib.load(file)
    sys.stdout.writelines(f"{requirement(locked, name)}\n" for name in sys.argv[1:])
