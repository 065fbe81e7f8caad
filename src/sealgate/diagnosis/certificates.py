"""Checks of the webhook's certificates: lifetimes, names, and whether the API server has their CA. Pure."""

from __future__ import annotations

import base64
import binascii
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.extensions import DuplicateExtension, ExtensionNotFound
from cryptography.x509.general_name import UnsupportedGeneralNameType

from sealgate.diagnosis.checks import Area, Check, Outcome
from sealgate.messages import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

#: The time before its end by which a certificate should have been renewed, and the part of its life if that is less.
#: The operator and cert-manager renew after two thirds.
RENEWAL: Final = timedelta(days=7)
_RENEWAL_PART: Final = 6
#: The most certificates of a bundle or chain that are read.
MAX_CERTIFICATES: Final = 64
_RENEW: Final = "see what issues it: the operator's log (certificates), or cert-manager's Certificate and its issuer"


def check_ca_bundle(bundle: str, now: datetime) -> Check:
    """Return a check of the `caBundle` of the webhook configurations.

    Args:
        bundle: base64 of the PEM bundle.
        now: the time.
    """
    name = "caBundle"
    certificates = read_bundle(bundle)
    if not certificates:
        message = "it has no certificate that can be read, so the API server trusts no certificate of the webhook"
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, message, _RENEW)
    valid = [one for one in certificates if one.not_valid_before_utc <= now < one.not_valid_after_utc]
    if not valid:
        message = f"none of its {len(certificates)} certificates is valid now ({_lifetime(certificates[0])})"
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, message, _RENEW)
    last = max(valid, key=lambda one: one.not_valid_after_utc)
    outcome = Outcome.WARNING if _is_overdue(last, now) else Outcome.OK
    message = f"{len(valid)} of {len(certificates)} certificates valid, until {_day(last.not_valid_after_utc)}"
    return Check(Area.CERTIFICATES, name, outcome, message, _RENEW if outcome is Outcome.WARNING else "")


def check_serving_certificate(chain: bytes, bundle: str, host: str, now: datetime) -> Check:
    """Return a check of the certificate that the webhook serves.

    Args:
        chain: PEM certificates, that of the server first.
        bundle: base64 of the PEM bundle that the API server trusts.
        host: DNS name by which the API server calls the webhook ("sealgate-webhook.sealgate-system.svc").
        now: the time.
    """
    name = quote(host)
    try:
        certificates = x509.load_pem_x509_certificates(chain)[:MAX_CERTIFICATES]
    except ValueError:
        certificates = []
    if not certificates:
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, "its Secret has no certificate (tls.crt)", _RENEW)
    leaf = certificates[0]
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, f"it is not valid now ({_lifetime(leaf)})", _RENEW)
    names = _dns_names(leaf)
    if host not in names and f"*.{host.partition('.')[2]}" not in names:
        shown = ", ".join(quote(one, 64) for one in names[:3]) or "none"
        message = f"it is not for this name; its names: {shown}"
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, message, _RENEW)
    if not _leads_to(certificates, read_bundle(bundle)):
        message = "no CA of caBundle has issued it, so the API server does not accept it"
        return Check(Area.CERTIFICATES, name, Outcome.PROBLEM, message, _RENEW)
    outcome = Outcome.WARNING if _is_overdue(leaf, now) else Outcome.OK
    message = f"issued by a CA of caBundle, valid until {_day(leaf.not_valid_after_utc)}"
    return Check(Area.CERTIFICATES, name, outcome, message, _RENEW if outcome is Outcome.WARNING else "")


def read_bundle(bundle: str) -> list[x509.Certificate]:
    """Return the certificates of a `caBundle`, base64 of PEM; empty if it cannot be read."""
    try:
        pem = base64.b64decode(bundle, validate=True)
        return x509.load_pem_x509_certificates(pem)[:MAX_CERTIFICATES]
    except (ValueError, binascii.Error):
        return []


def _leads_to(chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]) -> bool:
    """Return whether a chain leads to a trusted certificate, in its own order."""
    for number, certificate in enumerate(chain):
        if certificate in trusted or any(_issued(certificate, one) for one in trusted):
            return True
        if number + 1 == len(chain) or not _issued(certificate, chain[number + 1]):
            return False
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _dns_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ExtensionNotFound, DuplicateExtension, UnsupportedGeneralNameType, ValueError):
        return []
    return names.get_values_for_type(x509.DNSName)


def _is_overdue(certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether a certificate should have been renewed."""
    end = certificate.not_valid_after_utc
    return end - now < min(RENEWAL, (end - certificate.not_valid_before_utc) / _RENEWAL_PART)


def _lifetime(certificate: x509.Certificate) -> str:
    return f"from {_day(certificate.not_valid_before_utc)} to {_day(certificate.not_valid_after_utc)}"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
