"""Rotation of certificates, step by step, with a fake clock and the verification of an API server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings
from hypothesis import strategies as st

from sealgate_operator.certificates.rotation import (
    BACKDATE,
    CURRENT,
    CURRENT_KEY,
    LEAF,
    LEAF_BUNDLE,
    LEAF_KEY,
    NEXT,
    NEXT_PUBLISHED,
    OLD,
    OLD_REPLACED,
    ApplyCABundle,
    Rules,
    WriteCASecret,
    expiry,
    is_due,
    next_step,
    service_names,
)
from tests.support.clocks import NOW
from tests.support.examples import examples

NAMES = service_names("sealgate-webhook", "sealgate")
HOUR = timedelta(hours=1)
USUAL = Rules(NAMES, timedelta(hours=8760), timedelta(hours=720))


def verify(bundle: bytes, leaf: bytes, now: datetime) -> None:
    """Verify a served certificate as an API server does that trusts a bundle."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    verifier = PolicyBuilder().store(store).time(now).build_server_verifier(x509.DNSName(NAMES[0]))
    verifier.verify(x509.load_pem_x509_certificate(leaf), [])


class Cluster:
    """Stored certificates, with the history of every earlier state."""

    def __init__(self, rules: Rules, now: datetime = NOW) -> None:
        self.rules = rules
        self.now = now
        self.ca_data: dict[str, bytes] = {}
        self.leaf: dict[str, bytes] = {}
        self.bundle = b""
        self.steps: list[str] = []
        self._bundles: list[tuple[datetime, bytes]] = []
        self._leaves: list[tuple[datetime, bytes]] = []

    def reconcile(self, most: int = 20) -> int:
        """Take at most this many of the steps that are due; return their number."""
        for count in range(most):
            step = next_step(self.ca_data, self.leaf, [self.bundle, self.bundle], self.rules, self.now)
            if step is None:
                return count
            self.steps.append(step.why)
            if isinstance(step, ApplyCABundle):
                self.bundle = step.bundle
                self._bundles.append((self.now, self.bundle))
                continue
            target = self.ca_data if isinstance(step, WriteCASecret) else self.leaf
            for name, value in step.data.items():
                if value is None:
                    target.pop(name, None)
                else:
                    target[name] = value
            if target is self.leaf:
                self._leaves.append((self.now, self.leaf[LEAF]))
        return most

    def pass_time(self, time: timedelta) -> None:
        """Advance the clock, and reconcile often enough."""
        end = self.now + time
        while self.now < end:
            self.now = min(end, self.now + self.rules.leaf_lifetime / 10)
            self.reconcile()

    def check(self) -> None:
        """Verify everything that may be served by everything that may be trusted, each up to one settling time old."""
        for bundle in self._lately(self._bundles):
            for leaf in self._lately(self._leaves):
                verify(bundle, leaf, self.now)

    def _lately(self, history: list[tuple[datetime, bytes]]) -> list[bytes]:
        since = self.now - self.rules.settling
        before = [value for at, value in history if at <= since]
        return before[-1:] + [value for at, value in history if at > since]

    @property
    def serial(self) -> int:
        return x509.load_pem_x509_certificate(self.leaf[LEAF]).serial_number


def settled(rules: Rules = USUAL) -> Cluster:
    cluster = Cluster(rules)
    cluster.reconcile()
    return cluster


def count_cas(bundle: bytes) -> int:
    return len(x509.load_pem_x509_certificates(bundle))


def test_certificate_is_created_and_verifies() -> None:
    cluster = settled()
    assert cluster.steps == [
        "creating a CA",
        "caBundle gets the current CAs",
        "issuing a certificate: there is no valid certificate",
    ]
    cluster.check()
    assert cluster.leaf[LEAF_BUNDLE] == cluster.bundle
    key = load_pem_private_key(cluster.leaf[LEAF_KEY], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_certificate_is_valid_for_every_name_of_the_service() -> None:
    certificate = x509.load_pem_x509_certificate(settled().leaf[LEAF])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "sealgate-webhook.sealgate.svc",
        "sealgate-webhook.sealgate.svc.cluster.local",
        "sealgate-webhook.sealgate",
        "sealgate-webhook",
    ]


def test_valid_state_causes_no_write() -> None:
    cluster = settled()
    cluster.now += timedelta(days=1)
    assert cluster.reconcile() == 0


def test_certificate_is_renewed_after_two_thirds_of_its_life() -> None:
    cluster = settled()
    before = cluster.serial, cluster.bundle
    cluster.now += timedelta(hours=479)
    assert cluster.reconcile() == 0
    cluster.now += timedelta(hours=2)
    assert cluster.reconcile() == 1
    assert cluster.serial != before[0]
    assert cluster.bundle == before[1]
    cluster.check()


def test_emptied_bundle_is_restored() -> None:
    cluster = settled()
    cluster.bundle = b""
    cluster.reconcile()
    assert count_cas(cluster.bundle) == 1


def test_ca_rotation_takes_its_steps_in_order() -> None:
    cluster = settled()
    cluster.pass_time(timedelta(hours=5839))
    cluster.steps.clear()
    cluster.now += timedelta(hours=2)
    for _ in range(60):
        cluster.reconcile()
        cluster.check()
        cluster.now += timedelta(minutes=1)
    assert cluster.steps == [
        "the CA is due for replacement; creating the next CA",
        "caBundle gets the current CAs",
        "the next CA is in every caBundle",
        "updating the CAs beside the certificate",
        "promoting the next CA",
        "issuing a certificate: it was signed by another CA",
        "the certificate of the old CA is replaced",
        "removing the old CA",
        "caBundle gets the current CAs",
        "updating the CAs beside the certificate",
    ]
    assert count_cas(cluster.bundle) == 1


@pytest.mark.parametrize("lifetimes", [(8760, 720), (3, 1), (1, 1), (0.1, 0.03)])
def test_served_certificate_verifies_throughout_every_rotation(
    lifetimes: tuple[float, float],
) -> None:
    rules = Rules(NAMES, *(timedelta(hours=hours) for hours in lifetimes))
    cluster = settled(rules)
    step = rules.settling / 3
    end = cluster.now + 3 * rules.ca_lifetime
    while cluster.now < end:
        cluster.reconcile()
        cluster.check()
        # Nothing happens for most of the time.
        quiet = OLD not in cluster.ca_data and NEXT not in cluster.ca_data
        cluster.now += rules.leaf_lifetime / 20 if quiet else step
    assert cluster.steps.count("promoting the next CA") >= 3
    assert cluster.steps.count("removing the old CA") >= 3


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 400), st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 0.3)), min_size=40, max_size=80))
def test_killed_operator_resumes_after_any_write(start: int, moves: list[tuple[int, float]]) -> None:
    rules = Rules(NAMES, 4 * HOUR, HOUR)
    cluster = settled(rules)
    cluster.pass_time(timedelta(minutes=start))
    for number, (steps, settlings) in enumerate(moves):
        cluster.now += rules.settling * settlings
        # Killed after so many writes; once in a while it is left in peace.
        cluster.reconcile(20 if number % 6 == 0 else steps)
        cluster.check()


def test_expired_state_is_recreated() -> None:
    cluster = settled()
    cluster.now += timedelta(days=800)
    cluster.reconcile()
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)


def test_next_ca_takes_over_when_the_current_one_expires() -> None:
    cluster = settled()
    cluster.now += timedelta(hours=5841)
    cluster.reconcile()
    assert NEXT_PUBLISHED in cluster.ca_data
    cluster.now += timedelta(hours=2950)
    cluster.reconcile()
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)
    assert NEXT not in cluster.ca_data


def test_deleted_ca_is_replaced_without_a_failed_call() -> None:
    cluster = settled()
    cluster.ca_data.clear()
    for _ in range(40):
        cluster.reconcile()
        cluster.check()
        cluster.now += timedelta(minutes=1)
    assert count_cas(cluster.bundle) == 1
    assert OLD not in cluster.ca_data


def test_emptied_secrets_get_a_new_pair() -> None:
    cluster = settled()
    cluster.ca_data.clear()
    cluster.leaf.clear()
    cluster.reconcile()
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)
    assert count_cas(cluster.bundle) == 1


@pytest.mark.parametrize(
    "damage",
    [
        {LEAF: b"rubbish"},
        {LEAF_KEY: b"rubbish"},
        {LEAF: b""},
    ],
)
def test_damaged_certificate_is_reissued(damage: dict[str, bytes]) -> None:
    cluster = settled()
    cluster.leaf.update(damage)
    cluster.reconcile()
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)


def test_key_of_another_certificate_is_not_a_pair() -> None:
    cluster, other = settled(), settled()
    cluster.leaf[LEAF_KEY] = other.leaf[LEAF_KEY]
    assert cluster.reconcile() == 1
    cluster.ca_data[CURRENT_KEY] = other.ca_data[CURRENT_KEY]
    cluster.reconcile()
    cluster.check()


def test_renamed_service_gets_another_certificate() -> None:
    cluster = settled()
    cluster.rules = Rules(service_names("other", "sealgate"), USUAL.ca_lifetime, USUAL.leaf_lifetime)
    assert cluster.reconcile() == 1


def test_future_or_unreadable_time_is_ignored() -> None:
    cluster = settled()
    cluster.now += timedelta(hours=5841)
    cluster.reconcile()
    for text in (b"2099-01-01T00:00:00+00:00", b"soon", b"2026-11-21T12:00:00"):
        cluster.ca_data[NEXT_PUBLISHED] = text
        cluster.reconcile()
        assert cluster.ca_data[NEXT_PUBLISHED] == cluster.now.isoformat().encode()


@pytest.mark.parametrize("ahead", [timedelta(days=25), timedelta(days=250), timedelta(days=400)])
@pytest.mark.parametrize("for_so_long", [timedelta(0), 1.5 * USUAL.settling, 3 * HOUR])
def test_certificate_from_a_wrong_clock_is_reissued(ahead: timedelta, for_so_long: timedelta) -> None:
    cluster = settled()
    cluster.now += ahead
    cluster.reconcile()
    cluster.now += for_so_long
    cluster.reconcile()
    cluster.now = NOW + HOUR
    cluster.reconcile()
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)
    cluster.pass_time(timedelta(days=1))
    verify(cluster.bundle, cluster.leaf[LEAF], cluster.now)
    assert cluster.reconcile() == 0


def test_ca_from_a_clock_slightly_ahead_is_kept() -> None:
    cluster = settled()
    made = cluster.ca_data[CURRENT]
    cluster.now -= timedelta(minutes=30)
    cluster.reconcile()
    assert cluster.ca_data[CURRENT] == made
    verify(cluster.bundle, cluster.leaf[LEAF], NOW)


def test_foreign_rsa_key_is_replaced() -> None:
    cluster = settled()
    key = rsa.generate_private_key(65537, 2048)
    cluster.leaf[LEAF_KEY] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert cluster.reconcile() == 1


def test_old_ca_is_kept_until_the_new_certificate_is_served() -> None:
    cluster = settled()
    cluster.pass_time(timedelta(hours=5841))
    cluster.now += USUAL.settling
    cluster.reconcile()
    assert OLD_REPLACED in cluster.ca_data
    assert count_cas(cluster.bundle) == 2
    cluster.now += USUAL.settling - timedelta(seconds=1)
    assert cluster.reconcile() == 0


def test_client_of_the_old_ca_rejects_the_new_certificate() -> None:
    """So the tests above can fail."""
    cluster = settled()
    old = cluster.bundle
    cluster.pass_time(timedelta(hours=6000))
    with pytest.raises(VerificationError):
        verify(old, cluster.leaf[LEAF], cluster.now)


def test_step_descriptions_contain_no_private_keys() -> None:
    step: Any = next_step({}, {}, [], USUAL, NOW)
    assert "KEY" not in repr(step)


def test_expiry_is_read_from_the_stored_certificate() -> None:
    cluster = settled()
    assert expiry(cluster.leaf, LEAF) == NOW + timedelta(hours=720)
    assert expiry(cluster.ca_data, CURRENT) == NOW + timedelta(hours=8760)
    assert expiry({}, LEAF) is None
    certificate = x509.load_pem_x509_certificate(cluster.leaf[LEAF])
    assert certificate.not_valid_before_utc == NOW - BACKDATE
    assert not is_due(certificate, NOW + timedelta(hours=479))
