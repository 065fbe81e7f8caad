"""Keys and certificates of Ratify 1: KeyManagementProviders and CertificateStores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from sealgate.convert.signers import NoEquivalentError, inline_key, kms_key, mapping, only_members
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

PROVIDER, STORE = "KeyManagementProvider", "CertificateStore"

_PUBLIC_KEY = re.compile(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_UNSET: tuple[object, ...] = (None, [], {}, "")


class Providers:
    """The keys and certificates that verifiers name.

    Args:
        objects: KeyManagementProviders and CertificateStores; other kinds are skipped.
    """

    def __init__(self, objects: Iterable[Mapping[str, Any]]) -> None:
        self._found: dict[tuple[str, str], Mapping[str, Any]] = {}
        # A name alone does not say which of the CertificateStores of two namespaces is meant.
        self._twice: set[tuple[str, str]] = set()
        for one in objects:
            metadata, spec = one.get("metadata"), one.get("spec")
            kind = str(one.get("kind"))
            if kind not in (PROVIDER, STORE) or not isinstance(metadata, Mapping) or not isinstance(spec, Mapping):
                continue
            names = [str(metadata.get("name"))]
            if kind == STORE:
                names.append(f"{metadata.get('namespace') or 'default'}/{names[0]}")
            self._twice |= {(kind, name) for name in names} & self._found.keys()
            self._found.update({(kind, name): spec for name in names})
        for key in self._twice:
            del self._found[key]

    def certificates(self, name: object) -> str:
        """Return the certificates of a provider, or else of a CertificateStore, as PEM.

        Raises:
            NoEquivalentError: it is not given, not inline, or holds a certificate that Ratify does not count.
        """
        text = str(name)
        spec = self._found.get((PROVIDER, text))
        if spec is not None:
            value = _inline(spec, "certificate", text)
        elif (PROVIDER, text) not in self._twice and (STORE, text) in self._found:
            spec = self._found[STORE, text]
            only_members(spec, frozenset({"provider", "parameters"}), "spec.", _UNSET)
            value = _value(spec, spec.get("provider"), text)
        else:
            raise NoEquivalentError(
                f"the {PROVIDER} {quote(text, 64)} is not there, or twice: convert it in the same run"
            )
        pems = _CERTIFICATE.findall(value)
        if not pems:
            raise NoEquivalentError(f"{quote(text, 64)} has no certificates")
        for pem in pems:
            _check_trusted(pem, text)
        return "".join(f"{pem}\n" for pem in pems)

    def keys(self, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the keys of one entry of `keys` of a trust policy.

        Raises:
            NoEquivalentError: the provider is not given, or is of another type, or does not have the key.
        """
        only_members(entry, frozenset({"provider", "name", "version"}), "keys.", _UNSET)
        text = str(entry.get("provider"))
        spec = self._found.get((PROVIDER, text))
        if spec is None:
            raise NoEquivalentError(
                f"the {PROVIDER} {quote(text, 64)} is not there, or twice: convert it in the same run"
            )
        wanted = (str(entry.get("name") or ""), str(entry.get("version") or ""))
        if spec.get("type") != "azurekeyvault":
            if any(wanted):
                raise NoEquivalentError(f"keys of {quote(text, 64)} have neither a name nor a version")
            pem = _PUBLIC_KEY.search(_inline(spec, "key", text))
            if pem is None:
                raise NoEquivalentError(f"{quote(text, 64)} has no public key")
            return [inline_key(f"{pem.group()}\n", "sha256")]
        parameters = mapping(spec.get("parameters"), "parameters")
        host = urlsplit(str(parameters.get("vaultURI") or "")).netloc
        listed = parameters.get("keys")
        pairs = [
            (str(key.get("name") or ""), str(key.get("version") or ""))
            for key in (listed if isinstance(listed, list) else ())
            if isinstance(key, Mapping)
        ]
        chosen = [pair for pair in pairs if wanted in (("", ""), pair)]
        if not chosen:
            raise NoEquivalentError(f"{quote(text, 64)} does not have the key {quote('/'.join(wanted), 128)}")
        return [kms_key(f"azurekms://{host}/{name}/{version}") for name, version in chosen]


def _inline(spec: Mapping[str, Any], content: str, name: str) -> str:
    """Return the value of an inline provider of certificates or keys."""
    only_members(spec, frozenset({"type", "parameters", "refreshInterval"}), "spec.", _UNSET)
    given = mapping(spec.get("parameters"), "parameters").get("contentType")
    if spec.get("type") == "inline" and given != content:
        raise NoEquivalentError(f"the contentType of {quote(name, 64)} must be {content}")
    return _value(spec, spec.get("type"), name)


def _value(spec: Mapping[str, Any], kind: object, name: str) -> str:
    if kind != "inline":
        raise NoEquivalentError(
            f"what {quote(name, 64)} fetches from {quote(kind, 64)} has no equivalent: write it inline"
        )
    parameters = mapping(spec.get("parameters"), "parameters")
    only_members(parameters, frozenset({"contentType", "value"}), "parameters.", _UNSET)
    value = parameters.get("value")
    if not isinstance(value, str):
        raise NoEquivalentError(f"{quote(name, 64)} has no value")
    return value


def _check_trusted(pem: str, name: str) -> None:
    """Refuse a certificate that is neither of a CA nor self-signed, which Ratify leaves out."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        if _is_ca(certificate):
            return
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise NoEquivalentError(
            f"a certificate of {quote(name, 64)} cannot be read, or is neither that of a CA nor self-signed"
        ) from error


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
