"""From what the command line says to what the library works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.policies.matching import Namespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.options import NamespaceOptions
    from sealgate.policies.loading import PolicyFiles


def namespace_of(
    name: str,
    options: NamespaceOptions,
    files: PolicyFiles,
    manifests: Mapping[str, Mapping[str, str]] | None = None,
) -> Namespace:
    """Return a namespace with all labels known of it; of the same label the command line's wins, then the policies'.

    Args:
        name: of the namespace.
        options: what the command line says.
        files: may hold `Namespace` objects.
        manifests: labels of the `Namespace` objects among the manifests.
    """
    labels = {**(manifests or {}).get(name, {}), **files.namespaces.get(name, {}), **options.labels}
    return Namespace(name, labels)
