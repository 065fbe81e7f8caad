"""Hand-made certificates with gpg's verdict on each: what gpg 2.2 refuses does not verify.

The verdicts are recorded in `tests/data/openpgp_certificates`; the tests marked `real` ask gpg itself again.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sealgate.errors import InvalidKeyError, SealgateError, VerificationError
from sealgate.keys.openpgp.keyring import load_keyring
from sealgate.reasons import Reason
from tests.support.real_tools.gpg import judge
from tests.support.real_tools.required import require_tool
from tests.support.signers.openpgp_certificates import DAY, NOW, PAYLOAD, certificates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sealgate.keys.openpgp.keyring import Keyring

VERDICTS: Mapping[str, str] = json.loads(
    (Path(__file__).parents[2] / "data" / "openpgp_certificates" / "verdicts.json").read_text()
)

#: Where sealgate is stricter than gpg, by the name of the case, and why.
STRICTER = {
    r"SHA-1": "SHA-1 is not accepted in what holds a certificate together",
    r"agreement expired since": "the agreement of a subkey has expired; gpg does not check",
    r"agreement of the future": "the library finds no agreement as of the message",
    r"two agreements": "one of several agreements does not verify; which one counts is a guess",
    r"two (key )?expiries": "a time that is there twice can be read in two ways",
    r"not hashed": "something critical where no signature covers it",
    r"not exportable": "gpg ignores or uses such signatures, depending on their position",
    r"critical known notation": "no notation is known here",
    r"critical subpacket (4|6)\b": "limits on exporting and on user ids are not followed here",
    r"signature expired since": "the newest self-signature over the user id has expired; gpg takes the user id on",
    r"signature expires later": "the OpenPGP library judges by the clock of the machine, by which it has expired",
    r"no flags": "without key flags the OpenPGP library takes a key to certify only",
    r"earlier in order|at the time of a good one": "of two in one second gpg takes the later in order; both must agree",
    r"alone, in the future": "a self-signature that is dated in the future gives nothing",
    r"before a good one": "the newer one is good, but the library judges by the older, as of the message",
    r"another maker as well": "a message that names two makers can be read in two ways",
    r"eight octets": "a time of another size than four octets can be read in two ways",
    r"revocation|revoked by": "a revocation that names its maker is believed unseen",
}


@cache
def keyring(name: str) -> Keyring:
    """Return the keyring of a case, which is read once for all that is asked about it."""
    return load_keyring(certificates()[name].certificate)


@cache
def verdict(name: str) -> str:
    """Return sealgate's verdict on a case: "good", or the reason of the refusal."""
    case = certificates()[name]
    try:
        signed = keyring(name).verify(case.signed, NOW)
    except SealgateError as error:
        return error.message
    assert signed.payload == PAYLOAD
    return "good"


def kind(name: str) -> str:
    return re.split(r"[:,]", name)[0]


KINDS = sorted({kind(name) for name in VERDICTS})


def of(group: str) -> list[str]:
    return [name for name in VERDICTS if kind(name) == group]


def test_gpg_has_judged_every_case() -> None:
    assert VERDICTS.keys() == certificates().keys()
    assert sum(said == "good" for said in VERDICTS.values()) > 500
    assert sum(said != "good" for said in VERDICTS.values()) > 250


@pytest.mark.parametrize("group", KINDS)
def test_message_that_gpg_refuses_never_verifies(group: str) -> None:
    laxer = [name for name in of(group) if verdict(name) == "good" and VERDICTS[name] != "good"]
    assert laxer == []


@pytest.mark.parametrize("group", KINDS)
def test_good_for_gpg_verifies_except_for_listed_reasons(group: str) -> None:
    stricter = [name for name in of(group) if verdict(name) != "good" and VERDICTS[name] == "good"]
    unexplained = [f"{name}: {verdict(name)}" for name in stricter if not re.search("|".join(STRICTER), name)]
    assert unexplained == []


@pytest.mark.parametrize(
    "name",
    [
        "binding: good, alone",
        "binding: good, alone, after the message",
        "binding: notation, alone",
        "binding: key expires later, after a good one",
        "binding: critical notation, after a good one",
        "user id: good, alone",
        "user id: key never expires, after a good one",
        "direct: good, alone",
        "subkey under direct: good",
        "message: notation",
    ],
)
def test_typical_certificates_verify(name: str) -> None:
    assert verdict(name) == VERDICTS[name] == "good"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("binding: signature expired since, alone", "expired at 2024-12-31"),
        ("binding: signature expired since, after a good one", "expired at"),
        ("binding: critical notation, alone, after the message", "critical parts"),
        ("binding: agreement with a critical notation, alone, after the message", "critical parts"),
        ("newer direct over a user id that never ends: key expired", "expired at 2024-12-31"),
        ("user id: critical notation, alone", "certifies none of its user ids"),
        ("message: critical subpacket 28", "marks as critical"),
        ("no user id, direct: good", "certifies none of its user ids"),
        ("key revoked by an appointed revoker", "revoked"),
    ],
)
def test_refusal_has_a_reason(name: str, why: str) -> None:
    assert why in verdict(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("binding: good, alone", Reason.VERIFIED),
        ("binding: signature expired since, alone", Reason.EXPIRED),
        ("binding: signature expired since, after a good one", Reason.EXPIRED),
        ("binding: key expired, alone", Reason.EXPIRED),
        ("newer direct over a user id that never ends: key expired", Reason.EXPIRED),
        ("subkey under direct: key expired", Reason.EXPIRED),
        ("user id: signature expired since, alone", Reason.EXPIRED),
        ("key revoked, superseded", Reason.REVOKED),
        ("subkey revoked, retired, in the future", Reason.REVOKED),
        ("binding: flags of nothing, after a good one", Reason.INVALID_SIGNATURE),
    ],
)
def test_key_state_agrees_with_verification(name: str, reason: Reason) -> None:
    case = certificates()[name]
    ring = keyring(name)
    state = next(one for one in ring.states(NOW) if one.fingerprint == case.signer.fingerprint.hex().upper())
    assert state.reason is reason
    if reason is not Reason.VERIFIED:
        with pytest.raises(VerificationError) as caught:
            ring.verify(case.signed, NOW)
        assert (caught.value.reason, caught.value.message) == (state.reason, state.message)


def test_message_verifies_until_the_end_that_is_stated() -> None:
    """Nothing that verifies now is refused before its end, whichever statements a certificate has."""
    ending = [name for name in VERDICTS if verdict(name) == "good" and re.search("expires|future", name)]
    for name in ending:
        case = certificates()[name]
        ring = keyring(name)
        end = ring.verify(case.signed, NOW).valid_until
        moments = [NOW + days * DAY for days in (1, 99, 101, 150, 182, 200, 400, 2000)]
        if end is not None:
            moments = [*(at for at in moments if at < end), end - timedelta(seconds=1)]
        for at in moments:
            ring.verify(case.signed, at)
    assert len(ending) > 20


def test_no_case_with_a_usable_state_is_refused_for_its_key() -> None:
    for name, case in certificates().items():
        try:
            ring = keyring(name)
        except InvalidKeyError:
            continue
        states = {state.fingerprint: state for state in ring.states(NOW)}
        state = states.get(case.signer.fingerprint.hex().upper())
        if verdict(name) == "good":
            assert state is not None
            assert state.reason is Reason.VERIFIED, name


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(4))
def test_verified_message_is_good_for_gpg(part: int) -> None:
    gpg = require_tool("gpg")
    for name in list(VERDICTS)[part * 5 :: 20 * 4]:
        case = certificates()[name]
        if verdict(name) == "good":
            assert judge(gpg, case.certificate, case.signed, NOW) == "good", name


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    ["binding: signature expired since, alone", "binding: critical notation, alone", "direct: key expired, alone"],
)
def test_gpg_still_refuses(name: str) -> None:
    case = certificates()[name]
    assert judge(require_tool("gpg"), case.certificate, case.signed, NOW) != "good"
