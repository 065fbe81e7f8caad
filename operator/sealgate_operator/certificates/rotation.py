"""Rotation of the webhook's certificates: computes the next step from the current state. Pure, but for making keys.

A CA signs one server certificate (the leaf). Both live in Secrets; the CA's certificate is also in the
`caBundle` of the webhook configurations, which API servers read. The leaf is renewed after two thirds of its life, by
the same CA. A CA is replaced after two thirds of its own, in steps of which each is one write, so that
the replica that takes over after a crash can derive the next step from the stored state:

1. a *next* CA is made;
2. `caBundle` contains both, in every configuration; when that is observed, the time is recorded;
3. one settling time later every API server knows both, and the next CA becomes the current one, the current one
   the *old* one;
4. the leaf is reissued by the new current CA; when that is observed, the time is recorded;
5. one settling time later every webhook serves it, and the old CA is removed;
6. `caBundle` contains one CA again.

At every moment what an API server trusted up to one settling time ago verifies what a webhook served up to one
settling time ago.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How far before now a certificate begins, for machines whose clocks are behind.
BACKDATE = timedelta(minutes=5)
#: The longest time in which API servers and webhooks must have noticed a change.
LONGEST_SETTLING = timedelta(minutes=10)
#: How far in the future a CA may begin before it is replaced as made by a wrong clock: clients do not trust a
#: certificate that is not valid yet. Replicas with slightly different clocks must not replace each other's CAs.
MOST_AHEAD = timedelta(hours=1)
#: The most certificates that are read from one key of a Secret; the operator never writes more.
_MAX_OLD = 4

CURRENT, CURRENT_KEY = "ca.crt", "ca.key"
NEXT, NEXT_KEY, NEXT_PUBLISHED = "next-ca.crt", "next-ca.key", "next-ca.published"
OLD, OLD_REPLACED = "old-ca.crt", "old-ca.replaced"
LEAF, LEAF_KEY, LEAF_BUNDLE = "tls.crt", "tls.key", "ca.crt"

Data = dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """How certificates are made.

    Attributes:
        names: DNS names of the webhook's Service.
        ca_lifetime: lifetime of a CA.
        leaf_lifetime: lifetime of a leaf; no longer than that of the CA.
    """

    names: tuple[str, ...]
    ca_lifetime: timedelta
    leaf_lifetime: timedelta

    @property
    def settling(self) -> timedelta:
        """Time in which others must notice a change; a tenth of the leaf's lifetime where that is less."""
        return min(LONGEST_SETTLING, self.leaf_lifetime / 10)


@dataclass(frozen=True, slots=True)
class WriteCASecret:
    """Change the CA's Secret: new values, None to remove.

    Attributes:
        why: for the log.
        data: what to change; holds private keys.
    """

    why: str
    data: Data = field(repr=False)


@dataclass(frozen=True, slots=True)
class WriteTLSSecret:
    """Change the leaf's Secret; see `WriteCASecret`."""

    why: str
    data: Data = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApplyCABundle:
    """Make this the `caBundle` of every webhook.

    Attributes:
        why: for the log.
        bundle: PEM.
    """

    why: str
    bundle: bytes


Step = WriteCASecret | WriteTLSSecret | ApplyCABundle


def next_step(
    ca_data: Mapping[str, bytes],
    leaf: Mapping[str, bytes],
    published: Sequence[bytes],
    rules: Rules,
    now: datetime,
) -> Step | None:
    """Return the next write; None if nothing is due.

    Args:
        ca_data: data of the CA's Secret.
        leaf: data of the leaf's Secret.
        published: the current `caBundle` of every webhook.
        rules: names and lifetimes.
        now: the time.
    """
    state = _State(ca_data, leaf, rules, now)
    step = state.ensure_ca()
    if step is not None:
        return step
    bundle = state.bundle()
    if any(found != bundle for found in published):
        return ApplyCABundle("caBundle gets the current CAs", bundle)
    return state.promote_next_ca() or state.issue_leaf(bundle) or state.remove_old_ca()


class _State:
    """What the two Secrets say, and the steps that follow from it."""

    def __init__(self, ca_data: Mapping[str, bytes], leaf: Mapping[str, bytes], rules: Rules, now: datetime) -> None:
        self._rules = rules
        self._now = now
        self._current = _begun(_read_pair(ca_data, CURRENT, CURRENT_KEY, now), now)
        self._next = _begun(_read_pair(ca_data, NEXT, NEXT_KEY, now), now)
        self._old = [one for one in _read_certificates(ca_data.get(OLD)) if one.not_valid_after_utc > now]
        self._has_old = OLD in ca_data
        self._next_published = _read_time(ca_data.get(NEXT_PUBLISHED), now)
        self._old_replaced = _read_time(ca_data.get(OLD_REPLACED), now)
        self._leaf = _read_pair(leaf, LEAF, LEAF_KEY, now)
        self._leaf_bundle = leaf.get(LEAF_BUNDLE, b"")

    def ensure_ca(self) -> Step | None:
        """Return the creation of a CA if none is valid or the current one is due for replacement; else None."""
        if self._current is None and self._next is None:
            return self._replace_lost_ca()
        if self._current is None and not self._old:
            # No served certificate could be verified any more, so there is nothing to wait for.
            return self._promote("the current CA is lost or expired; promoting the next CA at once")
        due = self._current is not None and is_due(self._current.certificate, self._now)
        if due and self._next is None and not self._has_old:
            return WriteCASecret("the CA is due for replacement; creating the next CA", self._make_next())
        return None

    def bundle(self) -> bytes:
        """Return every CA that a client may need, the oldest first: a change of roles leaves the bundle as it is."""
        pairs = [pair.certificate for pair in (self._current, self._next) if pair is not None]
        every = sorted({*pairs, *self._old}, key=lambda one: (one.not_valid_before_utc, one.serial_number))
        return b"".join(one.public_bytes(Encoding.PEM) for one in every)

    def promote_next_ca(self) -> Step | None:
        """Return the step towards the next CA; None if none is due. Requires that every webhook has the bundle."""
        if self._next is None:
            return None
        if self._next_published is None:
            return WriteCASecret("the next CA is in every caBundle", {NEXT_PUBLISHED: _write_time(self._now)})
        if self._now < self._next_published + self._rules.settling:
            return None
        return self._promote("promoting the next CA")

    def issue_leaf(self, bundle: bytes) -> Step | None:
        """Return the issuance of a leaf, if there is none or it is due for replacement; else None."""
        if self._current is None:
            return None
        why = self._leaf_problem()
        if why:
            return WriteTLSSecret(
                f"issuing a certificate: {why}", _issue(self._current, self._rules, self._now, bundle)
            )
        if self._leaf_bundle != bundle:
            return WriteTLSSecret("updating the CAs beside the certificate", {LEAF_BUNDLE: bundle})
        return None

    def remove_old_ca(self) -> Step | None:
        """Return the step towards removing the old CA; None if none is due. Requires a leaf of the current CA."""
        if not self._has_old or self._current is None:
            return None
        if self._old_replaced is None:
            return WriteCASecret("the certificate of the old CA is replaced", {OLD_REPLACED: _write_time(self._now)})
        if self._now < self._old_replaced + self._rules.settling:
            return None
        return WriteCASecret("removing the old CA", {OLD: None, OLD_REPLACED: None})

    def _replace_lost_ca(self) -> Step:
        """Make a CA where there is none; keep the CA of the served leaf, if its certificate is known."""
        signers = [one for one in _read_certificates(self._leaf_bundle) if self._leaf and _signed(one, self._leaf)]
        signers = [one for one in signers if _has_begun(one, self._now) and one.not_valid_after_utc > self._now]
        fresh: Data = dict.fromkeys((CURRENT, CURRENT_KEY, NEXT, NEXT_KEY, NEXT_PUBLISHED, OLD, OLD_REPLACED))
        if signers:
            kept = b"".join(one.public_bytes(Encoding.PEM) for one in signers)
            why = "the CA is lost; creating the next CA"
            return WriteCASecret(why, {**fresh, **self._make_next(), OLD: kept})
        made = _make_ca(self._rules, self._now)
        return WriteCASecret("creating a CA", {**fresh, CURRENT: made[0], CURRENT_KEY: made[1]})

    def _make_next(self) -> Data:
        certificate, key = _make_ca(self._rules, self._now)
        return {NEXT: certificate, NEXT_KEY: key, NEXT_PUBLISHED: None}

    def _promote(self, why: str) -> Step:
        assert self._next is not None  # noqa: S101 - both callers check it
        old = [*([self._current.certificate] if self._current else []), *self._old]
        data: Data = {
            CURRENT: self._next.certificate.public_bytes(Encoding.PEM),
            CURRENT_KEY: write_key(self._next.key),
            NEXT: None,
            NEXT_KEY: None,
            NEXT_PUBLISHED: None,
            OLD: b"".join(one.public_bytes(Encoding.PEM) for one in old) or None,
            OLD_REPLACED: None,
        }
        return WriteCASecret(why, data)

    def _leaf_problem(self) -> str:
        """Return why the leaf has to be replaced; empty if it need not be."""
        assert self._current is not None  # noqa: S101 - the caller checks it
        if self._leaf is None:
            return "there is no valid certificate"
        if not _signed(self._current.certificate, self._leaf):
            return "it was signed by another CA"
        if self._leaf.certificate.not_valid_before_utc > self._now:
            return "it is not valid yet: it was made by a wrong clock"
        if is_due(self._leaf.certificate, self._now):
            return "two thirds of its lifetime have passed"
        return "" if _names(self._leaf.certificate) == self._rules.names else "its names have changed"


# Certificates ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def is_due(certificate: x509.Certificate, now: datetime) -> bool:
    """Return whether two thirds of a certificate's lifetime have passed."""
    begin = certificate.not_valid_before_utc + BACKDATE
    return now >= begin + (certificate.not_valid_after_utc - begin) * 2 / 3


def expiry(data: Mapping[str, bytes], name: str) -> datetime | None:
    """Return the expiry of the certificate under a key of a Secret; None if it cannot be read."""
    found = _read_certificates(data.get(name))
    return found[0].not_valid_after_utc if found else None


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """Return the DNS names by which a Service is called."""
    name = f"{service}.{namespace}.svc"
    return (name, f"{name}.cluster.local", f"{service}.{namespace}", service)


def _make_ca(rules: Rules, now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A unique name: clients that look up the issuer by name must not confuse two CAs.
    subject = common_name(f"sealgate webhook CA {x509.random_serial_number():x}"[:64])
    certificate = (
        certificate_builder(subject, subject, key, now, rules.ca_lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM), write_key(key)


def _issue(ca: _Pair, rules: Rules, now: datetime, bundle: bytes) -> Data:
    key = ec.generate_private_key(ec.SECP256R1())
    lifetime = min(rules.leaf_lifetime, ca.certificate.not_valid_after_utc - now)
    issuer = ca.certificate.subject
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    certificate = (
        certificate_builder(common_name("sealgate webhook"), issuer, key, now, lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in rules.names]), critical=False)
        .add_extension(identifier, critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    return {LEAF: certificate.public_bytes(Encoding.PEM), LEAF_KEY: write_key(key), LEAF_BUNDLE: bundle}


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    """Return what every certificate of the operator has; extensions and signature are the caller's.

    Args:
        subject: name of the key's owner.
        issuer: name of the key that signs; the subject's own for a self-signed certificate.
        key: the certified key.
        now: the time; the certificate is valid from `BACKDATE` before it.
        lifetime: from `now` to the end.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def common_name(text: str) -> x509.Name:
    """Return a name with a common name alone.

    Args:
        text: at most 64 characters (RFC 5280, A.1).
    """
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))


def _signed(ca: x509.Certificate, leaf: _Pair) -> bool:
    try:
        leaf.certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


# Reading what was written ----------------------------------------------------------------------------------------


def _read_pair(data: Mapping[str, bytes], certificate: str, key: str, now: datetime) -> _Pair | None:
    """Return a certificate with its key; None if one is missing or invalid, they do not match, or it has expired."""
    found = _read_certificates(data.get(certificate))
    if not found or found[0].not_valid_after_utc <= now:
        return None
    try:
        private = load_pem_private_key(data.get(key, b""), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    pair = _Pair(found[0], private)
    return pair if _public(private.public_key()) == _public(found[0].public_key()) else None


def _begun(pair: _Pair | None, now: datetime) -> _Pair | None:
    return pair if pair is not None and _has_begun(pair.certificate, now) else None


def _has_begun(ca: x509.Certificate, now: datetime) -> bool:
    return ca.not_valid_before_utc <= now + MOST_AHEAD


def _read_certificates(text: bytes | None) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text or b"")[:_MAX_OLD]
    except ValueError:
        return []


def _read_time(text: bytes | None, now: datetime) -> datetime | None:
    """Return a recorded time; None if it is missing, invalid or in the future."""
    try:
        found = datetime.fromisoformat((text or b"").decode())
    except ValueError:
        return None
    return found if found.tzinfo is not None and found <= now else None


def _write_time(now: datetime) -> bytes:
    return now.astimezone(UTC).isoformat().encode()


def write_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM: PKCS#8, not encrypted, as Secrets of the type `kubernetes.io/tls` have it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode else b""
