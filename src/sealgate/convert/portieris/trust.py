"""Conversion of `trust` in Portieris' policies, which asks a notary server.

Portieris runs the digest that `targets/releases` or `targets` names, in docker's order. `signerSecrets` name signers
whose roles `targets/NAME` must name the same digest; the keys of these roles must include the one in the Secret. Here
one of the keys that the Secret has must have signed. The root that Portieris sees first is trusted there; here the
policy pins it, so that it has to be written into the result.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sealgate.convert.notary import bare_key, server_url
from sealgate.convert.signers import NoEquivalentError, checked, mapping, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealgate.parsing.documents import Document

#: In place of the ID of the root key, which no policy has: it is the ID of no key, so that nothing verifies.
UNKNOWN_ROOT = "0" * 64
#: Servers that Portieris knows, by the end of the registry's name.
_SERVERS = {"docker.io": "https://notary.docker.io", "quay.io": "https://quay.io:443"}
_TRUST = frozenset({"enabled", "trustServer", "signerSecrets"})
_UNSET: tuple[object, ...] = (None, [], {}, "", False)


class SignerSecrets:
    """The Secrets beside the policies, with the name and the public key of a signer each.

    Args:
        documents: all objects; those that are not Secrets are skipped.
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._secrets: dict[tuple[str, str], Mapping[str, Any]] = {}
        for document in documents:
            value = document.value
            metadata = value.get("metadata")
            if is_secret(value) and isinstance(metadata, Mapping):
                self._secrets[str(metadata.get("namespace") or "default"), str(metadata.get("name"))] = value

    def signer(self, name: str, space: str) -> tuple[str, str]:
        """Return the name and the public key of a signer.

        Args:
            name: of the Secret.
            space: its namespace; empty for that of the workload, so that all Secrets of the name must be the same.

        Raises:
            NoEquivalentError: the Secret is not there, is not valid, or differs from namespace to namespace.
        """
        found = [one for (where, own), one in self._secrets.items() if own == name and where == (space or where)]
        signers = {(_value(one, "name"), _value(one, "publicKey")) for one in found}
        if not signers:
            raise NoEquivalentError(
                f"the Secret {quote(name, 64)} of signerSecrets names the signer: convert it together with the policies"
            )
        if len(signers) > 1:
            raise NoEquivalentError(
                f"the Secret {quote(name, 64)} of signerSecrets is not the same in all namespaces; write an "
                "ImagePolicy for each"
            )
        ((signer, key),) = signers
        return signer, bare_key(key, f"publicKey of the Secret {quote(name, 64)}")


def is_secret(value: Mapping[str, Any]) -> bool:
    """Return whether an object is a Secret."""
    return value.get("kind") == "Secret" and value.get("apiVersion") == "v1"


def notary_specs(
    trust: Mapping[str, Any], repository: str, space: str, secrets: SignerSecrets, notes: list[str]
) -> dict[str, dict[str, Any]]:
    """Return the authenticators of a repository, all of which must be met, by the ends of their names.

    Args:
        trust: `policy.trust`, enabled.
        repository: the pattern over repositories, which begins with the registry.
        space: namespace of the policy; empty for a ClusterImagePolicy.
        secrets: the signers' Secrets.
        notes: takes what has to be done by hand.

    Raises:
        NoEquivalentError: something in it has no equivalent.
    """
    only_members(trust, _TRUST, "policy.trust.", _UNSET)
    listed = trust.get("signerSecrets") or []
    if trust.get("enabled") is not True or not isinstance(listed, list):
        raise NoEquivalentError("policy.trust.enabled must be true or false, and policy.trust.signerSecrets a list")
    common = {"server": _server(trust, repository), "root": {"keyId": UNKNOWN_ROOT}}
    roles = []
    for given in listed:
        signer, key = secrets.signer(str(mapping(given, "policy.trust.signerSecrets").get("name")), space)
        roles.append({"name": f"targets/{signer}", "keys": [{"pem": key}]})
    notes.append(
        "Portieris trusts the root that it sees first, and here it is pinned: replace root.keyId, which is all zeros, "
        "by the ID of the root key (notary key list); until then the images are denied"
    )
    notes.append(
        "Portieris runs the digest that Notary names for a tag, and none if neither targets nor targets/releases names "
        "the tag; here the image is denied if that is not the digest of the tag in the registry"
    )
    found = {"released": checked(common, "notary")}
    if roles:
        notes.append("a signer counts here whose key has signed; Portieris asks only whether the role lists the key")
        found["signers"] = checked({**common, "roles": roles}, "notary")
    return found


def _server(trust: Mapping[str, Any], repository: str) -> str:
    if trust.get("trustServer"):
        return server_url(str(trust["trustServer"]))
    registry = repository.partition("/")[0]
    for end, server in _SERVERS.items():
        if registry.endswith(end):
            return server
    raise NoEquivalentError(
        f"Portieris knows the notary servers of {' and '.join(_SERVERS)} alone: write trust.trustServer"
    )


def _value(secret: Mapping[str, Any], key: str) -> str:
    """Return a value of a Secret as text.

    Raises:
        NoEquivalentError: it is not there, or not valid.
    """
    plain, encoded = secret.get("stringData"), secret.get("data")
    try:
        if isinstance(plain, Mapping) and plain.get(key):
            return str(plain[key])
        if isinstance(encoded, Mapping) and encoded.get(key):
            return base64.b64decode(str(encoded[key]), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise NoEquivalentError(f"{key} of a Secret of signerSecrets is not base64 of text") from error
    raise NoEquivalentError(f"a Secret of signerSecrets has no {key}")
