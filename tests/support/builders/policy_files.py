"""Policies loaded from texts, as `load_policy_files` loads them from files."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from sealgate.manifests.loading import load_policy_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sealgate.manifests.loading import PolicyCheck, PolicyFiles


def load_policy_texts(texts: Mapping[str, str], *, checks: Sequence[PolicyCheck] = ()) -> PolicyFiles:
    """Write policy files to a temporary directory and load them.

    Args:
        texts: name of each file, as problems say it -> content.
        checks: as in `load_policy_files`.

    Raises:
        PolicyError: there is at least one problem; the error carries all of them.
    """
    with TemporaryDirectory() as directory, chdir(directory):
        for name, text in texts.items():
            Path(name).write_bytes(text.encode("utf-8", "surrogatepass"))
        return load_policy_files(list(texts), checks=checks)
