"""From what the command line says to what the library works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealgate.policies.matching import Namespace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.cli.inputs.options import NamespaceOptions
    from sealgate.manifests.loading import PolicyFiles


def namespace_of(
    name: str,
    options: NamespaceOptions,
    files: PolicyFiles,
    manifests: Mapping[str, Mapping[str, str]] | None = None,
) -> Namespace:
    """Return a namespace with what is known of it; of the same label the command line's wins, then the policies'.

    All of its labels are known only if a `Namespace` object among the policies says so. One among the manifests says
    which labels it will have, not which others it has in the cluster: `kubectl apply` leaves those, and whoever writes
    the manifests must not choose the policies that they are to meet. If neither an object nor the command
    line names the namespace, its name is not known either, so only labels of the command line are.

    Args:
        name: of the namespace.
        options: what the command line says.
        files: may hold `Namespace` objects.
        manifests: labels of the `Namespace` objects among the manifests.
    """
    if name == options.name and not options.given:
        return Namespace(name, options.labels, complete=False, named=False)
    known = manifests or {}
    labels = {**known.get(name, {}), **files.namespaces.get(name, {}), **options.labels}
    return Namespace(name, labels, complete=name in files.namespaces)
