"""Conversion of Connaisseur's validators of the type `notaryv1`.

Connaisseur pins root keys, and leaves the signers to the owner of a repository. A rule names `delegations`, all of
which must name the image; without them `targets/releases` decides where a repository has delegations, and `targets`
where it has none. All trust roots of a rule must have signed the root, so that each has an authenticator of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sealgate.convert.notary import bare_key, server_url
from sealgate.convert.signers import NoEquivalentError, checked, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DOCKER_HUB = "notary.docker.io"
_TARGETS = "targets/"


def notary_spec(root: Mapping[str, Any], validator: Mapping[str, Any], delegations: Iterable[object]) -> dict[str, Any]:
    """Return the authenticator for one trust root.

    Args:
        root: the trust root.
        validator: the validator.
        delegations: `with.delegations` of the rule; empty for Connaisseur's own choice.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    only_members(root, frozenset({"name", "key"}), "trustRoots.")
    spec: dict[str, Any] = {
        "server": server_url(str(validator.get("host") or _DOCKER_HUB)),
        "root": {"pem": bare_key(str(root.get("key") or ""), "trustRoots.key")},
        "allowAnyTag": True,
    }
    if validator.get("cert"):
        spec["ca"] = {"pem": str(validator["cert"])}
    roles = list(dict.fromkeys(_role(one) for one in delegations))
    if roles:
        spec["roles"] = [{"name": role, "anyPermittedKey": True} for role in roles]
    else:
        spec["releasesOnly"] = True
    return checked(spec, "notary")


def _role(delegation: object) -> str:
    """Return the role of a delegation, which may be written without `targets/`."""
    text = str(delegation)
    name = text.removeprefix(_TARGETS)
    if not isinstance(delegation, str) or "/" in name:
        raise NoEquivalentError(f"with.delegations has {quote(text, 64)}, which is not a delegation of targets")
    return f"{_TARGETS}{name}"
