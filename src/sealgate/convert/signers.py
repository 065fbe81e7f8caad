"""Signers that other tools name, as fields of authenticators: keys and identities of cosign, mostly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sealgate.api.v1alpha1.authenticator import AuthenticatorSpec
from sealgate.errors import InvalidKeyError
from sealgate.keys.public_keys import load_public_key
from sealgate.messages import quote

#: The key of a Secret that holds a trusted root.
ROOT_KEY = "trusted_root.json"
#: A regular expression that matches every text.
ANYTHING = "(?s:.*)"

#: The key of a Secret as `cosign generate-key-pair k8s://...` names it.
_COSIGN_KEY = "cosign.pub"
_HASHES = {"sha224": 224, "sha256": 256, "sha384": 384, "sha512": 512}
_KMS = (
    ("aws", re.compile(r"awskms://(?P<endpoint>[^/]+)?/(?P<keyId>arn:[^:]+:kms:(?P<region>[^:]+):.+)")),
    ("google", re.compile(r"gcpkms://(?P<key>.+?)/(?:versions|cryptoKeyVersions)/(?P<keyVersion>[0-9]{1,7})")),
    ("azure", re.compile(r"azurekms://(?P<endpoint>[^/]+)/(?P<key>[^/]+)/(?P<keyVersion>[^/]+)")),
)


class NoEquivalentError(Exception):
    """A signer has no equivalent; the message says why."""


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """Return a value that must be an object.

    Raises:
        NoEquivalentError: it is not one; the message names the field.
    """
    if not isinstance(value, Mapping):
        raise NoEquivalentError(f"{field} must be an object")
    return value


def only_members(
    value: Mapping[str, Any], members: frozenset[str], prefix: str, unset: tuple[object, ...] = (None, [], {}, "")
) -> None:
    """Refuse members without equivalent: each could be a requirement.

    Args:
        value: the object.
        members: those that are carried over.
        prefix: of their names, for the message ("keyless.").
        unset: values that say the same as a member that is not there.

    Raises:
        NoEquivalentError: it has another member.
    """
    more = sorted(name for name in value.keys() - members if value[name] not in unset)
    if more:
        raise NoEquivalentError(f"{prefix}{quote(more[0], 64)} has no equivalent")


def secret_key(name: str, namespace: str, notes: list[str]) -> dict[str, Any]:
    """Return the entry of a key in a Secret of cosign, and note that the Secret must be copied.

    The copy has the namespace in its name: Secrets of one name in several namespaces have different keys.

    Args:
        name: of the Secret.
        namespace: of the Secret; empty if the tool reads all of its Secrets in one namespace.
        notes: takes the note.
    """
    copy = f"{namespace}.{name}" if namespace else name
    renamed = f" of {quote(namespace, 64)} into sealgate's namespace as {quote(copy, 130)}"
    where = renamed if namespace else " into sealgate's namespace"
    notes.append(f"copy the Secret {quote(name, 64)}{where}, its public key as {_COSIGN_KEY}")
    return {"secretRef": {"name": copy, "key": _COSIGN_KEY}}


def inline_key(pem: str, digest: str) -> dict[str, Any]:
    """Return the entry of a key that signs with one hash.

    Args:
        pem: the public key, PEM.
        digest: the hash: "sha256", or another one in any case.

    Raises:
        NoEquivalentError: sealgate does not accept the key, or not with that hash.
    """
    bits = _HASHES.get(digest.lower())
    try:
        kind = load_public_key(pem).kind
        if bits is None:
            raise NoEquivalentError(f"the hash {quote(digest, 40)} has no equivalent")
        family = {"ECDSA": "ECDSA_SHA", "RSA": "RSA_PKCS1_SHA"}.get(kind.partition(" ")[0])
        entry = {"pem": pem} if family is None else {"pem": pem, "algorithm": f"{family}_{bits}"}
        load_public_key(pem, entry.get("algorithm"))
    except InvalidKeyError as error:
        raise NoEquivalentError(f"its key cannot be accepted: {error.message}") from error
    return entry


def kms_key(uri: str) -> dict[str, Any]:
    """Return the entry of a key in a KMS, read with the identity of the platform.

    Raises:
        NoEquivalentError: the address of the key, or its version, is not in the URI, or the KMS is not known.
    """
    for provider, pattern in _KMS:
        match = pattern.fullmatch(uri)
        if match is None:
            continue
        fields: dict[str, Any] = {name: value for name, value in match.groupdict().items() if value is not None}
        if "endpoint" in fields:
            fields["endpoint"] = f"https://{fields['endpoint']}"
        if provider == "google":
            fields["keyVersion"] = int(fields["keyVersion"])
        return {"kms": {provider: fields}}
    raise NoEquivalentError(
        f"the key {quote(uri, 200)} cannot be carried over; AWS KMS needs the key's ARN, Google Cloud KMS and Azure "
        "Key Vault the version of the key; for other keys write kms into the Authenticator, or the public key here"
    )


def searching(expression: str) -> str:
    """Return a regular expression that matches whole texts in which another one is found, as Go's `MatchString` does.

    Raises:
        NoEquivalentError: it is not a regular expression of RE2.
    """
    import re2  # type: ignore[import-untyped]

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(expression, options)  # alone: a parenthesis without its other half must not close the group below
    except re2.error as error:
        raise NoEquivalentError(f"{quote(expression, 100)} is not a regular expression of RE2") from error
    simple = "|" not in expression and "\\" not in expression[-2:-1]
    start = "" if simple and expression.startswith("^") else ANYTHING
    end = "" if simple and expression.endswith("$") else ANYTHING
    return f"{start}(?:{expression}){end}" if start or end else expression


def public_trusted_root(inline: str | None, notes: list[str]) -> dict[str, Any]:
    """Return the source of the trusted root of sigstore's public services: its JSON, else the shipped one, noted."""
    if inline is not None:
        return {"inline": inline}
    notes.append(
        "the trusted root of sigstore's public services is the one that sealgate ships, and changes with its releases; "
        "--trusted-root FILE writes another one"
    )
    return {"source": "PublicGood"}


def secret_root(name: str) -> dict[str, Any]:
    """Return the source of a trusted root in a Secret."""
    return {"secretRef": {"name": name, "key": ROOT_KEY}}


def identity_of(given: Mapping[str, Any], field: str, notes: list[str], expression: str = "RegExp") -> dict[str, str]:
    """Return the identity with an issuer and a subject, each a text or a regular expression that may match anywhere.

    Args:
        given: an object with `issuer` and `subject`, or either followed by `expression`.
        field: its name, for messages.
        notes: takes a note for each that accepts more than one text.
        expression: ends the names of the members with regular expressions.

    Raises:
        NoEquivalentError: it has other members, values or expressions.
    """
    names = [f"{name}{end}" for name in ("issuer", "subject") for end in ("", expression)]
    only_members(given, frozenset(names), f"{field}.")
    if not all(isinstance(value, str) for value in given.values()):
        raise NoEquivalentError("the members of an identity must be text")
    found: dict[str, str] = {}
    for name in ("issuer", "subject"):
        exact, searched = given.get(name), given.get(f"{name}{expression}")
        if exact and searched:
            raise NoEquivalentError(f"an identity has both {name} and {name}{expression}")
        if exact:
            found[name] = exact
            continue
        found[f"{name}RegExp"] = searching(searched) if searched else ANYTHING
        if not searched:
            notes.append(f"an identity without {name} accepts every {name}; name it")
        elif found[f"{name}RegExp"] != searched:
            notes.append(
                f"{name}{expression} {quote(searched, 100)} is not anchored at both ends: it may match anywhere in the "
                f"{name}, also here; write one that matches the whole"
            )
    return found


def checked(spec: Mapping[str, Any], kind: str = "cosign") -> dict[str, Any]:
    """Return the spec of an authenticator of a format if `kubectl apply` would accept it.

    Raises:
        NoEquivalentError: it would not: a text is too long, or has another form.
    """
    try:
        AuthenticatorSpec.model_validate({kind: spec})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        raise NoEquivalentError(f"sealgate does not accept its {where}: {quote(first['msg'], 200)}") from error
    return {kind: dict(spec)}
