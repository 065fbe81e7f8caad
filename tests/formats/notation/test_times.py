"""When a signature counts: validity of certificates, timestamps, times that signing authorities vouch for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealgate.errors import VerificationError
from sealgate.formats.notation.wire.envelope import COSE_TYPE, JWS_TYPE
from sealgate.reasons import Reason
from tests.support.builders import der
from tests.support.signers.notation import NOW, YEAR
from tests.support.signers.timestamps import make_tsa

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tests.support.environments.notation import NotationEnvironment
    from tests.support.signers.timestamps import TSA

TSA_OF_TESTS = make_tsa()
HOUR = timedelta(hours=1)


def stamped(at: datetime = NOW - HOUR, tsa: TSA = TSA_OF_TESTS) -> Callable[[bytes], bytes]:
    return lambda signature: tsa.token(signature, at)


def stores(environment: NotationEnvironment, tsa: TSA = TSA_OF_TESTS) -> dict[str, Any]:
    root = tsa.root.certificate.public_bytes(Encoding.PEM).decode()
    return {"ca": [{"pem": environment.authority.pem}], "tsa": [{"pem": root}]}


def short_lived(environment: NotationEnvironment) -> dict[str, Any]:
    """Return a signer whose certificate was valid for a day, until half an hour before now."""
    begins = NOW - timedelta(days=1, minutes=30)
    key, chain = environment.authority.issue(begins=begins, lifetime=timedelta(days=1))
    return {"key": key, "chain": chain}


@pytest.mark.parametrize("moved", [-3 * YEAR, 3 * YEAR], ids=["not yet", "no longer"])
def test_certificates_must_be_valid_now(environment: NotationEnvironment, moved: timedelta) -> None:
    environment.push()
    environment.verify()
    environment.clock.advance(moved.total_seconds())
    environment.refused(Reason.EXPIRED)


def test_expired_root_is_refused_although_the_signer_is_valid(environment: NotationEnvironment) -> None:
    key, chain = environment.authority.issue(lifetime=10 * YEAR)
    environment.push(environment.envelope(key=key, chain=chain))
    environment.clock.advance((3 * YEAR).total_seconds())
    assert "CN=root" in environment.refused(Reason.EXPIRED).message


@pytest.mark.parametrize("kind", [JWS_TYPE, COSE_TYPE])
def test_timestamp_outlives_the_certificate(environment: NotationEnvironment, kind: str) -> None:
    signer = short_lived(environment)
    environment.push(environment.envelope(**signer, timestamp=stamped()), kind)
    environment.verify(trustStores=stores(environment))
    environment.verify(trustStores=stores(environment), verifyTimestamp="AfterCertExpiry")
    environment.refused(Reason.EXPIRED)


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (NOW - HOUR, True),
        (NOW - timedelta(minutes=30), False),  # its accuracy reaches beyond the end
        (NOW - timedelta(minutes=20), False),
        (NOW - timedelta(days=1, minutes=31), False),
        (NOW - timedelta(days=1, minutes=30), False),  # its accuracy reaches before the begin
    ],
)
def test_timestamp_lies_within_the_validity(
    environment: NotationEnvironment,
    at: datetime,
    counts: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    environment.push(environment.envelope(**short_lived(environment), timestamp=stamped(at)))
    if counts:
        environment.verify(trustStores=stores(environment))
    else:
        environment.refused(Reason.EXPIRED, trustStores=stores(environment))


def test_timestamp_is_required_with_a_trusted_tsa(environment: NotationEnvironment) -> None:
    environment.push()
    environment.refused(Reason.EXPIRED, trustStores=stores(environment))
    environment.verify(trustStores=stores(environment), verifyTimestamp="AfterCertExpiry")


@pytest.mark.parametrize(
    "token",
    [
        lambda _: b"",
        lambda _: b"\x30\x00",
        lambda _: TSA_OF_TESTS.token(b"another signature", NOW - HOUR),
        lambda signature: TSA_OF_TESTS.respond(signature, NOW - HOUR),
        lambda signature: make_tsa("stranger").token(signature, NOW - HOUR),
        lambda signature: replace(TSA_OF_TESTS, swapped_content=der.sequence()).token(signature, NOW - HOUR),
        lambda signature: TSA_OF_TESTS.token(signature, NOW - 2 * YEAR),
    ],
    ids=["empty", "malformed", "of another signature", "a whole response", "by a stranger", "changed", "TSA not valid"],
)
def test_timestamp_that_does_not_verify_is_refused(
    environment: NotationEnvironment, token: Callable[[bytes], bytes]
) -> None:
    environment.push(environment.envelope(**short_lived(environment), timestamp=token))
    for verify in ("Always", "AfterCertExpiry"):
        with pytest.raises(VerificationError, match=r"(?i)timestamp|tsa|certificate"):
            environment.verify(trustStores=stores(environment), verifyTimestamp=verify)


def test_timestamp_proves_nothing_without_a_trusted_tsa(environment: NotationEnvironment) -> None:
    environment.push(environment.envelope(**short_lived(environment), timestamp=stamped()))
    environment.refused(Reason.EXPIRED)


def test_signing_authority_vouches_for_its_time(environment: NotationEnvironment) -> None:
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    signer = short_lived(environment)
    environment.push(environment.envelope(**signer, authority=True, time=NOW - HOUR))
    environment.verify(trustStores=trusted)
    environment.clock.advance((9 * YEAR).total_seconds())
    environment.verify(trustStores=trusted)


@pytest.mark.parametrize("time", [NOW, NOW - timedelta(days=2), NOW + 5 * YEAR])
@pytest.mark.parametrize("kind", [JWS_TYPE, COSE_TYPE])
def test_time_of_a_signing_authority_lies_within_the_validity(
    environment: NotationEnvironment, kind: str, time: datetime
) -> None:
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    environment.push(environment.envelope(**short_lived(environment), authority=True, time=time), kind)
    environment.refused(Reason.EXPIRED, trustStores=trusted)


def test_time_of_a_signing_authority_is_not_in_the_future(environment: NotationEnvironment) -> None:
    trusted = {"signingAuthority": [{"pem": environment.authority.pem}]}
    environment.push(environment.envelope(authority=True, time=NOW + HOUR))
    assert "not yet" in environment.refused(Reason.EXPIRED, trustStores=trusted).message
