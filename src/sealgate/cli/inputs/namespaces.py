"""Namespaces from options, policy files and manifests."""

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
    """Return a namespace with its known labels. Labels of the command line win over those of policy files.

    All labels are known only if the policy files have the `Namespace` object. A `Namespace` among the manifests has the
    labels that will be set, not those that the cluster has already: `kubectl apply` keeps them, and the author of the
    manifests must not choose which policies apply to them. If neither an object nor the command line names the
    namespace, its name is not known either, and only the labels of the command line are.

    Args:
        name: name of the namespace.
        options: namespace and labels of the command line.
        files: policy files, which may have `Namespace` objects.
        manifests: name -> labels of the `Namespace` objects among the manifests; None if there are no manifests.
    """
    if name == options.name and not options.given:
        return Namespace(name, options.labels, complete=False, named=False)
    known = manifests or {}
    labels = {**known.get(name, {}), **files.namespaces.get(name, {}), **options.labels}
    return Namespace(name, labels, complete=name in files.namespaces)
